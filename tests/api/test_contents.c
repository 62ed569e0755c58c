/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in a block: kept by realloc up and down across every class edge and every kind of block,
 * zero from calloc whatever was freed before.
 */
#include "tests/api/family.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* One block from size `from` to size `to`; what both sizes have must survive. */
static void check_move(void *p, size_t from, size_t to)
{
	uint64_t seed = from * 31 + to;
	unsigned char *q;

	assert_non_null(p);
	api_fill(p, from, seed);
	q = realloc(p, to);
	assert_non_null(q);
	assert_true(family_aligned(q, 16));
	if (malloc_usable_size(q) < to)
		fail_msg("realloc %zu to %zu: usable size %zu", from, to, malloc_usable_size(q));
	if (!api_filled(q, smaller(from, to), seed))
		fail_msg("realloc %zu to %zu lost contents", from, to);
	/* The new part is ours to write, to the last byte. */
	q[to - 1] = 1;
	free(q);
}

static void check_edge(size_t edge)
{
	static const ptrdiff_t delta[] = { -1, 0, 1, 2 };

	for (size_t i = 0; i < API_COUNT(delta); i++)
		for (size_t k = 0; k < API_COUNT(delta); k++)
			check_move(malloc(edge + (size_t)delta[i]), edge + (size_t)delta[i],
				   edge + (size_t)delta[k]);
}

static void realloc_keeps_contents_at_every_class_edge(void **state)
{
	(void)state;
	for (size_t size = 8; size <= 1100; size += 8)
		check_edge(size);
	for (size_t power = KIB; power <= 512 * KIB; power *= 2)
		for (size_t step = 0; step < 8; step++)
			check_edge(power + power * step / 8);
}

static void realloc_keeps_contents_between_any_two_kinds_of_block(void **state)
{
	static const size_t sizes[] = {
		1,     8,     9,      16,     24,     33,     64,     100,     128,   200,
		255,   512,   700,    1023,   1024,   1025,   1500,   2048,    3000,  4096,
		4097,  6000,  8192,   10000,  16384,  20000,  32767,  32768,   32769, 50000,
		65536, 65537, 100000, 131072, 200000, 300000, 524288, 1000000,
	};

	(void)state;
	for (size_t i = 0; i < API_COUNT(sizes); i++)
		for (size_t k = 0; k < API_COUNT(sizes); k++)
			check_move(malloc(sizes[i]), sizes[i], sizes[k]);
}

static void realloc_keeps_contents_of_large_blocks(void **state)
{
	static const size_t sizes[][2] = {
		{ 64 * KIB, 2 * MIB },      { 2 * MIB, 64 * KIB },    { 2 * MIB - 1, 2 * MIB },
		{ 2 * MIB, 2 * MIB + 1 },   { 2 * MIB + 1, 2 * MIB }, { 2 * MIB, 4 * MIB },
		{ 4 * MIB, 2 * MIB },       { 4 * MIB + 1, 6 * MIB }, { 8 * MIB, 100 },
		{ 1000, 8 * MIB },          { 2 * MIB, 64 * MIB },    { 64 * MIB, 2 * MIB },
		{ 64 * MIB, 64 * MIB + 1 }, { 3 * MIB - 1, 3 * MIB }, { 64 * MIB, 65 * MIB },
	};

	(void)state;
	for (size_t i = 0; i < API_COUNT(sizes); i++)
		check_move(malloc(sizes[i][0]), sizes[i][0], sizes[i][1]);
}

static void realloc_keeps_contents_of_aligned_blocks(void **state)
{
	static const size_t sizes[] = { 1, 50, 1000, 5000, 40000, 70000, 300000 };

	(void)state;
	for (size_t align = 32; align <= 2 * MIB; align *= 4)
		for (size_t i = 0; i < API_COUNT(sizes); i++)
			for (size_t k = 0; k < API_COUNT(sizes); k++)
				check_move(memalign(align, sizes[i]), sizes[i], sizes[k]);
}

