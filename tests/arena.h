/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - a source of slabs for tests of tiny/ alone: a window of heap memory, slabs handed out
 * lowest first, and switches that make it fail.
 *
 * There is one at a time, since tiny/ has one process to serve. Metadata is never freed: threads
 * keep their arrays for the next arena.
 */
#pragma once

#include <pthread.h>

#include "tiny/central.h"

#define ARENA_MAX_SLABS 4096u

struct arena {
	pthread_mutex_t lock; /* guards the rest, but for what init sets */
	char *memory, *base;
	uint32_t n_slabs;
	uint32_t limit; /* slabs that may be out: lowered by tests */
	bool no_meta;   /* meta() fails */
	uint32_t taken; /* slabs out */
	uint32_t metas; /* calls of meta() that worked */
	uint64_t takes; /* calls of take(), failed ones included */
	bool is_taken[ARENA_MAX_SLABS];
};

extern struct arena arena;

/* A new arena, and tiny/ made to use it. The calling thread's magazines must be empty. */
void arena_init(uint32_t n_slabs);
/* Frees the memory; every block must be back, or the test fails. */
void arena_deinit(void);

/*
 * The invariants of all centrals, as far as they can be seen from outside: lists, counts, bitmaps,
 * page map, and that every slab taken from the source is in one class or mixed. NULL, or what is
 * wrong. No other thread may be at work.
 */
const char *arena_check(void);

/* Blocks out, of all classes. */
uint64_t arena_blocks(void);
