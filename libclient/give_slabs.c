/* SPDX-License-Identifier: Apache-2.0 */
/*
 * give_slabs.c - malloc_trim() below the size of a superslab: one live block, the C library's own
 * for instance, must not hold 2 MiB. Anonymous memory only: slices of the region go back whole, and
 * a copy-on-write view would show the file's bytes again.
 */
#include <sys/mman.h>

#include "libclient/heap.h"

static uint64_t release(struct hak_heap *heap, uint32_t index, uint32_t slabs)
{
	uint32_t at = (uint32_t)__builtin_ctz(slabs), n = 1;
	uint64_t size;

	while (at + n < HAK_SLABS_PER_SUPERSLAB && (slabs >> (at + n)) & 1)
		n++;
	size = (uint64_t)n << HAK_SLAB_SHIFT;
	if (hak_sys_advise(hak_at(hak_heap_at(heap, index), (uint64_t)at << HAK_SLAB_SHIFT), size,
			   MADV_DONTNEED) < 0)
		return 0;
	hak_carve_cleaned_slabs(&heap->carve, index, (uint32_t)((UINT64_C(1) << n) - 1) << at);
	return size;
}

uint64_t hak_heap_release_slabs(struct hak_heap *heap)
{
	struct hak_carve *carve = &heap->carve;
	uint64_t freed = 0, more;

	for (uint32_t z = 0; z < carve->n_zones; z++) {
		for (uint32_t i = carve->zone[z].first; i < carve->zone[z].high; i++) {
			const struct hak_super *s = &carve->supers[i];

			if (s->flags & (HAK_SUPER_SHARED | HAK_SUPER_COPY))
				continue;
			while (s->free & s->dirty) {
				more = release(heap, i, s->free & s->dirty);
				if (!more)
					return freed;
				freed += more;
			}
		}
	}
	return freed;
}
