/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <string.h>

#include "shared/runs.h"

#define WORDS 8u

/* A bitmap from text: '1' taken, '0' free, spaces for reading. */
static uint32_t bits_of(uint64_t *bits, const char *text)
{
	uint32_t n = 0;

	memset(bits, 0, WORDS * 8);
	for (; *text; text++) {
		if (*text == ' ')
			continue;
		if (*text == '1')
			bits[n / 64] |= UINT64_C(1) << (n % 64);
		n++;
	}
	return n;
}

static void bytes_cover_every_bit(void **state)
{
	static const struct {
		uint32_t total;
		size_t bytes;
	} cases[] = {
		{ 1, 8 },    { 63, 8 },   { 64, 8 },         { 65, 16 },
		{ 128, 16 }, { 129, 24 }, { 262144, 32768 }, { UINT32_MAX - 1, 536870912 },
	};

	(void)state;
	for (size_t i = 0; i < hak_array_size(cases); i++)
		assert_int_equal(hak_runs_bytes(cases[i].total), cases[i].bytes);
}

struct find {
	const char *bits;
	bool value;
	uint32_t lo, hi, count, found;
};

static const struct find finds[] = {
	{ "0000", false, 0, 4, 1, 0 },
	{ "0000", false, 0, 4, 4, 0 },
	{ "0000", false, 0, 4, 5, HAK_NO_RUN },
	{ "0000", false, 1, 4, 3, 1 },
	{ "0000", false, 1, 4, 4, HAK_NO_RUN },
	{ "0000", true, 0, 4, 1, HAK_NO_RUN },
	{ "0000", false, 0, 4, 0, HAK_NO_RUN },
	{ "0000", false, 3, 2, 1, HAK_NO_RUN },
	{ "0000", false, 4, 4, 1, HAK_NO_RUN },
	{ "1111", false, 0, 4, 1, HAK_NO_RUN },
	{ "1111", true, 2, 4, 2, 2 },
	{ "0100 1000", false, 0, 8, 2, 2 },
	{ "0100 1000", false, 0, 8, 3, 5 },
	{ "0100 1000", false, 0, 7, 3, HAK_NO_RUN }, /* hi cuts it */
	{ "0100 1000", true, 0, 8, 1, 1 },
	{ "0100 1000", true, 2, 8, 1, 4 },
	{ "1011 0111", true, 0, 8, 3, 5 },
};

static void find_run_takes_the_lowest_that_fits(void **state)
{
	uint64_t bits[WORDS];

	(void)state;
	for (size_t i = 0; i < hak_array_size(finds); i++) {
		const struct find *f = &finds[i];

		(void)bits_of(bits, f->bits);
		assert_int_equal(hak_bits_find_run(bits, f->value, f->lo, f->hi, f->count),
				 f->found);
	}
}

/* One run of every length at every place, seen against both kinds of bits. */
static void find_run_crosses_words(void **state)
{
	enum {
		HI = 200
	};
	uint64_t bits[WORDS];

	(void)state;
	for (uint32_t at = 0; at < HI; at++) {
		for (uint32_t n = 1; n <= HI - at; n += 1 + n / 5) {
			for (int value = 0; value <= 1; value++) {
				memset(bits, value ? 0 : 0xff, sizeof(bits));
				hak_bits_fill(bits, at, n, value);
				assert_int_equal(hak_bits_find_run(bits, value, 0, HI, n), at);
				assert_int_equal(hak_bits_find_run(bits, value, 0, HI, n + 1),
						 HAK_NO_RUN);
				assert_int_equal(hak_bits_find_run(bits, value, at, at + n, n), at);
				assert_int_equal(hak_bits_find_run(bits, value, at + 1, HI, n),
						 HAK_NO_RUN);
			}
		}
	}
}

static void fill_changes_its_bits_only(void **state)
{
	enum {
		HI = 200
	};
	uint64_t bits[WORDS];

	(void)state;
	for (uint32_t at = 0; at < HI; at++) {
		for (uint32_t n = 0; n <= HI - at; n++) {
			for (int value = 0; value <= 1; value++) {
				memset(bits, value ? 0 : 0xff, sizeof(bits));
				hak_bits_fill(bits, at, n, value);
				for (uint32_t i = 0; i < WORDS * 64; i++) {
					bool in = i >= at && i < at + n;

					assert_int_equal((bits[i / 64] >> (i % 64)) & 1,
							 in ? value : !value);
				}
			}
		}
	}
}

