/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc.c - what malloc and free mean, beyond the inline path: start-up, medium sizes, spans, libc
 * mode, pointers that are not ours. errno is ENOMEM after a failure and untouched otherwise.
 */
#include <errno.h>
#include <string.h>

#include "libclient/checked.h"
#include "libclient/client.h"
#include "libclient/domain.h"
#include "libclient/heap.h"
#include "libclient/inline.h"
#include "libclient/next.h"
#include "libclient/spans.h"
#include "shared/check.h"
#include "tiny/central.h"
#include "tiny/depot.h"
#include "tiny/mixed.h"
#include "tiny/thread.h"

/* True on the direct path. */
static inline bool ready(void)
{
	uint32_t state = atomic_load_explicit(&hak_client.state, memory_order_acquire);

	if (HAK_UNLIKELY(state < HAK_CLIENT_READY))
		state = hak_client_start();
	return HAK_LIKELY(state == HAK_CLIENT_READY);
}

static HAK_COLD void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

/* Before a failure: what lies in caches of other sizes may be all that is needed. */
static HAK_COLD void reclaim(void)
{
	hak_thread_flush();
	hak_depot_trim();
	hak_central_trim();
	hak_spans_trim();
}

static void *span_alloc(size_t size, size_t align, bool *ret_zeroed)
{
	void *p;

	if (size > PTRDIFF_MAX)
		return no_memory();
	p = hak_spans_alloc(size, align, ret_zeroed);
	if (HAK_UNLIKELY(!p)) {
		reclaim();
		p = hak_spans_alloc(size, align, ret_zeroed);
	}
	return p ? p : no_memory();
}

static void *block_alloc(uint32_t class)
{
	void *p = hak_thread_alloc(class);

	if (HAK_UNLIKELY(!p)) {
		reclaim();
		p = hak_thread_alloc(class);
	}
	if (HAK_UNLIKELY(__atomic_load_n(&hak_heap.depots_full, __ATOMIC_RELAXED))) {
		__atomic_store_n(&hak_heap.depots_full, false, __ATOMIC_RELAXED);
		hak_depot_trim();
	}
	return p ? p : no_memory();
}

static HAK_COLD void *alloc_slow(size_t size)
{
	if (HAK_UNLIKELY(!ready()))
		return hak_tiny.checked ? hak_checked_malloc(size) : hak_next_malloc(size);
	return block_alloc(hak_class_of(size ? size : 1));
}

/* Sizes beyond the inline path have magazines, too: they pay for finding their class. */
void *hak_alloc_cold(size_t size)
{
	if (HAK_LIKELY(size - HAK_TINY_MAX - 1 < HAK_CLASS_MAX_SIZE - HAK_TINY_MAX)) {
		hak_bin_ref bin = hak_bin_of_byte((uint8_t)(2 * hak_class_of(size)));
		void **top = hak_bin_top(bin);

		if (HAK_LIKELY((uintptr_t)top & (HAK_MAGAZINE_ALIGN - 1))) {
			hak_bin_popped(bin);
			return top[-1];
		}
	}
	if (size > HAK_CLASS_MAX_SIZE && ready())
		return span_alloc(size, 1, NULL);
	return alloc_slow(size);
}

static HAK_COLD _Noreturn void no_span(const void *p, const char *what)
{
	hak_die("%s of %p, which is no block in use: freed before, or not the start of one", what,
		p);
}

/* The span that starts at p, or the end of the program. */
static struct hak_slab *span_at(const void *p, const char *what)
{
	struct hak_slab *slab = hak_slab_of(p);

	if (HAK_LIKELY(slab->kind == HAK_SLAB_SPAN && hak_slab_start(slab) == p))
		return slab;
	no_span(p, what);
}

static inline bool in_superslab(const void *p)
{
	return hak_heap_has(&hak_heap, p);
}

/* True if the allocator below may have given it out: one that does not ask us for all it hands to
 * the program (a sanitizer's) may do so before our own first block. */
static HAK_COLD bool is_foreign(const void *p)
{
	(void)ready();
	return hak_next_may_own(p);
}

/* The page map knows nothing of mixed slabs. */
static uint32_t class_of(const void *p)
{
	uint32_t class = hak_page_class(p);

	return class || !in_superslab(p) || !hak_mixed_has(p) ? class : hak_mixed_class(p);
}

static HAK_COLD void free_no_span(void *p)
{
	if (!hak_mixed_has(p))
		no_span(p, "free");
	hak_thread_free(hak_mixed_class(p), p);
}

static inline void free_in_superslab(void *p)
{
	struct hak_slab *slab = hak_slab_of(p);

	if (HAK_LIKELY(__atomic_load_n(&slab->kind, __ATOMIC_RELAXED) == HAK_SLAB_SPAN &&
		       hak_slab_start(slab) == p))
		hak_spans_free(slab);
	else
		free_no_span(p);
}

void hak_free_cold(void *p)
{
	uint32_t class = hak_page_class(p);

	if (class)
		hak_thread_free(class, p);
	else if (HAK_UNLIKELY(hak_domain_in_area(p)) && hak_domain_try_free(p))
		return;
	else if (HAK_UNLIKELY(hak_tiny.checked))
		hak_checked_free(p);
	else if (!p)
		return;
	else if (in_superslab(p))
		free_in_superslab(p);
	else if (is_foreign(p))
		hak_next_free(p);
	else
		hak_die("free of %p, which is no block of this allocator", p);
}

void hak_free_sized_cold(void *p, size_t size)
{
	if (HAK_UNLIKELY(hak_tiny.checked))
		hak_checked_free_sized(p, size);
	else
		hak_free_cold(p);
}

