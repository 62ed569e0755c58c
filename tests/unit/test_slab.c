/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "tiny/slab.h"

#define MAX_WORDS (HAK_SLAB_SIZE / 16 / 64)

/* Blocks are never touched, so any aligned address does for a start. */
static char *const start = (char *)(uintptr_t)(UINT64_C(1) << 40);

struct fixture {
	struct hak_slab slab;
	uint64_t bits[MAX_WORDS + 1]; /* the last one must stay as it is */
	void *blocks[MAX_WORDS * 64 + 1];
	bool out[MAX_WORDS * 64];
};

static struct fixture *fixture_new(uint32_t class)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_true(hak_slab_words(class) <= MAX_WORDS);
	memset(f->bits, 0xa5, sizeof(f->bits));
	hak_slab_format(&f->slab, class, f->bits);
	assert_true(hak_slab_check(&f->slab));
	assert_int_equal(f->slab.n_free, hak_class[class].blocks);
	return f;
}

static void fixture_free(struct fixture *f)
{
	assert_int_equal(f->bits[MAX_WORDS], UINT64_C(0xa5a5a5a5a5a5a5a5));
	free(f);
}

/* The block's number, after looking at everything that must hold for its address. */
static uint32_t slot_of(uint32_t class, const void *block)
{
	uint64_t size = hak_class[class].size, off = (uintptr_t)block - (uintptr_t)start;
	uint64_t align = size & -size;

	assert_true(off + size <= hak_class[class].slabs * HAK_SLAB_SIZE);
	assert_int_equal(off % size, 0);
	assert_int_equal((uintptr_t)block % (align > HAK_SLAB_SIZE ? HAK_SLAB_SIZE : align), 0);
	assert_int_equal((uintptr_t)block % 16, 0);
	return (uint32_t)(off / size);
}

static void every_block_comes_once(void **state)
{
	static const uint32_t batches[] = { 1, 3, 64, 65, UINT32_MAX };

	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		for (size_t b = 0; b < hak_array_size(batches); b++) {
			struct fixture *f = fixture_new(c);
			uint32_t total = 0, n;

			while ((n = hak_slab_take(&f->slab, start, f->blocks, batches[b]))) {
				assert_true(n <= batches[b]);
				total += n;
				for (uint32_t i = 0; i < n; i++) {
					uint32_t slot = slot_of(c, f->blocks[i]);

					assert_false(f->out[slot]);
					f->out[slot] = true;
				}
				assert_true(hak_slab_check(&f->slab));
			}
			assert_int_equal(total, hak_class[c].blocks);
			assert_int_equal(f->slab.n_free, 0);
			assert_int_equal(hak_slab_take(&f->slab, start, f->blocks, 1), 0);
			fixture_free(f);
		}
	}
}

static void a_stack_of_them_pops_rising_addresses(void **state)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		struct fixture *f = fixture_new(c);
		uint32_t n = hak_slab_take(&f->slab, start, f->blocks, hak_class[c].blocks);

		assert_int_equal(n, hak_class[c].blocks);
		assert_ptr_equal(f->blocks[n - 1], start);
		for (uint32_t i = 1; i < n; i++)
			assert_true((char *)f->blocks[i] < (char *)f->blocks[i - 1]);
		fixture_free(f);
	}
}

/* Every offset of every class: only starts of blocks go back, and each of them once. */
static void only_whole_blocks_go_back_and_once(void **state)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		uint32_t size = hak_class[c].size, blocks = hak_class[c].blocks, put = 0;
		uint32_t end = (uint32_t)(hak_class[c].slabs * HAK_SLAB_SIZE);
		struct fixture *f = fixture_new(c);

		assert_int_equal(hak_slab_take(&f->slab, start, f->blocks, blocks), blocks);
		for (uint32_t off = 0; off < end; off++) {
			bool whole = off % size == 0 && off / size < blocks;
			int r = hak_slab_put(&f->slab, off);

			if (r != (whole ? 0 : HAK_SLAB_E_INTERIOR))
				fail_msg("class %u, offset %u: %d", c, off, r);
			put += whole;
			if (f->slab.n_free != put)
				fail_msg("class %u, offset %u: %u free", c, off, f->slab.n_free);
			if (whole && hak_slab_put(&f->slab, off) != HAK_SLAB_E_DOUBLE)
				fail_msg("class %u, offset %u: twice", c, off);
		}
		assert_int_equal(f->slab.n_free, blocks);
		assert_true(hak_slab_check(&f->slab));
		fixture_free(f);
	}
}

static void a_refused_block_changes_nothing(void **state)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		struct fixture *f = fixture_new(c);
		struct fixture before;

		/* Half of the blocks are out, so that there is something to be harmed. */
		(void)hak_slab_take(&f->slab, start, f->blocks, hak_class[c].blocks / 2);
		before = *f;
		assert_int_equal(hak_slab_put(&f->slab, 1), HAK_SLAB_E_INTERIOR);
		assert_int_equal(hak_slab_put(&f->slab, hak_class[c].size - 1),
				 HAK_SLAB_E_INTERIOR);
		assert_int_equal(hak_slab_put(&f->slab,
					      hak_class[c].size * (hak_class[c].blocks - 1u)),
				 HAK_SLAB_E_DOUBLE);
		assert_memory_equal(f, &before, sizeof(before));
		fixture_free(f);
	}
}

