/* SPDX-License-Identifier: Apache-2.0 */
/* The equations at the top of carve.h, derived anew. */
#include "shared/carve.h"

static uint32_t longest(uint32_t free)
{
	uint32_t best = 0, n = 0;

	for (uint32_t i = 0; i < HAK_SLABS_PER_SUPERSLAB && free >> i; i++) {
		n = (free >> i) & 1 ? n + 1 : 0;
		best = n > best ? n : best;
	}
	return best;
}

static bool lists_ok(const struct hak_carve *carve, uint32_t *ret_listed)
{
	for (uint32_t l = 0; l < HAK_CARVE_LISTS; l++) {
		uint32_t prev = HAK_NO_SUPERSLAB;

		if (((carve->lists >> l) & 1) != (carve->head[l] != HAK_NO_SUPERSLAB))
			return false;
		for (uint32_t i = carve->head[l]; i != HAK_NO_SUPERSLAB;) {
			const struct hak_super *s = &carve->supers[i];

			if (s->list != l || s->prev != prev || ++*ret_listed > carve->total)
				return false;
			prev = i;
			i = s->next;
		}
	}
	return true;
}

bool hak_carve_check(const struct hak_carve *carve)
{
	uint64_t free_slabs = 0;
	uint32_t added = 0, n_empty = 0, n_clean = 0, listed = 0, with_free = 0;

	for (uint32_t i = 0; i < carve->total; i++) {
		const struct hak_super *s = &carve->supers[i];
		bool is_added = s->flags & HAK_SUPER_ADDED;
		bool empty = is_added && s->free == UINT32_MAX;
		uint32_t list = empty && !s->dirty ? HAK_CARVE_CLEAN : longest(s->free);

		if (!is_added && (s->free || s->list))
			return false;
		if (s->longest != longest(s->free) || s->list != list)
			return false;
		if (((carve->empty[i / 64] >> (i % 64)) & 1) != empty)
			return false;
		if (~s->free & ~s->dirty && is_added)
			return false; /* taken slabs count as dirty */
		added += is_added;
		n_empty += empty;
		n_clean += list == HAK_CARVE_CLEAN;
		with_free += s->free != 0;
		free_slabs += (uint32_t)__builtin_popcount(s->free);
	}
	if (added != carve->n_added || n_empty != carve->n_empty || n_clean != carve->n_clean ||
	    free_slabs != carve->free_slabs || !lists_ok(carve, &listed))
		return false;
	return listed == with_free;
}
