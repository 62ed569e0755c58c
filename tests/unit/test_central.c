/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/arena.h"
#include "tests/death.h"
#include "tiny/tiny.h"

#define N_SLABS 512u

/* tiny.h's inline path is not used here, but wants its cold ways. */
void *hak_alloc_cold(size_t size)
{
	(void)size;
	return NULL;
}

void hak_free_cold(void *p)
{
	(void)p;
}

static int setup(void **state)
{
	arena_init(N_SLABS);
	return 0;
}

static int teardown(void **state)
{
	arena_deinit();
	return 0;
}

static void assert_sound(void)
{
	const char *wrong = arena_check();

	if (wrong)
		fail_msg("wrong: %s", wrong);
}

/* Takes n blocks however many calls that needs. */
static void take_all(uint32_t class, void **ret_blocks, uint32_t n)
{
	for (uint32_t got = 0, more; got < n; got += more) {
		more = hak_central_take(class, ret_blocks + got, n - got);
		assert_in_range(more, 1, n - got);
	}
}

static int by_address(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;

	return (x > y) - (x < y);
}

/* Blocks are written over their whole length, so that a sanitizer and the sort see overlaps. */
static void blocks_are_apart_and_inside(void **state)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		uint32_t size = hak_class[c].size, n = hak_class[c].blocks * 2u + 1;
		void **blocks = calloc(n, sizeof(*blocks));

		assert_non_null(blocks);
		take_all(c, blocks, n);
		assert_int_equal(hak_tiny.central[c].blocks, n);
		assert_int_equal(hak_tiny.central[c].slabs, 3 * hak_class[c].slabs);
		qsort(blocks, n, sizeof(*blocks), by_address);
		for (uint32_t i = 0; i < n; i++) {
			char *p = blocks[i];

			assert_true(p >= arena.base);
			assert_true(p + size <= arena.base + N_SLABS * HAK_SLAB_SIZE);
			assert_true(!i || p >= (char *)blocks[i - 1] + size);
			assert_int_equal(hak_page_class(p), c);
			assert_int_equal(hak_page_class(p + size - 1), c);
			memset(p, (int)c, size);
		}
		assert_sound();
		hak_central_put(c, blocks, n);
		assert_int_equal(hak_tiny.central[c].blocks, 0);
		assert_sound();
		free(blocks);
	}
}

static void a_batch_ends_where_a_new_slab_would_begin(void **state)
{
	static void *blocks[2 * 4096];
	uint32_t n = hak_class[1].blocks;

	assert_int_equal(hak_central_take(1, blocks, n - 3), n - 3);
	assert_int_equal(hak_central_take(1, blocks + n - 3, 10), 3);
	assert_int_equal(arena.taken, 1);
	assert_int_equal(hak_central_take(1, blocks + n, 10), 10);
	assert_int_equal(arena.taken, 2);
	assert_int_equal(hak_tiny.central[1].refills, 3);
	assert_int_equal(hak_tiny.central[1].flushes, 0);
	hak_central_put(1, blocks, n + 10);
	assert_int_equal(hak_tiny.central[1].flushes, 1);
}

/* One wholly free run is kept for each class, the others go, and trim takes that one too. */
static void empty_slabs_go_back(void **state)
{
	static void *blocks[5 * 4096];

	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		uint32_t n = 5u * hak_class[c].blocks, run = hak_class[c].slabs;

		take_all(c, blocks, n);
		assert_int_equal(arena.taken, 5 * run);
		/* One block of each run stays out: nothing may go. */
		for (uint32_t i = 0; i < n; i++) {
			if (i % hak_class[c].blocks)
				hak_central_put(c, &blocks[i], 1);
		}
		hak_central_trim();
		assert_int_equal(arena.taken, 5 * run);
		assert_sound();
		for (uint32_t i = 0; i < n; i += hak_class[c].blocks)
			hak_central_put(c, &blocks[i], 1);
		assert_int_equal(arena.taken, run);
		assert_sound();
		hak_central_trim();
		assert_int_equal(arena.taken, 0);
		assert_int_equal(hak_page_class(blocks[0]), 0);
		assert_sound();
	}
}

static void a_boundary_case_does_not_flap(void **state)
{
	void *a[4096], *b;
	uint32_t n = hak_class[5].blocks;
	uint64_t takes;

	take_all(5, a, n);
	takes = arena.takes;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(hak_central_take(5, &b, 1), 1);
		hak_central_put(5, &b, 1);
	}
	assert_int_equal(arena.takes, takes + 1);
	hak_central_put(5, a, n);
}

