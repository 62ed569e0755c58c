/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sizeclass.h - the block sizes: multiples of 16 to 128, then four per doubling to 32 KiB.
 *
 * Class 0 is no class: in a page map it says "not a plain slab", in a size table "ask elsewhere".
 * Mean waste is 7.7 % for uniformly spread sizes (four steps per doubling, as jemalloc's). Every
 * size is a multiple of 16; a power of two is aligned to itself because slabs are.
 *
 * A slab of class c is hak_class_slabs() slabs of 64 KiB long, cut into hak_class_blocks() blocks.
 */
#pragma once

#include "shared/layout.h"

#define HAK_CLASSES        41u /* 0 (none) and 1..40 */
#define HAK_CLASS_MAX_SIZE 32768u
#define HAK_TINY_MAX       1024u /* the largest size that the inline path serves */
#define HAK_TINY_CLASSES   21u

struct hak_class {
	uint32_t size;  /* bytes of a block */
	uint16_t slabs; /* slabs that a run of blocks takes */
	uint16_t blocks;
	uint64_t reciprocal; /* ceil(2^40 / size): slot = offset * reciprocal >> 40, exact here */
};

extern const struct hak_class hak_class[HAK_CLASSES];

/* Indexed by (size + 15) >> 4, sizes 0 .. HAK_TINY_MAX; size 0 is served as 1. */
extern const uint8_t hak_tiny_class[HAK_TINY_MAX / 16 + 1];

/* The smallest class with blocks of `size` bytes; 1 <= size <= HAK_CLASS_MAX_SIZE. */
static inline uint32_t hak_class_of(size_t size)
{
	uint32_t exp;

	if (size <= 128)
		return ((uint32_t)size + 15) >> 4;
	exp = 63u - (uint32_t)__builtin_clzll(size - 1);
	return 8 + (exp - 7) * 4 + (((uint32_t)(size - 1) >> (exp - 2)) & 3) + 1;
}

/* The block that `offset` bytes from the start of a slab of class `c` lie in. */
static inline uint32_t hak_class_slot(uint32_t c, uint32_t offset)
{
	return (uint32_t)((offset * hak_class[c].reciprocal) >> 40);
}
