/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny/checked.h"
#include "tiny/mixed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/arena.h"
#include "tests/death.h"
#include "tests/unit/unit.h"
#include "tiny/thread.h"

#define N_SLABS 512u
#define BEGUN   200u /* slabs that fragment() fills: more than the 8 MiB from which on it counts */
#define SPARSE  16u

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

struct blocks {
	uint32_t class, n, room;
	void **at;
};

static struct blocks old, new;

static int setup(void **state)
{
	arena_init(N_SLABS);
	return 0;
}

static void assert_sound(void)
{
	const char *wrong = arena_check();

	if (wrong)
		fail_msg("wrong: %s", wrong);
}

static void take_more(struct blocks *b, uint32_t n)
{
	if (b->n + n > b->room) {
		b->room = 2 * (b->n + n);
		b->at = realloc(b->at, b->room * sizeof(*b->at));
		assert_non_null(b->at);
	}
	while (n) {
		uint32_t got = hak_central_take(b->class, b->at + b->n, n < 100 ? n : 100);

		assert_in_range(got, 1, n);
		for (uint32_t i = b->n; i < b->n + got; i++) {
			assert_false((uintptr_t)b->at[i] % HAK_GRANULE);
			memset(b->at[i], (int)b->class, hak_class[b->class].size);
		}
		b->n += got;
		n -= got;
	}
}

/* Where blocks are checked, a free one is filled by who frees it. */
static void put_one(uint32_t class, void *p)
{
	if (hak_tiny.checked)
		memset(p, HAK_FREE_BYTE, hak_class[class].size);
	hak_central_put(class, &p, 1);
}

/* As if nobody had written into them. */
static void put_all(struct blocks *b)
{
	for (uint32_t i = 0; i < b->n; i++) {
		const uint8_t *block = b->at[i];

		for (uint32_t j = 0; j < hak_class[b->class].size; j++)
			assert_int_equal(block[j], (uint8_t)b->class);
		put_one(b->class, b->at[i]);
	}
	b->n = 0;
}

static int teardown(void **state)
{
	put_all(&old);
	put_all(&new);
	free(old.at);
	free(new.at);
	old = new = (struct blocks){ 0 };
	assert_sound();
	arena_deinit();
	return 0;
}

/* Some slabs may come before the heap is looked at as a whole again: here are some. */
static void settle(void)
{
	void *p;

	for (uint32_t c = HAK_CLASSES - 1; hak_class[c].slabs > 1; c--) {
		assert_int_equal(hak_central_take(c, &p, 1), 1);
		put_one(c, p);
	}
	hak_central_trim();
}

/* Slabs full of one class, of which one block in `keep` survives. */
static void fragment(uint32_t class, uint32_t slabs, uint32_t keep)
{
	uint32_t kept = 0;

	old.class = class;
	take_more(&old, slabs / hak_class[class].slabs * hak_class[class].blocks);
	for (uint32_t i = 0; i < old.n; i++) {
		if (i % keep)
			put_one(class, old.at[i]);
		else
			old.at[kept++] = old.at[i];
	}
	old.n = kept;
	settle();
	assert_int_equal(arena.taken, slabs);
}

static void holes_of_one_class_serve_another(void **state)
{
	uint32_t page_of_mixed = 0;

	fragment(4, BEGUN, SPARSE); /* 64 bytes: holes of 960 */
	new.class = 16;             /* 512 bytes */
	take_more(&new, BEGUN * 64);
	assert_in_range(arena.taken, BEGUN, BEGUN + 8); /* one a hole: all of them */
	assert_in_range(hak_mixed_slabs(), BEGUN * 9 / 10, BEGUN);
	assert_sound();
	for (uint32_t i = 0; i < new.n; i++) {
		if (!hak_mixed_has(new.at[i]))
			continue;
		page_of_mixed |= hak_page_class(new.at[i]);
		assert_int_equal(hak_mixed_class(new.at[i]), 16);
	}
	for (uint32_t i = 0; i < old.n; i++) {
		if (hak_mixed_has(old.at[i]))
			assert_int_equal(hak_mixed_class(old.at[i]), 4);
	}
	assert_int_equal(page_of_mixed, 0);
}

/* Every class of one-slab runs has holes for every class that there is. */
static void any_class_fits_into_holes_of_any(void **state)
{
	for (uint32_t a = 1; hak_class[a].slabs == 1; a++) {
		uint64_t before;

		fragment(a, BEGUN, hak_class[a].blocks);
		for (uint32_t b = 1; b < HAK_CLASSES; b++) {
			if (b == a)
				continue;
			before = arena.taken;
			new.class = b;
			take_more(&new, 2);
			assert_int_equal(arena.taken, before);
			assert_true(hak_mixed_has(new.at[0]));
			assert_int_equal(hak_mixed_class(new.at[0]), b);
			put_all(&new);
		}
		assert_true(hak_mixed_slabs() > 0);
		assert_sound();
		put_all(&old);
		hak_central_trim();
		assert_int_equal(arena.taken, 0);
		assert_int_equal(hak_mixed_slabs(), 0);
	}
}

