/* SPDX-License-Identifier: Apache-2.0 */
/* What goes back, beyond the bounds that test_heap.c has: idle memory, and parts of superslabs. */
#include "tests/unit/unit.h"

#include <string.h>

#include "libclient/heap.h"
#include "libclient/include/hakmem.h"
#include "libclient/spans.h"
#include "tiny/central.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static int setup(void **state)
{
	struct hak_options options = { .size = sizeof(options), .mode = HAK_INFO_EMBEDDED };

	(void)state;
	(void)hak_init(&options); /* once; afterwards it is done */
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)hak_trim();
	assert_int_equal(hak_heap.stats.spans, 0);
	assert_true(hak_carve_check(&hak_heap.carve));
	return 0;
}

static uint32_t resident(const void *p, size_t size)
{
	uint32_t pages;

	assert_int_equal(hak_sys_resident(p, size, &pages), 0);
	return pages;
}

static uint32_t idle(void)
{
	return hak_heap.carve.n_empty - hak_heap.carve.n_clean;
}

/* A span that goes to the heap and not to a cache. */
static void take_and_give(void)
{
	char *p = hak_heap_alloc(64 * KIB, 1, NULL);

	assert_non_null(p);
	hak_heap_free(hak_slab_of(p));
}

static void idle_memory_goes_back_by_halves(void **state)
{
	void *p[8];

	(void)state;
	for (int i = 0; i < 8; i++) {
		p[i] = hak_malloc(2 * MIB);
		memset(p[i], 1, 2 * MIB);
	}
	for (int i = 0; i < 8; i++)
		hak_free(p[i]);
	hak_heap.idle_since = hak_sys_now_ns() + HAK_DECAY_NS; /* not now */
	hak_spans_flush();
	hak_spans_trim();
	assert_int_equal(idle(), 8);
	hak_heap.idle_since = hak_sys_now_ns() + HAK_DECAY_NS;
	hak_heap.idle_least = 8;
	take_and_give();
	assert_int_equal(idle(), 8); /* the interval is not over */
	hak_heap.idle_since = 0;
	take_and_give(); /* needs one of them */
	assert_int_equal(idle(), 4);
	hak_heap.idle_since = 0;
	take_and_give();
	assert_int_equal(idle(), 2);
	/* What was needed stays, although it is empty now. */
	hak_heap.idle_since = hak_sys_now_ns() + HAK_DECAY_NS;
	p[0] = hak_heap_alloc(2 * MIB, 1, NULL);
	p[1] = hak_heap_alloc(2 * MIB, 1, NULL);
	hak_heap_free(hak_slab_of(p[0]));
	hak_heap.idle_since = 0;
	hak_heap_free(hak_slab_of(p[1]));
	assert_int_equal(idle(), 2);
}

/* A block larger than all that is kept by itself, again and again. */
static void what_is_needed_again_at_once_is_kept(void **state)
{
	uint32_t clean = 0;

	(void)state;
	hak_heap.regret = 0;
	for (int i = 0; i < 4; i++) {
		char *p;

		hak_heap.idle_since = hak_sys_now_ns() + HAK_DECAY_NS; /* all in one interval */
		p = hak_malloc(200 * MIB);
		assert_non_null(p);
		for (size_t at = 0; at < 200 * MIB; at += 2 * MIB)
			p[at] = 1;
		if (i == 3)
			assert_int_equal(hak_heap.carve.n_clean, clean);
		hak_free(p);
		assert_true(i ? idle() >= 100 : idle() <= 24);
		clean = hak_heap.carve.n_clean;
	}
	/* And no longer than that. */
	assert_in_range(hak_heap.regret, 70, 100);
	for (int i = 0; i < 12; i++) {
		hak_heap.idle_since = 0;
		take_and_give();
	}
	assert_int_equal(hak_heap.regret, 0);
	assert_true(idle() <= 1);
}

static void cached_spans_go_back_by_halves(void **state)
{
	uint64_t slabs;
	void *p[12];

	(void)state;
	for (int i = 0; i < 12; i++)
		p[i] = hak_malloc(512 * KIB); /* a thread keeps four of them, and the cache four */
	for (int i = 0; i < 12; i++)
		hak_free(p[i]);
	assert_int_equal(hak_spans_cached(false, &slabs), 4);
	hak_spans_lock();
	hak_spans_age(); /* they have just come */
	assert_int_equal(hak_spans_cached(false, &slabs), 4);
	hak_spans_age();
	assert_int_equal(hak_spans_cached(false, &slabs), 2);
	hak_spans_age();
	hak_spans_age();
	assert_int_equal(hak_spans_cached(false, &slabs), 0);
	hak_spans_unlock();
}

static void trim_gives_back_parts_of_superslabs(void **state)
{
	char *a = hak_malloc(128 * KIB), *b = hak_malloc(MIB), *c = hak_malloc(128 * KIB);

	(void)state;
	assert_ptr_equal(b, a + 128 * KIB);
	assert_ptr_equal(c, b + MIB);
	memset(a, 1, 128 * KIB);
	memset(b, 2, MIB);
	memset(c, 3, 128 * KIB);
	hak_free(b);
	assert_true(hak_trim() >= MIB); /* and what is free behind, if it is a 2 MiB page */
	assert_int_equal(resident(b, MIB), 0);
	assert_true(a[0] == 1 && !memcmp(a, a + 1, 128 * KIB - 1));
	assert_true(c[0] == 3 && !memcmp(c, c + 1, 128 * KIB - 1));
	assert_int_equal(hak_trim(), 0);
	hak_free(a);
	hak_free(c);
}

/* A 2 MiB page is broken up where most of it is free, and counts as one no more. */
static void trim_breaks_up_pages_that_are_mostly_free(void **state)
{
	char *p = hak_aligned_alloc(2 * MIB, 8 * MIB), *q;
	const struct hak_super *s = &hak_heap.carve.supers[(p - hak_heap.base) / (2 * MIB)];

	(void)state;
	memset(p, 5, 8 * MIB);
	if (!(s->flags & HAK_SUPER_WHOLE))
		skip(); /* this kernel has no such pages */
	q = hak_realloc(p, 1200 * KIB);
	assert_ptr_equal(q, p);
	(void)hak_trim();
	assert_true(s->flags & HAK_SUPER_WHOLE); /* more than half is in use */
	q = hak_realloc(p, 256 * KIB);
	assert_ptr_equal(q, p);
	assert_int_equal(hak_trim(), 2 * MIB - 256 * KIB);
	assert_false(s->flags & HAK_SUPER_WHOLE);
	assert_int_equal(resident(p, 2 * MIB), 256 / 4);
	assert_true(p[0] == 5 && !memcmp(p, p + 1, 256 * KIB - 1));
	hak_free(p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(idle_memory_goes_back_by_halves),
		TEST(what_is_needed_again_at_once_is_kept),
		TEST(cached_spans_go_back_by_halves),
		TEST(trim_gives_back_parts_of_superslabs),
		TEST(trim_breaks_up_pages_that_are_mostly_free),
	};

	unit_watchdog();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
