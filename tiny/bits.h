/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bits.h - runs of set bits in a bitmap of whole words: some instructions a word, none a bit.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The bits of word w that lie in [from, to). */
static inline uint64_t hak_bits_mask(uint32_t w, uint32_t from, uint32_t to)
{
	uint64_t low = from > w * 64 ? ~UINT64_C(0) << (from - w * 64) : ~UINT64_C(0);

	return to - w * 64 < 64 ? low & ((UINT64_C(1) << (to - w * 64)) - 1) : low;
}

/* The first clear bit at or above `from`, or `end`, which is a multiple of 64. */
static inline uint32_t hak_bits_run_end(const uint64_t *bits, uint32_t from, uint32_t end)
{
	uint64_t mask = ~UINT64_C(0) << (from % 64);

	for (uint32_t w = from / 64; w < end / 64; w++, mask = ~UINT64_C(0)) {
		if (~bits[w] & mask)
			return w * 64 + (uint32_t)__builtin_ctzll(~bits[w] & mask);
	}
	return end;
}

/* Where the run of set bits begins that ends just below `at`; `at` itself if there is none. */
static inline uint32_t hak_bits_run_start(const uint64_t *bits, uint32_t at)
{
	while (at) {
		uint32_t w = (at - 1) / 64;
		uint64_t clear = ~bits[w] << (63 - (at - 1) % 64);

		if (clear)
			return at - (uint32_t)__builtin_clzll(clear);
		at = w * 64;
	}
	return 0;
}

/* Bits of x from which on `len` are set, len in 1..63. */
static inline uint64_t hak_bits_runs_in_word(uint64_t x, uint32_t len)
{
	for (uint32_t have = 1, step; have < len && x; have += step) {
		step = have < len - have ? have : len - have;
		x &= x >> step;
	}
	return x;
}

/* The first run of `len` set bits in [from, end), or `end`, which is a multiple of 64. */
static inline uint32_t hak_bits_find(const uint64_t *bits, uint32_t from, uint32_t end,
				     uint32_t len)
{
	uint64_t mask = ~UINT64_C(0) << (from % 64);
	uint32_t below = 0; /* set bits that end where the word begins */

	for (uint32_t w = from / 64; w < end / 64; w++, mask = ~UINT64_C(0)) {
		uint64_t x = bits[w] & mask, inside;

		if (!~x) {
			below += 64;
			if (below >= len)
				return w * 64 + 64 - below;
			continue;
		}
		if (below + (uint32_t)__builtin_ctzll(~x) >= len)
			return w * 64 - below;
		inside = len < 64 ? hak_bits_runs_in_word(x, len) : 0;
		if (inside)
			return w * 64 + (uint32_t)__builtin_ctzll(inside);
		below = (uint32_t)__builtin_clzll(~x);
	}
	return end;
}
