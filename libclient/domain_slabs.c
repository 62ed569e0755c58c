/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_slabs.c - between a domain's magazines and its leases: what this process knows of the
 * blocks in its slabs. All of it under the domain's mutex.
 *
 * Memory for a class, in this order: slabs with free blocks, what others gave back, orphans
 * (domain_orphans.c), a new slab.
 */
#include "libclient/domain_slabs.h"

#include "shared/check.h"

/* Wholly free slabs that a class keeps. */
#define SPARE 1u

/* A bounded piece of collecting: superslabs looked at, slabs gone through. */
#define COLLECT_SUPERS 64u
#define COLLECT_SLABS  8u

static inline char *start_of(const hak_domain *d, uint32_t slab)
{
	return d->base + ((uint64_t)slab << HAK_SLAB_SHIFT);
}

/* Release: who sees 0 sees why, if only by way of the half-word that is written next. */
void hak_slabs_set_map(hak_domain *d, uint32_t first, uint32_t class, uint8_t byte)
{
	uint8_t *map = hak_slabs_map(d, first);

	for (uint32_t i = 0; i < hak_class[class].slabs; i++)
		__atomic_store_n(&map[i], byte, __ATOMIC_RELEASE);
}

void hak_domain_except(hak_domain *d, uint32_t first)
{
	const struct hak_slab *slab = &d->slabs[first];

	pthread_mutex_lock(&d->mutex);
	/* What gave way since the caller's look is so already, and no longer ours to write to. */
	if (slab->kind == HAK_SLAB_BLOCKS || slab->kind == HAK_SLAB_SPAN)
		hak_lease_except(&d->view, first);
	if (slab->kind == HAK_SLAB_BLOCKS)
		hak_slabs_set_map(d, first, slab->class, 0);
	pthread_mutex_unlock(&d->mutex);
}

static void link_slab(hak_domain *d, uint32_t first)
{
	struct hak_slab *slab = &d->slabs[first];
	struct hak_domain_central *c = &d->central[slab->class];

	slab->prev = HAK_NO_SLAB;
	slab->next = c->partial;
	if (c->partial != HAK_NO_SLAB)
		d->slabs[c->partial].prev = first;
	c->partial = first;
	slab->on_list = true;
}

void hak_slabs_unlink(hak_domain *d, uint32_t first)
{
	struct hak_slab *slab = &d->slabs[first];

	if (slab->next != HAK_NO_SLAB)
		d->slabs[slab->next].prev = slab->prev;
	if (slab->prev != HAK_NO_SLAB)
		d->slabs[slab->prev].next = slab->next;
	else
		d->central[slab->class].partial = slab->next;
	slab->on_list = false;
}

static bool is_empty(const struct hak_slab *slab)
{
	return slab->n_free == hak_class[slab->class].blocks;
}

void hak_slabs_forget(hak_domain *d, uint32_t first)
{
	struct hak_slab *slab = &d->slabs[first];
	uint32_t n = hak_class[slab->class].slabs;

	if (slab->bits != &slab->word)
		hak_domain_array_give((void **)(void *)slab->bits);
	for (uint32_t i = 0; i < n; i++)
		slab[i].kind = HAK_SLAB_NONE;
}

/* A slab of ours of which nothing is in use goes back to the domain. */
static void drop_slab(hak_domain *d, uint32_t first)
{
	struct hak_slab *slab = &d->slabs[first];

	hak_slabs_unlink(d, first);
	d->central[slab->class].n_empty--;
	hak_slabs_set_map(d, first, slab->class, 0);
	hak_slabs_forget(d, first);
	hak_domain_unclaim(d, first);
}

void hak_slabs_gained(hak_domain *d, uint32_t first, uint32_t before)
{
	struct hak_slab *slab = &d->slabs[first];
	struct hak_domain_central *c = &d->central[slab->class];

	if (slab->n_free && !slab->on_list)
		link_slab(d, first);
	if (before == hak_class[slab->class].blocks || !is_empty(slab))
		return;
	hak_domain_note_unused(d, first);
	if (++c->n_empty > SPARE)
		drop_slab(d, first);
}

