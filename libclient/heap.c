/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/heap.h"

#include <string.h>

#include "libclient/pagemap.h"
#include "libclient/pages.h"
#include "libclient/spans.h"
#include "shared/check.h"
#include "tiny/checked.h"
#include "tiny/depot.h"
#include "tiny/tiny.h"

#define SLABS_SIZE  (HAK_WINDOW_SIZE / HAK_SLAB_SIZE * sizeof(struct hak_slab))
#define SUPERS_SIZE (HAK_WINDOW_SUPERSLABS * sizeof(struct hak_super))
#define EMPTY_SIZE  (HAK_WINDOW_SUPERSLABS / 8)
#define TABLES_SIZE (hak_align_up(SUPERS_OFF + SUPERS_SIZE + EMPTY_SIZE, 4096) + META_CHUNK)

/* Large blocks start on page boundaries, and programs touch one page after the other: all in one
 * set of the processor's first cache. What is looked up for them when they are freed must not lie
 * in that set, as it would where superslab and slab number 0 begin a page. (The page map has an
 * offset of its own.) */
#define SUPERS_OFF 1024
#define SLABS_OFF  2048

/* Slab descriptors become writable in steps, so that strict overcommit is charged for few. */
#define COVER_SUPERS HAK_COVER_SUPERS
#define COVER_SIZE   ((uint64_t)COVER_SUPERS * HAK_SLABS_PER_SUPERSLAB * sizeof(struct hak_slab))
#define COVER_SHADOW hak_shadow_size((uint64_t)COVER_SUPERS << HAK_SUPERSLAB_SHIFT)

/* Metadata comes in pages, so that a small process touches few: magazine arrays from a page's start
 * and what is smaller from its end. Chunks of them are mapped; the first is part of the tables. */
#define META_CHUNK ((size_t)256 << 10)
#define META_PAGE  ((size_t)4096)

struct hak_heap hak_heap = { .session = HAK_SESSION_NULL };

/* The engine reads its tables before it writes to them: two faults for a page that was never
 * touched, the first one for the kernel's page of zeros. Written first, it is one. */
static void touch(struct hak_heap *heap, uint32_t superslab)
{
	struct hak_carve *carve = &heap->carve;

	(void)__atomic_fetch_or(&carve->supers[superslab].flags, 0, __ATOMIC_RELAXED);
	(void)__atomic_fetch_or(&carve->empty[superslab / 64], 0, __ATOMIC_RELAXED);
}

bool hak_heap_cover(struct hak_heap *heap, uint32_t first, uint32_t count)
{
	for (uint32_t c = first / COVER_SUPERS; c <= (first + count - 1) / COVER_SUPERS; c++) {
		uint64_t bit = UINT64_C(1) << (c % 64);

		if (heap->covered[c / 64] & bit)
			continue;
		if (hak_sys_protect_rw(hak_at(heap->slabs, c * COVER_SIZE - SLABS_OFF),
				       COVER_SIZE + 4096) < 0)
			return false;
		if (heap->shadow &&
		    hak_sys_protect_rw(hak_at(heap->shadow, c * COVER_SHADOW), COVER_SHADOW) < 0)
			return false;
		heap->covered[c / 64] |= bit;
		touch(heap, first);
	}
	return true;
}

/* Kept spans that are more than this part of the heap are used up before untouched slabs are; kept
 * magazines, when a superslab had to be begun. */
#define CACHED_SHARE 8u

static uint64_t in_use(const struct hak_heap *heap)
{
	return (uint64_t)heap->carve.n_added * HAK_SLABS_PER_SUPERSLAB - heap->carve.free_slabs;
}

/* Under the lock. */
static bool take(struct hak_heap *heap, uint64_t n_slabs, uint64_t align, struct hak_span *ret_span)
{
	uint32_t clean = heap->carve.n_clean;

	if (!hak_carve_take(&heap->carve, n_slabs, align, ret_span))
		return false;
	hak_heap_regret(heap, clean - heap->carve.n_clean);
	hak_pages_begin(heap, ret_span);
	/* The size class's lock is held: whoever came for memory sees to it. */
	if (hak_depot_bytes() * CACHED_SHARE > in_use(heap) << HAK_SLAB_SHIFT)
		__atomic_store_n(&heap->depots_full, true, __ATOMIC_RELAXED);
	return true;
}

