/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slab.h - what is known of each slab of the window, out of band: nothing lies beside user data.
 *
 * One descriptor per slab, found by arithmetic. Blocks in magazines count as taken here; a slab
 * knows only what lies in its own bitmap.
 *
 *   BLOCKS  the first slab of a run cut into blocks: n_free == set bits in `bits`
 *   INSIDE  a further slab of such a run, `back` slabs behind its first
 *   MIXED   blocks of any class; mixed.h says what the fields mean there
 *   SPAN    the first slab of one large block of n_slabs slabs
 *   CACHED  such a one, freed and kept for the next of its size
 *   NONE    everything else, also the further slabs of a span
 *
 * Descriptors of BLOCKS are written under their class's lock, of MIXED under their pool's, of SPAN
 * under the heap's. A thread that holds a block may read `kind`, `class`, `back`, `n_slabs` of its
 * slab without a lock: they do not change while a block of it is out, except that BLOCKS become
 * MIXED.
 */
#pragma once

#include "shared/sizeclass.h"

enum hak_slab_kind {
	HAK_SLAB_NONE = 0,
	HAK_SLAB_BLOCKS,
	HAK_SLAB_INSIDE,
	HAK_SLAB_MIXED,
	HAK_SLAB_SPAN,
	HAK_SLAB_CACHED,
};

#define HAK_NO_SLAB UINT32_MAX

struct hak_slab {
	uint8_t kind;  /* enum hak_slab_kind */
	uint8_t class; /* BLOCKS, INSIDE; MIXED: which ring */
	uint8_t back;  /* INSIDE */
	uint8_t on_list;
	uint32_t n_free;
	uint32_t hint; /* bitmap words below it are all zero */
	uint32_t next; /* central's list of slabs with free blocks; HAK_NO_SLAB ends it */
	uint32_t prev;
	union {
		uint32_t longest; /* MIXED: no run of free granules is longer */
		/* SPAN, CACHED of the checked path: from its start to the block's; set, as `asked`
		 * is, once `hint` is not 0 */
		uint32_t front;
	};
	uint64_t n_slabs; /* SPAN */
	uint64_t *bits;   /* set: free */
	uint64_t word;    /* the bitmap itself where it fits */
	uint64_t asked;   /* the size asked for, where `front` is */
	uint64_t pad;
};
HAK_PIN_SIZE(struct hak_slab, 64);

/* Number of bitmap words of a class. */
static inline uint32_t hak_slab_words(uint32_t class)
{
	return (hak_class[class].blocks + 63u) / 64u;
}

/* Makes a run of blocks of `class` at `slab`, all free. `bits`: hak_slab_words() words, or NULL
 * where one word is enough. */
void hak_slab_format(struct hak_slab *slab, uint32_t class, uint64_t *bits);

/* Takes up to `n` blocks, in an order that makes a stack pop rising addresses. How many it got. */
uint32_t hak_slab_take(struct hak_slab *slab, char *start, void **ret_blocks, uint32_t n);

/* The same, but only whole cache lines of several blocks: what others use stays on lines of its
 * own. It may get none. */
uint32_t hak_slab_take_lines(struct hak_slab *slab, char *start, void **ret_blocks, uint32_t n);

enum {
	HAK_SLAB_E_INTERIOR = 1, /* not the start of a block */
	HAK_SLAB_E_DOUBLE,       /* is free already */
};
/* Gives back the block at `offset` from the run's start. 0 or HAK_SLAB_E_*, nothing changed. */
int hak_slab_put(struct hak_slab *slab, uint32_t offset);

/* The invariant, for tests. */
bool hak_slab_check(const struct hak_slab *slab);