static void a_block_fills_the_hole_that_its_like_left(void **state)
{
	void *p, *q;

	fragment(4, BEGUN, SPARSE);
	new.class = 16;
	take_more(&new, 100);
	p = new.at[50];
	hak_central_put(16, &p, 1);
	assert_sound();
	/* What it left and what lay beside it make one run. */
	for (uint32_t i = 0; i < old.n; i++)
		hak_central_put(4, &old.at[i], 1);
	old.n = 0;
	assert_sound();
	assert_int_equal(hak_central_take(HAK_CLASSES - 1, &q, 1), 1);
	assert_true(hak_mixed_has(q));
	hak_central_put(HAK_CLASSES - 1, &q, 1);
	new.at[50] = new.at[--new.n];
}

static void wholly_free_mixed_slabs_go_back(void **state)
{
	uint64_t mixed;

	fragment(4, BEGUN, SPARSE);
	new.class = 16;
	take_more(&new, BEGUN * 32);
	mixed = hak_mixed_slabs();
	assert_true(mixed > BEGUN / 4);
	put_all(&new);
	assert_int_equal(hak_mixed_slabs(), mixed); /* the old blocks hold them */
	put_all(&old);
	assert_int_equal(hak_mixed_slabs(), 0);
	assert_int_equal(hak_mixed_free(), 0);
	hak_central_trim();
	assert_int_equal(arena.taken, 0);
}

static void their_bitmaps_are_used_again(void **state)
{
	uint32_t after_first = 0;

	for (int i = 0; i < 5; i++) {
		fragment(4, BEGUN, SPARSE);
		new.class = 16;
		take_more(&new, BEGUN * 32);
		put_all(&new);
		put_all(&old);
		hak_central_trim();
		if (!i)
			after_first = arena.metas;
	}
	assert_int_equal(arena.metas, after_first);
}

static void nothing_is_mixed(uint32_t class, uint32_t slabs, uint32_t keep, uint32_t wanted)
{
	fragment(class, slabs, keep);
	new.class = wanted;
	take_more(&new, 10 * hak_class[wanted].blocks);
	assert_int_equal(hak_mixed_made(), 0);
	assert_int_equal(arena.taken, slabs + 10);
}

static void a_small_heap_is_left_alone(void **state)
{
	nothing_is_mixed(4, 100, SPARSE, 16);
}

/* One block in eight is free: too little lies idle. */
static void a_full_heap_is_left_alone(void **state)
{
	uint32_t kept = 0;

	old.class = 4;
	take_more(&old, BEGUN * 1024);
	for (uint32_t i = 0; i < old.n; i++) {
		if (i % 128 < 16)
			hak_central_put(4, &old.at[i], 1);
		else
			old.at[kept++] = old.at[i];
	}
	old.n = kept;
	new.class = 16;
	take_more(&new, 10 * 128);
	assert_int_equal(hak_mixed_made(), 0);
	assert_int_equal(arena.taken, BEGUN + 10);
}

static void checked_slabs_are_left_alone(void **state)
{
	static uint16_t shadow[N_SLABS * HAK_SLAB_SIZE / 16];

	assert_int_equal(hak_checked_init(shadow), 0);
	nothing_is_mixed(20, BEGUN, SPARSE, 16);
	put_all(&new);
	put_all(&old);
	hak_checked_flush();
}

/* Every second block stays: not one hole is large enough, and looking for them comes to an end. */
static void holes_too_small_make_nothing_mixed(void **state)
{
	nothing_is_mixed(4, BEGUN, 2, 16);
}

static void without_metadata_the_heap_grows(void **state)
{
	arena.no_meta = true;
	nothing_is_mixed(28, BEGUN, SPARSE, 24); /* neither class has a bitmap of its own */
	assert_sound();
	arena.no_meta = false;
	take_more(&new, 1000);
	assert_true(hak_mixed_made() > 0);
}

static void aligned_blocks_come_from_slabs_of_their_own(void **state)
{
	uint32_t crooked = 0;

	fragment(4, BEGUN, 9); /* holes at odd places */
	new.class = 16;
	take_more(&new, 200);
	for (uint32_t i = 0; i < new.n; i++)
		crooked += (uintptr_t) new.at[i] % 512 != 0;
	assert_true(crooked > 0);
	for (int i = 0; i < 200; i++) {
		void *p = hak_central_take_aligned(16);

		assert_non_null(p);
		assert_false((uintptr_t)p % 512);
		memset(p, 16, 512);
		take_more(&new, 1);
		hak_central_put(16, &new.at[--new.n], 1);
		new.at[new.n++] = p;
	}
}

struct put {
	uint32_t class;
	void *p;
	uint32_t times;
};

static void put(void *arg)
{
	struct put *put = arg;

	for (uint32_t i = 0; i < put->times; i++)
		hak_central_put(put->class, &put->p, 1);
}

static void ask(void *arg)
{
	(void)hak_mixed_class(arg);
}

