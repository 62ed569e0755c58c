/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/checked.h"

#include <errno.h>
#include <string.h>

#include "libclient/guarded.h"
#include "libclient/heap.h"
#include "libclient/next.h"
#include "shared/check.h"
#include "tiny/checked.h"

int hak_checked_start(void)
{
	return hak_checked_init(hak_heap.shadow);
}

static void reclaim(void)
{
	hak_checked_flush();
	hak_guarded_flush();
	hak_central_trim();
}

static HAK_COLD void *block_retry(uint32_t class, size_t size)
{
	void *p;

	reclaim();
	p = hak_checked_take(class, size);
	if (!p)
		errno = ENOMEM;
	return p;
}

static inline void *block(uint32_t class, size_t size)
{
	void *p = hak_checked_take(class, size);

	return HAK_LIKELY(p) ? p : block_retry(class, size);
}

static void *span(size_t size, size_t align, bool *ret_zeroed)
{
	void *p = NULL;

	if (size <= PTRDIFF_MAX)
		p = hak_guarded_alloc(size, align, ret_zeroed);
	if (!p && size <= PTRDIFF_MAX) {
		reclaim();
		p = hak_guarded_alloc(size, align, ret_zeroed);
	}
	if (!p)
		errno = ENOMEM;
	return p;
}

void *hak_checked_malloc(size_t size)
{
	if (HAK_LIKELY(size <= HAK_TINY_MAX - HAK_CHECKED_SLACK))
		return block(hak_tiny_class[(size + HAK_CHECKED_SLACK + 15) >> 4], size);
	if (size <= HAK_CHECKED_MAX_SIZE)
		return block(hak_class_of(size + HAK_CHECKED_SLACK), size);
	return span(size, 1, NULL);
}

void *hak_checked_zeroed(size_t size)
{
	bool zeroed = false;
	void *p;

	if (size <= HAK_CHECKED_MAX_SIZE)
		p = block(hak_class_of(size + HAK_CHECKED_SLACK), size);
	else
		p = span(size, 1, &zeroed);
	if (p && !zeroed)
		memset(p, 0, size);
	return p;
}

void *hak_checked_aligned(size_t align, size_t size)
{
	uint32_t class;

	if (align <= 16)
		return hak_checked_malloc(size);
	if (size > HAK_CHECKED_MAX_SIZE || align > HAK_CLASS_MAX_SIZE)
		return span(size, align, NULL);
	size += HAK_CHECKED_SLACK;
	/* As on the direct path: slabs are aligned, so blocks are to what divides their size. */
	class = hak_class_of(size > align ? size : align);
	while (hak_class[class].size % align)
		class ++;
	return block(class, size - HAK_CHECKED_SLACK);
}

static HAK_COLD _Noreturn void die(const void *p, const char *deed)
{
	uint8_t kind;

	if (!hak_heap_has(&hak_heap, p))
		hak_die("%s of %p, which is no block of this allocator", deed, p);
	kind = hak_slab_of(p)->kind;
	if (kind == HAK_SLAB_BLOCKS || kind == HAK_SLAB_INSIDE)
		hak_checked_die(p, deed);
	hak_guarded_die(p, deed);
}

/* A block that libc gave out behind our back. */
static bool is_next(const void *p)
{
	return !hak_heap_has(&hak_heap, p) && hak_next_may_own(p);
}

/* The large block in use that starts at p; NULL: there is none. */
static struct hak_slab *span_at(const void *p)
{
	return hak_heap_has(&hak_heap, p) ? hak_guarded_find(p) : NULL;
}

void hak_checked_free(void *p)
{
	struct hak_slab *large;

	if (HAK_LIKELY(hak_checked_put(p)) || !p)
		return;
	large = span_at(p);
	if (large && hak_guarded_free(large))
		return;
	if (!is_next(p))
		die(p, "free");
	hak_next_free(p);
}

/* The size of the block in use at p, which is ours. */
static size_t size_of(const void *p, const char *deed)
{
	uint32_t found = hak_checked_find(p);
	struct hak_slab *large;

	if (HAK_LIKELY(found))
		return found - 1;
	large = span_at(p);
	if (!large)
		die(p, deed);
	/* cppcheck-suppress nullPointerRedundantCheck ; die() does not return */
	return large->asked;
}

void hak_checked_free_sized(void *p, size_t size)
{
	if (p && !is_next(p)) {
		size_t asked = size_of(p, "free");

		if (asked != size)
			hak_die("free of %p as a block of %zu bytes, which was allocated with %zu",
				p, size, asked);
	}
	hak_checked_free(p);
}

size_t hak_checked_usable(const void *p)
{
	if (is_next(p))
		return hak_next_usable_size((void *)(uintptr_t)p);
	return size_of(p, "malloc_usable_size");
}

/* Moves wherever the class changes, large blocks always: a stale pointer is found so. */
void *hak_checked_realloc(void *p, size_t size)
{
	size_t old;
	void *q;

	if (is_next(p))
		return hak_next_realloc(p, size);
	old = size_of(p, "realloc");
	if (!size) { /* as glibc: freed */
		hak_checked_free(p);
		return NULL;
	}
	if (hak_checked_find(p) && hak_checked_resize(p, size))
		return p;
	q = hak_checked_malloc(size);
	if (q) {
		memcpy(q, p, old < size ? old : size);
		hak_checked_free(p);
	}
	return q;
}

size_t hak_checked_give_back(void)
{
	reclaim();
	return hak_heap_trim();
}
