/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spans.h - large blocks: whole spans of slabs, and a cache of the ones freed last.
 *
 * A program that frees a buffer and allocates the next of that size gets the same span back: the
 * same pages, no list of superslabs touched. Each thread has the few that it freed last, without a
 * locked instruction (which would wait for all the stores that were made to the buffer); behind
 * that is one cache for the process, by size in slabs. Newest first in both. A cached span's
 * descriptor says CACHED, so freeing it again is noticed.
 *
 * BOUND  THREAD_SLABS in a thread, on top of everything like its magazines. CACHE_SLABS in the
 * process's; these count towards the empty memory that the heap keeps and come on top of nothing
 * (give.c). Beyond an eighth of the heap they are used up before untouched memory is (heap.c); what
 * lies unused for a second goes by halves. malloc_trim(), and any allocation that would fail, empty
 * both.
 *
 * LOCK  the cache's, before the heap's; malloc and free never wait for it. FORK: hak_spans_lock()
 * before, hak_spans_unlock() after, in parent and child.
 */
#pragma once

#include "tiny/slab.h"

/* A span of `size` bytes or a little more, `align` a power of two in bytes. NULL: out of memory. */
void *hak_spans_alloc(size_t size, size_t align, bool *ret_zeroed);
/* Frees a span in use (kind SPAN). */
void hak_spans_free(struct hak_slab *span);
/* Hands what the calling thread keeps to the heap: malloc_trim(), and its end. */
void hak_spans_flush(void);
/* Gives the cached spans to the heap. */
void hak_spans_trim(void);

/* Under the cache's lock: of what has lain there since the last time, half goes to the heap, where
 * it may go on to the kernel. The cache does it itself, after a second and some frees. */
void hak_spans_age(void);

/* How many lie in the cache now, and their slabs; with the calling thread's or without. No lock: as
 * good as a count can be. */
uint64_t hak_spans_cached(bool with_own, uint64_t *ret_slabs);

void hak_spans_lock(void);
void hak_spans_unlock(void);