static void without_slabs_it_says_so_and_recovers(void **state)
{
	static void *blocks[4 * 4096];

	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		uint32_t n = 2u * hak_class[c].blocks;
		void *p = NULL;

		arena.limit = 3u * hak_class[c].slabs - 1; /* room for two runs */
		take_all(c, blocks, n);
		assert_int_equal(hak_central_take(c, &p, 1), 0);
		assert_ptr_equal(p, NULL); /* untouched */
		hak_central_put(c, &blocks[n - 1], 1);
		assert_int_equal(hak_central_take(c, &p, 9), 1);
		assert_ptr_equal(p, blocks[n - 1]);
		assert_sound();
		arena.limit = N_SLABS;
		assert_int_equal(hak_central_take(c, &p, 1), 1);
		hak_central_put(c, &p, 1);
		hak_central_put(c, blocks, n);
		hak_central_trim();
		assert_int_equal(arena.taken, 0);
	}
}

/* A bitmap taken for a slab that then does not come is kept for the next. */
static void without_slabs_no_metadata_is_used_up(void **state)
{
	void *p;

	arena.limit = 0;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(hak_central_take(1, &p, 1), 0);
		assert_true(arena.metas <= 1);
	}
	arena.limit = N_SLABS;
	assert_int_equal(hak_central_take(1, &p, 1), 1);
	assert_int_equal(arena.metas, 1);
	hak_central_put(1, &p, 1);
}

static void slabs_that_come_and_go_use_no_metadata_up(void **state)
{
	static void *blocks[3 * 4096];
	uint32_t n = 3u * hak_class[1].blocks, after_first = 0;

	for (int i = 0; i < 20; i++) {
		take_all(1, blocks, n);
		hak_central_put(1, blocks, n);
		hak_central_trim();
		assert_int_equal(arena.taken, 0);
		if (!i)
			after_first = arena.metas;
	}
	assert_int_equal(after_first, 3);
	assert_int_equal(arena.metas, after_first);
}

static void without_metadata_it_says_so_and_recovers(void **state)
{
	void *p;

	arena.no_meta = true;
	assert_true(hak_slab_words(1) > 1);
	assert_int_equal(hak_central_take(1, &p, 1), 0);
	assert_int_equal(arena.taken, 0);
	/* Few large blocks need none. */
	assert_int_equal(hak_slab_words(HAK_CLASSES - 1), 1);
	assert_int_equal(hak_central_take(HAK_CLASSES - 1, &p, 1), 1);
	hak_central_put(HAK_CLASSES - 1, &p, 1);
	arena.no_meta = false;
	assert_int_equal(hak_central_take(1, &p, 1), 1);
	hak_central_put(1, &p, 1);
	assert_sound();
}

struct put {
	uint32_t class;
	void *blocks[2];
	uint32_t n;
	bool trim; /* between the first and the second */
};

static void put(void *arg)
{
	struct put *put = arg;

	hak_central_put(put->class, put->blocks, put->n);
	if (put->trim) {
		hak_central_trim();
		hak_central_put(put->class, put->blocks, put->n);
	}
}

static void dies(struct put *arg, const char *what, void *p, uint32_t class)
{
	hak_expect_death_f(put, arg,
			   "%s %p (a block of %u bytes, size class %u, in the slab at %p)", what, p,
			   hak_class[class].size, class, hak_slab_start(hak_slab_of(p)));
}

static void misuse_dies_with_the_block_s_name(void **state)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		uint32_t other = c == 1 ? 2 : c - 1;
		void *p[2];
		struct put twice, inside, foreign, gone;

		take_all(c, p, 2);
		twice = (struct put){ c, { p[0], p[0] }, 2, false };
		dies(&twice, "double free of", p[0], c);
		inside = (struct put){ c, { (char *)p[1] + 8 }, 1, false };
		dies(&inside, "free of the inside of", inside.blocks[0], c);
		foreign = (struct put){ other, { p[0] }, 1, false };
		dies(&foreign, "double free of", p[0], other);
		/* The slab is gone by the time of the second free. */
		hak_central_put(c, &p[1], 1);
		gone = (struct put){ c, { p[0] }, 1, true };
		dies(&gone, "double free of", p[0], c);
		hak_central_put(c, &p[0], 1);
		hak_central_trim();
	}
}

static void lock_all_means_all(void **state)
{
	hak_central_lock_all();
	for (uint32_t c = 0; c < HAK_CLASSES; c++)
		assert_false(hak_lock_try(&hak_tiny.central[c].lock));
	hak_central_unlock_all();
	for (uint32_t c = 0; c < HAK_CLASSES; c++) {
		assert_true(hak_lock_try(&hak_tiny.central[c].lock));
		hak_lock_drop(&hak_tiny.central[c].lock);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(blocks_are_apart_and_inside),
		TEST(a_batch_ends_where_a_new_slab_would_begin),
		TEST(empty_slabs_go_back),
		TEST(a_boundary_case_does_not_flap),
		TEST(without_slabs_it_says_so_and_recovers),
		TEST(without_slabs_no_metadata_is_used_up),
		TEST(slabs_that_come_and_go_use_no_metadata_up),
		TEST(without_metadata_it_says_so_and_recovers),
		TEST(misuse_dies_with_the_block_s_name),
		TEST(lock_all_means_all),
	};

	unit_watchdog();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