/* The documented limit is 2^32 - 2 superslabs: 512 MiB of bitmap, of which three pages are
 * touched. */
static void the_largest_bitmap_works_to_its_end(void **state)
{
	const uint32_t total = UINT32_MAX - 1;
	struct hak_runs runs;
	uint32_t first;
	void *bits;

	(void)state;
	(void)alarm(20); /* an index that wraps at 2^32 searches for ever */
	assert_int_equal(hak_sys_map_anon(&bits, hak_runs_bytes(total)), 0);
	hak_runs_init(&runs, bits, total, 64);
	assert_int_equal(hak_runs_part(&runs, total - 1), 63);
	hak_bits_fill(bits, total - 100, 98, true);
	runs.low[63] = total - 100;
	runs.taken = 98;
	assert_true(hak_runs_taken(&runs, total - 100, 98));
	assert_true(hak_runs_take(&runs, 63, 2, &first));
	assert_int_equal(first, total - 2);
	assert_false(hak_runs_take(&runs, 63, 1, &first));
	assert_true(hak_runs_taken(&runs, total - 100, 100));
	assert_false(hak_runs_taken(&runs, total - 100, 101));
	hak_runs_give(&runs, total - 1, 1);
	assert_true(hak_runs_take(&runs, 63, 1, &first));
	assert_int_equal(first, total - 1);
	assert_int_equal(hak_sys_unmap(bits, hak_runs_bytes(total)), 0);
	unit_watchdog();
}

static void parts_are_equal_and_the_last_takes_the_rest(void **state)
{
	static const struct {
		uint32_t total, parts, index, part;
	} cases[] = {
		{ 10, 1, 0, 0 },     { 10, 1, 9, 0 },     { 10, 3, 2, 0 },      { 10, 3, 3, 1 },
		{ 10, 3, 5, 1 },     { 10, 3, 6, 2 },     { 10, 3, 9, 2 },      { 64, 64, 63, 63 },
		{ 127, 64, 62, 62 }, { 127, 64, 63, 63 }, { 127, 64, 126, 63 },
	};
	uint64_t bits[WORDS] = { 0 };
	struct hak_runs runs;

	(void)state;
	for (size_t i = 0; i < hak_array_size(cases); i++) {
		hak_runs_init(&runs, bits, cases[i].total, cases[i].parts);
		assert_true(hak_runs_check(&runs));
		assert_int_equal(hak_runs_part(&runs, cases[i].index), cases[i].part);
	}
}

static void take_is_first_fit_inside_its_part(void **state)
{
	uint64_t bits[WORDS] = { 0 };
	struct hak_runs runs;
	uint32_t first = 7777;

	(void)state;
	hak_runs_init(&runs, bits, 100, 3); /* 0..32, 33..65, 66..99 */
	assert_true(hak_runs_take(&runs, 1, 3, &first));
	assert_int_equal(first, 33);
	assert_true(hak_runs_take(&runs, 1, 1, &first));
	assert_int_equal(first, 36);
	hak_runs_give(&runs, 33, 3);
	assert_true(hak_runs_take(&runs, 1, 4, &first)); /* the hole of 3 is too small */
	assert_int_equal(first, 37);
	assert_true(hak_runs_take(&runs, 1, 2, &first));
	assert_int_equal(first, 33);
	assert_false(
		hak_runs_take(&runs, 1, 26, &first)); /* 41..65 is 25 long, 66 is another part */
	assert_true(hak_runs_take(&runs, 1, 25, &first));
	assert_int_equal(first, 41);
	assert_true(hak_runs_take(&runs, 2, 34, &first)); /* the last part is longer by one */
	assert_int_equal(first, 66);
	assert_false(hak_runs_take(&runs, 2, 1, &first));
	assert_int_equal(runs.taken, 1 + 4 + 2 + 25 + 34);
	assert_true(hak_runs_check(&runs));
}

static void impossible_takes_change_nothing(void **state)
{
	static const struct {
		uint32_t part, count;
	} cases[] = { { 0, 0 },  { 0, 51 },         { 0, UINT32_MAX },
		      { 1, 51 }, { 2, 1 },          { UINT32_MAX, 1 },
		      { 1, 0 },  { 1, UINT32_MAX }, { HAK_PARTS_MAX, 1 } };
	uint64_t bits[WORDS] = { 0 };
	struct hak_runs runs;
	uint32_t first = 7777;

	(void)state;
	hak_runs_init(&runs, bits, 100, 2);
	for (size_t i = 0; i < hak_array_size(cases); i++) {
		assert_false(hak_runs_take(&runs, cases[i].part, cases[i].count, &first));
		assert_int_equal(first, 7777);
		assert_int_equal(runs.taken, 0);
		assert_true(hak_runs_check(&runs));
	}
}

