/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checked.h - blocks of the checked path (HAKMEM_FASTLANE_DIRECT=0): what small blocks cost to
 * check, without a lock.
 *
 * INVARIANT  every byte of a slab that no program may write to has the value HAK_FREE_BYTE: free
 * blocks wholly, blocks in use behind the size that was asked for. So one look at the slack at free
 * finds writes past the end, one look at the whole block before it goes out again finds writes
 * after free, and what is uninitialised never shows what was there before.
 *
 * The SHADOW is a flat table beside the window: one word for each 16 bytes of it. That of a block's
 * start says what the block is: in use (the size asked for, plus one), HAK_SHADOW_FREED, or 0.
 * Everything else is 0, so a look at it is the whole validation of a pointer, and freeing claims
 * the block by an atomic exchange: of two frees one dies, at the free.
 *
 * DELAY  each thread has, by class, a ring of the blocks that it freed last and a stack behind it.
 * A freed block takes the place of the ring's oldest, and only that goes to the stack, from where
 * blocks go out or, by the batch, back to central.h. hak_checked_bounds() gives the lengths.
 *
 * THREADS  ring and stack belong to their thread, whose end flushes them. Before its beginning and
 * after its end blocks go to the centrals directly, checked as well but not delayed. FORK:
 * hak_checked_lock() before, hak_checked_unlock() after, in parent and child.
 */
#pragma once

#include "tiny/central.h"

#define HAK_FREE_BYTE 0xdf

/* Every block is that much longer than what was asked for, at least. */
#define HAK_CHECKED_SLACK    8u
#define HAK_CHECKED_MAX_SIZE (HAK_CLASS_MAX_SIZE - HAK_CHECKED_SLACK)

#define HAK_SHADOW_FREED UINT16_MAX

/* The shadow of a window, in bytes: a multiple of a superslab's. */
static inline uint64_t hak_shadow_size(uint64_t window)
{
	return window / 16 * sizeof(uint16_t);
}

/* Once, after hak_central_init(). `shadow`: reads as zero, and can be written where there are
 * slabs. 0 or a negative errno. */
int hak_checked_init(uint16_t *shadow);

/* A block of `class` for `size` bytes; its slack and contents are HAK_FREE_BYTE. NULL: none. */
void *hak_checked_take(uint32_t class, size_t size);
/* The size that the block in use at p was asked for, plus one. 0: none starts there. */
uint32_t hak_checked_find(const void *p);
/* Frees the block in use at p. False: there is none, nothing is changed. */
bool hak_checked_put(void *p);
/* Changes the size of the block in use at p where it is, if its class still is the right one. */
bool hak_checked_resize(void *p, size_t size);

/* Hands the calling thread's free blocks to the slabs, looking at each. */
void hak_checked_flush(void);
/* Looks at every block that is free in its slab, and at the calling thread's. */
void hak_checked_verify(void);

/* What a class's ring and stack hold. */
void hak_checked_bounds(uint32_t class, uint32_t *ret_ring, uint32_t *ret_stack);

/* True if all bytes are HAK_FREE_BYTE. */
bool hak_checked_untouched(const void *p, size_t n);

/* central.c: a new slab, all free; a slab that goes back to the source. */
void hak_checked_format(struct hak_slab *slab);
void hak_checked_release(struct hak_slab *slab);

/* Why p, which lies in a slab of blocks, is not the start of one in use: ends the program. `deed`
 * is "free", "realloc" and the like. */
_Noreturn void hak_checked_die(const void *p, const char *deed);

void hak_checked_lock(void);
void hak_checked_unlock(void);
