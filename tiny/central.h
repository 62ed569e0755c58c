/* SPDX-License-Identifier: Apache-2.0 */
/*
 * central.h - between the threads' magazines and the slabs: one place per size class and process.
 *
 * A refill takes a batch of blocks under the class's lock, a flush puts one back; nothing else
 * does. Slabs belong to the process, not to a thread: a block freed by any thread goes into that
 * thread's magazine and, when that overflows, into its slab's bitmap, so threads come and go
 * without adoption, and producer and consumer need no messages.
 *
 * Slabs come from a source behind function pointers, the only seam of tiny/ to the outside.
 *
 * Before a class gets a slab more, holes that other classes have are looked for (mixed.h).
 *
 * LOCKS  central[class].lock -> the mixed pool's -> whatever the source takes. FORK:
 * hak_central_lock_all() before, hak_central_unlock_all() after, in parent and child.
 */
#pragma once

#include "tiny/lock.h"
#include "tiny/slab.h"
#include "tiny/tiny.h"

struct hak_tiny_source {
	/* `slabs` contiguous slabs, by the number of the first. False: out of memory. */
	bool (*take)(uint32_t slabs, uint32_t *ret_slab);
	void (*give)(uint32_t slab, uint32_t slabs);
	/* Zeroed memory for metadata, aligned to a line, or to HAK_MAGAZINE_ALIGN if it is that
	 * long; never given back. NULL: none. */
	void *(*meta)(size_t size);
	/* Takes what else the calling thread keeps: it flushes, or ends. NULL: nothing. */
	void (*flush)(void);
};

struct hak_central {
	struct hak_lock lock;
	bool begun;       /* false: zeroed, no page of it is touched, `partial` does not count */
	uint32_t partial; /* slabs with free blocks, newest first; HAK_NO_SLAB ends it */
	uint32_t n_empty; /* of these, wholly free ones */
	uint32_t look;    /* where on that list to look next for slabs to be mixed */
	/* slabs, blocks, mixed: written atomically, they are looked at without the lock. */
	uint32_t slabs;  /* slabs (64 KiB) held */
	void *bitmaps;   /* unused bitmaps of this class, linked through their first word */
	uint64_t blocks; /* blocks out: in magazines or with the program */
	uint64_t mixed;  /* of these, in mixed slabs */
	uint64_t refills, flushes;
} HAK_ALIGNED(64);
HAK_PIN_SIZE(struct hak_central, 64);

#define HAK_MIXED_BUCKETS 13u /* by the power of two in the longest run: 1 .. 4096 granules */

/* Rings of mixed slabs, the next to look at first: mixed.c. Heads and sums are written under the
 * lock, atomically: they are looked at without it. */
struct hak_mixed_pool {
	struct hak_lock lock;
	uint32_t head[HAK_MIXED_BUCKETS]; /* number + 1; 0: none */
	void *maps;                       /* unused ones, linked through their first word */
	uint64_t slabs, n_free, made;
};

/* When to look for holes: guesses, under no lock. Of threads that make one at a time, one is lost;
 * no harm. */
struct hak_mixing {
	uint32_t pass; /* slabs that may come before the next look at the whole */
	uint32_t turn; /* class looked at last */
	/* By the class that needs holes: slabs that may come before the next look for some. */
	uint32_t rest[HAK_CLASSES];
	uint32_t in_vain[HAK_CLASSES];
};

struct hak_tiny {
	char *base;             /* address of slab 0 of the window */
	uint64_t size;          /* bytes of the window */
	struct hak_slab *slabs; /* a descriptor for each slab of it */
	uint64_t slabs_held;    /* by all classes; changed atomically */
	struct hak_tiny_source source;
	bool checked; /* the checked path: checked.h */
	struct hak_mixed_pool mixed;
	struct hak_mixing mixing;
	struct hak_central central[HAK_CLASSES];
};

extern struct hak_tiny hak_tiny;

/* Once, before any other thread can call in. */
void hak_central_init(char *base, uint64_t size, struct hak_slab *slabs,
		      const struct hak_tiny_source *source);

/* Takes 1..n blocks; 0: out of memory. */
uint32_t hak_central_take(uint32_t class, void **ret_blocks, uint32_t n);
/* The same for one block that is aligned to the largest power of two in its class's size; only
 * blocks in mixed slabs may not be. */
void *hak_central_take_aligned(uint32_t class);
/* Gives back blocks of one class. A block that is none of that class, or is free already, ends the
 * program with a message that names it. */
void hak_central_put(uint32_t class, void *const *blocks, uint32_t n);
/* Gives wholly free slabs back to the source. */
void hak_central_trim(void);

void hak_central_lock_all(void);
void hak_central_unlock_all(void);

static inline struct hak_slab *hak_slab_of(const void *p)
{
	return &hak_tiny.slabs[((uintptr_t)p - (uintptr_t)hak_tiny.base) >> HAK_SLAB_SHIFT];
}

static inline char *hak_slab_start(const struct hak_slab *slab)
{
	return hak_tiny.base + ((size_t)(slab - hak_tiny.slabs) << HAK_SLAB_SHIFT);
}

/* The slab's byte in the page map. */
static inline uint8_t *hak_page_of(const struct hak_slab *slab)
{
	return &hak_pagemap[(uintptr_t)hak_slab_start(slab) >> HAK_SLAB_SHIFT];
}
