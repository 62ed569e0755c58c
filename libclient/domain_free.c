/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_free.c - a block of a domain comes back: into a magazine, to the member that holds its
 * slab, or it is nobody's to free.
 */
#include <string.h>

#include "libclient/domain_fast.h"
#include "shared/check.h"

static inline void give_back(const hak_domain *d, uint64_t first, uint64_t index)
{
	hak_domain_next_life(&d->view, index);
	hak_domain_give_back(d, first, index);
}

/*
 * What a channel's receiver does all day, in as few instructions as can be: a block of ours in
 * another's slab. False: it is not that, or lies in a further slab of a run; nothing was changed.
 */
static inline bool free_abroad(const hak_domain *d, uint64_t off)
{
	uint64_t slab = off >> HAK_SLAB_SHIFT, inside = (uint16_t)off, slot, index, word, cut;

	if (HAK_UNLIKELY(off >= d->size))
		return false;
	/* Relaxed: the word does not change while a block of the slab is ours. */
	word = atomic_load_explicit(&d->view.lease[slab], memory_order_relaxed);
	if (HAK_UNLIKELY((word & (UINT64_C(7) << 16)) != (uint64_t)HAK_LEASE_BLOCKS << 16))
		return false;
	cut = word >> 20 & 63;
	slot = inside * d->cut[cut].reciprocal >> 40;
	/* hak_domain_index(slab, slot) */
	index = (slab + (slab / HAK_SLABS_PER_SUPERSLAB) * 96) * 1024 + slot;
	if (HAK_UNLIKELY(slot >= 1024))
		index += (slot & ~UINT64_C(1023)) * 31;
	if (HAK_UNLIKELY(slot * d->cut[cut].size != inside || (uint16_t)word == d->me ||
			 atomic_load_explicit(&d->view.half[index], memory_order_relaxed) != d->me))
		return false;
	give_back(d, slab, index);
	return true;
}

static HAK_COLD _Noreturn void not_ours(const hak_domain *d, const void *p,
					const struct hak_place *place, uint16_t half)
{
	uint32_t owner = half ? half & HAK_HALF_NUMBER : hak_lease_holder(place->lease);

	if (half == HAK_HALF_FREED || half == HAK_HALF_SWEPT ||
	    (!half && owner == HAK_HOLDER_ORPHAN))
		hak_die("free of %p in domain %s, which is free already", p, d->state->name);
	if (hak_half_is_channel(half))
		hak_die("free of %p in domain %s, which is under way in a channel", p,
			d->state->name);
	hak_die("free of %p in domain %s, which member %u owns%s", p, d->state->name, owner,
		half > HAK_HALF_T ? " and is just publishing or sending" : "");
}

static void free_own(hak_domain *d, void *p, const struct hak_place *place)
{
	if (hak_domain_is_free(d, place))
		hak_die("free of %p in domain %s, which is free already", p, d->state->name);
	if (place->lease & HAK_LEASE_EXCEPTED)
		hak_domain_next_life(&d->view, place->index);
	if (hak_lease_kind(place->lease) == HAK_LEASE_BLOCKS) {
		hak_domain_thread_free(d, hak_lease_class(place->lease), p);
		return;
	}
	/* The lease is taken apart as it is: what the half-word says of it goes, too. */
	pthread_mutex_lock(&d->mutex);
	hak_domain_span_free(d, place->slab);
	pthread_mutex_unlock(&d->mutex);
}

static HAK_COLD void free_slow(hak_domain *d, void *p)
{
	uint8_t twice = __atomic_load_n(&d->map[(uintptr_t)p >> HAK_SLAB_SHIFT], __ATOMIC_RELAXED);
	struct hak_place place;
	uint16_t half;

	if (!p || d->forked)
		return;
	if (twice) {
		hak_domain_thread_free(d, twice / 2, p);
		return;
	}
	if (d->readonly || hak_domain_find(d, p, &place) < 0)
		hak_die("free of %p in domain %s, which is %s", p, d->state->name,
			d->readonly ? "open read-only" : "no block of it");
	/* Acquire: pairs with the release of who gave us the block, or published it. */
	half = atomic_load_explicit(hak_domain_half(d, &place), memory_order_acquire);
	if (half == HAK_HALF_PUBLISHED &&
	    atomic_compare_exchange_strong_explicit(hak_domain_half(d, &place), &half,
						    (uint16_t)d->me, memory_order_acquire,
						    memory_order_relaxed))
		half = (uint16_t)d->me; /* one of several who try */
	/* Ours by name in a slab of ours goes the way of others' blocks: the half-word is written
	 * by who has the mutex, since let_go() in domain_orphans.c looks at it. */
	if (hak_lease_holder(place.lease) == d->me &&
	    (!half || (half == d->me && hak_lease_kind(place.lease) == HAK_LEASE_SPAN)))
		free_own(d, p, &place);
	else if (half == d->me)
		give_back(d, place.slab, place.index);
	else
		not_ours(d, p, &place, half);
}

void hak_domain_free_cold(hak_domain *d, void *p)
{
	if (HAK_UNLIKELY(!free_abroad(d, (uintptr_t)p - (uintptr_t)d->base)))
		free_slow(d, p);
}

/* ---- by pointer only ---- */

hak_domain *hak_domain_of(const void *p)
{
	hak_domain *found = NULL;

	for (uint32_t i = 0; i < HAK_DOMAINS_MAX; i++) {
		/* Acquire: pairs with the release of hak_domain_open(). */
		uintptr_t size =
			atomic_load_explicit(&hak_domains.place[i].size, memory_order_acquire);
		uintptr_t base =
			atomic_load_explicit(&hak_domains.place[i].base, memory_order_relaxed);

		if ((uintptr_t)p - base >= size)
			continue;
		found = atomic_load_explicit(&hak_domains.place[i].domain, memory_order_relaxed);
		if (!found->forked)
			return found;
	}
	return found;
}

bool hak_domain_try_free(void *p)
{
	hak_domain *d = hak_domain_of(p);

	if (d)
		hak_domain_free_hot(d, p);
	return d;
}

void *hak_domain_resize(hak_domain *d, void *p, size_t size)
{
	size_t old = hak_domain_usable_size(d, p);
	void *q;

	if (!size) {
		hak_domain_free(d, p);
		return NULL;
	}
	if (!old) {
		if (!d->forked)
			hak_die("realloc of %p in domain %s, which is no block of it", p,
				d->state->name);
		(void)hak_domain_may(d, true);
		errno = EOWNERDEAD;
		return NULL;
	}
	if (size <= old && size * 2 >= old)
		return p;
	q = hak_domain_alloc(d, size);
	if (q) {
		memcpy(q, p, old < size ? old : size);
		hak_domain_free(d, p);
	}
	return q;
}
