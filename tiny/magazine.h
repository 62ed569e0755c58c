/* SPDX-License-Identifier: Apache-2.0 */
/*
 * magazine.h - the cold side of one magazine, whoever's it is (tiny.h has its invariant).
 */
#pragma once

#include "tiny/tiny.h"

#define HAK_MAGAZINE_FIRST 8u
#define HAK_MAGAZINE_BYTES 65536u /* of blocks, that one may hold */

static inline void **hak_bin_bottom(const struct hak_bin *bin)
{
	/* lim lies above the bottom and inside the array, and the array is aligned. */
	return (void **)(((uintptr_t)bin->lim - 1) & ~(uintptr_t)(HAK_MAGAZINE_ALIGN - 1));
}

static inline bool hak_magazine_is_empty(void *const *top)
{
	return !((uintptr_t)top & (HAK_MAGAZINE_ALIGN - 1));
}

static inline uint32_t hak_magazine_most(uint32_t class)
{
	uint32_t n = HAK_MAGAZINE_BYTES / hak_class[class].size;

	return n > HAK_MAGAZINE_MAX ? HAK_MAGAZINE_MAX : n;
}

/* The capacity it begins with, in the array at `bottom`. */
static inline struct hak_bin hak_bin_make(void **bottom, uint32_t class)
{
	uint32_t cap = hak_magazine_most(class);

	if (cap > HAK_MAGAZINE_FIRST)
		cap = HAK_MAGAZINE_FIRST;
	return (struct hak_bin){ .top = bottom, .lim = bottom + cap };
}

static inline void hak_bin_widen(struct hak_bin *bin, uint32_t class)
{
	uint32_t cap = (uint32_t)(bin->lim - hak_bin_bottom(bin));
	uint32_t most = hak_magazine_most(class);

	cap = cap * 2 > most ? most : cap * 2;
	bin->lim = hak_bin_bottom(bin) + cap;
}
