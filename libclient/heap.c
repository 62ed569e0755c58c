/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/heap.h"

#include <string.h>

#include "libclient/pagemap.h"
#include "libclient/spans.h"
#include "shared/check.h"
#include "tiny/checked.h"
#include "tiny/tiny.h"

#define SLABS_SIZE  (HAK_WINDOW_SIZE / HAK_SLAB_SIZE * sizeof(struct hak_slab))
#define SUPERS_SIZE (HAK_WINDOW_SUPERSLABS * sizeof(struct hak_super))
#define EMPTY_SIZE  (HAK_WINDOW_SUPERSLABS / 8)
#define LOCAL_SIZE  (HAK_LOCAL_SUPERSLABS / 8)
#define TABLES_SIZE hak_align_up(SUPERS_SIZE + EMPTY_SIZE + LOCAL_SIZE, 4096)

/* Slab descriptors become writable in steps, so that strict overcommit is charged for few. */
#define COVER_SUPERS 512u
#define COVER_SIZE   ((uint64_t)COVER_SUPERS * HAK_SLABS_PER_SUPERSLAB * sizeof(struct hak_slab))
#define COVER_SHADOW hak_shadow_size((uint64_t)COVER_SUPERS << HAK_SUPERSLAB_SHIFT)

#define META_CHUNK ((size_t)256 << 10)

struct hak_heap hak_heap = { .session = HAK_SESSION_NULL };

static uint64_t covered[HAK_WINDOW_SUPERSLABS / COVER_SUPERS / 64];

bool hak_heap_cover(struct hak_heap *heap, uint32_t first, uint32_t count)
{
	for (uint32_t c = first / COVER_SUPERS; c <= (first + count - 1) / COVER_SUPERS; c++) {
		uint64_t bit = UINT64_C(1) << (c % 64);

		if (covered[c / 64] & bit)
			continue;
		if (hak_sys_protect_rw(hak_at(heap->slabs, c * COVER_SIZE), COVER_SIZE) < 0)
			return false;
		if (heap->shadow &&
		    hak_sys_protect_rw(hak_at(heap->shadow, c * COVER_SHADOW), COVER_SHADOW) < 0)
			return false;
		covered[c / 64] |= bit;
	}
	return true;
}

/* Under the lock. */
static bool take_or_grow(struct hak_heap *heap, uint64_t n_slabs, uint64_t align,
			 struct hak_span *ret_span)
{
	uint64_t wants = hak_carve_wants(n_slabs, align);

	if (hak_carve_take(&heap->carve, n_slabs, align, ret_span)) {
		hak_heap_ask_ahead(heap);
		return true;
	}
	/* A late answer of the daemon may be all that is needed. */
	(void)hak_heap_reap(heap, NULL);
	if (hak_carve_take(&heap->carve, n_slabs, align, ret_span))
		return true;
	return wants <= HAK_LOCAL_SUPERSLABS && hak_heap_grow(heap, wants) &&
	       hak_carve_take(&heap->carve, n_slabs, align, ret_span);
}

/* Memory that was used before comes first, and that is also what lies in the span cache: keeping it
 * for its size must not make the process larger. With the lock held on return. */
static bool lock_and_take(struct hak_heap *heap, uint64_t n_slabs, uint64_t align,
			  struct hak_span *ret_span)
{
	uint64_t cached;

	pthread_mutex_lock(&heap->lock);
	if (hak_carve_take_used(&heap->carve, n_slabs, align, ret_span)) {
		hak_heap_ask_ahead(heap);
		return true;
	}
	if (hak_spans_cached(true, &cached)) {
		pthread_mutex_unlock(&heap->lock);
		hak_spans_flush();
		hak_spans_trim();
		pthread_mutex_lock(&heap->lock);
	}
	return take_or_grow(heap, n_slabs, align, ret_span);
}

static bool source_take(uint32_t slabs, uint32_t *ret_slab)
{
	struct hak_span span;
	bool ok;

	ok = lock_and_take(&hak_heap, slabs, 1, &span);
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

static void *source_meta(size_t size)
{
	static char *at, *end; /* under the heap's lock, which fork holds */
	void *p = NULL;

	size = hak_align_up(size, HAK_LINE);
	pthread_mutex_lock(&hak_heap.lock);
	if (size > (size_t)(end - at)) {
		void *chunk;

		if (size <= META_CHUNK && !hak_sys_map_anon(&chunk, META_CHUNK)) {
			at = chunk;
			end = at + META_CHUNK;
		}
	}
	if (size <= (size_t)(end - at)) {
		p = at;
		at += size;
	}
	pthread_mutex_unlock(&hak_heap.lock);
	return p;
}

static int reserve(struct hak_heap *heap, bool checked, uint8_t **ret_pagemap)
{
	uint64_t part = HAK_WINDOW_SIZE >> HAK_SLAB_SHIFT;
	void *window, *tables, *pagemap, *shadow = NULL;
	int r = hak_sys_reserve(&window, hak_address_hint(HAK_WINDOW_SIZE, HAK_WINDOW_ALIGN),
				HAK_WINDOW_SIZE, HAK_WINDOW_ALIGN);

	if (r < 0)
		return r;
	r = hak_sys_reserve(&tables, NULL, TABLES_SIZE + SLABS_SIZE, 0);
	if (r < 0)
		goto unmap_window;
	r = hak_sys_map_zero(&pagemap, HAK_PAGEMAP_SIZE);
	if (r < 0)
		goto unmap_tables;
	/* Only the window's part of the page map is ever written. */
	r = hak_sys_protect_rw(hak_at(pagemap, (uintptr_t)window >> HAK_SLAB_SHIFT), part);
	if (!r)
		r = hak_sys_protect_rw(tables, TABLES_SIZE);
	if (!r && checked)
		r = hak_sys_map_zero(&shadow, hak_shadow_size(HAK_WINDOW_SIZE));
	if (r < 0)
		goto unmap_pagemap;
	heap->base = window;
	heap->shadow = shadow;
	heap->slabs = hak_at(tables, TABLES_SIZE);
	hak_carve_init(&heap->carve, tables, hak_at(tables, SUPERS_SIZE), HAK_WINDOW_SUPERSLABS,
		       HAK_LOCAL_FIRST);
	hak_runs_init(&heap->local, hak_at(tables, SUPERS_SIZE + EMPTY_SIZE), HAK_LOCAL_SUPERSLABS,
		      1);
	*ret_pagemap = pagemap;
	return 0;

unmap_pagemap:
	(void)hak_sys_unmap(pagemap, HAK_PAGEMAP_SIZE);
unmap_tables:
	(void)hak_sys_unmap(tables, TABLES_SIZE + SLABS_SIZE);
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
	heap->ahead = 0;
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

bool hak_heap_resize(struct hak_slab *span, size_t size)
{
	struct hak_heap *heap = &hak_heap;
	uint64_t n = slabs_for(size), at = (uint64_t)(span - heap->slabs);
	bool ok = true;

	pthread_mutex_lock(&heap->lock);
	if (n < span->n_slabs)
		hak_carve_give(&heap->carve, at + n, span->n_slabs - n);
	else if (n > span->n_slabs)
		ok = hak_carve_take_at(&heap->carve, at + span->n_slabs, n - span->n_slabs);
	if (ok) {
		heap->stats.span_bytes += (n - span->n_slabs) << HAK_SLAB_SHIFT;
		span->n_slabs = n;
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
	(void)hak_heap_reap(&hak_heap, NULL);
	bytes = hak_heap_release(&hak_heap, 0, true);
	pthread_mutex_unlock(&hak_heap.lock);
	return bytes;
}