bool hak_slabs_describe(hak_domain *d, uint32_t first, uint32_t class)
{
	struct hak_slab *slab = &d->slabs[first];
	uint64_t *bits = NULL;

	static_assert(4096 / 8 <= HAK_MAGAZINE_ALIGN, "an array has room for every bitmap");
	if (hak_slab_words(class) > 1) {
		bits = (uint64_t *)(void *)hak_domain_array();
		if (!bits)
			return false;
	}
	hak_slab_format(slab, class, bits);
	for (uint8_t i = 1; i < hak_class[class].slabs; i++)
		slab[i] = (struct hak_slab){ .kind = HAK_SLAB_INSIDE,
					     .class = slab->class,
					     .back = i };
	d->held[first / HAK_SLABS_PER_SUPERSLAB]++;
	return true;
}

static bool new_slab(hak_domain *d, uint32_t class)
{
	uint32_t n = hak_class[class].slabs, first;

	if (!hak_domain_claim(d, n, &first))
		return false;
	if (!hak_slabs_describe(d, first, class)) {
		hak_lease_release(&d->view, first);
		return false;
	}
	hak_lease_commit(&d->view, d->me, first, HAK_LEASE_BLOCKS, class, n);
	hak_slabs_set_map(d, first, class, (uint8_t)(2 * class));
	hak_slabs_gained(d, first, 0);
	return true;
}

/* ---- what was given back ---- */

static bool collect_blocks(hak_domain *d, uint32_t first)
{
	struct hak_slab *slab = &d->slabs[first];
	uint32_t class = slab->class, before = slab->n_free;

	for (uint32_t slot = 0; slot < hak_class[class].blocks; slot++) {
		uint64_t index = hak_domain_index(first, slot);

		if (HAK_LIKELY(!hak_slabs_is_freed(d, index)))
			continue;
		hak_slabs_clear_half(d, index);
		if (hak_slab_put(slab, slot * hak_class[class].size))
			hak_die("domain %s: block %u of slab %u was given back, and is free",
				d->state->name, slot, first);
	}
	if (slab->n_free == before)
		return false;
	hak_slabs_gained(d, first, before);
	return true;
}

static bool collect_slab(hak_domain *d, uint32_t first)
{
	uint64_t index = hak_domain_index(first, 0);

	switch (d->slabs[first].kind) {
	case HAK_SLAB_BLOCKS:
		hak_slabs_clear_hint(d, first);
		return collect_blocks(d, first);
	case HAK_SLAB_SPAN:
		hak_slabs_clear_hint(d, first);
		if (!hak_slabs_is_freed(d, index))
			return false;
		hak_slabs_clear_half(d, index);
		hak_domain_span_free(d, first);
		return true;
	default: /* not ours: a late word for an earlier holder, or for the next one */
		return false;
	}
}

static bool has_hint(const hak_domain *d, uint32_t slab)
{
	/* Relaxed: a hint missed now is found the next time. */
	return atomic_load_explicit(&d->view.hint[slab], memory_order_relaxed) != 0;
}

bool hak_domain_collect(hak_domain *d, bool all)
{
	uint32_t high = hak_domain_high(d), slabs = 0;
	uint32_t n = all || high < COLLECT_SUPERS ? high : COLLECT_SUPERS;
	bool found = false;

	while (n-- && (all || slabs < COLLECT_SLABS)) {
		uint32_t super = d->collect_at < high ? d->collect_at : 0;
		uint32_t first = super * HAK_SLABS_PER_SUPERSLAB;

		d->collect_at = super + 1;
		if (!d->held[super])
			continue;
		for (uint32_t i = first; i < first + HAK_SLABS_PER_SUPERSLAB; i++) {
			if (HAK_LIKELY(!has_hint(d, i)))
				continue;
			slabs++;
			found = collect_slab(d, i) || found;
		}
	}
	return found;
}

/* ---- blocks ---- */

/* In the end all orphans are looked at: others may have given way for our sake, or we ourselves. */
static bool more(hak_domain *d, uint32_t class)
{
	if (hak_domain_collect(d, false) && d->central[class].partial != HAK_NO_SLAB)
		return true;
	return hak_slabs_adopt(d, class, false) || new_slab(d, class) ||
	       d->central[class].partial != HAK_NO_SLAB || hak_slabs_adopt(d, class, true);
}

