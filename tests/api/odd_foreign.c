/* SPDX-License-Identifier: Apache-2.0 */
/*
 * free() of what is not ours to free. The answer may be to hand the pointer to libc, to ignore it,
 * or to end the process with a message; never to corrupt. So after each misdeed the program goes on
 * for thousands of checked operations, in which no foreign memory may be handed out.
 *
 *   odd_foreign libc       a block of libc's own malloc: legal where two allocators meet
 *   odd_foreign resize     the same to realloc() and malloc_usable_size()
 *   odd_foreign libc-thread, resize-thread
 *                          the same in a thread, where glibc takes another arena than the break's
 *   odd_foreign stack      an address on the stack
 *   odd_foreign global     in static memory, behind something that looks like a glibc chunk header
 *   odd_foreign mapping    in a mapping of the program's own, 2 MiB aligned
 *   odd_foreign interior   16 bytes into a block
 *   odd_foreign twice      a block, twice
 *   odd_foreign twice-huge a block of 4 MiB, twice
 *   odd_foreign written    not freed but written to, after it was: a block's middle
 */
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

#include "tests/api/blocks.h"

static struct blocks set;
static union {
	max_align_t align;
	size_t word[4096];
	char byte[4096 * sizeof(size_t)];
} trap;

static int in_trap(const void *p)
{
	return (const char *)p >= trap.byte && (const char *)p < trap.byte + sizeof(trap);
}

/* Where corruption would show: of each size there are more blocks alive than any cache holds. */
static void go_on(const char *low, const char *high)
{
	/* 56 and 136 are what glibc would cut from the forged chunks. */
	static const size_t sizes[] = { 16, 56, 64, 136, 256, 1024, 8192 };
	static char *block[3000];

	for (size_t s = 0; s < API_COUNT(sizes); s++) {
		size_t size = sizes[s];

		for (size_t i = 0; i < API_COUNT(block); i++) {
			block[i] = malloc(size);
			CHECK(block[i] != NULL);
			CHECK(!in_trap(block[i]));
			CHECK(block[i] + size <= low || block[i] >= high);
			api_fill(block[i], size, i);
		}
		for (size_t i = 0; i < API_COUNT(block); i++) {
			CHECK(api_filled(block[i], size, i));
			free(block[i]);
		}
	}
	blocks_check(&set);
	blocks_churn(1, 3000);
	blocks_free(&set);
}

/* After a double free the same block may come twice: only a crash is a failure then. */
static void go_on_after_double_free(void)
{
	static void *block[1000];

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < API_COUNT(block); i++) {
			block[i] = malloc(1 + i % 300);
			CHECK(block[i] != NULL);
			memset(block[i], 0x66, 1 + i % 300);
		}
		for (size_t i = round ? 0 : API_COUNT(block) / 2; i < API_COUNT(block); i++)
			free(block[i]);
	}
}

static void *(*libc_malloc)(size_t);

static void find_libc(void)
{
	libc_malloc = (void *(*)(size_t))api_symbol("__libc_malloc");
	if (!libc_malloc)
		exit(API_SKIPPED);
}

static void *free_libc_blocks(void *unused)
{
	for (size_t i = 0; i < 3000; i++) {
		void *p = libc_malloc(blocks_size(i % 300));

		CHECK(p != NULL);
		errno = EDOM;
		free(p);
		CHECK(errno == EDOM);
	}
	return unused;
}

static void *resize_libc_blocks(void *unused)
{
	for (size_t i = 0; i < 3000; i++) {
		size_t size = blocks_size(i % 300), next = blocks_size((i + 7) % 300);
		void *p = libc_malloc(size);

		CHECK(p != NULL);
		CHECK(malloc_usable_size(p) >= size);
		api_fill(p, size, i);
		p = realloc(p, next);
		CHECK(p != NULL);
		CHECK(malloc_usable_size(p) >= next);
		CHECK(api_filled(p, size < next ? size : next, i));
		free(p);
	}
	return unused;
}

static void free_libc(void)
{
	find_libc();
	(void)free_libc_blocks(NULL);
	go_on(NULL, NULL);
}

static void resize_libc(void)
{
	find_libc();
	(void)resize_libc_blocks(NULL);
	go_on(NULL, NULL);
}

static void in_thread(void *(*run)(void *))
{
	pthread_t thread;

	find_libc();
	CHECK(pthread_create(&thread, NULL, run, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	go_on(NULL, NULL);
}

static void free_libc_in_thread(void)
{
	in_thread(free_libc_blocks);
}

static void resize_libc_in_thread(void)
{
	in_thread(resize_libc_blocks);
}

static void free_stack(void)
{
	size_t word[64];

	for (size_t i = 0; i < API_COUNT(word); i++)
		word[i] = 0x41;
	free(api_hide(&word[10]));
	free(api_hide((char *)word + 13));
	go_on((char *)word, (char *)(word + API_COUNT(word)));
}

static void free_global(void)
{
	for (size_t i = 0; i < API_COUNT(trap.word); i++)
		trap.word[i] = 0x91;
	free(api_hide(&trap.word[2]));
	go_on(NULL, NULL);
}

static void free_mapping(void)
{
	char *p = mmap(NULL, 6 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *aligned = p + (2 * MIB - ((uintptr_t)p & (2 * MIB - 1)));

	CHECK(p != MAP_FAILED);
	free(api_hide(aligned + 64 * KIB));
	free(api_hide(aligned));
	go_on(p, p + 6 * MIB);
	/* Still mapped, and still ours. */
	memset(p, 1, 6 * MIB);
}

static void free_interior(void)
{
	char *p = malloc(1000);

	CHECK(p != NULL);
	free(api_hide(p + 16));
	go_on_after_double_free();
}

static void free_twice(size_t size)
{
	char *p = malloc(size), *q = malloc(size);

	CHECK(p != NULL && q != NULL);
	free(p);
	free(q);
	free(api_hide(p));
	go_on_after_double_free();
}

static void write_after_free(void)
{
	char *p = malloc(1000);

	CHECK(p != NULL);
	free(p);
	((char *)api_hide(p))[500] = 1;
	for (int i = 0; i < 1000; i++)
		CHECK(malloc(1000) != NULL);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} deeds[] = {
		{ "libc", free_libc },
		{ "libc-thread", free_libc_in_thread },
		{ "resize-thread", resize_libc_in_thread },
		{ "resize", resize_libc },
		{ "stack", free_stack },
		{ "global", free_global },
		{ "mapping", free_mapping },
		{ "interior", free_interior },
		{ "written", write_after_free },
	};

	CHECK(argc == 2);
	blocks_new(&set, BLOCKS_MAX, 1);
	for (size_t i = 0; i < API_COUNT(deeds); i++)
		if (strcmp(argv[1], deeds[i].name) == 0) {
			deeds[i].run();
			return 0;
		}
	CHECK(strncmp(argv[1], "twice", 5) == 0);
	free_twice(argv[1][5] ? 4 * MIB : 100);
	return 0;
}
