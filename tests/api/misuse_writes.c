/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that must not be read or written. */
#include <malloc.h>

#include "tests/api/api.h"
#include "tests/api/misuse.h"

#define FREE_BYTE 0xdf

/* The compiler may not know that it is a block. */
static char *block(size_t size)
{
	char *p = api_hide(malloc(size));

	CHECK(p != NULL);
	memset(p, 1, size);
	return p;
}

static void read_byte(const char *p)
{
	(void)*(const volatile char *)p;
}

/* ---- past the end ---- */

static void overflow(char *p, size_t at, size_t n)
{
	misuse_print(p);
	memset(p + at, 0, n);
	free(p);
}

static void one_byte_small(void)
{
	overflow(block(SMALL), SMALL, 1);
}

static void eight_bytes_small(void)
{
	overflow(block(SMALL), SMALL, 8);
}

static void second_byte_small(void)
{
	overflow(block(SMALL), SMALL + 1, 1);
}

static void one_byte_full(void)
{
	overflow(block(16), 16, 1);
}

static void one_byte_tiny(void)
{
	overflow(block(1), 1, 1);
}

static void write_zero_size(void)
{
	overflow(block(0), 0, 1);
}

static void one_byte_sparse(void)
{
	overflow(block(SPARSE), SPARSE, 1);
}

static void one_byte_largest_small(void)
{
	overflow(block(32760), 32760, 1);
}

static void one_byte_calloc(void)
{
	overflow(api_hide(calloc(10, SMALL / 10)), SMALL, 1);
}

static void one_byte_aligned(void)
{
	overflow(api_hide(aligned_alloc(64, 64)), 64, 1);
}

static void one_byte_resized(void)
{
	overflow(api_hide(realloc(block(10), SMALL)), SMALL, 1);
}

static void one_byte_shrunk(void)
{
	char *p = api_hide(realloc(block(SMALL), SMALL - 1));

	CHECK(p != NULL);
	overflow(p, SMALL - 1, 1);
}

static void string(void)
{
	char *p = block(SMALL), text[SMALL + 1];

	memset(text, 'x', SMALL);
	text[SMALL] = 0;
	misuse_print(p);
	strcpy(p, api_hide(text));
	free(p);
}

static void found_by_realloc(void)
{
	char *p = block(SMALL);

	p[SMALL] = 0;
	misuse_print(p);
	CHECK(realloc(p, SMALL + 1) != NULL);
}

static void before_start_small(void)
{
	char *p = block(SPARSE), *q = block(SPARSE);

	CHECK(q == p + SPARSE_BLOCK);
	q[-1] = 0;
	misuse_print(p);
	free(p);
}

/* Beyond what free looks at; found when the block is looked at as a whole. */
static void far_past_end(void)
{
	char *p = block(SPARSE - 400);

	misuse_print(p);
	p[SPARSE - 200] = 0;
	free(p);
}

static void one_byte_large(void)
{
	overflow(block(LARGE + 1), LARGE + 1, 1);
}

static void eight_bytes_large(void)
{
	overflow(block(LARGE + 1), LARGE + 1, 8);
}

static void one_byte_large_aligned(void)
{
	overflow(api_hide(aligned_alloc(4096, LARGE)), LARGE, 1);
}

static void before_start_large(void)
{
	char *p = block(LARGE);

	misuse_print(p);
	p[-1] = 0;
	free(p);
}

static void guard_written(void)
{
	block(LARGE)[LARGE] = 0;
}

static void guard_read(void)
{
	read_byte(block(LARGE) + LARGE);
}

static void guard_far(void)
{
	block(LARGE + 1)[LARGE + 4096] = 0;
}

static void guard_before(void)
{
	read_byte(block(LARGE) - 4096);
}

static void guard_in_child(void)
{
	char *p = block(LARGE);
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		p[LARGE] = 0;
		_exit(0);
	}
	status = api_wait(pid);
	if (WIFSIGNALED(status))
		kill(getpid(), WTERMSIG(status));
}

static void guard_after_fork(void)
{
	char *p = block(LARGE);
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		_exit(0);
	(void)api_wait(pid);
	p[LARGE] = 0;
}

/* ---- after free ---- */

static char *freed(size_t size)
{
	char *p = block(size);

	free(p);
	misuse_print(p);
	return api_hide(p);
}

static void read_freed_large(void)
{
	read_byte(freed(LARGE));
}

