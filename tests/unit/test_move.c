/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <string.h>
#include <sys/resource.h>

#include "libclient/heap.h"
#include "libclient/include/hakmem.h"
#include "tests/random/random.h"
#include "tiny/central.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define PER HAK_SLABS_PER_SUPERSLAB

static int setup(void **state)
{
	struct hak_options options = { .size = sizeof(options), .mode = HAK_INFO_EMBEDDED };

	(void)state;
	(void)hak_init(&options); /* once; afterwards it is done */
	return 0;
}

/* Every test gives back all that it took. */
static int teardown(void **state)
{
	(void)state;
	(void)hak_trim();
	assert_int_equal(hak_heap.stats.spans, 0);
	assert_int_equal(hak_heap.stats.span_bytes, 0);
	assert_int_equal(hak_heap.carve.n_empty, hak_heap.carve.n_added);
	assert_true(hak_carve_check(&hak_heap.carve));
	return 0;
}

static bool is_zero(const char *p, size_t size)
{
	return !p[0] && !memcmp(p, p + 1, size - 1);
}

static void fill_all(uint64_t *p, size_t size)
{
	for (size_t i = 0; i < size / sizeof(*p); i += 512)
		p[i] = i;
	p[size / sizeof(*p) - 1] = size;
}

static bool filled(const uint64_t *p, size_t size)
{
	for (size_t i = 0; i < size / sizeof(*p) - 1; i += 512) {
		if (p[i] != i)
			return false;
	}
	return p[size / sizeof(*p) - 1] == size;
}

/* Takes the first superslab at or behind p, so that nothing grows over it. */
static uint64_t block(const void *p)
{
	uint64_t at = hak_align_up((uint64_t)((const char *)p - hak_heap.base), 2 * MIB) >>
		      HAK_SLAB_SHIFT;

	pthread_mutex_lock(&hak_heap.lock);
	assert_true(hak_carve_take_at(&hak_heap.carve, at, PER));
	pthread_mutex_unlock(&hak_heap.lock);
	return at;
}

static void unblock(uint64_t at)
{
	pthread_mutex_lock(&hak_heap.lock);
	hak_carve_give(&hak_heap.carve, at, PER);
	pthread_mutex_unlock(&hak_heap.lock);
}

static const struct hak_super *super_of(const void *p)
{
	return &hak_heap.carve
			.supers[(uint64_t)((const char *)p - hak_heap.base) >> HAK_SUPERSLAB_SHIFT];
}

static long faults(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_minflt;
}

/* What moves are the pages: a copy would have touched those of the new place. The old is zero. */
static void large_spans_move_without_a_copy(void **state)
{
	static const size_t sizes[] = { 2 * MIB, 4 * MIB, 4 * MIB + 64 * KIB, 7 * MIB - 64 * KIB };

	(void)state;
	for (size_t i = 0; i < hak_array_size(sizes); i++) {
		size_t size = sizes[i], grown = size + 3 * MIB;
		uint64_t *p = hak_aligned_alloc(2 * MIB, size), *q, blocked;
		long before;

		fill_all(p, size);
		blocked = block((char *)p + size);
		before = faults();
		q = hak_realloc(p, grown);
		assert_in_range(faults() - before, 0, 64);
		assert_int_equal(super_of(p)->dirty, 0);
		assert_non_null(q);
		assert_ptr_not_equal(q, p);
		assert_int_equal((uintptr_t)q % (2 * MIB), 0);
		assert_true(filled(q, size));
		assert_int_equal(hak_slab_of(p)->kind, HAK_SLAB_NONE);
		assert_true(hak_carve_check(&hak_heap.carve));
		fill_all(q, grown);
		/* It has room now, for half as much again. */
		assert_ptr_equal(hak_realloc(q, grown + grown / 2), q);
		assert_true(filled(q, grown));
		unblock(blocked);
		p = hak_calloc(1, 16 * MIB);
		assert_true(is_zero((char *)p, 16 * MIB));
		hak_free(p);
		hak_free(q);
	}
}

/* Others' blocks in the last superslab stay where they are. */
static void neighbours_stay_when_a_span_moves(void **state)
{
	uint64_t *p, *q, blocked;
	char *beside;

	(void)state;
	p = hak_aligned_alloc(2 * MIB, 5 * MIB);
	fill_all(p, 5 * MIB);
	beside = hak_malloc(512 * KIB);
	assert_ptr_equal(beside, (char *)p + 5 * MIB); /* in the same superslab */
	memset(beside, 0x77, 512 * KIB);
	blocked = block((char *)p + 6 * MIB);
	q = hak_realloc(p, 9 * MIB);
	assert_ptr_not_equal(q, p);
	assert_true(filled(q, 5 * MIB));
	assert_true(beside[0] == 0x77 && !memcmp(beside, beside + 1, 512 * KIB - 1));
	unblock(blocked);
	hak_free(beside);
	hak_free(q);
}

#define VECTORS 6u

/* Vectors that grow, shrink and end in any order keep their contents, whatever moves. */
static void vectors_keep_their_contents(void **state)
{
	struct random_run run = { .steps = 400 };
	uint64_t *v[VECTORS] = { 0 };
	size_t size[VECTORS] = { 0 };

	(void)state;
	run.seed = run.state = hak_sys_random();
	print_message("# seed %llu\n", (unsigned long long)run.seed);
	for (; run.step < run.steps; run.step++) {
		uint32_t i = random_below(&run, VECTORS);
		size_t next = size[i] + random_skewed(&run, 3 * MIB) / 8 * 8;

		assert_true(!v[i] || filled(v[i], size[i]));
		if (!random_below(&run, 12)) {
			hak_free(v[i]);
			v[i] = NULL;
			size[i] = 0;
			continue;
		}
		if (size[i] && !random_below(&run, 6))
			next = size[i] / 16 * 8 + 4096;
		v[i] = hak_realloc(v[i], next + 4096);
		assert_non_null(v[i]);
		if (size[i] && size[i] < next)
			assert_true(filled(v[i], size[i]));
		size[i] = next + 4096;
		fill_all(v[i], size[i]);
		assert_int_equal(hak_slab_of(v[i])->n_slabs << HAK_SLAB_SHIFT >= size[i] ||
					 size[i] <= 32 * KIB,
				 true);
	}
	for (uint32_t i = 0; i < VECTORS; i++)
		hak_free(v[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(large_spans_move_without_a_copy),
		TEST(neighbours_stay_when_a_span_moves),
		TEST(vectors_keep_their_contents),
	};

	unit_watchdog();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
