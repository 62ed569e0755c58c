/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runs.h - the lower half of the superslab engine: which superslabs of a range are taken.
 *
 * A bitmap over at most 2^32 - 1 superslabs, cut into equal parts, one per NUMA node. A run is a
 * number of neighbours; it never crosses a part. First fit, lowest first, so that a small user
 * touches little of the bitmap and files stay dense at their start.
 *
 * The daemon runs one for each region, the client one for the memory it finds by itself. Plain
 * data, memory from the caller, no lock, no global.
 *
 * EQUATION  taken == number of set bits;  bits below low[part] within a part are all set
 */
#pragma once

#include "shared/base.h"

#define HAK_PARTS_MAX 64u

struct hak_runs {
	uint64_t *bits; /* 1: taken */
	uint32_t total;
	uint32_t parts;
	uint32_t taken;
	uint32_t low[HAK_PARTS_MAX]; /* nothing free below, per part */
};

/* Bytes of zeroed memory that hak_runs_init() wants for `total` superslabs. */
size_t hak_runs_bytes(uint32_t total);
/* `bits` is zeroed, owned by the caller and outlives `runs`; 1 <= parts <= HAK_PARTS_MAX. */
void hak_runs_init(struct hak_runs *runs, uint64_t *bits, uint32_t total, uint32_t parts);

/* Takes `count` neighbours of one part. False, nothing changed: no such run (or count 0). */
bool hak_runs_take(struct hak_runs *runs, uint32_t part, uint32_t count, uint32_t *ret_first);
/* Gives back a range, all of which is taken (asserted: callers check foreign ranges first). */
void hak_runs_give(struct hak_runs *runs, uint32_t first, uint32_t count);
/* The two for who sets and clears the bits himself. Finds what a take would take: its bits are set
 * then, and `taken` is raised. */
bool hak_runs_find(struct hak_runs *runs, uint32_t part, uint32_t count, uint32_t *ret_first);
/* The bits of a range, all of which was taken, were cleared. */
void hak_runs_given(struct hak_runs *runs, uint32_t first, uint32_t count);
/* True if [first, first + count) lies inside and every superslab of it is taken. Any input. */
bool hak_runs_taken(const struct hak_runs *runs, uint32_t first, uint32_t count);
/* The part that a superslab belongs to. */
uint32_t hak_runs_part(const struct hak_runs *runs, uint32_t index);

/* The invariant, for tests. */
bool hak_runs_check(const struct hak_runs *runs);

/* ---- the same search on bare bitmaps, for the upper half ---- */

/* The first run of `count` equal bits within [lo, hi), or HAK_NO_RUN. */
#define HAK_NO_RUN UINT32_MAX
uint32_t hak_bits_find_run(const uint64_t *bits, bool value, uint32_t lo, uint32_t hi,
			   uint32_t count);
void hak_bits_fill(uint64_t *bits, uint32_t first, uint32_t count, bool value);