static void dies(uint32_t class, char *p, uint32_t times, const char *what)
{
	struct put arg = { class, p, times };

	hak_expect_death_f(put, &arg,
			   "%s %p (a block of %u bytes, size class %u, in the slab at %p)", what,
			   (void *)p, hak_class[class].size, class,
			   (void *)hak_slab_start(hak_slab_of(p)));
}

static void misuse_dies_with_the_block_s_name(void **state)
{
	char *p, *free_one = NULL, *slab;

	fragment(4, BEGUN, SPARSE);
	new.class = 16;
	take_more(&new, 200);
	p = new.at[100];
	slab = hak_slab_start(hak_slab_of(p));
	assert_true(hak_mixed_has(p));
	dies(16, p, 2, "double free of");
	dies(16, p + 16, 1, "free of the inside of");
	dies(16, p + 8, 1, "free of the inside of");
	dies(15, p, 1, "free of the inside of");
	dies(17, p, 1, "free of the inside of");
	hak_expect_death_f(ask, p + 16, "free of the inside of %p (in the mixed slab at %p)",
			   (void *)(p + 16), (void *)slab);
	hak_expect_death_f(ask, p + 8, "free of the inside of %p (in the mixed slab at %p)",
			   (void *)(p + 8), (void *)slab);
	new.at[100] = new.at[--new.n];
	free_one = p;
	hak_central_put(16, (void **)&free_one, 1);
	assert_true(hak_mixed_has(p));
	dies(16, p, 1, "double free of");
	hak_expect_death_f(ask, p, "double free of %p (in the mixed slab at %p)", (void *)p,
			   (void *)slab);
}

/* What the calling thread and the depots keep are holes, too. */
static void magazines_are_emptied_before_the_heap_grows(void **state)
{
	uint32_t n = BEGUN * 64, kept = 0;

	assert_int_equal(hak_thread_init(true), 0);
	old.class = 20;
	take_more(&old, n);
	for (uint32_t i = 0; i < n; i++) {
		if (i % SPARSE)
			hak_thread_free(20, old.at[i]);
		else
			old.at[kept++] = old.at[i];
	}
	old.n = kept;
	assert_true(hak_tiny.central[20].blocks > kept + 1000);
	settle();
	new.class = 24;
	take_more(&new, 32);
	assert_int_equal(hak_tiny.central[20].blocks, kept);
	assert_int_equal(arena.taken, BEGUN);
}

static atomic_bool watch_ends;
static atomic_uint looked;

/* Whoever has the pool's lock may cut blocks of any class out of a mixed slab: its page byte must
 * not be of the old class any more. */
static uintptr_t wrong_on_ring(uint32_t head)
{
	uint32_t number = head - 1;
	uintptr_t wrong = 0;

	if (!head)
		return 0;
	do {
		const struct hak_slab *slab = &hak_tiny.slabs[number];

		wrong += slab->kind != HAK_SLAB_MIXED || hak_page_byte(hak_slab_start(slab));
		number = slab->next;
	} while (number != head - 1);
	return wrong;
}

static void *watch(void *unused)
{
	uintptr_t wrong = 0;

	(void)unused;
	while (!atomic_load(&watch_ends)) {
		hak_mixed_lock();
		for (uint32_t b = 0; b < HAK_MIXED_BUCKETS; b++)
			wrong += wrong_on_ring(hak_tiny.mixed.head[b]);
		hak_mixed_unlock();
		atomic_fetch_add(&looked, 1);
	}
	return (void *)wrong;
}

static void a_mixed_slab_is_one_before_others_may_cut_it(void **state)
{
	pthread_t watcher;
	void *wrong;

	atomic_store(&watch_ends, false);
	assert_int_equal(pthread_create(&watcher, NULL, watch, NULL), 0);
	for (uint32_t round = 0; round < 10 || atomic_load(&looked) < 1000; round++) {
		fragment(4, BEGUN, SPARSE);
		new.class = 16;
		take_more(&new, BEGUN * 32);
		assert_true(hak_mixed_slabs() > 0);
		put_all(&new);
		put_all(&old);
		hak_central_trim();
	}
	atomic_store(&watch_ends, true);
	assert_int_equal(pthread_join(watcher, &wrong), 0);
	assert_null(wrong);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(holes_of_one_class_serve_another),
		TEST(any_class_fits_into_holes_of_any),
		TEST(a_block_fills_the_hole_that_its_like_left),
		TEST(wholly_free_mixed_slabs_go_back),
		TEST(their_bitmaps_are_used_again),
		TEST(a_small_heap_is_left_alone),
		TEST(a_full_heap_is_left_alone),
		TEST(checked_slabs_are_left_alone),
		TEST(holes_too_small_make_nothing_mixed),
		TEST(without_metadata_the_heap_grows),
		TEST(aligned_blocks_come_from_slabs_of_their_own),
		TEST(misuse_dies_with_the_block_s_name),
		TEST(magazines_are_emptied_before_the_heap_grows),
		TEST(a_mixed_slab_is_one_before_others_may_cut_it),
	};

	unit_watchdog();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
