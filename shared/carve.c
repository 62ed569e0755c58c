/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/carve.h"

#include "shared/check.h"
#include "shared/runs.h"

#define ALL        UINT32_MAX
#define PER        HAK_SLABS_PER_SUPERSLAB
#define LIST_CLEAN 33u

static uint32_t mask_of(uint32_t start, uint32_t n)
{
	return (n == PER ? ALL : (1u << n) - 1) << start;
}

static uint8_t longest_run(uint32_t m)
{
	uint8_t n = 0;

	while (m) {
		m &= m << 1;
		n++;
	}
	return n;
}

/* Bit i set: bits i .. i + n - 1 of m are set. */
static uint32_t run_starts(uint32_t m, uint32_t n)
{
	uint32_t have = 1;

	while (have < n && m) {
		uint32_t step = have < n - have ? have : n - have;

		m &= m >> step;
		have += step;
	}
	return m;
}

static uint32_t aligned_places(uint32_t align)
{
	static const uint32_t places[] = { ALL, 0x55555555u, 0x11111111u, 0x01010101u,
					   0x00010001u };

	return align >= PER ? 1u : places[__builtin_ctz(align)];
}

void hak_carve_init(struct hak_carve *carve, struct hak_super *supers, uint64_t *empty,
		    uint32_t total, uint32_t split)
{
	*carve = (struct hak_carve){ .supers = supers, .empty = empty, .total = total };
	carve->n_zones = split ? 2 : 1;
	carve->zone[0] = (struct hak_carve_zone){ 0, split ? split : total, 0 };
	if (split)
		carve->zone[1] = (struct hak_carve_zone){ split, total, split };
	for (uint32_t i = 0; i < HAK_CARVE_LISTS; i++)
		carve->head[i] = HAK_NO_SUPERSLAB;
}

static void unlist(struct hak_carve *carve, uint32_t index)
{
	struct hak_super *s = &carve->supers[index];

	if (!s->list)
		return;
	if (s->prev == HAK_NO_SUPERSLAB)
		carve->head[s->list] = s->next;
	else
		carve->supers[s->prev].next = s->next;
	if (s->next != HAK_NO_SUPERSLAB)
		carve->supers[s->next].prev = s->prev;
	if (carve->head[s->list] == HAK_NO_SUPERSLAB)
		carve->lists &= ~(UINT64_C(1) << s->list);
	s->list = 0;
}

static void enlist(struct hak_carve *carve, uint32_t index, uint8_t list)
{
	struct hak_super *s = &carve->supers[index];

	s->list = list;
	s->prev = HAK_NO_SUPERSLAB;
	s->next = carve->head[list];
	if (s->next != HAK_NO_SUPERSLAB)
		carve->supers[s->next].prev = index;
	carve->head[list] = index;
	carve->lists |= UINT64_C(1) << list;
}

/* Restores the equations for a superslab whose `free` or `dirty` changed. */
static void settle(struct hak_carve *carve, uint32_t index)
{
	struct hak_super *s = &carve->supers[index];
	bool was_empty = (carve->empty[index / 64] >> (index % 64)) & 1;
	bool is_empty = (s->flags & HAK_SUPER_ADDED) && s->free == ALL;
	uint8_t list;

	s->longest = longest_run(s->free);
	list = is_empty && !s->dirty ? LIST_CLEAN : s->longest;
	if (was_empty != is_empty) {
		hak_bits_fill(carve->empty, index, 1, is_empty);
		carve->n_empty += is_empty ? 1 : -1u;
	}
	carve->n_clean += (list == LIST_CLEAN) - (s->list == LIST_CLEAN);
	if (list != s->list) {
		unlist(carve, index);
		if (list)
			enlist(carve, index, list);
	}
}

static struct hak_carve_zone *zone_of(struct hak_carve *carve, uint32_t index)
{
	return &carve->zone[carve->n_zones == 2 && index >= carve->zone[1].first];
}

