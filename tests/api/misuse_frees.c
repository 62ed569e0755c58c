/* SPDX-License-Identifier: Apache-2.0 */
/* Pointers that must not be freed, resized or asked about. */
#include <malloc.h>
#include <sys/mman.h>

#include "tests/api/api.h"
#include "tests/api/misuse.h"

static char *block(size_t size)
{
	char *p = malloc(size);

	CHECK(p != NULL);
	return p;
}

static void free_again(char *p)
{
	misuse_print(p);
	free(api_hide(p));
}

static void *do_free(void *p)
{
	free(p);
	return NULL;
}

/* ---- twice ---- */

static void twice(size_t size)
{
	char *p = block(size);

	free(p);
	free_again(p);
}

static void twice_small(void)
{
	twice(SMALL);
}

static void twice_sparse(void)
{
	twice(SPARSE);
}

static void twice_large(void)
{
	twice(LARGE);
}

static void twice_later(size_t size)
{
	char *p = block(size);

	free(p);
	misuse_churn();
	free_again(p);
}

static void twice_small_later(void)
{
	twice_later(SMALL);
}

static void twice_large_later(void)
{
	twice_later(LARGE);
}

static void twice_after_trim(void)
{
	char *p = block(SPARSE), *q = block(SPARSE); /* q keeps the slab */

	CHECK(q != p);
	free(p);
	malloc_trim(0);
	free_again(p);
}

static void twice_slab_gone(void)
{
	char *p = block(SPARSE);

	free(p);
	malloc_trim(0);
	free_again(p);
}

static void twice_span_gone(void)
{
	char *p = block(LARGE);

	free(p);
	malloc_trim(0);
	free_again(p);
}

static void twice_other_thread(void)
{
	char *p = block(SMALL);

	misuse_in_thread(do_free, p);
	free_again(p);
}

static void twice_second_in_thread(void)
{
	char *p = block(SMALL);

	free(p);
	misuse_print(p);
	misuse_in_thread(do_free, p);
}

static void twice_after_realloc(void)
{
	char *p = block(SMALL);

	CHECK(realloc(p, 10 * SMALL) != NULL);
	free_again(p);
}

static void twice_large_after_realloc(void)
{
	char *p = block(LARGE);

	CHECK(realloc(p, 10 * LARGE) != NULL);
	free_again(p);
}

static void twice_after_realloc_to_nothing(void)
{
	char *p = block(SMALL);

	CHECK(realloc(p, 0) == NULL);
	free_again(p);
}

static void twice_aligned(void)
{
	char *p = memalign(64, SMALL - 50);

	free(p);
	free_again(p);
}

static void twice_zero_size(void)
{
	twice(0);
}

static void twice_in_child(void)
{
	char *p = block(SMALL);
	int status;
	pid_t pid;

	free(p);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		free_again(p);
		_exit(0);
	}
	status = api_wait(pid);
	if (WIFSIGNALED(status))
		kill(getpid(), WTERMSIG(status));
}

/* ---- used when freed ---- */

static void realloc_freed(size_t size)
{
	char *p = block(size);

	free(p);
	misuse_print(p);
	CHECK(realloc(api_hide(p), size + 1) != NULL);
}

static void realloc_freed_small(void)
{
	realloc_freed(SMALL);
}

static void realloc_freed_large(void)
{
	realloc_freed(LARGE);
}

static void usable_freed(size_t size)
{
	char *p = block(size);

	free(p);
	misuse_print(p);
	(void)malloc_usable_size(api_hide(p));
}

static void usable_freed_small(void)
{
	usable_freed(SMALL);
}

static void usable_freed_large(void)
{
	usable_freed(LARGE);
}

static void usable_freed_zero(void)
{
	usable_freed(0);
}

/* ---- inside ---- */

static void free_inside(size_t size, size_t at)
{
	free_again(block(size) + at);
}

static void free_unaligned_small(void)
{
	free_inside(SMALL, 1);
}

