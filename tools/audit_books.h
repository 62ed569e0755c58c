/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_books.h - whether a domain's books add up: every byte that the daemon granted is in one
 * state, and all invariants of shared/domain.h hold.
 *
 * What is looked at is a copy, made while members write. So a copy that does not add up is made
 * anew, some times; if it says the same wrong thing again and again it is a fault, and if always
 * another one, then members were too busy: `error`.
 */
#pragma once

#include "tools/domain_join.h"

/* Bytes. granted == all others together, `waste` apart. */
struct audit_bytes {
	uint64_t granted;   /* as the daemon says */
	uint64_t free;      /* slabs that are nobody's */
	uint64_t claimed;   /* slabs that members are just taking or giving back */
	uint64_t holders;   /* blocks of a slab's holder: in use or free, it alone knows */
	uint64_t orphaned;  /* blocks of orphaned slabs that are free to who adopts them */
	uint64_t owned;     /* a member's expressly */
	uint64_t changing;  /* a member's, which is just publishing or sending it */
	uint64_t published; /* nobody's */
	uint64_t moving;    /* under way in channels */
	uint64_t freed;     /* given back, not collected yet */
	uint64_t tails;     /* behind the last block of a run */
	uint64_t waste;     /* not granted any more: the daemon is giving it back */
};

struct audit_books {
	char name[HAK_DOMAIN_NAME + 1]; /* plain */
	uint64_t id;
	struct audit_bytes bytes;
	char fault[128]; /* "": none */
	char error[192]; /* "": it was looked at; else why it was not */
};

/* Fills in all but name and id. Joins as a reader, and leaves. */
void audit_books_look(struct audit_books *books, const char *socket);

/* ---- its parts, for tests ---- */

/* Adds up what `head` granted in a view that nobody writes to. 0, or -EUCLEAN and the reason. */
int audit_books_add(struct audit_bytes *ret, const struct hak_domain_view *view,
		    const struct hak_domain_state *head, char *ret_fault, size_t size);
