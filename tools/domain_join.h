/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_join.h - becomes a reader of a domain for as long as it takes to look at its books.
 *
 * The books are read, not mapped: a read of a hole leaves it one, and a file that is not what it
 * should be is an error, not a signal.
 */
#pragma once

#include "shared/domain.h"
#include "tools/talk.h"

struct domain_join {
	struct talk talk; /* its error: on failure, why */
	int meta;
	int state;
	uint64_t member;              /* this reader */
	struct hak_domain_state head; /* a copy of the state, checked: superslabs, high */
};

/* 0, or -1 and join->talk.error. domain_leave() in either case. */
int domain_join(struct domain_join *join, const char *path, const char *name);
void domain_leave(struct domain_join *join);
