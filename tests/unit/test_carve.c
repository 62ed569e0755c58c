/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <string.h>

#include "shared/carve.h"

#define TOTAL 256u
#define PER   HAK_SLABS_PER_SUPERSLAB

/* All the memory of a carve, its invariant checked around each test. */
struct rig {
	struct hak_carve carve;
	struct hak_super supers[TOTAL];
	uint64_t empty[TOTAL / 64];
};

static struct rig rig;

static void rig_init(uint32_t split)
{
	memset(&rig, 0, sizeof(rig));
	hak_carve_init(&rig.carve, rig.supers, rig.empty, TOTAL, split);
	assert_true(hak_carve_check(&rig.carve));
}

static int after(void **state)
{
	(void)state;
	return hak_carve_check(&rig.carve) ? 0 : -1;
}

static uint64_t take(uint64_t n, uint64_t align)
{
	struct hak_span span;

	assert_true(hak_carve_take(&rig.carve, n, align, &span));
	assert_int_equal(span.n_slabs, n);
	assert_int_equal(span.slab % align, 0);
	assert_true(hak_carve_check(&rig.carve));
	return span.slab;
}

static bool take_zeroed(uint64_t n, uint64_t align)
{
	struct hak_span span;

	assert_true(hak_carve_take(&rig.carve, n, align, &span));
	return span.zeroed;
}

static void take_fails(uint64_t n, uint64_t align)
{
	struct hak_carve before = rig.carve;
	struct hak_span span = { 7, 7, true };

	assert_false(hak_carve_take(&rig.carve, n, align, &span));
	assert_int_equal(span.slab, 7);
	assert_memory_equal(&rig.carve, &before, sizeof(before));
}

static void nothing_added_gives_nothing(void **state)
{
	(void)state;
	rig_init(0);
	take_fails(1, 1);
	take_fails(32, 1);
	take_fails(33, 1);
	take_fails(1, 64);
	take_fails(UINT64_MAX, 1);
	take_fails(1, UINT64_C(1) << 63);
	assert_int_equal(hak_carve_find_empty(&rig.carve, 0, 0), HAK_NO_SUPERSLAB);
}

static void a_superslab_is_32_slabs(void **state)
{
	(void)state;
	rig_init(0);
	hak_carve_add(&rig.carve, 3, 1, 0, true);
	assert_int_equal(rig.carve.free_slabs, 32);
	for (uint64_t i = 0; i < 32; i++)
		assert_int_equal(take(1, 1), 3 * PER + i);
	take_fails(1, 1);
	assert_int_equal(rig.carve.free_slabs, 0);
}

static void the_lowest_of_new_ones_is_taken_first(void **state)
{
	(void)state;
	rig_init(0);
	hak_carve_add(&rig.carve, 10, 4, 0, true);
	for (uint64_t i = 10; i < 14; i++)
		assert_int_equal(take(32, 1), i * PER);
}

/* Sizes above half a superslab leave a rest that smaller ones use: none other is opened. */
static void small_spans_fill_the_tightest_hole(void **state)
{
	(void)state;
	rig_init(0);
	hak_carve_add(&rig.carve, 0, 3, 0, true);
	assert_int_equal(take(20, 1), 0);
	assert_int_equal(take(28, 1), PER);
	assert_int_equal(take(4, 1), PER + 28); /* 4 free there, 12 in the first */
	assert_int_equal(take(12, 1), 20);
	assert_int_equal(rig.carve.n_empty, 1);
}

static void neighbours_coalesce(void **state)
{
	uint64_t slab[32];

	(void)state;
	rig_init(0);
	hak_carve_add(&rig.carve, 0, 1, 0, true);
	for (int i = 0; i < 32; i++)
		slab[i] = take(1, 1);
	for (int i = 0; i < 32; i += 2)
		hak_carve_give(&rig.carve, slab[i], 1);
	take_fails(2, 1);
	hak_carve_give(&rig.carve, slab[5], 1);
	assert_int_equal(take(3, 1), 4);
	hak_carve_give(&rig.carve, 4, 3);
	for (int i = 1; i < 32; i += 2) {
		if (i != 5)
			hak_carve_give(&rig.carve, slab[i], 1);
	}
	assert_int_equal(rig.carve.n_empty, 1);
	assert_int_equal(take(32, 1), 0);
}

