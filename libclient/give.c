/* SPDX-License-Identifier: Apache-2.0 */
/*
 * give.c - where empty superslabs go: kept for a while, then back to the daemon or the kernel.
 * Everything here runs under the heap's lock.
 */
#include <sys/mman.h>

#include "libclient/heap.h"
#include "libclient/spans.h"

/* Empty superslabs worth keeping: a constant for small processes and a share for large ones. */
#define KEEP_LEAST 16u
#define KEEP_SHARE 8u

/* Anonymous memory goes back to the kernel and stays accessible: zero when touched again. */
static bool release_local(struct hak_heap *heap, uint32_t first, uint32_t count)
{
	uint64_t size = (uint64_t)count << HAK_SUPERSLAB_SHIFT;

	if (hak_sys_advise(hak_heap_at(heap, first), size, MADV_DONTNEED) < 0)
		return false;
	for (uint32_t i = first; i < first + count; i++)
		hak_carve_cleaned(&heap->carve, i);
	return true;
}

/* A copy-on-write view is replaced by anonymous memory; the daemon keeps the slice frozen. */
static bool release_copy(struct hak_heap *heap, uint32_t first, uint32_t count)
{
	uint64_t size = (uint64_t)count << HAK_SUPERSLAB_SHIFT;
	void *at = hak_heap_at(heap, first);

	if (hak_sys_map_anon_at(at, size) < 0)
		return false;
	(void)hak_sys_advise(at, size, MADV_HUGEPAGE);
	hak_sys_name(at, size, "hakmem");
	for (uint32_t i = first; i < first + count; i++) {
		/* WHOLE it was as a slice, and stays. */
		hak_heap_flip(heap, i, HAK_SUPER_COPY);
		hak_carve_cleaned(&heap->carve, i);
	}
	heap->stats.local += count;
	return true;
}

/* The parts of the region's file that are neither mapped here nor, perhaps, by a child. */
void hak_heap_sweep(struct hak_heap *heap)
{
	const struct hak_super *supers = &heap->carve.supers[heap->shift];
	const uint8_t keep = HAK_SUPER_SHARED | HAK_SUPER_FROZEN;
	uint32_t high = heap->carve.zone[0].high, end = heap->session.region_superslabs;
	int fd = hak_session_region_fd(&heap->session);

	heap->swept = true;
	high = high > heap->shift ? high - heap->shift : 0;
	for (uint32_t at = 0, first = 0; fd >= 0 && first < end; at++) {
		if (at < high && !(supers[at].flags & keep))
			continue;
		if (at >= high) /* above, nothing was ever mapped */
			at = end;
		if (at > first)
			(void)hak_sys_punch(fd, (uint64_t)first << HAK_SUPERSLAB_SHIFT,
					    (uint64_t)(at - first) << HAK_SUPERSLAB_SHIFT);
		first = at + 1;
	}
}

static bool release_shared(struct hak_heap *heap, uint32_t first, uint32_t count)
{
	uint64_t off = (uint64_t)(first - heap->shift) << HAK_SUPERSLAB_SHIFT;
	uint64_t size = (uint64_t)count << HAK_SUPERSLAB_SHIFT;
	struct hak_sqe sqe = { .op = HAK_OP_RETURN, .first = first - heap->shift, .count = count };

	if (!hak_session_alive(&heap->session)) {
		/* The daemon is gone; the memory is still a file's, so punch it ourselves. */
		int fd = hak_session_region_fd(&heap->session);

		if (fd < 0 || hak_sys_punch(fd, off, size) < 0)
			return false;
		for (uint32_t i = first; i < first + count; i++)
			hak_carve_cleaned(&heap->carve, i);
		return true;
	}
	if (!hak_ring_room(&heap->session.sq) ||
	    hak_sys_map_none_at(hak_heap_at(heap, first), size) < 0)
		return false;
	hak_carve_remove(&heap->carve, first, count);
	if (!hak_session_post(&heap->session, &sqe))
		heap->stats.returns += count;
	return true;
}

static bool release_run(struct hak_heap *heap, uint32_t first, uint32_t count, uint8_t flags)
{
	if (flags & HAK_SUPER_SHARED)
		return release_shared(heap, first, count);
	if (flags & HAK_SUPER_COPY)
		return release_copy(heap, first, count);
	return release_local(heap, first, count);
}

/* True if giving this empty superslab back frees memory. */
static bool worth(const struct hak_super *s, bool shared_too)
{
	return s->dirty || (s->flags & HAK_SUPER_COPY) ||
	       (shared_too && (s->flags & HAK_SUPER_SHARED));
}