void hak_carve_add(struct hak_carve *carve, uint32_t first, uint32_t count, uint8_t host_flags,
		   bool zeroed)
{
	struct hak_carve_zone *zone = zone_of(carve, first);

	hak_assert(count && first < zone->end && count <= zone->end - first);
	if (zone->high < first + count)
		zone->high = first + count;
	/* Backwards, so that the lowest ends up at the list's head and is taken first. */
	for (uint32_t i = first + count; i-- > first;) {
		struct hak_super *s = &carve->supers[i];

		hak_assert(!(s->flags & HAK_SUPER_ADDED));
		*s = (struct hak_super){ .free = ALL,
					 .dirty = zeroed ? 0 : ALL,
					 .flags = HAK_SUPER_ADDED | host_flags };
		settle(carve, i);
	}
	carve->n_added += count;
	carve->free_slabs += (uint64_t)count * PER;
}

void hak_carve_remove(struct hak_carve *carve, uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < first + count; i++) {
		struct hak_super *s = &carve->supers[i];

		hak_assert((s->flags & HAK_SUPER_ADDED) && s->free == ALL);
		s->flags = 0;
		s->free = 0;
		settle(carve, i);
		*s = (struct hak_super){ 0 };
	}
	carve->n_added -= count;
	carve->free_slabs -= (uint64_t)count * PER;
}

void hak_carve_cleaned(struct hak_carve *carve, uint32_t index)
{
	hak_carve_cleaned_slabs(carve, index, ALL);
}

void hak_carve_cleaned_slabs(struct hak_carve *carve, uint32_t index, uint32_t slabs)
{
	hak_assert((carve->supers[index].free & slabs) == slabs);
	carve->supers[index].dirty &= ~slabs;
	settle(carve, index);
}

/* Marks slabs of one superslab taken; true if all of them were clean. */
static bool mark_taken(struct hak_carve *carve, uint32_t index, uint32_t mask)
{
	struct hak_super *s = &carve->supers[index];
	bool clean = !(s->dirty & mask);

	hak_assert((s->free & mask) == mask);
	s->free &= ~mask;
	s->dirty |= mask;
	carve->free_slabs -= (uint32_t)__builtin_popcount(mask);
	settle(carve, index);
	return clean;
}

static bool take_small(struct hak_carve *carve, uint64_t among, uint32_t n, uint32_t align,
		       struct hak_span *ret_span)
{
	uint64_t lists = among & ~((UINT64_C(1) << n) - 1);
	uint32_t places = aligned_places(align);

	for (; lists; lists &= lists - 1) {
		uint32_t i = carve->head[__builtin_ctzll(lists)];

		/* Without an alignment the first one fits. */
		for (; i != HAK_NO_SUPERSLAB; i = carve->supers[i].next) {
			uint32_t starts = run_starts(carve->supers[i].free, n) & places;
			uint32_t at;

			if (!starts)
				continue;
			at = (uint32_t)__builtin_ctz(starts);
			*ret_span =
				(struct hak_span){ .slab = (uint64_t)i * PER + at, .n_slabs = n };
			ret_span->zeroed = mark_taken(carve, i, mask_of(at, n));
			return true;
		}
	}
	return false;
}

/* The first aligned run of `count` empty superslabs in a zone, or HAK_NO_RUN. */
static uint32_t find_empty_run(const struct hak_carve *carve, const struct hak_carve_zone *zone,
			       uint32_t count, uint32_t align)
{
	uint32_t at = zone->first;

	for (;;) {
		uint32_t start = hak_bits_find_run(carve->empty, true, at, zone->high, count);
		uint32_t up;

		if (start == HAK_NO_RUN)
			return start;
		up = (uint32_t)hak_align_up(start, align);
		if (up == start)
			return start;
		at = up;
	}
}

static bool mark_range(struct hak_carve *carve, uint64_t slab, uint64_t n_slabs)
{
	bool clean = true;

	while (n_slabs) {
		uint32_t at = (uint32_t)(slab % PER);
		uint32_t n = PER - at < n_slabs ? PER - at : (uint32_t)n_slabs;

		if (!mark_taken(carve, (uint32_t)(slab / PER), mask_of(at, n)))
			clean = false;
		slab += n;
		n_slabs -= n;
	}
	return clean;
}

bool hak_carve_take(struct hak_carve *carve, uint64_t n_slabs, uint64_t align,
		    struct hak_span *ret_span)
{
	uint64_t supers = (n_slabs + PER - 1) / PER;
	uint64_t super_align = align > PER ? align / PER : 1;

