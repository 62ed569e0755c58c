/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The malloc family behind one signature: the tests say "every function that allocates".
 *
 * Each entry allocates at least n bytes by another function. The sizes go through api_hide_size(),
 * because the compiler knows these functions and would warn about, or fold, the impossible ones.
 */
#pragma once

#include <malloc.h>

#include "tests/api/api.h"

struct family {
	const char *name;
	void *(*allocate)(size_t n);
	size_t align; /* what the result is aligned to */
};

static void *family_malloc(size_t n)
{
	return malloc(api_hide_size(n));
}

static void *family_calloc(size_t n)
{
	return calloc(1, api_hide_size(n));
}

static void *family_realloc(size_t n)
{
	return realloc(NULL, api_hide_size(n));
}

static void *family_reallocarray(size_t n)
{
	return reallocarray(NULL, api_hide_size(n), 1);
}

static void *family_memalign(size_t n)
{
	return memalign(64, api_hide_size(n));
}

static void *family_aligned_alloc(size_t n)
{
	return aligned_alloc(256, api_hide_size(n));
}

static void *family_valloc(size_t n)
{
	return valloc(api_hide_size(n));
}

static void *family_pvalloc(size_t n)
{
	return pvalloc(api_hide_size(n));
}

/* posix_memalign() answers with a number; here it is folded into errno like the others. */
static void *family_posix_memalign(size_t n)
{
	void *p = NULL;
	int before = errno;
	int r = posix_memalign(&p, 128, api_hide_size(n));

	errno = r ? r : before;
	return r ? NULL : p;
}

static const struct family families[] = {
	{ "malloc", family_malloc, 16 },
	{ "calloc", family_calloc, 16 },
	{ "realloc", family_realloc, 16 },
	{ "reallocarray", family_reallocarray, 16 },
	{ "memalign", family_memalign, 64 },
	{ "aligned_alloc", family_aligned_alloc, 256 },
	{ "posix_memalign", family_posix_memalign, 128 },
	{ "valloc", family_valloc, 4096 },
	{ "pvalloc", family_pvalloc, 4096 },
};

static inline int family_aligned(const void *p, size_t align)
{
	return ((uintptr_t)p & (align - 1)) == 0;
}
