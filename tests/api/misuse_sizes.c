/* SPDX-License-Identifier: Apache-2.0 */
/* Pointers that were never set, and sizes that are wrong or cannot be. */
#include <malloc.h>

#include "tests/api/api.h"
#include "tests/api/misuse.h"

static char *block(size_t size)
{
	char *p = malloc(size);

	CHECK(p != NULL);
	return p;
}

/* ---- what a fresh block happens to contain ---- */

static void *garbage(void)
{
	void **p = api_hide(block(SMALL));

	return p[3];
}

static void free_garbage(void)
{
	free(garbage());
}

static void realloc_garbage(void)
{
	CHECK(realloc(garbage(), 10) != NULL);
}

static void usable_garbage(void)
{
	(void)malloc_usable_size(garbage());
}

/* ---- sizes that are not the block's ---- */

static void sized(const char *name, size_t size, size_t wrong)
{
	void (*release)(void *, size_t) = (void (*)(void *, size_t))api_symbol(name);
	char *p = block(size);

	if (!release)
		return;
	misuse_print(p);
	release(p, wrong);
}

static void sized_delete(void)
{
	sized("_ZdlPvm", SMALL, SMALL + 1);
}

static void sized_delete_array(void)
{
	sized("_ZdaPvm", SMALL, SMALL - 8);
}

static void sized_delete_large(void)
{
	sized("_ZdlPvm", LARGE, SMALL);
}

static void sized_free(void)
{
	sized("free_sized", SMALL, 1);
}

static void sized_free_twice(void)
{
	char *p = block(SMALL);
	void (*release)(void *, size_t) = (void (*)(void *, size_t))api_symbol("free_sized");

	if (!release)
		return;
	release(p, SMALL);
	misuse_print(p);
	release(api_hide(p), SMALL);
}

/* ---- sizes that cannot be ---- */

#define NO_MEMORY(call) (errno = 0, (call) == NULL && errno == ENOMEM)

static void absurd_malloc(void)
{
	CHECK(NO_MEMORY(malloc(api_hide_size(SIZE_MAX))));
	CHECK(NO_MEMORY(malloc(api_hide_size(SIZE_MAX - 4096))));
	CHECK(NO_MEMORY(malloc(api_hide_size((size_t)PTRDIFF_MAX))));
	CHECK(NO_MEMORY(malloc(api_hide_size((size_t)PTRDIFF_MAX + 1))));
}

static void absurd_calloc(void)
{
	CHECK(NO_MEMORY(calloc(api_hide_size(SIZE_MAX / 2), 3)));
	CHECK(NO_MEMORY(calloc(api_hide_size((size_t)1 << 33), (size_t)1 << 33)));
}

static void absurd_realloc(void)
{
	char *p = block(SMALL);

	memset(p, 5, SMALL);
	CHECK(NO_MEMORY(realloc(p, api_hide_size(SIZE_MAX - 100))));
	CHECK(NO_MEMORY(reallocarray(p, api_hide_size(SIZE_MAX / 4), 8)));
	CHECK(api_all(p, SMALL, 5));
	free(p);
}

const struct misuse misuse_sizes[] = {
	{ "free-garbage", free_garbage, ENDS_FAULTING, NULL },
	{ "realloc-garbage", realloc_garbage, ENDS_FAULTING, NULL },
	{ "usable-garbage", usable_garbage, ENDS_FAULTING, NULL },
	{ "sized-delete", sized_delete, ENDS_SAYING,
	  "free of @p as a block of 101 bytes, which was allocated with 100" },
	{ "sized-delete-array", sized_delete_array, ENDS_SAYING,
	  "free of @p as a block of 92 bytes, which was allocated with 100" },
	{ "sized-delete-large", sized_delete_large, ENDS_SAYING,
	  "free of @p as a block of 100 bytes, which was allocated with 200000" },
	{ "sized-free", sized_free, ENDS_SAYING,
	  "free of @p as a block of 1 bytes, which was allocated with 100" },
	{ "sized-free-twice", sized_free_twice, ENDS_SAYING, "double free of " SMALL_PLACE },
	{ "absurd-malloc", absurd_malloc, ENDS_WELL, NULL },
	{ "absurd-calloc", absurd_calloc, ENDS_WELL, NULL },
	{ "absurd-realloc", absurd_realloc, ENDS_WELL, NULL },
	{ 0 },
};