	hak_assert(n_slabs && hak_is_pow2(align));
	if (n_slabs <= PER && align <= PER)
		return take_small(carve, carve->lists, (uint32_t)n_slabs, (uint32_t)align,
				  ret_span);
	if (supers > carve->n_empty || super_align > carve->total)
		return false;
	for (uint32_t z = 0; z < carve->n_zones; z++) {
		uint32_t first = find_empty_run(carve, &carve->zone[z], (uint32_t)supers,
						(uint32_t)super_align);

		if (first == HAK_NO_RUN)
			continue;
		*ret_span = (struct hak_span){ .slab = (uint64_t)first * PER, .n_slabs = n_slabs };
		ret_span->zeroed = mark_range(carve, ret_span->slab, n_slabs);
		return true;
	}
	return false;
}

bool hak_carve_take_used(struct hak_carve *carve, uint64_t n_slabs, uint64_t align,
			 struct hak_span *ret_span)
{
	uint64_t used = carve->lists & ~(UINT64_C(1) << LIST_CLEAN);

	return n_slabs <= PER && align <= PER &&
	       take_small(carve, used, (uint32_t)n_slabs, (uint32_t)align, ret_span);
}

uint64_t hak_carve_wants(uint64_t n_slabs, uint64_t align)
{
	uint64_t supers = (n_slabs + PER - 1) / PER;

	return align > PER ? supers + align / PER - 1 : supers;
}

void hak_carve_give(struct hak_carve *carve, uint64_t slab, uint64_t n_slabs)
{
	carve->free_slabs += n_slabs;
	while (n_slabs) {
		uint32_t index = (uint32_t)(slab / PER), at = (uint32_t)(slab % PER);
		uint32_t n = PER - at < n_slabs ? PER - at : (uint32_t)n_slabs;
		struct hak_super *s = &carve->supers[index];

		hak_assert((s->flags & HAK_SUPER_ADDED) && !(s->free & mask_of(at, n)));
		s->free |= mask_of(at, n);
		settle(carve, index);
		slab += n;
		n_slabs -= n;
	}
}

bool hak_carve_take_at(struct hak_carve *carve, uint64_t slab, uint64_t n_slabs)
{
	uint64_t end = slab + n_slabs;
	const struct hak_carve_zone *zone;

	if (!n_slabs || slab / PER >= carve->total || end < slab)
		return false;
	zone = zone_of(carve, (uint32_t)(slab / PER));
	if (end > (uint64_t)zone->high * PER)
		return false;
	for (uint64_t at = slab; at < end;) {
		uint32_t in = (uint32_t)(at % PER);
		uint32_t n = PER - in < end - at ? PER - in : (uint32_t)(end - at);
		uint32_t mask = mask_of(in, n);

		if ((carve->supers[at / PER].free & mask) != mask)
			return false;
		at += n;
	}
	(void)mark_range(carve, slab, n_slabs);
	return true;
}

uint32_t hak_carve_find_empty(const struct hak_carve *carve, uint32_t from, uint8_t flags)
{
	for (uint32_t z = 0; z < carve->n_zones; z++) {
		uint32_t at = from > carve->zone[z].first ? from : carve->zone[z].first;

		for (;; at++) {
			at = hak_bits_find_run(carve->empty, true, at, carve->zone[z].high, 1);
			if (at == HAK_NO_RUN)
				break;
			if ((carve->supers[at].flags & flags) == flags)
				return at;
		}
	}
	return HAK_NO_SUPERSLAB;
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
		bool empty = is_added && s->free == ALL;
		uint8_t list = empty && !s->dirty ? LIST_CLEAN : longest_run(s->free);

		if (!is_added && (s->free || s->list))
			return false;
		if (s->longest != longest_run(s->free) || s->list != list)
			return false;
		if (((carve->empty[i / 64] >> (i % 64)) & 1) != empty)
			return false;
		if (~s->free & ~s->dirty && is_added)
			return false; /* taken slabs count as dirty */
		added += is_added;
		n_empty += empty;
		n_clean += list == LIST_CLEAN;
		with_free += s->free != 0;
		free_slabs += (uint32_t)__builtin_popcount(s->free);
	}
	if (added != carve->n_added || n_empty != carve->n_empty || n_clean != carve->n_clean ||
	    free_slabs != carve->free_slabs || !lists_ok(carve, &listed))
		return false;
	return listed == with_free;
}
