/* SPDX-License-Identifier: Apache-2.0 */
/*
 * depot.h - magazines that change hands whole (Bonwick and Adams, USENIX 2001).
 *
 * Between the threads' magazines and the slabs. A thread with two full magazines leaves one here
 * and one with two empty ones takes it: a lock and two moves for up to 127 blocks, no block and no
 * pointer touched. Producer and consumer meet here; so do phases that allocate and phases that
 * free.
 *
 * There are HAK_DEPOT_SHARDS of them for each class, and a thread keeps to one as long as there is
 * something in it: magazines and blocks that go from thread to thread take their cache lines along,
 * at the price of ten operations each.
 *
 * BOUND  all magazines in the depots together hold at most DEPOT_LEAST bytes of blocks, and a share
 * of what is in slabs (depot.c); what is beyond goes to the slabs. malloc_trim() empties them.
 *
 * An array has HAK_MAGAZINE_ALIGN bytes and as much alignment. Its last word, which no magazine
 * uses, links it.
 *
 * LOCKS  a depot's is a leaf but for the array store's. FORK: hak_depot_lock_all() before,
 * hak_depot_unlock_all() after, in parent and child.
 */
#pragma once

#include "tiny/tiny.h"

#define HAK_DEPOT_SHARDS 4u

/* An empty magazine's array; NULL: out of memory. Given back, it is kept for any thread. */
void **hak_depot_array(void);
void hak_depot_array_give(void **bottom);

/* Exchanges an empty magazine for a full one: its top, above its bottom. NULL: there is none, and
 * the empty one stays with the caller. */
void **hak_depot_take(uint32_t class, void **empty);
/* Leaves the magazine [bottom, top), top > bottom, and gets an empty one for it, or NULL if there
 * is no room (or no array): then the magazine stays with the caller. */
void **hak_depot_put(uint32_t class, void **bottom, void **top);

/* Bytes of blocks that lie in the depots. */
uint64_t hak_depot_bytes(void);

/* Hands every magazine's blocks to the slabs. */
void hak_depot_trim(void);

void hak_depot_lock_all(void);
void hak_depot_unlock_all(void);

/* The array that a magazine's top lies in, if it has one block or more. */
static inline void **hak_magazine_bottom(void **top)
{
	return (void **)(((uintptr_t)top - 1) & ~(uintptr_t)(HAK_MAGAZINE_ALIGN - 1));
}