struct aligned {
	uint64_t n, align;
	/* Where it must lie when slabs 0 and 33 are taken, which leaves 31 free in the first
	 * superslab and a hole of 30 in the second, the tighter one. */
	uint64_t at;
};

static const struct aligned aligned_cases[] = {
	{ 1, 1, 32 },  { 1, 2, 32 },      { 1, 16, 32 },      { 1, 32, 32 },     { 2, 2, 34 },
	{ 4, 4, 36 },  { 16, 16, 48 },    { 17, 16, 64 },     { 17, 1, 34 },     { 31, 1, 1 },
	{ 2, 32, 64 }, { 32, 32, 64 },    { 1, 64, 64 },      { 1, 128, 128 },   { 33, 64, 64 },
	{ 33, 1, 63 }, { 100, 128, 128 }, { 32, 1024, 1024 }, { 1, 4096, 4096 }, { 65, 32, 64 },
};

static void alignments_hold_up_to_many_superslabs(void **state)
{
	(void)state;
	for (size_t i = 0; i < hak_array_size(aligned_cases); i++) {
		const struct aligned *c = &aligned_cases[i];

		rig_init(0);
		hak_carve_add(&rig.carve, 0, 200, 0, true);
		assert_true(hak_carve_take_at(&rig.carve, 0, 1));
		assert_true(hak_carve_take_at(&rig.carve, 33, 1));
		assert_int_equal(take(c->n, c->align), c->at);
	}
}

static void large_spans_leave_the_rest_to_others(void **state)
{
	(void)state;
	rig_init(0);
	hak_carve_add(&rig.carve, 0, 4, 0, true);
	assert_int_equal(take(70, 1), 0); /* two whole ones and 6 slabs of the third */
	assert_int_equal(take(26, 1), 2 * PER + 6);
	assert_int_equal(rig.carve.free_slabs, 32);
	take_fails(33, 1);
	hak_carve_give(&rig.carve, 0, 70);
	assert_int_equal(take(64, 1), 0);
}

static void large_spans_need_neighbours(void **state)
{
	(void)state;
	rig_init(0);
	hak_carve_add(&rig.carve, 0, 1, 0, true);
	hak_carve_add(&rig.carve, 2, 1, 0, true);
	take_fails(64, 1);
	hak_carve_add(&rig.carve, 1, 1, 0, true);
	assert_int_equal(take(96, 1), 0);
}

static void runs_do_not_cross_zones(void **state)
{
	(void)state;
	rig_init(100);
	hak_carve_add(&rig.carve, 98, 2, 0, true);
	hak_carve_add(&rig.carve, 100, 2, 0, true);
	take_fails(96, 1);
	assert_false(hak_carve_take_at(&rig.carve, 99 * PER, 64));
	assert_int_equal(take(64, 1), 98 * PER);
	assert_int_equal(take(64, 1), 100 * PER);
	take_fails(1, 1);
}

/* After adding as many neighbours as it asks for, at any place, the request fits. */
static void what_it_wants_is_enough_anywhere(void **state)
{
	static const uint64_t sizes[] = { 1, 5, 31, 32, 33, 63, 64, 65, 100, 320 };

	(void)state;
	for (size_t i = 0; i < hak_array_size(sizes); i++) {
		for (uint64_t align = 1; align <= 32 * 16; align *= 2) {
			uint64_t wants = hak_carve_wants(sizes[i], align);

			assert_true(wants * PER >= sizes[i]);
			for (uint32_t first = 0; first < 40; first++) {
				struct hak_span span;

				rig_init(0);
				hak_carve_add(&rig.carve, first, (uint32_t)wants, 0, true);
				assert_true(hak_carve_take(&rig.carve, sizes[i], align, &span));
			}
		}
	}
	assert_int_equal(hak_carve_wants(1, 1), 1);
	assert_int_equal(hak_carve_wants(32, 32), 1);
	assert_int_equal(hak_carve_wants(33, 1), 2);
	assert_int_equal(hak_carve_wants(1, 64), 2);
}

