/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <string.h>

#include "libclient/heap.h"
#include "libclient/include/hakmem.h"
#include "libclient/spans.h"
#include "tests/random/random.h"
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

/* ---- threads ---- */

#define THREADS 4u
#define SHARED  24u

struct shared {
	pthread_mutex_t lock;
	uint64_t *p; /* its first and last word hold its size */
	size_t size;
};

static struct shared shared[SHARED];

static void seal(struct shared *s)
{
	s->p[0] = s->size;
	s->p[s->size / 8 - 1] = s->size;
}

static bool sealed(const struct shared *s, size_t size)
{
	return s->p[0] == s->size && (size < s->size || s->p[s->size / 8 - 1] == s->size);
}

static void step(struct random_run *run, struct shared *s)
{
	size_t size = (32 * KIB + random_skewed(run, 6 * MIB)) / 8 * 8;

	random_check(run, !s->p || sealed(s, s->size));
	if (s->p && random_below(run, 2)) {
		hak_free(s->p);
		s->p = NULL;
		return;
	}
	s->p = hak_realloc(s->p, size);
	random_check(run, s->p && (!s->size || sealed(s, size)));
	s->size = size;
	seal(s);
}

static void *work(void *arg)
{
	struct random_run run = *(struct random_run *)arg;

	for (; run.step < run.steps; run.step++) {
		struct shared *s = &shared[random_below(&run, SHARED)];

		pthread_mutex_lock(&s->lock);
		if (!s->p)
			s->size = 0;
		step(&run, s);
		pthread_mutex_unlock(&s->lock);
		if (!random_below(&run, 50)) {
			hak_spans_lock();
			hak_spans_age();
			hak_spans_unlock();
		}
		if (!random_below(&run, 200))
			(void)hak_trim();
	}
	return NULL;
}

/* Blocks that change hands, grow, move and go back keep their contents. */
static void threads_share_spans(void **state)
{
	struct random_run run[THREADS];
	pthread_t thread[THREADS];
	uint64_t seed = hak_sys_random();

	print_message("# seed %llu\n", (unsigned long long)seed);
	for (uint32_t i = 0; i < SHARED; i++)
		pthread_mutex_init(&shared[i].lock, NULL);
	for (uint32_t i = 0; i < THREADS; i++) {
		run[i] = (struct random_run){ .steps = 1500 };
		run[i].seed = run[i].state = seed + i;
		assert_int_equal(pthread_create(&thread[i], NULL, work, &run[i]), 0);
	}
	for (uint32_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	for (uint32_t i = 0; i < SHARED; i++) {
		hak_free(shared[i].p);
		shared[i].p = NULL;
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(freed_spans_are_used_again), TEST(a_thread_s_end_leaves_no_span_behind),
		TEST(the_span_cache_is_bounded),  TEST(kept_memory_is_used_before_new_memory),
		TEST(threads_share_spans),
	};

	unit_watchdog();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
