/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where blocks come from, proved by address: with HAKMEM_FORCE_LIBC_ALLOC=1 or HAKMEM_MODE=libc not
 * one comes from us, without them every one does. That holds for blocks allocated before main() and
 * before any constructor of ours too: a switch that is seen late makes measurements lie.
 *
 *   test_origin libc|hakmem|daemon
 *
 * With `daemon` they must be the daemon's besides: an embedded heap would serve as well, unnoticed.
 *
 * Three witnesses: hak_owns(), the kernel's map, and glibc's chunk header in front of its blocks.
 */
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include "tests/api/api.h"
#include "tests/api/early.h"
#include "tests/api/maps.h"

#include <cmocka.h>

#define THREADS    4
#define PER_THREAD 25000

/* glibc's chunk: the word before a block is its size with these flags. */
#define CHUNK_FLAGS       ((size_t)7)
#define CHUNK_MMAPPED     ((size_t)2)
#define CHUNK_OTHER_ARENA ((size_t)4)

static bool want_libc, want_daemon;
static struct maps maps;
static void *preinit_block[50], *constructor_block[50];
static size_t preinit_size[50], constructor_size[50];
static void *block[THREADS][PER_THREAD];

static void allocate_in_preinit(void)
{
	early_allocate(preinit_block, preinit_size, API_COUNT(preinit_block));
}

/* Runs before the constructors of all libraries, libc's own among them. */
__attribute__((section(".preinit_array"),
	       used)) static void (*const preinit)(void) = allocate_in_preinit;

__attribute__((constructor(101))) static void allocate_in_constructor(void)
{
	early_allocate(constructor_block, constructor_size, API_COUNT(constructor_block));
}

static void check_libc_chunk(const void *p, const struct maps_entry *entry)
{
	size_t word = ((const size_t *)p)[-1], usable = malloc_usable_size((void *)(uintptr_t)p);
	size_t size = word & ~CHUNK_FLAGS;

	if (usable != size - (word & CHUNK_MMAPPED ? 16 : 8))
		fail_msg("%p has no glibc chunk header: %zx, usable %zu", p, word, usable);
	/* The main arena is the heap of brk(); large chunks and other arenas are not in it. */
	if ((strcmp(entry->name, "[heap]") == 0) != !(word & (CHUNK_MMAPPED | CHUNK_OTHER_ARENA)))
		fail_msg("%p lies in %s, its chunk says %zx", p, entry->name, word);
}

static void check_origin(const void *p)
{
	const struct maps_entry *entry = maps_find(&maps, p);
	int owned = api_owns(p);

	if (!entry || !entry->writable)
		fail_msg("%p lies in no writable mapping", p);
	if (owned != (api_preloaded() ? !want_libc : -1))
		fail_msg("hak_owns(%p) is %d, in mapping '%s'", p, owned, entry->name);
	if (!want_libc) {
		assert_string_not_equal(entry->name, "[heap]");
		return;
	}
	if (entry->name[0] && strcmp(entry->name, "[heap]") != 0)
		fail_msg("%p lies in '%s'", p, entry->name);
	check_libc_chunk(p, entry);
}

static void check_all(void **blocks, size_t n)
{
	maps_read(&maps);
	for (size_t i = 0; i < n; i++)
		check_origin(blocks[i]);
	maps = maps_deinit(&maps);
}

static void blocks_of_preinit_array(void **state)
{
	(void)state;
	check_all(preinit_block, API_COUNT(preinit_block));
}

static void blocks_of_a_library_constructor(void **state)
{
	(void)state;
	check_all(early_block, API_COUNT(early_block));
}

static void blocks_of_the_first_constructor(void **state)
{
	(void)state;
	check_all(constructor_block, API_COUNT(constructor_block));
}