static bool take_or_grow(struct hak_heap *heap, uint64_t n_slabs, uint64_t align,
			 struct hak_span *ret_span)
{
	uint64_t wants = hak_carve_wants(n_slabs, align);

	if (take(heap, n_slabs, align, ret_span))
		return true;
	/* A late answer of the daemon may be all that is needed. */
	(void)hak_heap_reap(heap, NULL);
	if (take(heap, n_slabs, align, ret_span))
		return true;
	return wants <= HAK_LOCAL_SUPERSLABS && hak_heap_grow(heap, wants) &&
	       take(heap, n_slabs, align, ret_span);
}

/* From superslabs in use; `used`: only what costs no memory. */
static bool take_begun(struct hak_heap *heap, uint64_t n_slabs, uint64_t align, bool used,
		       struct hak_span *ret_span)
{
	return hak_carve_take_used(&heap->carve, n_slabs, align, ret_span) ||
	       (!used && hak_carve_take_begun(&heap->carve, n_slabs, align, ret_span));
}

/* Memory that was used before comes first, and that is also what lies in the span cache: keeping it
 * for its size must not make the process larger. With the lock held on return. */
static bool lock_and_take(struct hak_heap *heap, uint64_t n_slabs, uint64_t align,
			  struct hak_span *ret_span)
{
	uint64_t cached = 0;

	pthread_mutex_lock(&heap->lock);
	/* Without spans, the cache's pages are not even touched. */
	if (heap->stats.spans)
		(void)hak_spans_cached(true, &cached);
	if (take_begun(heap, n_slabs, align, cached * CACHED_SHARE > in_use(heap), ret_span))
		return true;
	if (cached) {
		pthread_mutex_unlock(&heap->lock);
		hak_spans_flush();
		hak_spans_trim();
		pthread_mutex_lock(&heap->lock);
		if (take_begun(heap, n_slabs, align, false, ret_span))
			return true;
	}
	return take_or_grow(heap, n_slabs, align, ret_span);
}

/* The fewest empty superslabs with memory since the last decay (give.c); after each take. */
static void note_idle(struct hak_heap *heap)
{
	uint32_t idle = heap->carve.n_empty - heap->carve.n_clean;

	if (idle < heap->idle_least)
		heap->idle_least = idle;
}

static bool source_take(uint32_t slabs, uint32_t *ret_slab)
{
	struct hak_span span;
	bool ok;

	ok = lock_and_take(&hak_heap, slabs, 1, &span);
	note_idle(&hak_heap);
	pthread_mutex_unlock(&hak_heap.lock);
	if (ok)
		*ret_slab = (uint32_t)span.slab;
	return ok;
}

static void source_give(uint32_t slab, uint32_t slabs)
{
	pthread_mutex_lock(&hak_heap.lock);
	hak_carve_give(&hak_heap.carve, slab, slabs);
	hak_heap_shed(&hak_heap);
	pthread_mutex_unlock(&hak_heap.lock);
}

/* Pages for metadata, one behind the other. NULL: no memory. */
static char *meta_pages(struct hak_heap *heap, size_t n)
{
	void *p;

	if (n > heap->meta.pages) {
		if (n > META_CHUNK / META_PAGE || hak_sys_map_anon(&p, META_CHUNK) < 0)
			return NULL;
		heap->meta.next = p;
		heap->meta.pages = META_CHUNK / META_PAGE;
	}
	p = heap->meta.next;
	heap->meta.next += n * META_PAGE;
	heap->meta.pages -= n;
	return p;
}

