/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_adopt.h - takes up the domains of an earlier daemon, by their books: domain_book.h.
 *
 * Sessions come before; then each domain; then domains_adopted(), once. A domain that is not whole
 * is refused, it alone: its members go on with what they have mapped.
 */
#pragma once

#include "shared/base.h"

struct daemon;
struct domain;

/* A member's sign, as it was kept. */
struct domain_sign {
	uint64_t domain;
	uint32_t number; /* hak_member_number() */
	int fd;
};

/*
 * `fds`: data, meta, state and book, in any order. `signs`: of any domain's members, those of other
 * domains are left alone; one that is missing is made anew, and its member has it from its next
 * DOMAIN_OPEN on.
 *
 * 0: `fds` are the domain's, and so is each sign of it, whose fd is then -1. A negative errno: all
 * of them stay the caller's, nothing has changed, and *ret_fault says why, constant text.
 */
int domain_adopt(struct daemon *daemon, const int *fds, unsigned n, struct domain_sign *signs,
		 unsigned n_signs, const char **ret_fault);
/* All are there: what was half done goes on, those that nobody needs go. */
void domains_adopted(struct daemon *daemon);

/* ---- member_adopt.c ---- */

/* NULL, or why its members, by the sound book, can't be those of the sessions that there are. */
const char *members_fault(const struct domain *domain);
/* Makes them. 0 or a negative errno: those that were made stay, members_discard() frees them.
 * Neither sessions nor signs know of it before members_attach(). */
int members_adopt(struct domain *domain, const struct domain_sign *signs, unsigned n_signs);
/* Frees what members_adopt() made. */
void members_discard(struct domain *domain);
/* To their sessions, their accounts, their signs. */
void members_attach(struct domain *domain, struct domain_sign *signs, unsigned n_signs);
/* Those whose session is gone have died; events that were not told are. */
void members_adopted(struct domain *domain);
