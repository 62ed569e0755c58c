/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/runs.h"

#include "shared/check.h"

/* The next bit of `value` in [at, hi), or hi. */
static uint32_t next_bit(const uint64_t *bits, bool value, uint32_t at, uint32_t hi)
{
	while (at < hi) {
		uint64_t word = value ? bits[at / 64] : ~bits[at / 64];

		word >>= at % 64;
		if (word) {
			at += (uint32_t)__builtin_ctzll(word);
			return at < hi ? at : hi;
		}
		if (hi - at <= 64 - at % 64) /* the last word; adding could wrap */
			break;
		at += 64 - at % 64;
	}
	return hi;
}

uint32_t hak_bits_find_run(const uint64_t *bits, bool value, uint32_t lo, uint32_t hi,
			   uint32_t count)
{
	uint32_t at = lo;

	if (!count || hi < lo || count > hi - lo)
		return HAK_NO_RUN;
	while (at <= hi - count) {
		uint32_t start = next_bit(bits, value, at, hi);
		uint32_t end;

		if (start > hi - count)
			break;
		end = next_bit(bits, !value, start, start + count);
		if (end == start + count)
			return start;
		at = end;
	}
	return HAK_NO_RUN;
}

void hak_bits_fill(uint64_t *bits, uint32_t first, uint32_t count, bool value)
{
	while (count) {
		uint32_t bit = first % 64;
		uint32_t n = 64 - bit < count ? 64 - bit : count;
		uint64_t mask = (n == 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1) << bit;

		if (value)
			bits[first / 64] |= mask;
		else
			bits[first / 64] &= ~mask;
		first += n;
		count -= n;
	}
}

size_t hak_runs_bytes(uint32_t total)
{
	return ((size_t)total + 63) / 64 * sizeof(uint64_t);
}

static uint32_t part_size(const struct hak_runs *runs)
{
	return runs->total / runs->parts;
}

/* The last part takes what the division leaves over. */
static uint32_t part_end(const struct hak_runs *runs, uint32_t part)
{
	return part + 1 == runs->parts ? runs->total : (part + 1) * part_size(runs);
}

void hak_runs_init(struct hak_runs *runs, uint64_t *bits, uint32_t total, uint32_t parts)
{
	hak_assert(parts && parts <= HAK_PARTS_MAX && total >= parts && total < HAK_NO_RUN);
	*runs = (struct hak_runs){ .bits = bits, .total = total, .parts = parts };
	for (uint32_t p = 0; p < parts; p++)
		runs->low[p] = p * part_size(runs);
}

uint32_t hak_runs_part(const struct hak_runs *runs, uint32_t index)
{
	uint32_t part = index / part_size(runs);

	return part < runs->parts ? part : runs->parts - 1;
}

bool hak_runs_find(struct hak_runs *runs, uint32_t part, uint32_t count, uint32_t *ret_first)
{
	uint32_t first, end;

	if (part >= runs->parts || !count)
		return false;
	end = part_end(runs, part);
	runs->low[part] = next_bit(runs->bits, false, runs->low[part], end);
	first = hak_bits_find_run(runs->bits, false, runs->low[part], end, count);
	if (first == HAK_NO_RUN)
		return false;
	*ret_first = first;
	return true;
}

bool hak_runs_take(struct hak_runs *runs, uint32_t part, uint32_t count, uint32_t *ret_first)
{
	if (!hak_runs_find(runs, part, count, ret_first))
		return false;
	hak_bits_fill(runs->bits, *ret_first, count, true);
	runs->taken += count;
	return true;
}

bool hak_runs_taken(const struct hak_runs *runs, uint32_t first, uint32_t count)
{
	if (!count || first >= runs->total || count > runs->total - first)
		return false;
	return next_bit(runs->bits, false, first, first + count) == first + count;
}

void hak_runs_give(struct hak_runs *runs, uint32_t first, uint32_t count)
{
	hak_assert(hak_runs_taken(runs, first, count));
	hak_bits_fill(runs->bits, first, count, false);
	hak_runs_given(runs, first, count);
}

void hak_runs_given(struct hak_runs *runs, uint32_t first, uint32_t count)
{
	uint32_t part = hak_runs_part(runs, first);

	runs->taken -= count;
	/* A range given back in one piece may cover several runs, even of two parts. */
	for (uint32_t p = part; p <= hak_runs_part(runs, first + count - 1); p++) {
		uint32_t start = p == part ? first : p * part_size(runs);

		if (start < runs->low[p])
			runs->low[p] = start;
	}
}

bool hak_runs_check(const struct hak_runs *runs)
{
	uint32_t taken = 0;

	for (uint32_t i = 0; i < runs->total; i++)
		taken += (runs->bits[i / 64] >> (i % 64)) & 1;
	if (taken != runs->taken)
		return false;
	for (uint32_t p = 0; p < runs->parts; p++) {
		uint32_t start = p * part_size(runs);
		uint32_t end = part_end(runs, p);

		if (runs->low[p] < start || runs->low[p] > end)
			return false;
		if (next_bit(runs->bits, false, start, runs->low[p]) != runs->low[p])
			return false;
	}
	return true;
}
