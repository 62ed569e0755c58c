/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mixed.h - slabs that hold blocks of any class, so that the holes of one class serve another.
 *
 * A slab of blocks of one class with many free ones can become a mixed one: from then on it is
 * 4,096 granules of 16 bytes, and blocks of all classes are cut from its runs of free granules. It
 * never becomes one of a single class again; wholly free, it goes back to the source. Only
 * central.c makes mixed slabs, and only in a heap that would otherwise grow beside its own holes.
 *
 * Two bitmaps out of band, one bit a granule:
 *
 *   free  the granule is in no block
 *   edge  the granule is free, or the first of a block         free is a subset of edge
 *   n_free == set bits in `free`;  longest >= every run of free granules
 *
 * A block reaches from its edge to the next one (or the slab's end), and that is the size of its
 * class. What its neighbours do changes neither of these edges nor a granule between them: so the
 * holder of a block finds its class without a lock. The page map's byte of a mixed slab is 0 before
 * the first block of another class is cut from it: a free takes the cold way. Another thread's that
 * has just read the old byte frees a block of the old class, into that class's magazine; no harm:
 * what flushes it looks at the slab.
 *
 * A block here is aligned to 16 and to no more, unlike those in slabs of their own class.
 *
 * BOUND  a take looks at few slabs, found by the length of their longest run; each is read once,
 * 64 words. LOCKS  central[class].lock -> the pool's -> whatever the source takes. FORK:
 * hak_central_lock_all() has it.
 */
#pragma once

#include "tiny/central.h"
#include "tiny/tiny.h"

#define HAK_GRANULE  16u
#define HAK_GRANULES (HAK_SLAB_SIZE / HAK_GRANULE)

/* Turns a slab of blocks, one slab long and on no list, into a mixed one, and clears its byte in
 * the page map; under its class's lock. Its class's bitmap is free for other use afterwards.
 * False: no memory for bitmaps. */
bool hak_mixed_convert(struct hak_slab *slab);

/* True if hak_mixed_take() may find a block of the class; no lock, as good as a look can be. */
bool hak_mixed_may_have(uint32_t class);
/* Takes up to n blocks of the class out of holes. How many it got; maybe none. */
uint32_t hak_mixed_take(uint32_t class, void **ret_blocks, uint32_t n);
/* Gives one back, under its class's lock. 0, or HAK_SLAB_E_*: nothing changed. */
int hak_mixed_put(uint32_t class, void *p);

/* True if p, a block in a slab of the window, lies in a mixed one; no lock. Acquire: pairs with the
 * release of the page's byte; who saw it become 0 sees the slab's kind and bitmaps. */
static inline bool hak_mixed_has(const void *p)
{
	return !__atomic_load_n(&hak_pagemap[(uintptr_t)p >> HAK_SLAB_SHIFT], __ATOMIC_ACQUIRE) &&
	       __atomic_load_n(&hak_slab_of(p)->kind, __ATOMIC_RELAXED) == HAK_SLAB_MIXED;
}

/* The class of the block at p in a mixed slab, for who holds it; no lock. What is no block in use
 * ends the program with a message that names p. */
uint32_t hak_mixed_class(const void *p);

/* Mixed slabs now and ever, and the free granules in bytes. */
uint64_t hak_mixed_slabs(void);
uint64_t hak_mixed_made(void);
uint64_t hak_mixed_free(void);

/* The invariant of one, for tests: true if it holds. Adds its blocks of each class. */
bool hak_mixed_check(const struct hak_slab *slab, uint64_t ret_blocks[HAK_CLASSES]);

void hak_mixed_lock(void);
void hak_mixed_unlock(void);