uint64_t hak_heap_release(struct hak_heap *heap, uint32_t keep, bool shared_too)
{
	struct hak_carve *carve = &heap->carve;
	uint32_t have = carve->n_empty - carve->n_clean, at = 0;
	uint64_t freed = 0;

	if (shared_too)
		have = carve->n_empty;
	while (have > keep) {
		uint32_t count = 1;
		uint8_t flags;

		at = hak_carve_find_empty(carve, at, 0);
		if (at == HAK_NO_SUPERSLAB)
			break;
		if (!worth(&carve->supers[at], shared_too)) {
			at++;
			continue;
		}
		flags = carve->supers[at].flags;
		while (count < have - keep && at + count < carve->total &&
		       carve->supers[at + count].flags == flags &&
		       hak_carve_find_empty(carve, at + count, 0) == at + count &&
		       worth(&carve->supers[at + count], shared_too))
			count++;
		if (release_run(heap, at, count, flags))
			freed += (uint64_t)count << HAK_SUPERSLAB_SHIFT;
		have -= count;
		at += count;
	}
	return freed;
}

/* Free slabs between those in use, of anonymous memory only: a file's bytes would come back. A
 * 2 MiB page falls apart by it, and is worth that if most of it is free. */
static uint64_t release_part(struct hak_heap *heap, uint32_t index)
{
	const struct hak_super *s = &heap->carve.supers[index];
	bool whole = s->flags & HAK_SUPER_WHOLE;
	uint32_t left = whole ? s->free : s->free & s->dirty, mask;
	uint64_t freed = 0;

	if (whole && (uint32_t)__builtin_popcount(left) <= HAK_SLABS_PER_SUPERSLAB / 2)
		return 0;
	for (; left; left &= ~mask) {
		uint32_t at = (uint32_t)__builtin_ctz(left);
		uint32_t n = (uint32_t)__builtin_ctz(~(left >> at)); /* not all are free */
		char *p = hak_heap_at(heap, index);

		mask = ((1u << n) - 1) << at;
		if (hak_sys_advise(p + at * HAK_SLAB_SIZE, n * HAK_SLAB_SIZE, MADV_DONTNEED) < 0)
			continue;
		hak_carve_cleaned_slabs(&heap->carve, index, mask);
		freed += n * HAK_SLAB_SIZE;
		if (whole) {
			hak_heap_flip(heap, index, HAK_SUPER_WHOLE);
			whole = false;
		}
	}
	return freed;
}

uint64_t hak_heap_release_parts(struct hak_heap *heap)
{
	const struct hak_carve_zone *zone = &heap->carve.zone[1];
	uint64_t freed = 0;

	for (uint32_t i = zone->first; i < zone->high; i++) {
		const struct hak_super *s = &heap->carve.supers[i];

		if ((s->flags & HAK_SUPER_ADDED) && s->free && s->free != UINT32_MAX)
			freed += release_part(heap, i);
	}
	return freed;
}

/* What lay empty and written to for an interval was not needed in it: half of it goes. */
static void decay(struct hak_heap *heap)
{
	uint32_t idle = heap->carve.n_empty - heap->carve.n_clean, least;
	uint64_t now;

	if (!idle)
		return;
	now = hak_sys_now_ns();
	if (now < heap->idle_since + HAK_DECAY_NS)
		return;
	if (heap->idle_least > idle)
		heap->idle_least = idle;
	least = (heap->idle_least + 1) / 2;
	(void)hak_heap_release(heap, idle - least, false);
	heap->regret -= least < heap->regret ? least : heap->regret;
	heap->shed = 0;
	heap->idle_least = heap->carve.n_empty - heap->carve.n_clean;
	heap->idle_since = now;
}

void hak_heap_regret(struct hak_heap *heap, uint32_t begun)
{
	if (begun > heap->shed)
		begun = heap->shed;
	heap->shed -= begun;
	heap->regret += begun;
}

void hak_heap_shed(struct hak_heap *heap)
{
	uint32_t used = heap->carve.n_added - heap->carve.n_empty, cached, keep;
	uint64_t slabs;

	/* What the span cache holds is kept, too: at most KEEP_LEAST superslabs' worth. */
	(void)hak_spans_cached(false, &slabs);
	cached = (uint32_t)(slabs / HAK_SLABS_PER_SUPERSLAB);
	keep = KEEP_LEAST - cached + (used > cached ? used - cached : 0) / KEEP_SHARE +
	       heap->regret;
	/* Half as much again before anything goes, so that a boundary case does not flap. */
	if (heap->carve.n_empty - heap->carve.n_clean > keep + keep / 2)
		heap->shed +=
			(uint32_t)(hak_heap_release(heap, keep, false) >> HAK_SUPERSLAB_SHIFT);
	decay(heap);
}
