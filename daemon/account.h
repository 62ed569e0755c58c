/* SPDX-License-Identifier: Apache-2.0 */
/*
 * account.h - who holds how much: every superslab, connection and descriptor is charged to its
 * session, to the user behind it, and to the whole; requests are metered by session and user.
 *
 * EQUATIONS  total.superslabs == sum of account.superslabs == sum of session and domain charges
 *            likewise sessions, domains and descriptors
 *            a charge succeeds only if afterwards used <= limit, for each of the three
 *
 * A limit that is lowered below what is in use takes nothing away: nothing more is charged until
 * use has fallen below it.
 */
#pragma once

#include <sys/types.h>

#include "daemon/bucket.h"
#include "daemon/list.h"
#include "shared/refusal.h"

struct config;

/* How often a limit said no; of requests: how often a session was slowed down. */
struct account_hits {
	uint64_t bytes;
	uint64_t sessions;
	uint64_t descriptors;
	uint64_t requests;
	uint64_t domains;
};

/* What one user holds; alive while anything is charged to it. */
struct account {
	struct list link;
	uid_t uid;
	uint32_t sessions;
	uint32_t descriptors;
	uint32_t domains;
	uint64_t superslabs;
	uint64_t addresses; /* of its domains */
	struct bucket requests;
	struct account_hits hits;
};

struct accounts {
	struct list all;
	uint32_t sessions;
	uint32_t descriptors;
	uint32_t domains;
	uint64_t superslabs;
	struct account_hits hits;
	/* limits */
	uint32_t max_sessions;
	uint32_t max_uid_sessions;
	uint32_t max_descriptors;
	uint32_t max_uid_descriptors;
	uint32_t max_session_requests; /* a second; 0: none, likewise the next */
	uint32_t max_uid_requests;
	uint32_t max_domains;
	uint32_t max_uid_domains;
	uint64_t max_total, max_uid, max_session, max_domain; /* superslabs */
};

/* `files`: the system's limit of open files. */
void accounts_init(struct accounts *accounts, const struct config *config, uint64_t files);
/* New limits, at any time. */
void accounts_limit(struct accounts *accounts, const struct config *config, uint64_t files);
/* Nothing may be charged any more. */
void accounts_deinit(struct accounts *accounts);

/* Takes a place for one connection of a user, with LIMIT_CONN_FDS descriptors: 0, an enum
 * hak_refusal, or -ENOMEM. */
int account_open(struct accounts *accounts, uid_t uid, struct account **ret_account);
/* Gives a place back. NULL is allowed; returns NULL. */
struct account *account_close(struct accounts *accounts, struct account *account);

/* What a session needs beyond its connection: LIMIT_SESSION_FDS in all, and LIMIT_ASK_FDS are left.
 * 0 or an enum hak_refusal. */
int account_open_session(struct accounts *accounts, struct account *account);
/* The place and the descriptors of a session that is there already, and what it holds, whatever the
 * limits say: they take nothing away. 0 or -ENOMEM. */
int account_adopt_session(struct accounts *accounts, uid_t uid, uint64_t superslabs,
			  struct account **ret_account);
void account_close_session(struct accounts *accounts, struct account *account);

/* A place for a domain of the user's, with LIMIT_DOMAIN_FDS and so many bytes of addresses. 0, an
 * enum hak_refusal, or -E2BIG: its domains would have more than LIMIT_UID_ADDRESSES. It keeps the
 * account alive. */
int account_open_domain(struct accounts *accounts, struct account *account, uint64_t addresses);
/* Returns NULL. */
struct account *account_close_domain(struct accounts *accounts, struct account *account,
				     uint64_t addresses);
/* What an earlier daemon granted a domain and its members is charged whatever the limits are now.
 * 0 or -ENOMEM. */
int account_adopt_domain(struct accounts *accounts, uid_t uid, uint64_t addresses,
			 uint64_t superslabs, struct account **ret_account);
void account_adopt_member(struct accounts *accounts, struct account *account);
/* LIMIT_MEMBER_FDS. 0 or an enum hak_refusal. */
int account_open_member(struct accounts *accounts, struct account *account);
void account_close_member(struct accounts *accounts, struct account *account);

/* Charges superslabs, all or none; `held` is what the session has. 0 or an enum hak_refusal, which
 * is no hit yet: what is done ahead of need is not refused to anybody. */
int account_charge(struct accounts *accounts, struct account *account, uint64_t held,
		   uint64_t superslabs);
/* The same for a domain, which may have `max` by itself. */
int account_charge_domain(struct accounts *accounts, struct account *account, uint64_t held,
			  uint64_t max, uint64_t superslabs);
/* A limit of account_charge() is what somebody was told. */
void account_refused(struct accounts *accounts, struct account *account, uint32_t refusal);
void account_release(struct accounts *accounts, struct account *account, uint64_t superslabs);

/* The limit behind a refusal of bytes and what was charged to it; false: it is none of those. */
bool account_bytes_of(const struct accounts *accounts, const struct account *account, uint64_t held,
		      uint32_t refusal, uint64_t *ret_limit, uint64_t *ret_used);

/* Meters one request: 0, or the time until there is room for it, and nothing is taken. */
uint64_t account_ask(const struct accounts *accounts, struct account *account,
		     struct bucket *session, uint64_t now_ns);