static void blocks_survive_until_main_and_are_freed(void **state)
{
	(void)state;
	for (size_t i = 0; i < EARLY_BLOCKS; i++) {
		assert_true(api_all(early_block[i], early_size[i], (unsigned char)(i % 250)));
		free(early_block[i]);
	}
	for (size_t i = 0; i < API_COUNT(preinit_block); i++) {
		assert_true(api_all(preinit_block[i], preinit_size[i], (unsigned char)i));
		assert_true(api_all(constructor_block[i], constructor_size[i], (unsigned char)i));
		free(preinit_block[i]);
		free(constructor_block[i]);
	}
}

static void *allocate_one(uint64_t *random, size_t i)
{
	uint64_t r = api_random(random);
	size_t size = (r >> 8) % (i % 2000 == 0 ? 4 * MIB : i % 16 == 0 ? 64 * KIB : 1100);
	void *p = NULL;

	switch (r % 8) {
	case 0:
		return calloc(1, size);
	case 1:
		return realloc(malloc(size / 2), size + 1);
	case 2:
		return memalign((size_t)16 << (r >> 40) % 9, size);
	case 3:
		CHECK(posix_memalign(&p, 64, size) == 0);
		return p;
	case 4:
		return i % 8 ? strdup("a block that libc allocates for itself") : valloc(size);
	default:
		return malloc(size);
	}
}

static void *allocate_many(void *argument)
{
	size_t thread = (uintptr_t)argument;
	uint64_t random = thread;

	for (size_t i = 0; i < PER_THREAD; i++) {
		block[thread][i] = allocate_one(&random, i);
		CHECK(block[thread][i] != NULL);
		/* A hole here and there, so that memory of the second hand is among them. */
		if (i % 5 == 4) {
			free(block[thread][i - 3]);
			block[thread][i - 3] = allocate_one(&random, i);
			CHECK(block[thread][i - 3] != NULL);
		}
	}
	return NULL;
}

static void hundred_thousand_blocks_of_four_threads(void **state)
{
	pthread_t thread[THREADS];

	(void)state;
	for (uintptr_t i = 1; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, allocate_many, (void *)i), 0);
	(void)allocate_many((void *)0);
	for (size_t i = 1; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	check_all(block[0], THREADS * (size_t)PER_THREAD);
	for (size_t i = 0; i < THREADS; i++)
		for (size_t k = 0; k < PER_THREAD; k++)
			free(block[i][k]);
}

/* Else the check above that libc's blocks lie in none of ours would mean nothing. */
static void our_mappings_carry_our_name(void **state)
{
	void *p = malloc(100);
	const struct maps_entry *entry;
	size_t named = 0;

	(void)state;
	assert_non_null(p);
	maps_read(&maps);
	entry = maps_find(&maps, p);
	assert_non_null(entry);
	for (size_t i = 0; i < maps.n; i++)
		named += strstr(maps.entry[i].name, "hakmem") && !strstr(maps.entry[i].name, ".so");
	if (want_daemon)
		assert_non_null(strstr(entry->name, "/memfd:hakmem"));
	if (!want_libc && maps_has_anonymous_names())
		assert_non_null(strstr(entry->name, "hakmem"));
	if (!api_preloaded())
		assert_int_equal(named, 0);
	maps = maps_deinit(&maps);
	free(p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_of_preinit_array),
		cmocka_unit_test(blocks_of_a_library_constructor),
		cmocka_unit_test(blocks_of_the_first_constructor),
		cmocka_unit_test(hundred_thousand_blocks_of_four_threads),
		cmocka_unit_test(blocks_survive_until_main_and_are_freed),
		cmocka_unit_test(our_mappings_carry_our_name),
	};

	CHECK(argc == 2);
	want_libc = strcmp(argv[1], "libc") == 0;
	want_daemon = strcmp(argv[1], "daemon") == 0;
	CHECK(want_libc || want_daemon || strcmp(argv[1], "hakmem") == 0);
	return cmocka_run_group_tests_name("origin", tests, NULL, NULL);
}