static void write_freed_large(void)
{
	freed(LARGE)[LARGE / 2] = 0;
}

static void write_freed_large_later(void)
{
	char *p = freed(LARGE);

	misuse_churn();
	p[5] = 0;
}

static void write_freed_after_fork(void)
{
	char *p = freed(LARGE);
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		_exit(0);
	(void)api_wait(pid);
	p[5] = 0;
}

static void write_freed_huge(void)
{
	freed(64 * MIB)[5 * MIB] = 0;
}

static void read_freed_small(void)
{
	CHECK(api_all(freed(SMALL), SMALL, FREE_BYTE));
}

static void reused(size_t size, size_t at)
{
	char *p = freed(size);

	p[at] = 0;
	for (int i = 0; i < 1000; i++)
		free(block(size));
}

static void reused_small(void)
{
	reused(SMALL, 50);
}

static void reused_first_byte(void)
{
	reused(SMALL, 0);
}

static void reused_last_byte(void)
{
	reused(SMALL, SMALL - 1);
}

static void reused_sparse(void)
{
	reused(SPARSE, 2000);
}

static void reused_zero_size(void)
{
	reused(0, 0);
}

static void written_until_exit(void)
{
	freed(SMALL)[50] = 0;
}

static void written_until_trim(void)
{
	freed(SMALL)[50] = 0;
	malloc_trim(0);
	_exit(0);
}

static void *write_freed(void *unused)
{
	freed(SMALL)[50] = 0;
	return unused;
}

static void written_until_thread_end(void)
{
	misuse_in_thread(write_freed, NULL);
	_exit(0);
}

/* The thread's blocks are in the slabs by then. */
static void written_in_slab(void)
{
	char *p = block(SMALL), *q = block(SMALL); /* q keeps the slab */

	CHECK(q != p);
	free(p);
	malloc_trim(0);
	misuse_print(p);
	*(char *)api_hide(p) = 0;
}

/* ---- what a fresh block shows, and when ---- */

static void fresh_small(void)
{
	char *p = block(SMALL), *q = NULL;

	free(p);
	for (int i = 0; i < 100000 && q != p; i++) {
		q = api_hide(malloc(SMALL));
		CHECK(q != p || api_all(q, SMALL, FREE_BYTE));
		CHECK(q == p || !api_all(q, SMALL, 1));
		free(q);
	}
	CHECK(q == p);
}

static void fresh_large(void)
{
	for (int i = 0; i < 200; i++) {
		char *p = api_hide(malloc(LARGE));

		CHECK(p != NULL);
		for (size_t at = 0; at < LARGE; at++)
			CHECK(p[at] != 1);
		memset(p, 1, LARGE);
		free(p);
	}
}

static void reuse_is_delayed(size_t size)
{
	char *p = block(size);

	free(p);
	for (int i = 0; i < 4; i++) {
		char *q = malloc(size);

		CHECK(q != p);
		free(q);
	}
}

static void delayed_small(void)
{
	reuse_is_delayed(SMALL);
}

static void delayed_large(void)
{
	reuse_is_delayed(LARGE);
}

/* More than a process may have mappings, if each had guards. */
static void many_large(void)
{
	static char *many[40000];

	for (size_t i = 0; i < API_COUNT(many); i++)
		CHECK((many[i] = malloc(9 * 4096)) != NULL);
	for (size_t i = 0; i < API_COUNT(many); i += 1000)
		memset(many[i], 1, 9 * 4096);
	for (size_t i = 0; i < API_COUNT(many); i++)
		free(many[i]);
	free(block(LARGE));
}

#define PAST(at, size, class)                                          \
	"write past the end of @p, at byte " #at " (a block of " #size \
	" bytes, size class " #class ", in the slab at @s)"
#define AFTER(at, size, class)                                                            \
	"write after free to, or past the end of, @p, at byte " #at " (a block of " #size \
	" bytes, size class " #class ", in the slab at @s)"
#define LARGE_ODD "@p (a large block of 200001 bytes, in the span at @s)"

