/* SPDX-License-Identifier: Apache-2.0 */
/* In which pages superslabs begin. What one test did would decide the next: each has a process. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "libclient/heap.h"
#include "libclient/include/hakmem.h"
#include "libclient/pages.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static const struct hak_super *super(uint32_t n)
{
	return &hak_heap.carve.supers[HAK_LOCAL_FIRST + n];
}

static uint32_t begun(void)
{
	return hak_heap.carve.n_added - hak_heap.carve.n_clean;
}

static uint32_t count_whole(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < hak_heap.carve.n_added; i++)
		n += (super(i)->flags & HAK_SUPER_WHOLE) != 0;
	return n;
}

static void fill(size_t total, size_t size, size_t touched)
{
	for (size_t at = 0; at < total; at += size) {
		char *p = hak_malloc(size);

		for (size_t i = 0; i < touched; i += 4096)
			((volatile char *)p)[i] = 1;
	}
}

/* Each returns 0, or the line that is wrong. */
#define WANT(x)                          \
	do {                             \
		if (!(x))                \
			return __LINE__; \
	} while (0)

static int small(void)
{
	uint32_t pages, all = 0;

	fill(5 * MIB, 256 * KIB, 1);
	WANT(begun() == 3 && !count_whole());
	for (uint32_t i = 0; i < begun(); i++) {
		WANT(!hak_sys_resident(hak_heap_at(&hak_heap, HAK_LOCAL_FIRST + i),
				       HAK_SUPERSLAB_SIZE, &pages));
		all += pages;
	}
	WANT(all >= 20 && all < 100); /* and what libc has got */
	return 0;
}

static int dense(void)
{
	fill(24 * MIB, 512 * KIB, 512 * KIB);
	WANT(begun() >= 12 && begun() <= 13);
	for (uint32_t i = 0; i < PAGES_PLAIN; i++)
		WANT(!(super(i)->flags & HAK_SUPER_WHOLE));
	WANT(count_whole() == begun() - PAGES_PLAIN);
	/* Their number doubles: one is looked at again. */
	fill(24 * MIB, 512 * KIB, 512 * KIB);
	WANT(count_whole() == begun() - PAGES_PLAIN - 1);
	return 0;
}

static int sparse(void)
{
	fill(40 * MIB, 64 * KIB, 1);
	WANT(begun() >= 20 && !count_whole());
	return 0;
}

/* Half used and then the other way round: what was decided first does not hold for ever. */
static int sparse_then_dense(void)
{
	fill(20 * MIB, 64 * KIB, 1);
	WANT(!count_whole());
	fill(20 * MIB, 64 * KIB, 64 * KIB);
	WANT(count_whole() > 4);
	return 0;
}

static int untouched(void)
{
	fill(20 * MIB, 1 * MIB, 0);
	WANT(count_whole() > 4);
	return 0;
}

static int covered(void)
{
	(void)hak_malloc(9 * MIB);
	WANT(count_whole() == 4);
	return 0;
}

static void run(int (*fn)(void))
{
	const struct hak_options options = { .size = sizeof(options), .mode = HAK_INFO_EMBEDDED };
	int status;
	pid_t pid;
	void *p;

	assert_int_equal(hak_sys_map_anon(&p, HAK_SUPERSLAB_SIZE), 0);
	if (hak_sys_advise(p, HAK_SUPERSLAB_SIZE, MADV_HUGEPAGE) < 0)
		skip(); /* this kernel has no such pages */
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		int line = hak_init(&options) ? -1 : fn();

		if (line)
			(void)fprintf(stderr, "# line %d\n", line);
		_exit(line != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)hak_sys_unmap(p, HAK_SUPERSLAB_SIZE);
}

static void a_small_heap_is_as_large_as_its_blocks(void **state)
{
	(void)state;
	run(small);
}

static void dense_heaps_go_on_in_large_pages(void **state)
{
	(void)state;
	run(dense);
}

static void sparse_heaps_stay_in_small_pages(void **state)
{
	(void)state;
	run(sparse);
}

static void what_is_decided_follows_the_program(void **state)
{
	(void)state;
	run(sparse_then_dense);
}

static void memory_not_touched_yet_is_no_sign(void **state)
{
	(void)state;
	run(untouched);
}

static void large_blocks_get_large_pages_at_once(void **state)
{
	(void)state;
	run(covered);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_heap_is_as_large_as_its_blocks),
		cmocka_unit_test(dense_heaps_go_on_in_large_pages),
		cmocka_unit_test(sparse_heaps_stay_in_small_pages),
		cmocka_unit_test(what_is_decided_follows_the_program),
		cmocka_unit_test(memory_not_touched_yet_is_no_sign),
		cmocka_unit_test(large_blocks_get_large_pages_at_once),
	};

	unit_watchdog();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
