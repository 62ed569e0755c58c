/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "tests/arena.h"
#include "tests/must.h"
#include "tiny/depot.h"
#include "tiny/thread.h"

#define N_SLABS 512u

/* The cold ways without libclient: what the inline path can't serve. */
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
	return 0;
}

static int teardown(void **state)
{
	hak_thread_flush();
	hak_depot_trim();
	arena_deinit();
	return 0;
}

static void in_a_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, fn, arg), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void **bottom_of(uint32_t class)
{
	uintptr_t lim = (uintptr_t)hak_thread.bin[class].lim;

	return (void **)((lim - 1) & ~(uintptr_t)(HAK_MAGAZINE_ALIGN - 1));
}

static uint32_t capacity(uint32_t class)
{
	return (uint32_t)(hak_thread.bin[class].lim - bottom_of(class));
}

static uint32_t used(uint32_t class)
{
	return (uint32_t)(hak_thread.bin[class].top - bottom_of(class));
}

/* What a class may grow to: 127 blocks or 64 KiB, and so at least 2. */
static uint32_t most(uint32_t class)
{
	uint32_t n = 65536 / hak_class[class].size;

	return n < HAK_MAGAZINE_MAX ? n : HAK_MAGAZINE_MAX;
}

/* Before hak_thread_init(): the first test of all. */
static void before_set_up_blocks_come_one_by_one(void **state)
{
	void *p[3];

	for (int i = 0; i < 3; i++) {
		p[i] = hak_tiny_alloc(100);
		assert_non_null(p[i]);
		assert_int_equal(arena_blocks(), i + 1);
	}
	assert_int_equal(hak_thread.state, HAK_THREAD_NEW);
	for (int i = 0; i < 3; i++)
		hak_tiny_free(p[i]);
	assert_int_equal(arena_blocks(), 0);
	assert_int_equal(hak_thread_init(true), 0);
}

static void magazines_grow_with_traffic_to_their_limit(void **state)
{
	static void *blocks[4096];

	hak_thread_flush();
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		uint32_t n = 4 * most(c), last = 0;
		uint64_t out;

		for (uint32_t i = 0; i < n; i++) {
			blocks[i] = hak_thread_alloc(c);
			assert_non_null(blocks[i]);
			assert_true(capacity(c) >= last);
			assert_true(used(c) < capacity(c));
			last = capacity(c);
			assert_true(last <= most(c));
			/* What is out and not with us lies in the magazine. */
			assert_int_equal(hak_tiny.central[c].blocks, i + 1 + used(c));
		}
		assert_int_equal(last, most(c));
		for (uint32_t i = 0; i < n; i++) {
			hak_thread_free(c, blocks[i]);
			assert_in_range(used(c), 1, capacity(c));
		}
		/* Two magazines at most are here, the others' worth in the depot. */
		out = hak_tiny.central[c].blocks;
		assert_true(out >= n);
		hak_thread_flush();
		assert_in_range(hak_tiny.central[c].blocks, out - 2 * most(c), out - most(c));
		hak_depot_trim();
		assert_int_equal(hak_tiny.central[c].blocks, 0);
	}
}

static void *first_refill(void *arg)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		void *p = hak_thread_alloc(c);
		uint64_t first = most(c) < 8 ? most(c) : 8;

		/* Small at first: 8, or what there may ever be. */
		must(p);
		must(hak_tiny.central[c].blocks == first);
		hak_thread_free(c, p);
	}
	return NULL;
}

static void a_thread_starts_small(void **state)
{
	in_a_thread(first_refill, NULL);
}

static void blocks_come_back_newest_first_from_both_magazines(void **state)
{
	uint32_t class = hak_class_of(64), n = most(class);
	static void *blocks[2 * HAK_MAGAZINE_MAX];
	uint64_t flushes, refills;

	for (uint32_t i = 0; i < 2 * n; i++)
		blocks[i] = hak_thread_alloc(class);
	hak_thread_flush();
	assert_int_equal(used(class), 0);
	flushes = hak_tiny.central[class].flushes;
	refills = hak_tiny.central[class].refills;
	for (uint32_t i = 0; i < 2 * n; i++)
		hak_tiny_free(blocks[i]);
	assert_int_equal(used(class), n);
	for (uint32_t i = 2 * n; i-- > 0;)
		assert_ptr_equal(hak_tiny_alloc(64), blocks[i]);
	/* Up and down around any limit within two magazines: nothing leaves the thread. */
	for (uint32_t i = 0; i < 2 * n; i++)
		hak_tiny_free(blocks[i]);
	for (int round = 0; round < 100; round++) {
		for (uint32_t i = 0; i < n + 1; i++)
			blocks[i] = hak_tiny_alloc(64);
		for (uint32_t i = 0; i < n + 1; i++)
			hak_tiny_free(blocks[i]);
	}
	assert_int_equal(hak_tiny.central[class].flushes, flushes);
	assert_int_equal(hak_tiny.central[class].refills, refills);
}

