/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_slabs.c - between a domain's magazines and its leases: what this process knows of the
 * blocks in its slabs. All of it under the domain's mutex.
 *
 * Memory for a class, in this order: slabs with free blocks, what others gave back, slabs that a
 * dead member left, a new slab.
 */
#include "libclient/domain.h"
#include "shared/check.h"

/* Wholly free slabs that a class keeps. */
#define SPARE 1u

/* A bounded piece of collecting: superslabs looked at, slabs gone through. */
#define COLLECT_SUPERS 64u
#define COLLECT_SLABS  8u
/* Superslabs looked at for an orphan, each time that one is needed. */
#define ADOPT_SUPERS 64u

static inline char *start_of(const hak_domain *d, uint32_t slab)
{
	return d->base + ((uint64_t)slab << HAK_SLAB_SHIFT);
}

static inline uint8_t *map_of(const hak_domain *d, uint32_t first)
{
	return &d->map[((uintptr_t)d->base >> HAK_SLAB_SHIFT) + first];
}

/* Release: who sees 0 sees why, if only by way of the half-word that is written next. */
static void set_map(hak_domain *d, uint32_t first, uint32_t class, uint8_t byte)
{
	uint8_t *map = map_of(d, first);

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
		set_map(d, first, slab->class, 0);
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

static void unlink_slab(hak_domain *d, uint32_t first)
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

/* It is described no more. */
static void forget_slab(hak_domain *d, uint32_t first)
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

	unlink_slab(d, first);
	d->central[slab->class].n_empty--;
	set_map(d, first, slab->class, 0);
	forget_slab(d, first);
	hak_domain_unclaim(d, first);
}

/* Free blocks came to a slab that had `before`. */
static void gained(hak_domain *d, uint32_t first, uint32_t before)
{
	struct hak_slab *slab = &d->slabs[first];
	struct hak_domain_central *c = &d->central[slab->class];

	if (slab->n_free && !slab->on_list)
		link_slab(d, first);
	if (before == hak_class[slab->class].blocks || !is_empty(slab))
		return;
	if (++c->n_empty > SPARE)
		drop_slab(d, first);
}

/* Describes a run of ours, all free, linked nowhere. False: no memory for its bitmap. */
static bool describe(hak_domain *d, uint32_t first, uint32_t class)
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
	if (!describe(d, first, class)) {
		hak_lease_release(&d->view, first);
		return false;
	}
	hak_lease_commit(&d->view, d->me, first, HAK_LEASE_BLOCKS, class, n);
	set_map(d, first, class, (uint8_t)(2 * class));
	gained(d, first, 0);
	return true;
}

/* ---- what was given back ---- */

/* Acquire: pairs with the release of who gave it back; its use of the block is over. */
static inline bool is_freed(const hak_domain *d, uint64_t index)
{
	return atomic_load_explicit(&d->view.half[index], memory_order_acquire) == HAK_HALF_FREED;
}

/* Only the holder changes FREED: no exchange. Relaxed: who is told of the block later is told by
 * something that orders. */
static inline void clear_freed(const hak_domain *d, uint64_t index)
{
	atomic_store_explicit(&d->view.half[index], 0, memory_order_relaxed);
}

/* From here on what is given back sets the hint again, or is seen by a look at the half-words. */
static void clear_hint(hak_domain *d, uint32_t first)
{
	/* An exchange, not a store, so that it pairs with the release of a hint that it wipes out:
	 * FREED of that one is seen. */
	(void)atomic_exchange_explicit(&d->view.hint[first], 0, memory_order_acquire);
}

static bool collect_blocks(hak_domain *d, uint32_t first)
{
	struct hak_slab *slab = &d->slabs[first];
	uint32_t class = slab->class, before = slab->n_free;

	for (uint32_t slot = 0; slot < hak_class[class].blocks; slot++) {
		uint64_t index = hak_domain_index(first, slot);

		if (HAK_LIKELY(!is_freed(d, index)))
			continue;
		clear_freed(d, index);
		if (hak_slab_put(slab, slot * hak_class[class].size))
			hak_die("domain %s: block %u of slab %u was given back, and is free",
				d->state->name, slot, first);
	}
	if (slab->n_free == before)
		return false;
	gained(d, first, before);
	return true;
}