static void realloc_grows_and_shrinks_in_a_chain(void **state)
{
	unsigned char *p = NULL;
	size_t n = 0;

	(void)state;
	for (; n < 6000; n++) {
		p = realloc(p, n + 1);
		assert_non_null(p);
		p[n] = (unsigned char)(n % 251);
	}
	for (; n < 32 * MIB; n *= 2) {
		p = realloc(p, n * 2);
		assert_non_null(p);
		memset(p + n, (int)(n / 6000 % 251), n);
	}
	for (size_t m = 6000; m < n; m *= 2)
		assert_true(api_all(p + m, m, (unsigned char)(m / 6000 % 251)));
	for (; n > 0; n = n * 2 / 3) {
		p = realloc(p, n);
		assert_non_null(p);
		for (size_t i = 0; i < smaller(n, 6000); i++)
			assert_int_equal(p[i], i % 251);
	}
	free(p);
}

static void reallocarray_keeps_contents(void **state)
{
	uint32_t *p = NULL;

	(void)state;
	for (uint32_t n = 1; n < 300000; n += n / 3 + 1) {
		p = reallocarray(p, n, sizeof(*p));
		assert_non_null(p);
		p[n - 1] = n;
		for (uint32_t m = 1; m <= n; m += m / 3 + 1)
			assert_int_equal(p[m - 1], m);
	}
	free(p);
}

/* Dirty memory of this size and its neighbours first, so that calloc gets some of it back. */
static void check_calloc(size_t size, size_t n)
{
	unsigned char *block[64];

	for (size_t round = 0; round < 2; round++) {
		for (size_t i = 0; i < n; i++) {
			block[i] = malloc(round ? size : size + i % 16);
			assert_non_null(block[i]);
			memset(block[i], 0xff, malloc_usable_size(block[i]));
		}
		for (size_t i = 0; i < n; i++)
			free(block[round ? i : n - 1 - i]);
		for (size_t i = 0; i < n; i++) {
			block[i] = i % 2 ? calloc(1, size) : calloc(size, 1);
			assert_non_null(block[i]);
			if (!api_all(block[i], size, 0))
				fail_msg("calloc(%zu) is not zero", size);
		}
		for (size_t i = 0; i < n; i++)
			free(block[i]);
	}
}

static void calloc_is_zero_after_dirty_frees(void **state)
{
	static const size_t large[] = { 64 * KIB - 8, 64 * KIB,     100000,  256 * KIB,
					MIB,          2 * MIB - 64, 2 * MIB, 5 * MIB };

	(void)state;
	for (size_t size = 1; size <= 1100; size += 3)
		check_calloc(size, 64);
	for (size_t size = 1200; size <= 60000; size += size / 11)
		check_calloc(size, 64);
	for (size_t i = 0; i < API_COUNT(large); i++)
		check_calloc(large[i], large[i] >= MIB ? 4 : 16);
}

/* Carve large freed memory into small blocks and the other way round. */
static void calloc_is_zero_when_memory_changes_its_use(void **state)
{
	void *small[2000];

	(void)state;
	for (size_t size = 16; size <= 1024; size *= 2)
		for (size_t large = 64 * KIB; large <= 4 * MIB; large *= 8) {
			void *p = malloc(large);

			assert_non_null(p);
			memset(p, 0xee, large);
			free(p);
			for (size_t i = 0; i < API_COUNT(small); i++) {
				small[i] = calloc(1, size);
				assert_non_null(small[i]);
				assert_true(api_all(small[i], size, 0));
				memset(small[i], 0xdd, size);
			}
			for (size_t i = 0; i < API_COUNT(small); i++)
				free(small[i]);
			p = calloc(1, large);
			assert_non_null(p);
			assert_true(api_all(p, large, 0));
			memset(p, 0xcc, large);
			free(p);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(realloc_keeps_contents_at_every_class_edge),
		cmocka_unit_test(realloc_keeps_contents_between_any_two_kinds_of_block),
		cmocka_unit_test(realloc_keeps_contents_of_large_blocks),
		cmocka_unit_test(realloc_keeps_contents_of_aligned_blocks),
		cmocka_unit_test(realloc_grows_and_shrinks_in_a_chain),
		cmocka_unit_test(reallocarray_keeps_contents),
		cmocka_unit_test(calloc_is_zero_after_dirty_frees),
		cmocka_unit_test(calloc_is_zero_when_memory_changes_its_use),
	};

	return cmocka_run_group_tests_name("contents", tests, NULL, NULL);
}