uint32_t hak_domain_take(hak_domain *d, uint32_t class, void **ret_blocks, uint32_t n)
{
	struct hak_domain_central *c = &d->central[class];
	struct hak_slab *slab;
	uint32_t first, got = 0;

	if (c->partial == HAK_NO_SLAB && !more(d, class))
		return 0;
	while (got < n && c->partial != HAK_NO_SLAB) {
		first = c->partial;
		slab = &d->slabs[first];
		if (is_empty(slab)) {
			c->n_empty--;
			hak_domain_note_used(d, first);
		}
		got += hak_slab_take(slab, start_of(d, first), ret_blocks + got, n - got);
		if (!slab->n_free)
			hak_slabs_unlink(d, first);
	}
	return got;
}

static HAK_COLD _Noreturn void bad_block(const hak_domain *d, const void *p, int r)
{
	hak_die("free of %p in domain %s, which %s", p, d->state->name,
		r == HAK_SLAB_E_DOUBLE ? "is free already" : "is not the start of a block");
}

/* A block that lay in a magazine while its slab gave way, or one that was never freed by us. */
static HAK_COLD void put_abroad(hak_domain *d, void *p)
{
	struct hak_place place;

	/* Relaxed: what let_go() wrote, under the mutex that we have. */
	if (hak_domain_place(&d->view, (uintptr_t)p - (uintptr_t)d->base, &place) < 0 ||
	    atomic_load_explicit(hak_domain_half(d, &place), memory_order_relaxed) != d->me)
		bad_block(d, p, HAK_SLAB_E_DOUBLE);
	hak_domain_give_back(d, place.slab, place.index);
}

/* In a slab that gave way and was adopted again, a free block is not ours by name any more. */
static void forget_name(hak_domain *d, uint32_t first, uint32_t slot)
{
	uint64_t index = hak_domain_index(first, slot);

	if (atomic_load_explicit(&d->view.half[index], memory_order_relaxed) == d->me)
		hak_slabs_clear_half(d, index);
}

static void put_one(hak_domain *d, uint32_t class, void *p)
{
	uint64_t off = (uintptr_t)p - (uintptr_t)d->base;
	uint32_t first = (uint32_t)(off >> HAK_SLAB_SHIFT), before;
	struct hak_slab *slab;
	int r;

	if (d->slabs[first].kind == HAK_SLAB_INSIDE)
		first -= d->slabs[first].back;
	slab = &d->slabs[first];
	if (HAK_UNLIKELY(slab->kind != HAK_SLAB_BLOCKS || slab->class != class)) {
		put_abroad(d, p);
		return;
	}
	before = slab->n_free;
	off -= (uint64_t)first << HAK_SLAB_SHIFT;
	r = hak_slab_put(slab, (uint32_t)off);
	if (HAK_UNLIKELY(r))
		bad_block(d, p, r);
	if (!*hak_slabs_map(d, first)) /* EXCEPTED */
		forget_name(d, first, hak_class_slot(class, (uint32_t)off));
	hak_slabs_gained(d, first, before);
}

void hak_domain_put(hak_domain *d, uint32_t class, void *const *blocks, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		put_one(d, class, blocks[i]);
}

static bool looks_free(const hak_domain *d, const struct hak_place *place)
{
	const struct hak_slab *slab = &d->slabs[place->slab];
	const uint64_t *bits = __atomic_load_n(&slab->bits, __ATOMIC_RELAXED);

	if (slab->kind == HAK_SLAB_CACHED)
		return true;
	if (slab->kind != HAK_SLAB_BLOCKS)
		return false;
	/* NULL: it is just being described anew. */
	return !bits ||
	       (__atomic_load_n(&bits[place->slot / 64], __ATOMIC_RELAXED) >> (place->slot % 64) &
		1);
}

bool hak_domain_is_free(hak_domain *d, const struct hak_place *place)
{
	bool is_free = looks_free(d, place);

	if (HAK_LIKELY(!is_free))
		return false;
	/* A slab that is just giving way can look like anything. */
	pthread_mutex_lock(&d->mutex);
	is_free = looks_free(d, place);
	pthread_mutex_unlock(&d->mutex);
	return is_free;
}

uint64_t hak_domain_shed(hak_domain *d)
{
	uint64_t slabs = hak_domain_drop_kept(d);

	for (uint32_t class = 1; class < HAK_CLASSES; class ++) {
		uint32_t first = d->central[class].partial, next;

		for (; first != HAK_NO_SLAB && d->central[class].n_empty; first = next) {
			next = d->slabs[first].next;
			if (!is_empty(&d->slabs[first]))
				continue;
			drop_slab(d, first);
			slabs += hak_class[class].slabs;
		}
	}
	return slabs;
}
