/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guarded.h - large blocks of the checked path: spans of the heap with inaccessible pages around
 * the block, and all of it inaccessible for a while once it is freed.
 *
 *   |guard: 1 page|pad|block .......|pad|guard: to the span's end|
 *
 * The block ends where the guard begins if its alignment permits; what is left on the accessible
 * pages is HAK_FREE_BYTE and looked at by free. Alignments above a page take the guard in front to
 * that alignment, from a slab's on there is none in front.
 *
 * DELAY  the last DELAY_SPANS freed, of at most DELAY_HELD bytes of memory (local memory beyond
 * SCRUB_LIMIT goes to the kernel when it is freed) and DELAY_BYTES of addresses; the newest stays
 * whatever its size. Process-wide. malloc_trim() and a shortage of memory empty it.
 *
 * A process may have 65,530 mappings (vm.max_map_count), and a block's guards are two more: beyond
 * GUARDS_MOST blocks alive, and where the kernel refuses, a block goes without.
 *
 * LOCK  the delay's, before the heap's. FORK: hak_guarded_lock() before and, once superslabs have
 * been mapped anew, hak_guarded_renew(); hak_guarded_unlock() after, in parent and child.
 */
#pragma once

#include "tiny/slab.h"

/* NULL: out of memory. What *ret_zeroed does not promise to be zero is HAK_FREE_BYTE or zero. */
void *hak_guarded_alloc(size_t size, size_t align, bool *ret_zeroed);
/* The large block in use that starts at p, which is in a superslab of ours; NULL: there is none. */
struct hak_slab *hak_guarded_find(const void *p);
/* False: it was freed meanwhile. */
bool hak_guarded_free(struct hak_slab *span);
/* Hands what is delayed to the heap. */
void hak_guarded_flush(void);

/* How many are delayed now, and the bytes of their spans. */
uint64_t hak_guarded_delayed(uint64_t *ret_bytes);

/* Why p, in a superslab but in no slab of blocks, is not the start of a block in use. */
_Noreturn void hak_guarded_die(const void *p, const char *deed);

void hak_guarded_lock(void);
void hak_guarded_renew(void);
void hak_guarded_unlock(void);