/* The check finds each way in which a slab can be wrong; else its passing means nothing. */
static void the_check_notices(void **state)
{
	uint32_t class = 1; /* the most bitmap words */
	struct fixture *f = fixture_new(class);

	f->slab.n_free--;
	assert_false(hak_slab_check(&f->slab));
	f->slab.n_free++;
	f->slab.hint = 1;
	assert_false(hak_slab_check(&f->slab));
	f->slab.hint = 0;
	f->slab.kind = HAK_SLAB_SPAN;
	assert_false(hak_slab_check(&f->slab));
	f->slab.kind = HAK_SLAB_BLOCKS;
	f->bits[7] ^= 1;
	assert_false(hak_slab_check(&f->slab));
	f->bits[7] ^= 1;
	assert_true(hak_slab_check(&f->slab));
	fixture_free(f);
}

static void whole_lines_are_told_from_parts(void **state)
{
	struct fixture *f = fixture_new(1);
	void *one, *at[8];

	assert_int_equal(hak_slab_take(&f->slab, start, &one, 1), 1);
	assert_ptr_equal(one, start);
	/* Two lines behind the one that is begun, rising when taken from the end. */
	assert_int_equal(hak_slab_take_lines(&f->slab, start, at, 8), 8);
	for (int i = 0; i < 8; i++)
		assert_ptr_equal(at[7 - i], start + 64 + 16 * i);
	assert_true(hak_slab_check(&f->slab));
	assert_int_equal(hak_slab_take_lines(&f->slab, start, at, 3), 0);
	/* What is left of the first line, and what no line is left for. */
	assert_int_equal(hak_slab_take(&f->slab, start, at, 3), 3);
	assert_ptr_equal(at[2], start + 16);
	while (hak_slab_take_lines(&f->slab, start, at, 8))
		assert_true(hak_slab_check(&f->slab));
	assert_int_equal(f->slab.n_free, 0);
	free(f);
	f = fixture_new(3); /* 48 bytes do not fill a line */
	assert_int_equal(hak_slab_take_lines(&f->slab, start, at, 8), 0);
	free(f);
}

static void the_hint_follows_both_ways(void **state)
{
	struct fixture *f = fixture_new(1);
	void *block;

	assert_int_equal(hak_slab_take(&f->slab, start, f->blocks, 640), 640);
	assert_true(f->slab.hint >= 9); /* what is searched again is bounded */
	assert_int_equal(hak_slab_put(&f->slab, 16 * 130), 0);
	assert_int_equal(f->slab.hint, 2);
	assert_int_equal(hak_slab_take(&f->slab, start, &block, 1), 1);
	assert_ptr_equal(block, start + 16 * 130);
	assert_true(hak_slab_check(&f->slab));
	/* From the very end back to the very start. */
	(void)hak_slab_take(&f->slab, start, f->blocks, UINT32_MAX);
	assert_int_equal(hak_slab_put(&f->slab, 0), 0);
	assert_true(hak_slab_check(&f->slab));
	assert_int_equal(hak_slab_take(&f->slab, start, &block, 1), 1);
	assert_ptr_equal(block, start);
	fixture_free(f);
}

/* Any order of taking and giving back, against an array of flags. Repeats exactly. */
static void random_order(void **state)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		struct fixture *f = fixture_new(c);
		uint32_t blocks = hak_class[c].blocks, out = 0;
		uint64_t x = c;

		for (unsigned step = 0; step < 3000; step++) {
			x = x * UINT64_C(6364136223846793005) + 1;
			if (x >> 63) {
				uint32_t n = (uint32_t)(x >> 40) % 70 + 1;
				uint32_t got = hak_slab_take(&f->slab, start, f->blocks, n);

				assert_int_equal(got, n < blocks - out ? n : blocks - out);
				for (uint32_t i = 0; i < got; i++) {
					uint32_t slot = slot_of(c, f->blocks[i]);

					assert_false(f->out[slot]);
					f->out[slot] = true;
				}
				out += got;
			} else {
				for (uint32_t i = 0; i < 35; i++) {
					uint32_t slot = (uint32_t)(x >> 20) + i * 7;
					int r;

					slot %= blocks;
					r = hak_slab_put(&f->slab, slot * hak_class[c].size);
					assert_int_equal(r, f->out[slot] ? 0 : HAK_SLAB_E_DOUBLE);
					out -= f->out[slot];
					f->out[slot] = false;
				}
			}
			assert_int_equal(f->slab.n_free, blocks - out);
			assert_true(hak_slab_check(&f->slab));
		}
		fixture_free(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_block_comes_once),
		cmocka_unit_test(a_stack_of_them_pops_rising_addresses),
		cmocka_unit_test(only_whole_blocks_go_back_and_once),
		cmocka_unit_test(a_refused_block_changes_nothing),
		cmocka_unit_test(the_check_notices),
		cmocka_unit_test(whole_lines_are_told_from_parts),
		cmocka_unit_test(the_hint_follows_both_ways),
		cmocka_unit_test(random_order),
	};

	unit_watchdog();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