size_t hak_usable(const void *p)
{
	uint32_t class = class_of(p);
	hak_domain *d;

	if (class)
		return hak_class[class].size;
	if (!p)
		return 0;
	d = hak_domain_in_area(p) ? hak_domain_of(p) : NULL;
	if (HAK_UNLIKELY(d))
		return hak_domain_usable_size(d, p);
	if (HAK_UNLIKELY(hak_tiny.checked))
		return hak_checked_usable(p);
	if (in_superslab(p))
		return span_at(p, "malloc_usable_size")->n_slabs << HAK_SLAB_SHIFT;
	if (is_foreign(p))
		return hak_next_usable_size((void *)(uintptr_t)p);
	hak_die("malloc_usable_size of %p, which is no block of this allocator", p);
}

static HAK_COLD void *zeroed_cold(size_t bytes)
{
	bool zeroed = false;
	void *p;

	if (!ready())
		return hak_tiny.checked ? hak_checked_zeroed(bytes) : hak_next_calloc(bytes, 1);
	if (bytes > HAK_CLASS_MAX_SIZE)
		p = span_alloc(bytes, 1, &zeroed);
	else
		p = hak_tiny_alloc(bytes);
	if (p && !zeroed)
		memset(p, 0, bytes);
	return p;
}

/* Tries the magazine first, as the inline path does for what is short. */
void *hak_zeroed_long(size_t less_one)
{
	hak_bin_ref bin;
	void **top;

	if (HAK_UNLIKELY(less_one >= HAK_TINY_MAX))
		return zeroed_cold(less_one + 1);
	bin = hak_bin_of_sixteens((less_one >> 4) + 1);
	top = hak_bin_top(bin);
	if (HAK_UNLIKELY(!((uintptr_t)top & (HAK_MAGAZINE_ALIGN - 1))))
		return zeroed_cold(less_one + 1);
	hak_bin_popped(bin);
	return memset(top[-1], 0, less_one + 1);
}

void *hak_zeroed_slow(size_t n, size_t size)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? no_memory() : zeroed_cold(bytes);
}

void *hak_aligned(size_t align, size_t size)
{
	uint32_t class;
	void *p;

	if (!ready())
		return hak_tiny.checked ? hak_checked_aligned(align, size)
					: hak_next_memalign(align, size);
	if (align <= 16)
		return hak_tiny_alloc(size);
	if (size > HAK_CLASS_MAX_SIZE || align > HAK_CLASS_MAX_SIZE)
		return span_alloc(size ? size : 1, align, NULL);
	/* Slabs are aligned, so a block is aligned to whatever divides its size. Classes up to the
	 * next power of two contain one. */
	class = hak_class_of(size > align ? size : align);
	while (hak_class[class].size % align)
		class ++;
	p = block_alloc(class);
	if (HAK_LIKELY(!((uintptr_t)p & (align - 1))))
		return p;
	/* It lies in a mixed slab, and others may behind it. */
	hak_central_put(class, &p, 1);
	p = hak_central_take_aligned(class);
	return p ? p : no_memory();
}

static void *move(void *p, size_t old, size_t size)
{
	size_t room = old + old / 4;
	int saved = errno;
	void *q = NULL;

	/* One that grows will grow on: not copied again at the very next class. */
	if (HAK_UNLIKELY(size > old && size >= HAK_SUPERSLAB_SIZE))
		q = hak_heap_alloc_roomy(size);
	else if (size > old && size < room && room <= HAK_CLASS_MAX_SIZE)
		q = hak_tiny_alloc(room);
	if (!q) {
		errno = saved; /* only room could not be had */
		q = hak_tiny_alloc(size);
	}
	if (q) {
		memcpy(q, p, old < size ? old : size);
		hak_tiny_free(p);
	}
	return q;
}

static void *resize_span(void *p, size_t size)
{
	struct hak_slab *span = span_at(p, "realloc");
	size_t old = span->n_slabs << HAK_SLAB_SHIFT;
	void *q;

	if (size > PTRDIFF_MAX)
		return no_memory();
	if (size > HAK_CLASS_MAX_SIZE) {
		if (hak_heap_resize(span, size))
			return p;
		/* Cheaper than a copy: what is behind it may only be kept for later. */
		if (in_superslab((char *)p + old) && span[span->n_slabs].kind == HAK_SLAB_CACHED) {
			hak_spans_flush();
			hak_spans_trim();
			if (hak_heap_resize(span, size))
				return p;
		}
		q = hak_heap_move(span, size);
		if (q)
			return q;
	}
	return move(p, old, size);
}

void *hak_resize_slow(void *p, size_t size)
{
	uint32_t class = class_of(p);
	hak_domain *d;
	bool up;

	if (class && size) {
		size_t old = hak_class[class].size;

		return hak_fits(size, old) ? p : move(p, old, size);
	}
	if (!p)
		return hak_tiny_alloc(size);
	d = hak_domain_in_area(p) ? hak_domain_of(p) : NULL;
	if (HAK_UNLIKELY(d))
		return hak_domain_resize(d, p, size);
	up = ready(); /* first of all: it may be what finds that blocks are checked */
	if (HAK_UNLIKELY(hak_tiny.checked))
		return hak_checked_realloc(p, size);
	if (!up || (!class && !in_superslab(p) && hak_next_may_own(p)))
		return hak_next_realloc(p, size);
	if (!size) { /* as glibc: freed */
		hak_tiny_free(p);
		return NULL;
	}
	if (!in_superslab(p))
		hak_die("realloc of %p, which is no block of this allocator", p);
	return resize_span(p, size);
}

size_t hak_give_back(void)
{
	if (!ready())
		return hak_tiny.checked ? hak_checked_give_back() : 0;
	reclaim();
	return hak_heap_trim();
}

bool hak_is_ours(const void *p)
{
	return (ready() || hak_tiny.checked) && in_superslab(p);
}