static void zeroed_is_said_only_of_untouched_slabs(void **state)
{
	(void)state;
	rig_init(0);
	hak_carve_add(&rig.carve, 0, 1, 0, true);
	assert_true(take_zeroed(4, 1));
	hak_carve_give(&rig.carve, 0, 4);
	assert_false(take_zeroed(4, 4)); /* the same place, used */
	assert_true(take_zeroed(4, 4));  /* the next one, never used */
	hak_carve_give(&rig.carve, 0, 8);
	assert_false(take_zeroed(9, 1)); /* eight used and one new */
	hak_carve_give(&rig.carve, 0, 9);
	hak_carve_cleaned(&rig.carve, 0);
	assert_true(take_zeroed(32, 1));
}

static void memory_added_as_dirty_is_not_zeroed(void **state)
{
	(void)state;
	rig_init(0);
	hak_carve_add(&rig.carve, 0, 3, 0, false);
	assert_false(take_zeroed(1, 1));
	assert_false(take_zeroed(64, 1));
}

static void a_part_may_be_made_zero(void **state)
{
	(void)state;
	rig_init(0);
	hak_carve_add(&rig.carve, 0, 1, 0, true);
	assert_true(take_zeroed(8, 1));
	hak_carve_give(&rig.carve, 0, 2);
	hak_carve_give(&rig.carve, 4, 4);
	hak_carve_cleaned_slabs(&rig.carve, 0, 0xf0);
	assert_true(hak_carve_check(&rig.carve));
	assert_true(take_zeroed(4, 4));
	assert_false(take_zeroed(2, 1));
	hak_carve_give(&rig.carve, 0, 8);
	hak_carve_cleaned_slabs(&rig.carve, 0, 0xff);
	assert_int_equal(rig.carve.n_clean, 1); /* nothing is dirty any more */
}

/* Used memory is warm: it goes out before what was never touched. */
static void clean_superslabs_are_taken_last(void **state)
{
	(void)state;
	rig_init(0);
	hak_carve_add(&rig.carve, 5, 1, 0, false);
	hak_carve_add(&rig.carve, 0, 4, 0, true);
	assert_int_equal(take(32, 1), 5 * PER);
	hak_carve_give(&rig.carve, 5 * PER, 32);
	assert_int_equal(take(1, 1), 5 * PER);
}

static void used_slabs_can_be_asked_for_alone(void **state)
{
	struct hak_span span;
	uint64_t first;

	(void)state;
	rig_init(0);
	hak_carve_add(&rig.carve, 0, 2, 0, true);
	assert_false(hak_carve_take_used(&rig.carve, 1, 1, &span));
	assert_false(hak_carve_take_begun(&rig.carve, 1, 1, &span));
	first = take(20, 1);
	assert_false(hak_carve_take_used(&rig.carve, 12, 1, &span)); /* never written */
	assert_true(hak_carve_take_begun(&rig.carve, 12, 1, &span));
	assert_int_equal(span.slab, first + 20);
	assert_false(hak_carve_take_begun(&rig.carve, 1, 1, &span));
	hak_carve_give(&rig.carve, first + 3, 2);
	assert_false(hak_carve_take_used(&rig.carve, 3, 1, &span));
	assert_true(hak_carve_take_used(&rig.carve, 2, 1, &span));
	assert_int_equal(span.slab, first + 3);
	assert_false(hak_carve_take_used(&rig.carve, 1, 1, &span));
	hak_carve_give(&rig.carve, first, 32); /* empty again, but written to */
	assert_true(hak_carve_take_used(&rig.carve, 32, 32, &span));
	assert_false(span.zeroed);
	assert_false(hak_carve_take_used(&rig.carve, 33, 1, &span));
	assert_int_equal(rig.carve.n_clean, 1);
}

static void whole_superslabs_count_as_used_once_begun(void **state)
{
	struct hak_span span;

	(void)state;
	rig_init(0);
	hak_carve_add(&rig.carve, 0, 2, HAK_SUPER_WHOLE, true);
	assert_false(hak_carve_take_used(&rig.carve, 1, 1, &span));
	assert_int_equal(take(1, 1), 0);
	assert_true(hak_carve_take_used(&rig.carve, 31, 1, &span));
	assert_int_equal(span.slab, 1);
	assert_true(span.zeroed);
}