const struct misuse misuse_writes[] = {
	{ "one-byte-small", one_byte_small, ENDS_SAYING, PAST(100, 112, 7) },
	{ "eight-bytes-small", eight_bytes_small, ENDS_SAYING, PAST(100, 112, 7) },
	{ "second-byte-small", second_byte_small, ENDS_SAYING, PAST(101, 112, 7) },
	{ "one-byte-full", one_byte_full, ENDS_SAYING, PAST(16, 32, 2) },
	{ "one-byte-tiny", one_byte_tiny, ENDS_SAYING, PAST(1, 16, 1) },
	{ "write-zero-size", write_zero_size, ENDS_SAYING, PAST(0, 16, 1) },
	{ "one-byte-sparse", one_byte_sparse, ENDS_SAYING, PAST(3500, 3584, 27) },
	{ "one-byte-largest-small", one_byte_largest_small, ENDS_SAYING,
	  "write past the end of @p, at byte 32760 (a block of 32768 bytes, size class 40, " },
	{ "one-byte-calloc", one_byte_calloc, ENDS_SAYING, PAST(100, 112, 7) },
	{ "one-byte-aligned", one_byte_aligned, ENDS_SAYING, PAST(64, 128, 8) },
	{ "one-byte-resized", one_byte_resized, ENDS_SAYING, PAST(100, 112, 7) },
	{ "one-byte-shrunk", one_byte_shrunk, ENDS_SAYING, PAST(99, 112, 7) },
	{ "string", string, ENDS_SAYING, PAST(100, 112, 7) },
	{ "found-by-realloc", found_by_realloc, ENDS_SAYING, PAST(100, 112, 7) },
	{ "before-start-small", before_start_small, ENDS_SAYING, PAST(3583, 3584, 27) },
	{ "far-past-end", far_past_end, ENDS_SAYING, AFTER(3300, 3584, 27) },
	{ "one-byte-large", one_byte_large, ENDS_SAYING, "write past the end of " LARGE_ODD },
	{ "eight-bytes-large", eight_bytes_large, ENDS_SAYING, "write past the end of " LARGE_ODD },
	{ "one-byte-large-aligned", one_byte_large_aligned, ENDS_SAYING,
	  "write past the end of " LARGE_PLACE },
	{ "before-start-large", before_start_large, ENDS_SAYING,
	  "write before the start of " LARGE_PLACE },
	{ "guard-written", guard_written, ENDS_FAULTING, NULL },
	{ "guard-read", guard_read, ENDS_FAULTING, NULL },
	{ "guard-far", guard_far, ENDS_FAULTING, NULL },
	{ "guard-before", guard_before, ENDS_FAULTING, NULL },
	{ "guard-in-child", guard_in_child, ENDS_FAULTING, NULL },
	{ "guard-after-fork", guard_after_fork, ENDS_FAULTING, NULL },
	{ "read-freed-large", read_freed_large, ENDS_FAULTING, NULL },
	{ "write-freed-large", write_freed_large, ENDS_FAULTING, NULL },
	{ "write-freed-large-later", write_freed_large_later, ENDS_FAULTING, NULL },
	{ "write-freed-after-fork", write_freed_after_fork, ENDS_FAULTING, NULL },
	{ "write-freed-huge", write_freed_huge, ENDS_FAULTING, NULL },
	{ "read-freed-small", read_freed_small, ENDS_WELL, NULL },
	{ "reused-small", reused_small, ENDS_SAYING, AFTER(50, 112, 7) },
	{ "reused-first-byte", reused_first_byte, ENDS_SAYING, AFTER(0, 112, 7) },
	{ "reused-last-byte", reused_last_byte, ENDS_SAYING, AFTER(99, 112, 7) },
	{ "reused-sparse", reused_sparse, ENDS_SAYING, AFTER(2000, 3584, 27) },
	{ "reused-zero-size", reused_zero_size, ENDS_SAYING, AFTER(0, 16, 1) },
	{ "written-until-exit", written_until_exit, ENDS_SAYING, AFTER(50, 112, 7) },
	{ "written-until-trim", written_until_trim, ENDS_SAYING, AFTER(50, 112, 7) },
	{ "written-until-thread-end", written_until_thread_end, ENDS_SAYING, AFTER(50, 112, 7) },
	{ "written-in-slab", written_in_slab, ENDS_SAYING, AFTER(0, 112, 7) },
	{ "fresh-small", fresh_small, ENDS_WELL, NULL },
	{ "fresh-large", fresh_large, ENDS_WELL, NULL },
	{ "delayed-small", delayed_small, ENDS_WELL, NULL },
	{ "delayed-large", delayed_large, ENDS_WELL, NULL },
	{ "many-large", many_large, ENDS_WELL, NULL },
	{ 0 },
};
