/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A heap of small blocks, most of them freed, and then other sizes: whatever an allocator does with
 * the holes, the contract holds for the blocks that it puts there and for those beside them.
 */
#include "tests/api/family.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SMALL   262144u /* of 64 bytes: 16 MiB */
#define STAYING (SMALL / 16)
#define LARGER  8192u

static void *small[SMALL];

struct block {
	unsigned char *p;
	size_t size;
};

static struct block larger[LARGER];

static uint64_t seed_of(const struct block *b)
{
	return (uintptr_t)b->p + b->size;
}

static void write_block(struct block *b, void *p, size_t size)
{
	CHECK(p && family_aligned(p, 16));
	CHECK(malloc_usable_size(p) >= size);
	*b = (struct block){ p, size };
	api_fill(p, size, seed_of(b));
}

static void free_block(struct block *b)
{
	CHECK(!b->p || api_filled(b->p, b->size, seed_of(b)));
	free(b->p);
	b->p = NULL;
}

static int begin(void **state)
{
	(void)state;
	for (size_t i = 0; i < SMALL; i++) {
		small[i] = malloc(64);
		assert_non_null(small[i]);
		memset(small[i], (int)i, 64);
	}
	for (size_t i = 0; i < SMALL; i++) {
		if (i % 16)
			free(small[i]);
	}
	return 0;
}

static int end(void **state)
{
	(void)state;
	for (size_t i = 0; i < LARGER; i++)
		free_block(&larger[i]);
	for (size_t i = 0; i < SMALL; i += 16) {
		const unsigned char *p = small[i];

		for (size_t j = 0; j < 64; j++)
			assert_int_equal(p[j], (unsigned char)i);
		free(small[i]);
	}
	return 0;
}

static size_t size_at(size_t i)
{
	return 65 + i * 37 % 840;
}

static void malloc_puts_blocks_beside_others(void **state)
{
	(void)state;
	for (size_t i = 0; i < LARGER; i++)
		write_block(&larger[i], malloc(size_at(i)), size_at(i));
}

static void calloc_is_zero_there(void **state)
{
	(void)state;
	for (size_t i = 0; i < LARGER; i++) {
		unsigned char *p = calloc(1, size_at(i));

		assert_non_null(p);
		for (size_t j = 0; j < size_at(i); j++)
			assert_int_equal(p[j], 0);
		write_block(&larger[i], p, size_at(i));
	}
}

static void realloc_moves_blocks_in_and_out(void **state)
{
	(void)state;
	for (int round = 0; round < 4; round++) {
		for (size_t i = 0; i < LARGER; i++) {
			struct block *b = &larger[i];
			size_t size = size_at(i + (size_t)round * 1000);
			size_t kept = b->p && b->size < size ? b->size : size;
			uint64_t seed = seed_of(b);
			unsigned char *p = realloc(b->p, size);

			assert_non_null(p);
			if (b->p)
				assert_true(api_filled(p, kept, seed));
			write_block(b, p, size);
		}
	}
	for (size_t i = 0; i < STAYING; i++) {
		unsigned char *p = realloc(small[16 * i], 700);

		for (size_t j = 0; j < 64; j++)
			assert_int_equal(p[j], (unsigned char)(16 * i));
		small[16 * i] = p;
	}
}

static void aligned_blocks_are_aligned_there(void **state)
{
	(void)state;
	for (size_t i = 0; i < LARGER; i++) {
		size_t align = (size_t)32 << i % 6;
		void *p = aligned_alloc(align, size_at(i));

		assert_true(family_aligned(p, align));
		write_block(&larger[i], p, size_at(i));
		if (i % 3 == 0)
			free_block(&larger[i]);
	}
}

static void *free_part(void *arg)
{
	size_t part = *(size_t *)arg;

	for (size_t i = part; i < LARGER; i += 4)
		free_block(&larger[i]);
	for (size_t i = part; i < LARGER; i += 4)
		write_block(&larger[i], malloc(3 * size_at(i)), 3 * size_at(i));
	return NULL;
}

static void other_threads_free_them(void **state)
{
	pthread_t threads[4];
	size_t part[4];

	malloc_puts_blocks_beside_others(state);
	for (size_t i = 0; i < 4; i++) {
		part[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, free_part, &part[i]), 0);
	}
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void a_forked_child_has_them(void **state)
{
	int status;
	pid_t pid;

	malloc_puts_blocks_beside_others(state);
	pid = fork();
	if (!pid) {
		for (size_t i = 0; i < LARGER; i++)
			free_block(&larger[i]);
		for (size_t i = 0; i < LARGER; i++)
			write_block(&larger[i], malloc(2 * size_at(i)), 2 * size_at(i));
		for (size_t i = 0; i < LARGER; i++)
			free_block(&larger[i]);
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(malloc_puts_blocks_beside_others), TEST(calloc_is_zero_there),
		TEST(realloc_moves_blocks_in_and_out),  TEST(aligned_blocks_are_aligned_there),
		TEST(other_threads_free_them),          TEST(a_forked_child_has_them),
	};

	return cmocka_run_group_tests_name("holes", tests, NULL, NULL);
}