static void long_spans_use_what_lies_beside_empty_ones(void **state)
{
	(void)state;
	rig_init(0);
	hak_carve_add(&rig.carve, 0, 6, 0, true);
	assert_true(hak_carve_take_at(&rig.carve, 0, 20));           /* 12 free behind it */
	assert_true(hak_carve_take_at(&rig.carve, 3 * PER + 10, 1)); /* 10 before it, 21 behind */
	assert_int_equal(take(2 * PER + 12, 1), 30);
	hak_carve_give(&rig.carve, 30, 2 * PER + 12);
	assert_int_equal(take(2 * PER + 22, 1), 20); /* before and behind, not one more */
	hak_carve_give(&rig.carve, 20, 2 * PER + 22);
	assert_int_equal(take(PER + 10, 1), PER - 10); /* opens one only */
	assert_int_equal(take(PER + 10, 1), 2 * PER);
	take_fails(3 * PER, 1);
	assert_int_equal(take(2 * PER + 21, 1), 3 * PER + 11);
	assert_int_equal(rig.carve.n_empty, 0);
}

static void long_spans_start_as_few_clean_ones_as_they_can(void **state)
{
	struct hak_span span;

	(void)state;
	rig_init(0);
	hak_carve_add(&rig.carve, 0, 10, 0, true);
	hak_carve_add(&rig.carve, 20, 3, 0, false);
	assert_true(hak_carve_take_used(&rig.carve, 2 * PER, 1, &span));
	assert_int_equal(span.slab, 20 * PER);
	assert_false(hak_carve_take_begun(&rig.carve, 2 * PER, 1, &span));
	assert_int_equal(take(2 * PER, 1), 0);
	hak_carve_give(&rig.carve, 0, 2 * PER); /* dirty: one at the end is as well */
	assert_int_equal(take(2 * PER, 1), 0);
	assert_int_equal(rig.carve.n_clean, 8);
}

static void a_roomy_span_has_empty_ones_behind_it(void **state)
{
	struct hak_span span;

	(void)state;
	rig_init(0);
	hak_carve_add(&rig.carve, 0, 8, 0, true);
	assert_true(hak_carve_take_at(&rig.carve, 2 * PER, 1));
	assert_true(hak_carve_take_roomy(&rig.carve, PER + 3, 3 * PER, &span));
	assert_int_equal(span.slab, 3 * PER);
	assert_int_equal(span.n_slabs, PER + 3);
	assert_true(hak_carve_take_at(&rig.carve, span.slab + PER + 3, 2 * PER - 3));
	assert_int_equal(rig.carve.n_clean, 4);
	assert_false(hak_carve_take_roomy(&rig.carve, 1, 3 * PER, &span));
}

static void give_takes_parts_of_a_span(void **state)
{
	(void)state;
	rig_init(0);
	hak_carve_add(&rig.carve, 0, 4, 0, true);
	assert_int_equal(take(128, 1), 0);
	hak_carve_give(&rig.carve, 50, 60); /* 14 of the second, all of the third, 14 of the last */
	assert_true(hak_carve_check(&rig.carve));
	assert_int_equal(rig.carve.free_slabs, 60);
	assert_int_equal(rig.carve.n_empty, 1);
	hak_carve_give(&rig.carve, 0, 50);
	hak_carve_give(&rig.carve, 110, 18);
	assert_int_equal(rig.carve.n_empty, 4);
}

struct at {
	uint64_t slab, n;
	bool taken;
};

/* With superslabs 2..5 added, slab 70 and 170 taken. */
static const struct at at_cases[] = {
	{ 71, 1, true },           { 71, 57, true },
	{ 71, 99, true },          { 71, 100, false },
	{ 64, 6, true },           { 64, 7, false },
	{ 70, 1, false },          { 171, 21, true },
	{ 171, 22, false },        { 191, 1, true },
	{ 192, 1, false },         { 63, 1, false },
	{ 0, 1, false },           { 71, 0, false },
	{ TOTAL * PER, 1, false }, { UINT64_MAX - 5, 1, false },
};

static void take_at_takes_all_or_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < hak_array_size(at_cases); i++) {
		const struct at *c = &at_cases[i];

		rig_init(0);
		hak_carve_add(&rig.carve, 2, 4, 0, true);
		assert_true(hak_carve_take_at(&rig.carve, 70, 1));
		assert_true(hak_carve_take_at(&rig.carve, 170, 1));
		assert_int_equal(hak_carve_take_at(&rig.carve, c->slab, c->n), c->taken);
		assert_true(hak_carve_check(&rig.carve));
		assert_int_equal(rig.carve.free_slabs, 126 - (c->taken ? c->n : 0));
		if (c->taken)
			hak_carve_give(&rig.carve, c->slab, c->n);
	}
}