/* This is what checks a range that a client sent: any input, a verdict. */
static void taken_judges_any_range(void **state)
{
	static const struct {
		uint32_t first, count;
		bool taken;
	} cases[] = {
		{ 60, 10, true },
		{ 60, 1, true },
		{ 69, 1, true },
		{ 59, 1, false },
		{ 59, 2, false },
		{ 60, 11, false },
		{ 70, 1, false },
		{ 60, 0, false },
		{ 0, 0, false },
		{ 99, 1, true },
		{ 99, 2, false },
		{ 100, 1, false },
		{ 100, 0, false },
		{ 60, UINT32_MAX, false },
		{ 60, UINT32_MAX - 59, false },
		{ UINT32_MAX, 1, false },
		{ UINT32_MAX, 2, false },
		{ UINT32_MAX, UINT32_MAX, false },
		{ 0, UINT32_MAX, false },
		{ 64, UINT32_MAX - 63, false },
	};
	uint64_t bits[WORDS] = { 0 };
	struct hak_runs runs;

	(void)state;
	hak_runs_init(&runs, bits, 100, 1);
	hak_bits_fill(bits, 60, 10, true);
	hak_bits_fill(bits, 99, 1, true);
	runs.taken = 11;
	for (size_t i = 0; i < hak_array_size(cases); i++)
		assert_int_equal(hak_runs_taken(&runs, cases[i].first, cases[i].count),
				 cases[i].taken);
}

static void give_across_parts_lowers_each_of_them(void **state)
{
	uint64_t bits[WORDS] = { 0 };
	struct hak_runs runs;
	uint32_t first;

	(void)state;
	hak_runs_init(&runs, bits, 90, 3);
	for (uint32_t part = 0; part < 3; part++)
		assert_true(hak_runs_take(&runs, part, 30, &first));
	for (uint32_t part = 0; part < 3; part++)
		assert_false(hak_runs_take(&runs, part, 1, &first));
	hak_runs_give(&runs, 29, 32); /* the last of part 0, all of 1, the first of 2 */
	assert_true(hak_runs_check(&runs));
	assert_true(hak_runs_take(&runs, 0, 1, &first));
	assert_int_equal(first, 29);
	assert_true(hak_runs_take(&runs, 1, 30, &first));
	assert_int_equal(first, 30);
	assert_true(hak_runs_take(&runs, 2, 1, &first));
	assert_int_equal(first, 60);
	assert_int_equal(runs.taken, 90);
	assert_true(hak_runs_check(&runs));
}

/* The check itself: each way to break the equations is seen. */
static void check_sees_broken_equations(void **state)
{
	uint64_t bits[WORDS] = { 0 };
	struct hak_runs good, bad;
	uint32_t first;

	(void)state;
	hak_runs_init(&good, bits, 100, 2);
	assert_true(hak_runs_take(&good, 0, 10, &first));
	good.low[0] = 10;
	assert_true(hak_runs_check(&good));
	bad = good;
	bad.taken = 9;
	assert_false(hak_runs_check(&bad));
	bad = good;
	bad.low[0] = 11;
	assert_false(hak_runs_check(&bad));
	bad = good;
	bad.low[0] = 51;
	assert_false(hak_runs_check(&bad));
	bad = good;
	bad.low[1] = 49;
	assert_false(hak_runs_check(&bad));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_cover_every_bit),
		cmocka_unit_test(find_run_takes_the_lowest_that_fits),
		cmocka_unit_test(find_run_crosses_words),
		cmocka_unit_test(fill_changes_its_bits_only),
		cmocka_unit_test(the_largest_bitmap_works_to_its_end),
		cmocka_unit_test(parts_are_equal_and_the_last_takes_the_rest),
		cmocka_unit_test(take_is_first_fit_inside_its_part),
		cmocka_unit_test(impossible_takes_change_nothing),
		cmocka_unit_test(taken_judges_any_range),
		cmocka_unit_test(give_across_parts_lowers_each_of_them),
		cmocka_unit_test(check_sees_broken_equations),
	};

	unit_watchdog();
	return cmocka_run_group_tests_name("runs", tests, NULL, NULL);
}
