/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include "tests/arena.h"
#include "tests/must.h"
#include "tiny/depot.h"
#include "tiny/thread.h"

#define N_SLABS 1024u
#define SIZE    64u
#define LEAST   ((uint64_t)2 << 20) /* what may lie in the depots in any case */

static uint32_t class;

void *hak_alloc_cold(size_t size)
{
	return hak_thread_alloc(hak_class_of(size ? size : 1));
}

void hak_free_cold(void *p)
{
	hak_thread_free(hak_page_class(p), p);
}

static int setup(void **state)
{
	arena_init(N_SLABS);
	class = hak_class_of(SIZE);
	return 0;
}

static int teardown(void **state)
{
	hak_thread_flush();
	hak_depot_trim();
	assert_int_equal(arena_blocks(), 0);
	arena_deinit();
	return 0;
}

/* A magazine of n new blocks: its top. */
static void **magazine(uint32_t c, uint32_t n)
{
	void **bottom = hak_depot_array();
	uint32_t got = 0;

	assert_non_null(bottom);
	while (got < n) {
		uint32_t more = hak_central_take(c, bottom + got, n - got);

		assert_true(more);
		got += more;
	}
	return bottom + n;
}

static void a_magazine_comes_back_whole(void **state)
{
	void **top = magazine(class, 100), **bottom = hak_magazine_bottom(top);
	void *first = bottom[0], *last = bottom[99], **empty, **again;

	assert_null(hak_depot_take(class, bottom));
	empty = hak_depot_put(class, bottom, top);
	assert_non_null(empty);
	assert_ptr_not_equal(empty, bottom);
	/* Another class's depot is another. */
	assert_null(hak_depot_take(class + 1, empty));
	again = hak_depot_take(class, empty);
	assert_ptr_equal(again, top);
	assert_ptr_equal(bottom[0], first);
	assert_ptr_equal(bottom[99], last);
	assert_null(hak_depot_take(class, bottom));
	/* The empty one is used for the next exchange. */
	assert_ptr_equal(hak_depot_put(class, bottom, top), empty);
	hak_depot_array_give(empty);
	hak_depot_trim();
	assert_int_equal(arena_blocks(), 0);
}

static void magazines_of_any_fill_keep_their_count(void **state)
{
	for (uint32_t n = 1; n <= HAK_MAGAZINE_MAX; n++) {
		void **top = magazine(class, n);
		void **empty = hak_depot_put(class, hak_magazine_bottom(top), top);

		assert_non_null(empty);
		assert_ptr_equal(hak_depot_take(class, empty), top);
		hak_central_put(class, hak_magazine_bottom(top), n);
		hak_depot_array_give(hak_magazine_bottom(top));
	}
}

/* Fills depots until one refuses; the bytes that are in them then. */
static uint64_t fill(uint32_t c, uint32_t n)
{
	uint64_t bytes = 0;

	for (;;) {
		void **top = magazine(c, n);
		void **bottom = hak_magazine_bottom(top), **empty = hak_depot_put(c, bottom, top);

		if (!empty) {
			hak_central_put(c, bottom, n);
			hak_depot_array_give(bottom);
			return bytes;
		}
		hak_depot_array_give(empty);
		bytes += (uint64_t)n * hak_class[c].size;
	}
}

static void what_lies_here_is_bounded(void **state)
{
	for (int round = 0; round < 3; round++) {
		uint32_t large = HAK_CLASSES - 1;
		uint64_t bytes = fill(class, HAK_MAGAZINE_MAX), bound;

		bound = LEAST + (hak_tiny.slabs_held << HAK_SLAB_SHIFT) / 16;
		assert_in_range(bytes, LEAST - HAK_MAGAZINE_MAX * SIZE, bound);
		/* The bound is one for all classes. */
		assert_in_range(bytes + fill(large, 2), bytes, bound + (256u << 10));
		hak_depot_trim();
		assert_int_equal(arena_blocks(), 0);
		hak_central_trim();
		assert_int_equal(hak_tiny.slabs_held, 0);
	}
}

#define LOADS 200u
#define LOAD  300u

static void *slots[LOAD];
static pthread_barrier_t barrier;

static void *producer(void *arg)
{
	for (uint32_t i = 0; i < LOADS; i++) {
		for (uint32_t k = 0; k < LOAD; k++)
			must((slots[k] = hak_tiny_alloc(SIZE)));
		(void)pthread_barrier_wait(&barrier);
		(void)pthread_barrier_wait(&barrier);
	}
	return NULL;
}

/* What one thread allocates and another frees goes round in whole magazines, not by the slabs. */
static void a_consumer_s_magazines_reach_the_producer(void **state)
{
	uint64_t flushes = hak_tiny.central[class].flushes;
	uint64_t refills = hak_tiny.central[class].refills;
	pthread_t thread;

	assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
	assert_int_equal(pthread_create(&thread, NULL, producer, NULL), 0);
	for (uint32_t i = 0; i < LOADS; i++) {
		(void)pthread_barrier_wait(&barrier);
		for (uint32_t k = 0; k < LOAD; k++)
			hak_tiny_free(slots[k]);
		(void)pthread_barrier_wait(&barrier);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(pthread_barrier_destroy(&barrier), 0);
	/* The first rounds fill magazines; the producer's exit flushes two. */
	assert_in_range(hak_tiny.central[class].flushes - flushes, 0, 4);
	assert_in_range(hak_tiny.central[class].refills - refills, 1, 20);
}

static void without_metadata_the_magazine_stays(void **state)
{
	void **top = magazine(class, 10), **bottom = hak_magazine_bottom(top);

	arena.no_meta = true;
	while (hak_depot_array())
		;
	assert_null(hak_depot_put(class, bottom, top));
	arena.no_meta = false;
	hak_central_put(class, bottom, 10);
	hak_depot_array_give(bottom);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_magazine_comes_back_whole),
		TEST(magazines_of_any_fill_keep_their_count),
		TEST(what_lies_here_is_bounded),
		TEST(a_consumer_s_magazines_reach_the_producer),
		TEST(without_metadata_the_magazine_stays),
	};

	unit_watchdog();
	if (hak_thread_init(true))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