static bool collect_slab(hak_domain *d, uint32_t first)
{
	uint64_t index = hak_domain_index(first, 0);

	switch (d->slabs[first].kind) {
	case HAK_SLAB_BLOCKS:
		clear_hint(d, first);
		return collect_blocks(d, first);
	case HAK_SLAB_SPAN:
		clear_hint(d, first);
		if (!is_freed(d, index))
			return false;
		clear_freed(d, index);
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

/* ---- what the dead left ---- */

/* After adoption: what is free of it, by the half-words. */
static void take_over(hak_domain *d, uint32_t first, uint64_t word)
{
	struct hak_slab *slab = &d->slabs[first];
	uint32_t class = slab->class;

	clear_hint(d, first);
	for (uint32_t slot = 0; slot < hak_class[class].blocks; slot++) {
		uint64_t index = hak_domain_index(first, slot);

		if (is_freed(d, index)) {
			clear_freed(d, index);
		} else if (atomic_load_explicit(&d->view.half[index], memory_order_relaxed)) {
			slab->bits[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
			slab->n_free--;
		}
	}
	if (!(word & HAK_LEASE_EXCEPTED))
		set_map(d, first, class, (uint8_t)(2 * class));
	gained(d, first, 0);
}

static bool is_orphan(uint64_t word, uint32_t class)
{
	return hak_lease_holder(word) == HAK_HOLDER_ORPHAN &&
	       hak_lease_kind(word) == HAK_LEASE_BLOCKS && hak_lease_class(word) == class &&
	       hak_lease_length(word) == hak_class[class].slabs;
}

/* False: it is somebody else's by now, or there is no memory for its books. */
static bool adopt(hak_domain *d, uint32_t first, uint64_t word)
{
	uint32_t class = hak_lease_class(word);

	if (!hak_domain_cover(d, first, hak_class[class].slabs) || !describe(d, first, class))
		return false;
	if (hak_lease_adopt(&d->view, d->me, first)) {
		take_over(d, first, word);
		return true;
	}
	forget_slab(d, first);
	d->held[first / HAK_SLABS_PER_SUPERSLAB]--;
	return false;
}

static bool adopt_some(hak_domain *d, uint32_t class)
{
	struct hak_domain_central *c = &d->central[class];
	uint32_t high = hak_domain_high(d), n = high < ADOPT_SUPERS ? high : ADOPT_SUPERS;

	while (n--) {
		uint32_t super = c->orphans_at < high ? c->orphans_at : 0;
		uint32_t first = super * HAK_SLABS_PER_SUPERSLAB;

		c->orphans_at = super + 1;
		for (uint32_t i = first; i < first + HAK_SLABS_PER_SUPERSLAB; i++) {
			/* Relaxed: a look; the adoption's compare-and-swap decides. */
			uint64_t word =
				atomic_load_explicit(&d->view.lease[i], memory_order_relaxed);

			if (is_orphan(word, class) && adopt(d, i, word) &&
			    c->partial != HAK_NO_SLAB) {
				c->orphans_at = super;
				return true;
			}
		}
	}
	return false;
}

/* ---- blocks ---- */

static bool more(hak_domain *d, uint32_t class)
{
	if (hak_domain_collect(d, false) && d->central[class].partial != HAK_NO_SLAB)
		return true;
	return adopt_some(d, class) || new_slab(d, class) ||
	       d->central[class].partial != HAK_NO_SLAB;
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
		c->n_empty -= is_empty(slab);
		got += hak_slab_take(slab, start_of(d, first), ret_blocks + got, n - got);
		if (!slab->n_free)
			unlink_slab(d, first);
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
		clear_freed(d, index);
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
	if (!*map_of(d, first)) /* EXCEPTED */
		forget_name(d, first, hak_class_slot(class, (uint32_t)off));
	gained(d, first, before);
}

void hak_domain_put(hak_domain *d, uint32_t class, void *const *blocks, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		put_one(d, class, blocks[i]);
}

static bool looks_free(const hak_domain *d, const struct hak_place *place)
{
	const struct hak_slab *slab = &d->slabs[place->slab];

	return slab->kind == HAK_SLAB_BLOCKS &&
	       (__atomic_load_n(&slab->bits[place->slot / 64], __ATOMIC_RELAXED) >>
			(place->slot % 64) &
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

/* ---- giving way ---- */

/*
 * A slab of ours becomes an ORPHAN's. What is in use of it, by the program or in a magazine, first
 * becomes ours by name: by compare-and-swap, since its owners, other threads, may give it to
 * somebody at this moment. Nobody writes 0 to a half-word but under the mutex.
 */
static void let_go(hak_domain *d, uint32_t first)
{
	struct hak_slab *slab = &d->slabs[first];
	uint32_t class = slab->class;

	hak_lease_except(&d->view, first);
	set_map(d, first, class, 0);
	for (uint32_t slot = 0; slot < hak_class[class].blocks; slot++) {
		uint16_t none = 0;

		/* Relaxed: the lease's word publishes it. */
		if (!(slab->bits[slot / 64] >> (slot % 64) & 1))
			(void)atomic_compare_exchange_strong_explicit(
				&d->view.half[hak_domain_index(first, slot)], &none,
				(uint16_t)d->me, memory_order_relaxed, memory_order_relaxed);
	}
	unlink_slab(d, first);
	forget_slab(d, first);
	d->held[first / HAK_SLABS_PER_SUPERSLAB]--;
	hak_lease_orphan(&d->view, first);
}

void hak_domain_give_way(hak_domain *d)
{
	uint32_t needs = atomic_load_explicit(&d->state->needs, memory_order_relaxed);

	if (HAK_LIKELY(needs == d->needs))
		return;
	__atomic_store_n(&d->needs, needs, __ATOMIC_RELAXED);
	(void)hak_domain_collect(d, true);
	(void)hak_domain_shed(d);
	/* Elsewhere a death would make something else of what is ours by name. */
	if (d->state->orphan_policy > HAK_ORPHAN_FREE)
		return;
	for (uint32_t class = 1; class < HAK_CLASSES; class ++) {
		uint32_t first = d->central[class].partial, next;

		for (; first != HAK_NO_SLAB; first = next) {
			next = d->slabs[first].next;
			if (d->slabs[first].n_free * 2 >= hak_class[class].blocks)
				let_go(d, first);
		}
	}
}

uint64_t hak_domain_shed(hak_domain *d)
{
	uint64_t slabs = 0;

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
