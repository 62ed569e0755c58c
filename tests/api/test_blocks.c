/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where blocks lie and how much of them may be written: alignment of every function at every size,
 * and the whole usable size without touching a neighbour.
 */
#include "tests/api/family.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define GROUP     48 /* blocks alive at once */
#define ALIGN_MAX (4 * MIB)

/* A group of live blocks of one request, each filled to its usable size with its own pattern. */
struct group {
	unsigned char *block[GROUP];
	size_t usable[GROUP];
	size_t n;
};

static void group_add(struct group *group, void *p, size_t size, size_t align)
{
	size_t i = group->n;

	assert_non_null(p);
	if (!family_aligned(p, align))
		fail_msg("size %zu: %p is not aligned to %zu", size, p, align);
	group->block[i] = p;
	group->usable[i] = malloc_usable_size(p);
	if (group->usable[i] < size)
		fail_msg("size %zu: usable size is %zu", size, group->usable[i]);
	api_fill(p, group->usable[i], (uintptr_t)p + size);
	group->n++;
}

static void group_check_and_free(struct group *group, size_t size)
{
	for (size_t i = 0; i < group->n; i++)
		if (!api_filled(group->block[i], group->usable[i],
				(uintptr_t)group->block[i] + size))
			fail_msg("size %zu: block %zu was overwritten", size, i);
	for (size_t i = 0; i < group->n; i++)
		free(group->block[i]);
	group->n = 0;
}

static void check_size(size_t size, size_t n)
{
	struct group group = { .n = 0 };

	for (size_t i = 0; i < n; i++)
		group_add(&group, malloc(size), size, 16);
	group_check_and_free(&group, size);
}

static void every_small_size_is_aligned_and_wholly_writable(void **state)
{
	(void)state;
	for (size_t size = 0; size <= 4200; size++)
		check_size(size, 12);
}

static void every_class_edge_is_aligned_and_wholly_writable(void **state)
{
	(void)state;
	/* Eight steps per doubling: each edge of four or eight classes per doubling is there. */
	for (size_t power = 8; power <= MIB; power *= 2)
		for (size_t step = 0; step < 8; step++) {
			size_t size = power + power * step / 8;

			for (size_t delta = 0; delta < 3; delta++)
				check_size(size + delta - 1, power <= 64 * KIB ? GROUP : 3);
		}
}

static void huge_blocks_are_aligned_and_wholly_writable(void **state)
{
	static const size_t sizes[] = { 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 4 * MIB, 7 * MIB + 5 };

	(void)state;
	for (size_t i = 0; i < API_COUNT(sizes); i++)
		check_size(sizes[i], 3);
}

static void *allocate_aligned(size_t which, size_t align, size_t size)
{
	void *p = NULL;

	if (which == 0)
		return memalign(align, size);
	if (which == 1 || align < sizeof(void *))
		return aligned_alloc(align, size);
	assert_int_equal(posix_memalign(&p, align, size), 0);
	return p;
}

static void every_power_of_two_alignment_is_kept(void **state)
{
	(void)state;
	for (size_t align = 1; align <= ALIGN_MAX; align *= 2) {
		const size_t sizes[] = { 0,    1,         8,     24,        100,       1000,
					 5000, align - 1, align, align + 1, 3 * align, 100000 };

		for (size_t s = 0; s < API_COUNT(sizes); s++) {
			struct group group = { .n = 0 };
			size_t n = sizes[s] > MIB ? 1 : align > 64 * KIB ? 3 : 12;

			/* Fewer of the largest: writing them is what this test spends time on. */
			if (sizes[s] > 4 * MIB + 1)
				continue;
			for (size_t which = 0; which < 3; which++)
				for (size_t i = 0; i < n; i++)
					group_add(&group, allocate_aligned(which, align, sizes[s]),
						  sizes[s], align < 16 ? 16 : align);
			group_check_and_free(&group, sizes[s]);
		}
	}
}

/* glibc 2.36 rounds up where POSIX and C23 leave the result open; posix_memalign() refuses. */
static void odd_alignment_is_rounded_up(void **state)
{
	static const size_t odd[][2] = {
		{ 0, 16 },
		{ 3, 16 },
		{ 7, 16 },
		{ 12, 16 },
		{ 17, 32 },
		{ 24, 32 },
		{ 48, 64 },
		{ 100, 128 },
		{ 1000, 1024 },
		{ 4095, 4096 },
		{ 4097, 8192 },
		{ 5000, 8192 },
		{ 70000, 131072 },
		{ 1000001, 1 << 20 },
		{ 2000000, 2 << 20 },
	};

	(void)state;
	for (size_t i = 0; i < API_COUNT(odd); i++)
		for (size_t which = 0; which < 2; which++) {
			struct group group = { .n = 0 };

			for (size_t k = 0; k < 6; k++)
				group_add(&group,
					  allocate_aligned(which, api_hide_size(odd[i][0]),
							   100 * k),
					  100 * k, odd[i][1]);
			for (size_t k = 0; k < group.n; k++)
				free(group.block[k]);
		}
}

static void valloc_and_pvalloc_give_whole_pages(void **state)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	(void)state;
	for (size_t size = 0; size < 5 * page; size += 61) {
		void *v = valloc(size), *p = pvalloc(size);

		assert_non_null(v);
		assert_non_null(p);
		assert_true(family_aligned(v, page));
		assert_true(family_aligned(p, page));
		assert_true(malloc_usable_size(v) >= size);
		assert_true(malloc_usable_size(p) >= (size + page - 1) / page * page);
		memset(p, 1, malloc_usable_size(p));
		memset(v, 2, malloc_usable_size(v));
		assert_true(api_all(p, malloc_usable_size(p), 1));
		free(v);
		free(p);
	}
}

/* The same blocks again and again must not drift, leak, or become smaller than promised. */
static void usable_size_does_not_change_while_the_block_lives(void **state)
{
	void *block[500];
	size_t usable[API_COUNT(block)];

	(void)state;
	for (size_t i = 0; i < API_COUNT(block); i++) {
		block[i] = malloc(i * 37);
		assert_non_null(block[i]);
		usable[i] = malloc_usable_size(block[i]);
	}
	for (size_t i = 0; i < API_COUNT(block); i += 2)
		free(block[i]);
	for (size_t i = 1; i < API_COUNT(block); i += 2) {
		assert_int_equal(malloc_usable_size(block[i]), usable[i]);
		free(block[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_small_size_is_aligned_and_wholly_writable),
		cmocka_unit_test(every_class_edge_is_aligned_and_wholly_writable),
		cmocka_unit_test(huge_blocks_are_aligned_and_wholly_writable),
		cmocka_unit_test(every_power_of_two_alignment_is_kept),
		cmocka_unit_test(odd_alignment_is_rounded_up),
		cmocka_unit_test(valloc_and_pvalloc_give_whole_pages),
		cmocka_unit_test(usable_size_does_not_change_while_the_block_lives),
	};

	return cmocka_run_group_tests_name("blocks", tests, NULL, NULL);
}