static void free_unaligned_large(void)
{
	free_inside(LARGE, 1);
}

static void free_inside_small(void)
{
	free_inside(SMALL, 16);
}

static void free_inside_large(void)
{
	free_inside(LARGE, 4096);
}

static void free_inside_large_far(void)
{
	free_inside(LARGE, 131072);
}

static void free_before_large(void)
{
	char *p = block(LARGE);

	free_again(p - 16);
}

static void usable_inside(size_t size)
{
	char *p = block(size) + 1;

	misuse_print(p);
	(void)malloc_usable_size(api_hide(p));
}

static void usable_unaligned_small(void)
{
	usable_inside(SMALL);
}

static void usable_unaligned_large(void)
{
	usable_inside(LARGE);
}

static void realloc_inside(size_t size)
{
	char *p = block(size) + 32;

	misuse_print(p);
	CHECK(realloc(api_hide(p), size * 2) != NULL);
}

static void realloc_inside_small(void)
{
	realloc_inside(SMALL);
}

static void realloc_inside_large(void)
{
	realloc_inside(LARGE);
}

/* ---- not ours ---- */

static char in_data[64];

static void free_static(void)
{
	free_again(in_data + 8);
}

static void free_stack(void)
{
	char bytes[64] = { 0 };

	free_again((char *)(((uintptr_t)bytes & ~(uintptr_t)15) + 24));
}