static void *meta_take(struct hak_heap *heap, size_t size)
{
	size_t n = (size + META_PAGE - 1) / META_PAGE;
	char *page;

	if (n > 1)
		return meta_pages(heap, n);
	if (size > (size_t)(heap->meta.end - heap->meta.at)) {
		page = meta_pages(heap, 1);
		if (!page)
			return NULL;
		heap->meta.at = page;
		heap->meta.end = page + META_PAGE;
	}
	if (size % HAK_MAGAZINE_ALIGN) {
		heap->meta.end -= size;
		return heap->meta.end;
	}
	heap->meta.at += size;
	return heap->meta.at - size;
}

static void *source_meta(size_t size)
{
	void *p;

	if (size > HAK_MAGAZINE_ALIGN)
		size = hak_align_up(size, HAK_MAGAZINE_ALIGN);
	pthread_mutex_lock(&hak_heap.lock);
	p = meta_take(&hak_heap, hak_align_up(size, HAK_LINE));
	pthread_mutex_unlock(&hak_heap.lock);
	return p;
}

static int reserve(struct hak_heap *heap, bool checked, uint8_t **ret_pagemap)
{
	uint64_t part = HAK_WINDOW_SIZE >> HAK_SLAB_SHIFT, first;
	void *window, *tables, *shadow = NULL;
	uint8_t *pagemap;
	int r = hak_sys_reserve(&window, hak_address_hint(HAK_WINDOW_SIZE, HAK_WINDOW_ALIGN),
				HAK_WINDOW_SIZE, HAK_WINDOW_ALIGN);

	if (r < 0)
		return r;
	r = hak_sys_reserve(&tables, NULL, TABLES_SIZE + SLABS_SIZE + 4096, 0);
	if (r < 0)
		goto unmap_window;
	r = hak_pagemap_reserve(&pagemap);
	if (r < 0)
		goto unmap_tables;
	/* Only the window's part of the page map is ever written. */
	first = (uintptr_t)window >> HAK_SLAB_SHIFT;
	r = hak_sys_protect_rw((void *)((uintptr_t)(pagemap + first) & ~UINT64_C(4095)),
			       part + 4096);
	if (!r)
		r = hak_sys_protect_rw(tables, TABLES_SIZE);
	if (!r && checked)
		r = hak_sys_map_zero(&shadow, hak_shadow_size(HAK_WINDOW_SIZE));
	if (r < 0)
		goto unmap_tables;
	heap->base = window;
	heap->shadow = shadow;
	heap->slabs = hak_at(tables, TABLES_SIZE + SLABS_OFF);
	heap->meta.next = hak_at(tables, TABLES_SIZE - META_CHUNK);
	heap->meta.pages = META_CHUNK / META_PAGE;
	tables = hak_at(tables, SUPERS_OFF);
	hak_carve_init(&heap->carve, tables, hak_at(tables, SUPERS_SIZE), HAK_WINDOW_SUPERSLABS,
		       HAK_LOCAL_FIRST);
	*ret_pagemap = pagemap;
	return 0;

unmap_tables:
	(void)hak_sys_unmap(tables, TABLES_SIZE + SLABS_SIZE + 4096);
unmap_window:
	(void)hak_sys_unmap(window, HAK_WINDOW_SIZE);
	return r;
}

int hak_heap_init(const struct hak_config *config)
{
	static const struct hak_tiny_source source = { source_take, source_give, source_meta,
						       hak_spans_flush };
	struct hak_heap *heap = &hak_heap;
	uint8_t *pagemap;
	int r = reserve(heap, config->checked, &pagemap);

	if (r < 0)
		return r;
	pthread_mutex_init(&heap->lock, NULL);
	heap->want_daemon = config->mode == HAK_MODE_AUTO || config->mode == HAK_MODE_DAEMON;
	heap->say_so = config->mode == HAK_MODE_DAEMON;
	memcpy(heap->socket, config->socket, sizeof(heap->socket));
	heap->node = config->node;
	hak_central_init(heap->base, HAK_WINDOW_SIZE, heap->slabs, &source);
	hak_pagemap = pagemap;
	return 0;
}

static uint64_t slabs_for(size_t size)
{
	return (size + HAK_SLAB_SIZE - 1) >> HAK_SLAB_SHIFT;
}

