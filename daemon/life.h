/* SPDX-License-Identifier: Apache-2.0 */
/*
 * life.h - the page that ties one daemon to the next: a line of lives. It is the first thing that
 * is stored and the first that is looked at; without it nothing else that was found can be used.
 *
 * INVARIANT  an id is on the page before it is given out, so that no daemon of this line gives it
 *            out again, whenever this one dies
 */
#pragma once

#include "daemon/book.h"

struct store;

struct life_page {
	struct book_head head; /* .life: the line's number. The fixed part ends here. */
	uint64_t epoch;        /* of the daemon that runs, or ran last: one more at each start */
	uint64_t last_session;
	uint64_t last_domain;
};
HAK_PIN_SIZE(struct life_page, 72);

struct life {
	struct book book;
};
#define LIFE_NULL                  \
	{                          \
		.book = BOOK_NULL, \
	}

/* Goes on with the page that was found, or begins a line where there is none, or a damaged one
 * (log line). ret_first: it begins. A negative errno: there is no memory for a page. */
int life_open(struct life *life, struct store *store, bool *ret_first);
void life_deinit(struct life *life);

/* Of the line; not 0. */
uint64_t life_number(const struct life *life);
uint64_t life_epoch(const struct life *life);
/* The next id; it is taken. */
uint64_t life_session(struct life *life);
uint64_t life_domain(struct life *life);
