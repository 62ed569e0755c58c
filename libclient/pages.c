/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/pages.h"

#include <sys/mman.h>

#include "libclient/heap.h"

#define PER            HAK_SLABS_PER_SUPERSLAB
#define PAGES_PER_SLAB (HAK_SLAB_SIZE / 4096)

/* A block covers superslabs if it is this long. */
#define COVER_SLABS (2 * PER)

/* Pages in memory, in eighths of those given out. */
#define DENSE_EIGHTHS 7u

static bool is_dense(const struct hak_heap *heap, uint32_t index)
{
	const struct hak_super *s = &heap->carve.supers[index];
	uint32_t pages, given = (uint32_t)__builtin_popcount(s->dirty) * PAGES_PER_SLAB;

	if (!index || !given ||
	    hak_sys_resident(hak_heap_at(heap, index), HAK_SUPERSLAB_SIZE, &pages) < 0)
		return false;
	return !pages || pages * 8 >= given * DENSE_EIGHTHS;
}

/* For the superslab `index`, which has just begun. */
static bool wants_whole(struct hak_heap *heap, uint32_t index)
{
	struct hak_pages *pages = &heap->pages;
	uint32_t begun = heap->carve.n_added - heap->carve.n_clean;

	if (begun > PAGES_ENOUGH)
		return true;
	if (begun > PAGES_PLAIN) {
		if (!pages->judged)
			pages->dense = is_dense(heap, pages->before);
		pages->judged = true;
		if (pages->dense && (begun <= 8 || !hak_is_pow2(begun)))
			return true;
	}
	pages->before = pages->probe;
	pages->probe = index;
	pages->judged = false;
	return false;
}

static void make_whole(struct hak_heap *heap, uint32_t first, uint32_t count)
{
	if (!count || hak_sys_advise(hak_heap_at(heap, first),
				     (uint64_t)count << HAK_SUPERSLAB_SHIFT, MADV_HUGEPAGE) < 0)
		return;
	for (uint32_t i = first; i < first + count; i++) {
		if (!(heap->carve.supers[i].flags & HAK_SUPER_WHOLE))
			hak_heap_flip(heap, i, HAK_SUPER_WHOLE);
	}
}

/* A superslab that the span shares with others, if the span has begun it. */
static void begin_part(struct hak_heap *heap, uint64_t slab, uint64_t n)
{
	uint32_t index = (uint32_t)(slab / PER);
	uint32_t mask = (n == PER ? UINT32_MAX : (1u << n) - 1) << slab % PER;
	const struct hak_super *s = &heap->carve.supers[index];

	if (!(s->flags & HAK_SUPER_WHOLE) && !(s->dirty & ~mask) && wants_whole(heap, index))
		make_whole(heap, index, 1);
}

void hak_pages_begin(struct hak_heap *heap, const struct hak_span *span)
{
	uint64_t at = span->slab, end = at + span->n_slabs;
	uint64_t first = hak_align_up(at, PER), last = end - end % PER;

	if (!span->zeroed || at / PER < HAK_LOCAL_FIRST)
		return;
	if (first < last && span->n_slabs >= COVER_SLABS) {
		make_whole(heap, (uint32_t)(first / PER), (uint32_t)((last - first) / PER));
		if (at < first)
			begin_part(heap, at, first - at);
		at = last;
	}
	for (uint64_t n; at < end; at += n) {
		n = PER - at % PER < end - at ? PER - at % PER : end - at;
		begin_part(heap, at, n);
	}
}