static void flush_gives_everything_back(void **state)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++)
		hak_thread_free(c, hak_thread_alloc(c));
	assert_true(arena_blocks() > 0);
	hak_thread_flush();
	assert_int_equal(arena_blocks(), 0);
	hak_thread_flush();
}

static void *all_classes(void *arg)
{
	void *volatile p[HAK_CLASSES];

	for (uint32_t c = 1; c < HAK_CLASSES; c++)
		p[c] = hak_thread_alloc(c);
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		/* Every class its own array. */
		for (uint32_t d = 1; d < c; d++)
			must(bottom_of(c) != bottom_of(d));
		memset(p[c], 1, hak_class[c].size);
		hak_thread_free(c, p[c]);
	}
	return NULL;
}

static void thread_exit_gives_everything_back(void **state)
{
	in_a_thread(all_classes, NULL);
	assert_int_equal(arena_blocks(), 0);
}

static void *take_one(void *arg)
{
	*(void **)arg = hak_tiny_alloc(200);
	return NULL;
}

static void *free_one(void *arg)
{
	hak_tiny_free(*(void **)arg);
	return NULL;
}

static void a_block_outlives_its_thread_and_goes_anywhere(void **state)
{
	void *p = NULL;

	in_a_thread(take_one, &p);
	assert_non_null(p);
	assert_int_equal(arena_blocks(), 1);
	memset(p, 1, 200);
	in_a_thread(free_one, &p);
	assert_int_equal(arena_blocks(), 0);
}

static pthread_key_t late_key;
static unsigned late_rounds;

/* Runs after ours (keys are destroyed in the order of their creation), and then again. */
static void late(void *arg)
{
	void *p = hak_tiny_alloc(48);

	must(hak_thread.state == HAK_THREAD_GONE);
	must(p);
	memset(p, 1, 48);
	hak_tiny_free(p);
	hak_tiny_free(arg);
	late_rounds++;
	if (late_rounds < 3)
		(void)pthread_setspecific(late_key, hak_tiny_alloc(72));
}

static void *with_late_key(void *arg)
{
	hak_tiny_free(hak_tiny_alloc(72));
	must(hak_thread.state == HAK_THREAD_READY);
	must(pthread_setspecific(late_key, hak_tiny_alloc(72)) == 0);
	return NULL;
}

static void destructors_after_ours_allocate_and_free(void **state)
{
	assert_int_equal(pthread_key_create(&late_key, late), 0);
	late_rounds = 0;
	in_a_thread(with_late_key, NULL);
	assert_int_equal(late_rounds, 3);
	assert_int_equal(arena_blocks(), 0);
	assert_int_equal(pthread_key_delete(late_key), 0);
}

static void short_threads_leave_no_metadata_behind(void **state)
{
	uint32_t metas;

	in_a_thread(all_classes, NULL);
	hak_central_trim();
	metas = arena.metas;
	for (int i = 0; i < 1000; i++)
		in_a_thread(all_classes, NULL);
	assert_int_equal(arena.metas, metas);
	assert_int_equal(arena_blocks(), 0);
}

static pthread_barrier_t barrier;

static void *beside_others(void *arg)
{
	void *p = hak_tiny_alloc(300);

	(void)pthread_barrier_wait(&barrier);
	hak_tiny_free(p);
	return NULL;
}

/* Threads at the same time have arrays of their own; the next ones use those again. */
static void arrays_are_kept_for_as_many_threads_as_there_were(void **state)
{
	pthread_t threads[8];
	uint32_t metas = 0;

	assert_int_equal(pthread_barrier_init(&barrier, NULL, 8), 0);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 8; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, beside_others, NULL), 0);
		for (int i = 0; i < 8; i++)
			assert_int_equal(pthread_join(threads[i], NULL), 0);
		if (!round)
			metas = arena.metas;
	}
	assert_int_equal(arena.metas, metas);
	assert_int_equal(pthread_barrier_destroy(&barrier), 0);
}

