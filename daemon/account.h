/* SPDX-License-Identifier: Apache-2.0 */
/*
 * account.h - who holds how much: every superslab and every connection is charged to its session,
 * to the user behind it, and to the whole.
 *
 * EQUATION  total.superslabs == sum of account.superslabs == sum of session charges
 */
#pragma once

#include <sys/types.h>

#include "daemon/list.h"

struct config;

enum {
	ACCOUNT_E_TOTAL = 1, /* the daemon's own limit */
	ACCOUNT_E_UID,
	ACCOUNT_E_SESSION,
};

/* What one user holds; alive while anything is charged to it. */
struct account {
	struct list link;
	uid_t uid;
	uint32_t sessions;
	uint64_t superslabs;
};

struct accounts {
	struct list all;
	uint32_t sessions;
	uint64_t superslabs;
	/* limits */
	uint32_t max_sessions;
	uint32_t max_uid_sessions;
	uint64_t max_total, max_uid, max_session; /* superslabs */
};

void accounts_init(struct accounts *accounts, const struct config *config);
/* Nothing may be charged any more. */
void accounts_deinit(struct accounts *accounts);

/* Takes a place for one connection of a user: 0, ACCOUNT_E_TOTAL, ACCOUNT_E_UID, or -ENOMEM. */
int account_open(struct accounts *accounts, uid_t uid, struct account **ret_account);
/* Gives a place back. NULL is allowed; returns NULL. */
struct account *account_close(struct accounts *accounts, struct account *account);

/* Charges superslabs, all or none; `held` is what the session has. 0 or ACCOUNT_E_*. */
int account_charge(struct accounts *accounts, struct account *account, uint64_t held,
		   uint64_t superslabs);
void account_release(struct accounts *accounts, struct account *account, uint64_t superslabs);

/* The name of the limit behind an ACCOUNT_E_*, as hakmemd.conf calls it. */
const char *account_bytes_key(int reason);
const char *account_sessions_key(int reason);