static void free_mapping(int prot)
{
	char *p = mmap(NULL, 8192, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	free_again(p + 64);
}

static void free_protected(void)
{
	free_mapping(PROT_NONE);
}

static void free_unprotected(void)
{
	free_mapping(PROT_READ | PROT_WRITE);
}

static void free_low(void)
{
	free_again((char *)8);
}

static void free_never_allocated(void)
{
	char *p = block(SPARSE);

	/* The last of the slab's 18. */
	free_again((char *)((uintptr_t)p & ~(uintptr_t)0xffff) + 17 * SPARSE_BLOCK);
}

static void free_far(void)
{
	free_again(block(SMALL) + ((ptrdiff_t)64 << 30));
}

static void usable_stack(void)
{
	char bytes[64] = { 0 };
	char *p = (char *)(((uintptr_t)bytes & ~(uintptr_t)15) + 24);

	misuse_print(p);
	(void)malloc_usable_size(api_hide(p));
}

static void realloc_stack(void)
{
	char bytes[64] = { 0 };
	char *p = (char *)(((uintptr_t)bytes & ~(uintptr_t)15) + 24);

	misuse_print(p);
	CHECK(realloc(api_hide(p), 100) != NULL);
}

#define INSIDE_LARGE "free of the inside of " LARGE_PLACE
#define NOT_OURS     " of @p, which is no block of this allocator"
/* Of this allocator, if the daemon has its superslab again, or in use. */
#define NO_BLOCK " of @p, which is no block "

const struct misuse misuse_frees[] = {
	{ "twice-small", twice_small, ENDS_SAYING, "double free of " SMALL_PLACE },
	{ "twice-sparse", twice_sparse, ENDS_SAYING, "double free of " SPARSE_PLACE },
	{ "twice-large", twice_large, ENDS_SAYING, "double free of " LARGE_PLACE },
	{ "twice-small-later", twice_small_later, ENDS_SAYING, "double free of " SMALL_PLACE },
	{ "twice-large-later", twice_large_later, ENDS_SAYING, "double free of " LARGE_PLACE },
	{ "twice-after-trim", twice_after_trim, ENDS_SAYING, "double free of " SPARSE_PLACE },
	{ "twice-slab-gone", twice_slab_gone, ENDS_SAYING, "free" NO_BLOCK },
	{ "twice-span-gone", twice_span_gone, ENDS_SAYING, "free" NO_BLOCK },
	{ "twice-other-thread", twice_other_thread, ENDS_SAYING, "double free of " SMALL_PLACE },
	{ "twice-second-in-thread", twice_second_in_thread, ENDS_SAYING,
	  "double free of " SMALL_PLACE },
	{ "twice-after-realloc", twice_after_realloc, ENDS_SAYING, "double free of " SMALL_PLACE },
	{ "twice-large-after-realloc", twice_large_after_realloc, ENDS_SAYING,
	  "double free of " LARGE_PLACE },
	{ "twice-after-realloc-to-nothing", twice_after_realloc_to_nothing, ENDS_SAYING,
	  "double free of " SMALL_PLACE },
	{ "twice-aligned", twice_aligned, ENDS_SAYING,
	  "double free of @p (a block of 64 bytes, size class 4, in the slab at @s)" },
	{ "twice-zero-size", twice_zero_size, ENDS_SAYING,
	  "double free of @p (a block of 16 bytes, size class 1, in the slab at @s)" },
	{ "twice-in-child", twice_in_child, ENDS_SAYING, "double free of " SMALL_PLACE },
	{ "realloc-freed-small", realloc_freed_small, ENDS_SAYING,
	  "realloc after free of " SMALL_PLACE },
	{ "realloc-freed-large", realloc_freed_large, ENDS_SAYING,
	  "realloc after free of " LARGE_PLACE },
	{ "usable-freed-small", usable_freed_small, ENDS_SAYING,
	  "malloc_usable_size after free of " SMALL_PLACE },
	{ "usable-freed-large", usable_freed_large, ENDS_SAYING,
	  "malloc_usable_size after free of " LARGE_PLACE },
	{ "usable-freed-zero", usable_freed_zero, ENDS_SAYING,
	  "malloc_usable_size after free of @p (a block of 16 bytes, size class 1, in the slab at "
	  "@s)" },
	{ "free-unaligned-small", free_unaligned_small, ENDS_SAYING,
	  "free of the inside of " SMALL_PLACE },
	{ "free-unaligned-large", free_unaligned_large, ENDS_SAYING, INSIDE_LARGE },
	{ "free-inside-small", free_inside_small, ENDS_SAYING,
	  "free of the inside of " SMALL_PLACE },
	{ "free-inside-large", free_inside_large, ENDS_SAYING, INSIDE_LARGE },
	{ "free-inside-large-far", free_inside_large_far, ENDS_SAYING,
	  "free of the inside of @p (a large block of 200000 bytes, in the span at " },
	{ "free-before-large", free_before_large, ENDS_SAYING, INSIDE_LARGE },
	{ "usable-unaligned-small", usable_unaligned_small, ENDS_SAYING,
	  "malloc_usable_size of the inside of " SMALL_PLACE },
	{ "usable-unaligned-large", usable_unaligned_large, ENDS_SAYING,
	  "malloc_usable_size of the inside of " LARGE_PLACE },
	{ "realloc-inside-small", realloc_inside_small, ENDS_SAYING,
	  "realloc of the inside of " SMALL_PLACE },
	{ "realloc-inside-large", realloc_inside_large, ENDS_SAYING,
	  "realloc of the inside of " LARGE_PLACE },
	{ "free-static", free_static, ENDS_SAYING, "free" NOT_OURS },
	{ "free-stack", free_stack, ENDS_SAYING, "free" NOT_OURS },
	{ "free-protected", free_protected, ENDS_SAYING, "free" NOT_OURS },
	{ "free-unprotected", free_unprotected, ENDS_SAYING, "free" NOT_OURS },
	{ "free-low", free_low, ENDS_SAYING, "free" NOT_OURS },
	{ "free-never-allocated", free_never_allocated, ENDS_SAYING,
	  "free of what was never allocated: " SPARSE_PLACE },
	{ "free-far", free_far, ENDS_SAYING, "free" NOT_OURS },
	{ "usable-stack", usable_stack, ENDS_SAYING, "malloc_usable_size" NOT_OURS },
	{ "realloc-stack", realloc_stack, ENDS_SAYING, "realloc" NOT_OURS },
	{ 0 },
};
