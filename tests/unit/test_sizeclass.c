/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The class table derived again from its rule, and every size and every offset tried. Blocks are
 * found by these numbers alone, there is no header to contradict them.
 */
#include "tests/unit/unit.h"

#include "shared/sizeclass.h"

/* The rule: multiples of 16 to 128, then four steps per doubling. */
static uint32_t next_size(uint32_t size)
{
	uint32_t doubling = 128;

	if (size < 128)
		return size + 16;
	while (doubling * 2 <= size)
		doubling *= 2;
	return size + doubling / 4;
}

static void sizes_follow_the_rule(void **state)
{
	uint32_t size = 0;

	(void)state;
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		size = next_size(size);
		assert_int_equal(hak_class[c].size, size);
		assert_int_equal(hak_class[c].size % 16, 0);
	}
	assert_int_equal(size, HAK_CLASS_MAX_SIZE);
	assert_int_equal(hak_class[HAK_TINY_CLASSES - 1].size, HAK_TINY_MAX);
	assert_int_equal(hak_class[0].size, 0);
	assert_int_equal(hak_class[0].blocks, 0);
}

/* One slab to 4 KiB, two to 16 KiB, four above; a run fits in a superslab and loses little. */
static void slabs_are_cut_into_as_many_blocks_as_fit(void **state)
{
	(void)state;
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		const struct hak_class *k = &hak_class[c];
		uint64_t run = k->slabs * HAK_SLAB_SIZE;

		assert_int_equal(k->slabs, k->size <= 4096 ? 1 : k->size <= 16384 ? 2 : 4);
		assert_int_equal(k->blocks, run / k->size);
		assert_true(k->blocks >= 8);
		assert_true(run - (uint64_t)k->blocks * k->size <= run / 10);
	}
}

static void every_size_has_the_smallest_class_that_holds_it(void **state)
{
	uint32_t c = 1;

	(void)state;
	for (size_t size = 1; size <= HAK_CLASS_MAX_SIZE; size++) {
		if (size > hak_class[c].size)
			c++;
		if (hak_class_of(size) != c)
			fail_msg("size %zu: class %u, not %u", size, hak_class_of(size), c);
	}
	assert_int_equal(c, HAK_CLASSES - 1);
}

static void the_tiny_table_says_the_same(void **state)
{
	(void)state;
	for (size_t size = 1; size <= HAK_TINY_MAX; size++)
		assert_int_equal(hak_tiny_class[(size + 15) >> 4], hak_class_of(size));
	assert_int_equal(hak_tiny_class[0], 1); /* malloc(0) gives a block */
}

/* The reciprocal multiplication is exact for every byte of a run, the unused rest included. */
static void every_offset_has_its_slot(void **state)
{
	(void)state;
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		uint32_t run = (uint32_t)(hak_class[c].slabs * HAK_SLAB_SIZE);

		for (uint32_t offset = 0; offset < run; offset++) {
			if (hak_class_slot(c, offset) != offset / hak_class[c].size)
				fail_msg("class %u, offset %u: slot %u, not %u", c, offset,
					 hak_class_slot(c, offset), offset / hak_class[c].size);
		}
	}
}

/* Slabs are aligned to 64 KiB, so a power of two that divides all offsets is the blocks' own. */
static void powers_of_two_are_aligned_to_themselves(void **state)
{
	unsigned found = 0;

	(void)state;
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		uint32_t size = hak_class[c].size;

		if (!hak_is_pow2(size))
			continue;
		found++;
		for (uint32_t slot = 0; slot < hak_class[c].blocks; slot++)
			assert_int_equal((slot * size) & (size - 1), 0);
		assert_int_equal(HAK_SLAB_SIZE % size, 0);
	}
	assert_int_equal(found, 12); /* 16 .. 32768 */
}

/* At most a fifth of a block is lost above 128, and 7.7 % of all memory if sizes are spread
 * evenly. */
static void waste_is_as_promised(void **state)
{
	uint64_t lost = 0, held = 0;

	(void)state;
	for (size_t size = 129; size <= HAK_CLASS_MAX_SIZE; size++) {
		uint32_t block = hak_class[hak_class_of(size)].size;

		assert_true((block - size) * 5 <= block);
		lost += block - size;
		held += block;
	}
	assert_in_range(lost * 1000 / held, 76, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_follow_the_rule),
		cmocka_unit_test(slabs_are_cut_into_as_many_blocks_as_fit),
		cmocka_unit_test(every_size_has_the_smallest_class_that_holds_it),
		cmocka_unit_test(the_tiny_table_says_the_same),
		cmocka_unit_test(every_offset_has_its_slot),
		cmocka_unit_test(powers_of_two_are_aligned_to_themselves),
		cmocka_unit_test(waste_is_as_promised),
	};

	return cmocka_run_group_tests_name("sizeclass", tests, NULL, NULL);
}