void *hak_heap_alloc(size_t size, size_t align, bool *ret_zeroed)
{
	uint64_t align_slabs = align > HAK_SLAB_SIZE ? align >> HAK_SLAB_SHIFT : 1;
	struct hak_heap *heap = &hak_heap;
	struct hak_span span;
	bool ok;

	if (size > HAK_WINDOW_SIZE || align > HAK_WINDOW_ALIGN)
		return NULL;
	ok = lock_and_take(heap, slabs_for(size), align_slabs, &span);
	if (ok) {
		heap->slabs[span.slab] =
			(struct hak_slab){ .kind = HAK_SLAB_SPAN, .n_slabs = span.n_slabs };
		heap->stats.spans++;
		heap->stats.span_bytes += span.n_slabs << HAK_SLAB_SHIFT;
		note_idle(heap);
	}
	pthread_mutex_unlock(&heap->lock);
	if (!ok)
		return NULL;
	if (ret_zeroed)
		*ret_zeroed = span.zeroed;
	return hak_at(heap->base, span.slab << HAK_SLAB_SHIFT);
}

void hak_heap_free(struct hak_slab *span)
{
	struct hak_heap *heap = &hak_heap;

	pthread_mutex_lock(&heap->lock);
	heap->stats.spans--;
	heap->stats.span_bytes -= span->n_slabs << HAK_SLAB_SHIFT;
	span->kind = HAK_SLAB_NONE;
	hak_carve_give(&heap->carve, (uint64_t)(span - heap->slabs), span->n_slabs);
	hak_heap_shed(heap);
	pthread_mutex_unlock(&heap->lock);
}

/* To copy less than a superslab is cheaper than to begin one: others' memory may do. */
static bool may_grow(const struct hak_heap *heap, const struct hak_slab *span, uint64_t n)
{
	uint64_t last = (uint64_t)(span - heap->slabs) + n - 1;

	return span->n_slabs >= HAK_SLABS_PER_SUPERSLAB ||
	       (last < HAK_WINDOW_SIZE >> HAK_SLAB_SHIFT &&
		heap->carve.supers[last / HAK_SLABS_PER_SUPERSLAB].list != HAK_CARVE_CLEAN);
}

bool hak_heap_resize(struct hak_slab *span, size_t size)
{
	struct hak_heap *heap = &hak_heap;
	uint64_t n = slabs_for(size), at = (uint64_t)(span - heap->slabs);
	uint32_t clean;
	bool ok = true;

	pthread_mutex_lock(&heap->lock);
	clean = heap->carve.n_clean;
	if (n < span->n_slabs)
		hak_carve_give(&heap->carve, at + n, span->n_slabs - n);
	else if (n > span->n_slabs)
		ok = may_grow(heap, span, n) &&
		     hak_carve_take_at(&heap->carve, at + span->n_slabs, n - span->n_slabs);
	if (heap->carve.n_clean < clean)
		hak_pages_begin(heap, &(struct hak_span){ .slab = at + span->n_slabs,
							  .n_slabs = n - span->n_slabs,
							  .zeroed = true });
	if (ok) {
		heap->stats.span_bytes += (n - span->n_slabs) << HAK_SLAB_SHIFT;
		span->n_slabs = n;
		note_idle(heap);
		hak_heap_shed(heap);
	}
	pthread_mutex_unlock(&heap->lock);
	return ok;
}

size_t hak_heap_trim(void)
{
	uint64_t bytes;

	pthread_mutex_lock(&hak_heap.lock);
	(void)hak_session_alive(&hak_heap.session);
	hak_heap_want_none(&hak_heap);
	(void)hak_heap_reap(&hak_heap, NULL);
	bytes = hak_heap_release(&hak_heap, 0, true);
	bytes += hak_heap_release_parts(&hak_heap);
	if (hak_heap.session.state == HAK_SESSION_AWAY)
		hak_heap_sweep(&hak_heap);
	pthread_mutex_unlock(&hak_heap.lock);
	return bytes;
}
