/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "tests/arena.h"
#include "tests/death.h"
#include "tiny/checked.h"
#include "tiny/tiny.h"

#define N_SLABS 256u

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
	static uint16_t shadow[N_SLABS * HAK_SLAB_SIZE / 16];

	arena_init(N_SLABS);
	memset(shadow, 0, sizeof(shadow));
	assert_int_equal(hak_shadow_size(N_SLABS * HAK_SLAB_SIZE), sizeof(shadow));
	assert_int_equal(hak_checked_init(shadow), 0);
	return 0;
}

static int teardown(void **state)
{
	hak_checked_flush();
	arena_deinit();
	return 0;
}

static size_t largest(uint32_t class)
{
	return hak_class[class].size - HAK_CHECKED_SLACK;
}

static bool is_filled(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((uint8_t)p[i] != HAK_FREE_BYTE)
			return false;
	return true;
}

static void every_byte_is_looked_at(void **state)
{
	static char HAK_ALIGNED(16) bytes[5000];

	memset(bytes, HAK_FREE_BYTE, sizeof(bytes));
	for (size_t n = 0; n < 2500; n = n < 100 ? n + 1 : n + 37) {
		assert_true(hak_checked_untouched(bytes + 1, n));
		for (size_t i = 0; i < n; i++) {
			bytes[1 + i] ^= 1;
			assert_false(hak_checked_untouched(bytes + 1, n));
			bytes[1 + i] ^= 1;
		}
		bytes[0] = bytes[1 + n] = 0;
		assert_true(hak_checked_untouched(bytes + 1, n));
		bytes[0] = bytes[1 + n] = (char)HAK_FREE_BYTE;
	}
}

static void blocks_show_nothing_of_what_was(void **state)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		for (int round = 0; round < 200; round++) {
			size_t size = round % 2 ? largest(c) : hak_class[c - 1].size;
			char *p = hak_checked_take(c, size);

			assert_non_null(p);
			assert_true(is_filled(p, hak_class[c].size));
			assert_int_equal(hak_checked_find(p), size + 1);
			memset(p, 0, size);
			assert_true(hak_checked_put(p));
			assert_true(is_filled(p, hak_class[c].size));
			assert_int_equal(hak_checked_find(p), 0);
		}
		hak_checked_flush();
	}
}

static void reuse_waits_for_as_many_frees_as_the_ring_is_long(void **state)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		uint32_t ring, stack, n = 0;
		char *p = hak_checked_take(c, 1), *q;

		hak_checked_bounds(c, &ring, &stack);
		assert_true(ring >= 4 && stack >= 2);
		assert_true(hak_checked_put(p));
		do {
			q = hak_checked_take(c, 1);
			assert_true(hak_checked_put(q));
			n++;
		} while (q != p && n < 10000);
		/* Freed, it was in the ring's first place; that many came after it. */
		assert_in_range(n, ring + 1, 9999);
		hak_checked_flush();
	}
}

static void a_thread_holds_no_more_than_ring_and_stack(void **state)
{
	static void *blocks[3000];

	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		uint32_t ring, stack,
			n = 2u * hak_class[c].blocks < 3000 ? 2u * hak_class[c].blocks : 3000;

		hak_checked_bounds(c, &ring, &stack);
		for (uint32_t i = 0; i < n; i++)
			assert_non_null(blocks[i] = hak_checked_take(c, 1));
		for (uint32_t i = 0; i < n; i++)
			assert_true(hak_checked_put(blocks[i]));
		assert_in_range(arena_blocks(), 1, ring + stack);
		hak_checked_flush();
		assert_int_equal(arena_blocks(), 0);
	}
}

static void what_is_no_block_in_use_is_refused(void **state)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		char *p = hak_checked_take(c, 1);

		assert_false(hak_checked_put(NULL));
		assert_false(hak_checked_put(p + 1));
		assert_false(hak_checked_put(p + 8));
		assert_int_equal(hak_checked_find(p + 1), 0);
		if (hak_class[c].size > 16)
			assert_false(hak_checked_put(p + 16));
		assert_false(hak_checked_put(arena.base - 16));
		assert_false(hak_checked_put(arena.base + N_SLABS * HAK_SLAB_SIZE));
		assert_false(hak_checked_put((void *)&p));
		assert_true(hak_checked_put(p));
		assert_false(hak_checked_put(p));
		hak_checked_flush();
		assert_false(hak_checked_put(p));
	}
}

static void a_block_grows_and_shrinks_in_its_class(void **state)
{
	char *p = hak_checked_take(7, 90);

	memset(p, 1, 90);
	assert_true(hak_checked_resize(p, 104));
	assert_int_equal(hak_checked_find(p), 105);
	assert_true(is_filled(p + 90, 22));
	memset(p, 1, 104);
	assert_true(hak_checked_resize(p, 89));
	assert_true(is_filled(p + 89, 23));
	assert_int_equal(p[88], 1);
	assert_false(hak_checked_resize(p, 105));
	assert_false(hak_checked_resize(p, 88));
	assert_false(hak_checked_resize(p, SIZE_MAX));
	assert_int_equal(hak_checked_find(p), 90);
	assert_true(hak_checked_put(p));
}

struct deed {
	uint32_t class;
	char *p;
	size_t size, at;
	void (*then)(void);
};

static void write_past_end(void *arg)
{
	const struct deed *d = arg;

	d->p[d->at] = 0;
	(void)hak_checked_put(d->p);
}

