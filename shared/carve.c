/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/carve.h"

#include "shared/check.h"
#include "shared/runs.h"

#define ALL        UINT32_MAX
#define PER        HAK_SLABS_PER_SUPERSLAB
#define LIST_CLEAN HAK_CARVE_CLEAN

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

/* Superslabs that a search for used slabs looks at: each slab of a size class begins with one. */
#define USED_TRIES 64u

/* Slabs of it that cost no memory. */
static uint32_t used_slabs(const struct hak_super *s)
{
	return s->flags & HAK_SUPER_WHOLE ? s->free : s->free & s->dirty;
}

static bool take_small(struct hak_carve *carve, uint64_t among, bool used, uint32_t n,
		       uint32_t align, struct hak_span *ret_span)
{
	uint64_t lists = among & ~((UINT64_C(1) << n) - 1);
	uint32_t places = aligned_places(align), tries = used ? USED_TRIES : UINT32_MAX;

	for (; lists; lists &= lists - 1) {
		uint32_t i = carve->head[__builtin_ctzll(lists)];

		/* Without conditions the first one fits. */
		for (; i != HAK_NO_SUPERSLAB && tries; i = carve->supers[i].next, tries--) {
			const struct hak_super *s = &carve->supers[i];
			uint32_t starts = run_starts(used ? used_slabs(s) : s->free, n) & places;
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

/* More than a superslab: a run of empty ones, and the free slabs right before and behind it. */
struct stretch {
	uint32_t first, end;  /* the empty superslabs */
	uint32_t trail, lead; /* free slabs before, behind */
};

/* Where n slabs lie in it so that they open the fewest empty superslabs; false: nowhere. */
static bool place_in(const struct stretch *st, uint64_t n, uint64_t *ret_slab)
{
	uint64_t whole = (uint64_t)(st->end - st->first) * PER, rest = n % PER;

	*ret_slab = (uint64_t)st->first * PER;
	if (n >= whole) {
		if (n - whole > st->lead + st->trail)
			return false;
		if (n - whole > st->lead)
			*ret_slab -= n - whole - st->lead;
	} else if (rest && rest <= st->trail) {
		*ret_slab -= rest;
	} else if (rest && rest <= st->lead) {
		*ret_slab = (uint64_t)st->end * PER - (n - rest);
	}
	return true;
}

/* What taking these slabs costs: each clean superslab more than one that is only empty. */
static uint64_t cost_of(const struct hak_carve *carve, uint64_t slab, uint64_t n)
{
	uint64_t clean = 0, empty = 0;

	for (uint64_t i = slab / PER; i <= (slab + n - 1) / PER; i++) {
		clean += carve->supers[i].list == LIST_CLEAN;
		empty += carve->supers[i].free == ALL;
	}
	return 2 * clean + (empty > n / PER);
}

/* Runs that a search goes on for once it has a place. */
#define LONG_TRIES 32u
#define NO_PLACE   UINT64_MAX

/* The best place for n > PER slabs in a zone: it starts the fewest clean superslabs,
 * `most` at most, then opens the fewest empty ones, then lies lowest. NO_PLACE: there is none. */
static uint64_t find_long(const struct hak_carve *carve, const struct hak_carve_zone *zone,
			  uint64_t n, uint64_t most)
{
	uint64_t found = NO_PLACE, least = 2 * most + 2;
	uint32_t tries = LONG_TRIES;
	struct stretch st = { .end = zone->first };

	while (tries) {
		uint64_t slab, cost;

		st.first = hak_bits_find_run(carve->empty, true, st.end, zone->high, 1);
		if (st.first == HAK_NO_RUN)
			break;
		st.end = hak_bits_find_run(carve->empty, false, st.first, zone->high, 1);
		st.lead = st.trail = 0;
		if (st.end == HAK_NO_RUN)
			st.end = zone->high;
		else
			st.lead = (uint32_t)__builtin_ctz(~carve->supers[st.end].free);
		if (st.first > zone->first)
			st.trail = (uint32_t)__builtin_clz(~carve->supers[st.first - 1].free);
		if (!place_in(&st, n, &slab))
			continue;
		cost = cost_of(carve, slab, n);
		if (cost < least) {
			least = cost;
			found = slab;
		}
		tries -= found != NO_PLACE;
	}
	return found;
}

static bool take_long(struct hak_carve *carve, uint64_t n, uint64_t most, struct hak_span *ret_span)
{
	for (uint32_t z = 0; z < carve->n_zones; z++) {
		uint64_t slab = find_long(carve, &carve->zone[z], n, most);

		if (slab == NO_PLACE)
			continue;
		*ret_span = (struct hak_span){ .slab = slab, .n_slabs = n };
		ret_span->zeroed = mark_range(carve, slab, n);
		return true;
	}
	return false;
}

/* `n` slabs at the start of `supers` empty superslabs. */
static bool take_supers(struct hak_carve *carve, uint64_t supers, uint64_t align, uint64_t n,
			struct hak_span *ret_span)
{
	if (supers > carve->n_empty || align > carve->total)
		return false;
	for (uint32_t z = 0; z < carve->n_zones; z++) {
		uint32_t first =
			find_empty_run(carve, &carve->zone[z], (uint32_t)supers, (uint32_t)align);

		if (first == HAK_NO_RUN)
			continue;
		*ret_span = (struct hak_span){ .slab = (uint64_t)first * PER, .n_slabs = n };
		ret_span->zeroed = mark_range(carve, ret_span->slab, n);
		return true;
	}
	return false;
}

bool hak_carve_take(struct hak_carve *carve, uint64_t n_slabs, uint64_t align,
		    struct hak_span *ret_span)
{
	hak_assert(n_slabs && hak_is_pow2(align));
	if (n_slabs <= PER && align <= PER)
		return take_small(carve, carve->lists, false, (uint32_t)n_slabs, (uint32_t)align,
				  ret_span);
	if (align == 1)
		return take_long(carve, n_slabs, carve->total, ret_span);
	return take_supers(carve, (n_slabs + PER - 1) / PER, align > PER ? align / PER : 1, n_slabs,
			   ret_span);
}

static bool take_begun(struct hak_carve *carve, bool used, uint64_t n_slabs, uint64_t align,
		       struct hak_span *ret_span)
{
	uint64_t begun = carve->lists & ~(UINT64_C(1) << LIST_CLEAN);

	if (n_slabs <= PER && align <= PER)
		return take_small(carve, begun, used, (uint32_t)n_slabs, (uint32_t)align, ret_span);
	return align == 1 && take_long(carve, n_slabs, 0, ret_span);
}

bool hak_carve_take_used(struct hak_carve *carve, uint64_t n_slabs, uint64_t align,
			 struct hak_span *ret_span)
{
	return take_begun(carve, true, n_slabs, align, ret_span);
}

bool hak_carve_take_begun(struct hak_carve *carve, uint64_t n_slabs, uint64_t align,
			  struct hak_span *ret_span)
{
	return take_begun(carve, false, n_slabs, align, ret_span);
}

bool hak_carve_take_roomy(struct hak_carve *carve, uint64_t n_slabs, uint64_t room,
			  struct hak_span *ret_span)
{
	return take_supers(carve, (room + PER - 1) / PER, 1, n_slabs, ret_span);
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
