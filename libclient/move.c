/* SPDX-License-Identifier: Apache-2.0 */
/*
 * move.c - large spans that grow where there is no room: to another place with half as much room
 * again behind it. Superslabs of anonymous memory move as page tables (mremap), not as bytes: the
 * new place's own pages go, and the old place has fresh ones, zero when touched. What cannot move
 * that way is copied: parts of superslabs that others have blocks in, and all that is the daemon's.
 */
#include <string.h>

#include "libclient/heap.h"
#include "tiny/central.h"

#define PER HAK_SLABS_PER_SUPERSLAB

/* A span of n slabs in anonymous memory, at the start of a superslab. */
static bool take_place(struct hak_heap *heap, uint64_t n, struct hak_span *ret_span)
{
	uint64_t room = n + n / 2;

	if (!hak_carve_take_roomy(&heap->carve, n, room, ret_span) &&
	    (!hak_heap_grow(heap, (room + PER - 1) / PER) ||
	     !hak_carve_take_roomy(&heap->carve, n, room, ret_span)))
		return false;
	if (ret_span->slab / PER >= HAK_LOCAL_FIRST)
		return true;
	hak_carve_give(&heap->carve, ret_span->slab, n);
	return false;
}

/* How many superslabs of the span can move: those it has for itself. */
static uint32_t movable(const struct hak_heap *heap, uint64_t at, uint64_t n)
{
	const struct hak_super *last = &heap->carve.supers[(at + n) / PER];
	uint32_t rest = (uint32_t)(n % PER);

	return (uint32_t)(n / PER) +
	       (rest && (last->free | ((1u << rest) - 1)) == UINT32_MAX ? 1 : 0);
}

/* Moves `count` superslabs, in one step if they are one mapping. How many could be moved; the rest
 * is as it was. */
static uint32_t move_pages(struct hak_heap *heap, uint32_t from, uint32_t to, uint32_t count)
{
	uint32_t moved = count;

	if (hak_sys_move_pages(hak_heap_at(heap, from), hak_heap_at(heap, to),
			       (uint64_t)count << HAK_SUPERSLAB_SHIFT) < 0) {
		for (moved = 0; moved < count; moved++) {
			if (hak_sys_move_pages(hak_heap_at(heap, from + moved),
					       hak_heap_at(heap, to + moved),
					       HAK_SUPERSLAB_SIZE) < 0)
				break;
		}
	}
	for (uint32_t i = 0; i < moved; i++) {
		const struct hak_super *a = &heap->carve.supers[from + i];
		struct hak_super *b = &heap->carve.supers[to + i];

		/* What is written there now, and in which pages. */
		b->dirty |= a->dirty;
		hak_heap_flip(heap, to + i, (a->flags ^ b->flags) & HAK_SUPER_WHOLE);
	}
	return moved;
}

/* The pages did not move: their owner may copy without our lock. */
static void give_place_back(struct hak_heap *heap, const struct hak_span *place)
{
	hak_carve_give(&heap->carve, place->slab, place->n_slabs);
	for (uint64_t at = place->slab; place->zeroed && at < place->slab + place->n_slabs;
	     at += PER)
		hak_carve_cleaned(&heap->carve, (uint32_t)(at / PER));
}

/* The old place is given back. */
static void leave(struct hak_heap *heap, struct hak_slab *span, uint32_t moved)
{
	uint64_t at = (uint64_t)(span - heap->slabs);

	span->kind = HAK_SLAB_NONE;
	hak_carve_give(&heap->carve, at, span->n_slabs);
	for (uint32_t i = 0; i < moved; i++)
		hak_carve_cleaned(&heap->carve, (uint32_t)(at / PER) + i);
	hak_heap_shed(heap);
}

void *hak_heap_move(struct hak_slab *span, size_t size)
{
	struct hak_heap *heap = &hak_heap;
	uint64_t n = (size + HAK_SLAB_SIZE - 1) >> HAK_SLAB_SHIFT, old = span->n_slabs, done;
	uint64_t at = (uint64_t)(span - heap->slabs);
	char *from = hak_slab_start(span), *to = NULL;
	struct hak_span place = { 0 };
	uint32_t count, moved = 0;

	if (old < PER || n < old || at % PER || at / PER < HAK_LOCAL_FIRST ||
	    n > HAK_WINDOW_SIZE / HAK_SLAB_SIZE / 2)
		return NULL;
	pthread_mutex_lock(&heap->lock);
	if (!hak_heap_leases(heap) && take_place(heap, n, &place)) {
		to = heap->base + (place.slab << HAK_SLAB_SHIFT);
		count = movable(heap, at, old);
		moved = move_pages(heap, (uint32_t)(at / PER), (uint32_t)(place.slab / PER), count);
		if (!moved) {
			give_place_back(heap, &place);
			to = NULL;
		}
	}
	if (to) {
		done = (uint64_t)moved * PER;
		if (done < n)
			hak_pages_begin(heap, &(struct hak_span){ place.slab + done, n - done,
								  place.zeroed });
		heap->slabs[place.slab] = (struct hak_slab){ .kind = HAK_SLAB_SPAN, .n_slabs = n };
		heap->stats.span_bytes += (n - old) << HAK_SLAB_SHIFT;
		if (done < old) /* nobody else knows of either place's bytes */
			memcpy(to + (done << HAK_SLAB_SHIFT), from + (done << HAK_SLAB_SHIFT),
			       (old - done) << HAK_SLAB_SHIFT);
		leave(heap, span, moved);
	}
	pthread_mutex_unlock(&heap->lock);
	return to;
}

void *hak_heap_alloc_roomy(size_t size)
{
	struct hak_heap *heap = &hak_heap;
	uint64_t n = (size + HAK_SLAB_SIZE - 1) >> HAK_SLAB_SHIFT;
	struct hak_span place;
	void *p = NULL;

	if (n < PER || n > HAK_WINDOW_SIZE / HAK_SLAB_SIZE / 2)
		return NULL;
	pthread_mutex_lock(&heap->lock);
	if (!hak_heap_leases(heap) && take_place(heap, n, &place)) {
		hak_pages_begin(heap, &place);
		heap->slabs[place.slab] = (struct hak_slab){ .kind = HAK_SLAB_SPAN, .n_slabs = n };
		heap->stats.spans++;
		heap->stats.span_bytes += n << HAK_SLAB_SHIFT;
		p = heap->base + (place.slab << HAK_SLAB_SHIFT);
	}
	pthread_mutex_unlock(&heap->lock);
	return p;
}