static void removed_superslabs_are_gone_until_added_again(void **state)
{
	(void)state;
	rig_init(0);
	hak_carve_add(&rig.carve, 0, 5, HAK_SUPER_HOST, true);
	assert_int_equal(take(1, 1), 0);
	hak_carve_remove(&rig.carve, 1, 3);
	assert_true(hak_carve_check(&rig.carve));
	assert_int_equal(rig.carve.n_added, 2);
	take_fails(33, 1);
	assert_int_equal(take(32, 1), 4 * PER);
	hak_carve_add(&rig.carve, 2, 1, 0, false);
	assert_int_equal(take(32, 1), 2 * PER);
}

static void empty_ones_are_found_by_flag_lowest_first(void **state)
{
	const uint8_t a = HAK_SUPER_HOST, b = HAK_SUPER_HOST << 1;

	(void)state;
	rig_init(128);
	hak_carve_add(&rig.carve, 3, 1, a, true);
	hak_carve_add(&rig.carve, 70, 1, b, true);
	hak_carve_add(&rig.carve, 200, 1, a | b, true);
	assert_int_equal(hak_carve_find_empty(&rig.carve, 0, 0), 3);
	assert_int_equal(hak_carve_find_empty(&rig.carve, 3, a), 3);
	assert_int_equal(hak_carve_find_empty(&rig.carve, 4, 0), 70);
	assert_int_equal(hak_carve_find_empty(&rig.carve, 0, b), 70);
	assert_int_equal(hak_carve_find_empty(&rig.carve, 4, a), 200);
	assert_int_equal(hak_carve_find_empty(&rig.carve, 0, a | b), 200);
	assert_int_equal(hak_carve_find_empty(&rig.carve, 201, 0), HAK_NO_SUPERSLAB);
	assert_int_equal(hak_carve_find_empty(&rig.carve, TOTAL, 0), HAK_NO_SUPERSLAB);
	assert_true(hak_carve_take_at(&rig.carve, 3 * PER + 7, 1));
	assert_int_equal(hak_carve_find_empty(&rig.carve, 0, a), 200);
	hak_carve_give(&rig.carve, 3 * PER + 7, 1);
	assert_int_equal(hak_carve_find_empty(&rig.carve, 0, a), 3);
}

#define CARVE_TEST(f) cmocka_unit_test_teardown(f, after)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CARVE_TEST(nothing_added_gives_nothing),
		CARVE_TEST(a_superslab_is_32_slabs),
		CARVE_TEST(the_lowest_of_new_ones_is_taken_first),
		CARVE_TEST(small_spans_fill_the_tightest_hole),
		CARVE_TEST(neighbours_coalesce),
		CARVE_TEST(alignments_hold_up_to_many_superslabs),
		CARVE_TEST(large_spans_leave_the_rest_to_others),
		CARVE_TEST(large_spans_need_neighbours),
		CARVE_TEST(runs_do_not_cross_zones),
		CARVE_TEST(what_it_wants_is_enough_anywhere),
		CARVE_TEST(zeroed_is_said_only_of_untouched_slabs),
		CARVE_TEST(memory_added_as_dirty_is_not_zeroed),
		CARVE_TEST(a_part_may_be_made_zero),
		CARVE_TEST(clean_superslabs_are_taken_last),
		CARVE_TEST(used_slabs_can_be_asked_for_alone),
		CARVE_TEST(whole_superslabs_count_as_used_once_begun),
		CARVE_TEST(long_spans_use_what_lies_beside_empty_ones),
		CARVE_TEST(long_spans_start_as_few_clean_ones_as_they_can),
		CARVE_TEST(a_roomy_span_has_empty_ones_behind_it),
		CARVE_TEST(give_takes_parts_of_a_span),
		CARVE_TEST(take_at_takes_all_or_nothing),
		CARVE_TEST(removed_superslabs_are_gone_until_added_again),
		CARVE_TEST(empty_ones_are_found_by_flag_lowest_first),
	};

	return cmocka_run_group_tests_name("carve", tests, NULL, NULL);
}
