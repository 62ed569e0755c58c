/* SPDX-License-Identifier: Apache-2.0 */
/* line.h - what a daemon without a start has of its line: the life page with a number that the test
 * chooses, and a store that no manager keeps. */
#pragma once

#include "daemon/daemon.h"
#include "daemon/store.h"
#include "tests/must.h"

static inline void line_begin(struct daemon *daemon, struct store *store, uint64_t number)
{
	store_init(store, false);
	daemon->store = store;
	must(book_new(&daemon->life.book, BOOK_LIFE, 0, number, sizeof(struct life_page)) == 0);
}

static inline void line_renumber(struct daemon *daemon, uint64_t number)
{
	book_head(&daemon->life.book)->life = number;
}

static inline void line_end(struct daemon *daemon)
{
	life_deinit(&daemon->life);
	store_deinit(daemon->store);
}
