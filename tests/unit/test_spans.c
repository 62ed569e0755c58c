/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <pthread.h>
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

	(void)hak_init(&options); /* once; afterwards it is done */
	return 0;
}

/* Every test gives back all that it took. */
static int teardown(void **state)
{
	uint64_t cached;

	(void)hak_trim();
	assert_int_equal(hak_spans_cached(true, &cached), 0);
	assert_int_equal(cached, 0);
	assert_int_equal(hak_heap.stats.spans, 0);
	assert_true(hak_carve_check(&hak_heap.carve));
	return 0;
}

static bool is_zero(const char *p, size_t size)
{
	return !p[0] && !memcmp(p, p + 1, size - 1);
}

/* A freed span serves the next request of its size, whoever freed it, and is no block meanwhile. */
static void freed_spans_are_used_again(void **state)
{
	static const size_t sizes[] = { 40 * KIB, 256 * KIB, MIB, 2 * MIB, 3 * MIB + 5, 32 * MIB };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		char *p = hak_malloc(sizes[i]), *q;

		assert_non_null(p);
		assert_int_equal(hak_slab_of(p)->kind, HAK_SLAB_SPAN);
		memset(p, 1, sizes[i]);
		hak_free(p);
		assert_int_equal(hak_slab_of(p)->kind, HAK_SLAB_CACHED);
		q = hak_malloc(sizes[i]);
		assert_ptr_equal(q, p);
		hak_free(q);
		/* Zeroed where that is asked for, aligned where that is. */
		q = hak_calloc(1, sizes[i]);
		assert_true(is_zero(q, sizes[i]));
		hak_free(q);
		q = hak_aligned_alloc(4 * MIB, sizes[i]);
		assert_int_equal((uintptr_t)q % (4 * MIB), 0);
		hak_free(q);
		(void)hak_trim();
		assert_int_equal(hak_slab_of(p)->kind, HAK_SLAB_NONE);
	}
}

static void *free_all(void *arg)
{
	for (void **p = arg; *p; p++)
		hak_free(*p);
	return NULL;
}

static void a_thread_s_end_leaves_no_span_behind(void **state)
{
	void *p[9] = { 0 };
	pthread_t thread;
	uint64_t cached;

	for (int i = 0; i < 8; i++)
		p[i] = hak_malloc(100 * KIB);
	assert_int_equal(pthread_create(&thread, NULL, free_all, p), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(hak_spans_cached(true, &cached), 0);
	assert_int_equal(hak_heap.stats.spans, 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(hak_slab_of(p[i])->kind, HAK_SLAB_NONE);
}

static void the_span_cache_is_bounded(void **state)
{
	static void *p[600];
	uint64_t cached, most = 0;

	for (size_t size = 64 * KIB; size <= 8 * MIB; size *= 2) {
		for (size_t i = 0; i < 600; i++)
			assert_non_null(p[i] = hak_malloc(size));
		for (size_t i = 0; i < 600; i++) {
			hak_free(p[i]);
			(void)hak_spans_cached(true, &cached);
			most = cached > most ? cached : most;
		}
	}
	assert_in_range(most, 512, 512 + 32); /* slabs: 32 MiB, and a thread's 2 MiB */
}

/* Kept for their sizes, spans must not make the process larger: others take their memory before any
 * that was never written. */
static void kept_memory_is_used_before_new_memory(void **state)
{
	void *p, *q;
	uint32_t clean;

	p = hak_malloc(2 * MIB); /* a superslab of its own */
	memset(p, 1, 2 * MIB);
	hak_free(p);
	clean = hak_heap.carve.n_clean;
	assert_true(clean > 0);
	q = hak_malloc(1900 * KIB);
	assert_ptr_equal(q, p);
	assert_int_equal(hak_heap.carve.n_clean, clean);
	hak_free(q);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(freed_spans_are_used_again),
		TEST(a_thread_s_end_leaves_no_span_behind),
		TEST(the_span_cache_is_bounded),
		TEST(kept_memory_is_used_before_new_memory),
	};

	unit_watchdog();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