static void *without_arrays(void *arg)
{
	/* The large class needs no bitmap, so its blocks still come: singly. */
	uint32_t class = HAK_CLASSES - 1;
	void *p = hak_thread_alloc(class);

	must(p);
	must(!hak_thread.bin[class].lim);
	must(hak_tiny.central[class].blocks == 1);
	hak_thread_free(class, p);
	must(hak_tiny.central[class].blocks == 0);
	arena.no_meta = false;
	p = hak_thread_alloc(class);
	must(hak_thread.bin[class].lim);
	/* No second array: full, the magazine goes to the slabs and is used on. */
	while (hak_depot_array())
		arena.no_meta = true;
	for (uint32_t i = 0; i < 5; i++)
		hak_thread_free(class, i ? hak_thread_alloc(class) : p);
	must(!hak_thread.other[class]);
	return NULL;
}

static void without_metadata_a_thread_works_and_recovers(void **state)
{
	arena.no_meta = true;
	while (hak_depot_array()) /* what earlier threads left; lost to the test */
		;
	in_a_thread(without_arrays, NULL);
	assert_true(arena.no_meta);
	arena.no_meta = false;
	assert_int_equal(arena_blocks(), 0);
}

static void *exhausted(void *arg)
{
	arena.limit = arena.taken;
	must(hak_thread_alloc(7) == NULL);
	must(hak_tiny_alloc(7 * 16) == NULL);
	arena.limit = N_SLABS;
	hak_tiny_free(hak_tiny_alloc(7 * 16));
	return NULL;
}

static void without_slabs_a_thread_says_so_and_recovers(void **state)
{
	in_a_thread(exhausted, NULL);
	assert_int_equal(arena_blocks(), 0);
}

/* Frees what it was handed and allocates; *arg is what it gets. */
static void *handed_over(void *arg)
{
	void **slot = arg;

	hak_tiny_free(*slot);
	*slot = hak_tiny_alloc(16);
	return NULL;
}

/* Neighbours on one cache line go to two threads; what these use afterwards lies on lines of its
 * own, not on that one and not on each other's. */
static void handed_over_neighbours_share_no_line_for_ever(void **state)
{
	void *home[4], *at[2];

	for (int i = 0; i < 4; i++)
		home[i] = hak_thread_alloc(1);
	at[0] = home[1];
	at[1] = home[2];
	assert_int_equal((uintptr_t)home[0] / HAK_LINE, (uintptr_t)home[3] / HAK_LINE);
	in_a_thread(handed_over, &at[0]);
	assert_int_not_equal((uintptr_t)at[0] / HAK_LINE, (uintptr_t)home[0] / HAK_LINE);
	/* The first thread has gone, but its block is in use. */
	in_a_thread(handed_over, &at[1]);
	assert_int_not_equal((uintptr_t)at[1] / HAK_LINE, (uintptr_t)home[0] / HAK_LINE);
	assert_int_not_equal((uintptr_t)at[1] / HAK_LINE, (uintptr_t)at[0] / HAK_LINE);
	hak_tiny_free(home[0]);
	hak_tiny_free(home[3]);
	hak_tiny_free(at[0]);
	hak_tiny_free(at[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(before_set_up_blocks_come_one_by_one),
		TEST(a_thread_starts_small),
		TEST(magazines_grow_with_traffic_to_their_limit),
		TEST(blocks_come_back_newest_first_from_both_magazines),
		TEST(flush_gives_everything_back),
		TEST(thread_exit_gives_everything_back),
		TEST(a_block_outlives_its_thread_and_goes_anywhere),
		TEST(destructors_after_ours_allocate_and_free),
		TEST(short_threads_leave_no_metadata_behind),
		TEST(arrays_are_kept_for_as_many_threads_as_there_were),
		TEST(without_metadata_a_thread_works_and_recovers),
		TEST(without_slabs_a_thread_says_so_and_recovers),
		TEST(handed_over_neighbours_share_no_line_for_ever),
	};

	unit_watchdog();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