static void writes_past_the_end_die_at_the_free(void **state)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		uint32_t size = hak_class[c].size;
		size_t sizes[] = { largest(c), hak_class[c - 1].size };

		for (size_t i = 0; i < hak_array_size(sizes); i++) {
			char *p = hak_checked_take(c, sizes[i]);
			size_t places[] = { sizes[i], sizes[i] + 7, size - 8, size - 1 };

			for (size_t k = 0; k < hak_array_size(places); k++) {
				struct deed d = { c, p, sizes[i], places[k], NULL };

				hak_expect_death_f(write_past_end, &d,
						   "write past the end of %p, at byte %zu (a block "
						   "of %u bytes, size class %u, in the slab at %p)",
						   (void *)p, places[k], size, c,
						   (void *)((uintptr_t)p & ~(uintptr_t)0xffff));
			}
			assert_true(hak_checked_put(p));
		}
	}
}

static void trim(void)
{
	hak_checked_flush();
	hak_central_trim();
}

static struct deed *the_deed;

static void reuse(void)
{
	for (int i = 0; i < 10000; i++)
		(void)hak_checked_put(hak_checked_take(the_deed->class, 1));
}

/* The free of the last block of a slab beyond the spare one gives the slab back. */
static void release(void)
{
	hak_checked_release(hak_slab_of(the_deed->p));
}

static void write_after_free(void *arg)
{
	the_deed = arg;
	(void)hak_checked_put(the_deed->p);
	the_deed->p[the_deed->at] ^= 1;
	the_deed->then();
}

static void writes_after_free_die_wherever_the_block_goes(void **state)
{
	static void (*const ways[])(void) = { hak_checked_flush, hak_checked_verify, trim, reuse,
					      release };

	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		uint32_t size = hak_class[c].size;
		size_t places[] = { 0, size / 2, size - 1 };
		char *p = hak_checked_take(c, 1);

		for (size_t i = 0; i < hak_array_size(ways) * hak_array_size(places); i++) {
			struct deed d = { c, p, 1, places[i % 3], ways[i / 3] };

			hak_expect_death_f(write_after_free, &d,
					   "write after free to, or past the end of, %p, at byte "
					   "%zu (a block of %u bytes, size class %u, in the slab "
					   "at %p)",
					   (void *)p, d.at, size, c,
					   (void *)((uintptr_t)p & ~(uintptr_t)0xffff));
		}
		assert_true(hak_checked_put(p));
		hak_checked_flush();
	}
}

static void *all_classes(void *unused)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++)
		assert_true(hak_checked_put(hak_checked_take(c, 1)));
	assert_true(arena_blocks() > 0);
	return unused;
}

static void in_a_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, fn, arg), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void thread_exit_gives_everything_back(void **state)
{
	uint32_t metas;

	in_a_thread(all_classes, NULL);
	assert_int_equal(arena_blocks(), 0);
	metas = arena.metas;
	for (int i = 0; i < 10; i++)
		in_a_thread(all_classes, NULL);
	assert_int_equal(arena_blocks(), 0);
	assert_int_equal(arena.metas, metas);
}

static void *without_metadata(void *unused)
{
	const struct hak_central *central = &hak_tiny.central[HAK_CLASSES - 1];
	char *p = hak_checked_take(HAK_CLASSES - 1, 5);

	assert_non_null(p);
	assert_int_equal(central->blocks, 1);
	assert_true(hak_checked_put(p));
	assert_int_equal(central->blocks, 0); /* not delayed */
	assert_false(hak_checked_put(p));
	arena.no_meta = false;
	assert_true(hak_checked_put(hak_checked_take(HAK_CLASSES - 1, 5)));
	assert_true(central->blocks > 0); /* set up by now */
	return unused;
}

static void *two_at_once(void *unused)
{
	/* Takes the arrays that earlier threads left. */
	assert_true(hak_checked_put(hak_checked_take(1, 1)));
	arena.no_meta = true;
	in_a_thread(without_metadata, NULL);
	return unused;
}

static void a_thread_without_metadata_goes_to_the_slabs(void **state)
{
	in_a_thread(two_at_once, NULL);
	arena.no_meta = false;
}

struct race {
	pthread_barrier_t barrier;
	void *block;
	int freed[2];
};

#define RACES 2000

static void *free_in_race(struct race *race, int me)
{
	for (int i = 0; i < RACES; i++) {
		pthread_barrier_wait(&race->barrier);
		race->freed[me] += hak_checked_put(race->block);
		pthread_barrier_wait(&race->barrier);
		if (me == 0)
			race->block = hak_checked_take(5, 70);
	}
	return NULL;
}

static void *second(void *race)
{
	return free_in_race(race, 1);
}

static void of_two_frees_at_once_one_succeeds(void **state)
{
	struct race race = { .block = hak_checked_take(5, 70) };
	pthread_t thread;

	assert_int_equal(pthread_barrier_init(&race.barrier, NULL, 2), 0);
	assert_int_equal(pthread_create(&thread, NULL, second, &race), 0);
	(void)free_in_race(&race, 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(race.freed[0] + race.freed[1], RACES);
	assert_true(hak_checked_put(race.block));
	pthread_barrier_destroy(&race.barrier);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_byte_is_looked_at),
		TEST(blocks_show_nothing_of_what_was),
		TEST(reuse_waits_for_as_many_frees_as_the_ring_is_long),
		TEST(a_thread_holds_no_more_than_ring_and_stack),
		TEST(what_is_no_block_in_use_is_refused),
		TEST(a_block_grows_and_shrinks_in_its_class),
		TEST(writes_past_the_end_die_at_the_free),
		TEST(writes_after_free_die_wherever_the_block_goes),
		TEST(thread_exit_gives_everything_back),
		TEST(a_thread_without_metadata_goes_to_the_slabs),
		TEST(of_two_frees_at_once_one_succeeds),
	};

	unit_watchdog();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
