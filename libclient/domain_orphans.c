/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_orphans.c - slabs that change their holder: those that a dead member left are adopted,
 * those that this one uses little give way to who is in need. Under the domain's mutex.
 */
#include "libclient/domain_slabs.h"

/* Superslabs looked at for an orphan, each time that one is needed. */
#define ADOPT_SUPERS 64u

/* After adoption: what is free of it, by the half-words. */
static void take_over(hak_domain *d, uint32_t first, uint64_t word)
{
	struct hak_slab *slab = &d->slabs[first];
	uint32_t class = slab->class;

	hak_slabs_clear_hint(d, first);
	for (uint32_t slot = 0; slot < hak_class[class].blocks; slot++) {
		uint64_t index = hak_domain_index(first, slot);

		if (hak_slabs_is_freed(d, index)) {
			hak_slabs_clear_half(d, index);
		} else if (atomic_load_explicit(&d->view.half[index], memory_order_relaxed)) {
			slab->bits[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
			slab->n_free--;
		}
	}
	if (!(word & HAK_LEASE_EXCEPTED))
		hak_slabs_set_map(d, first, class, (uint8_t)(2 * class));
	hak_slabs_gained(d, first, 0);
}

static bool is_orphan(const hak_domain *d, uint32_t slab, uint64_t word, uint32_t class)
{
	return hak_lease_holder(word) == HAK_HOLDER_ORPHAN &&
	       hak_lease_kind(word) == HAK_LEASE_BLOCKS && hak_lease_class(word) == class &&
	       hak_lease_is_run(word, slab, hak_domain_slabs(&d->view));
}

/* False: it is somebody else's by now, or there is no memory for its books. */
static bool adopt(hak_domain *d, uint32_t first, uint64_t word)
{
	uint32_t class = hak_lease_class(word);

	if (!hak_domain_cover(d, first, hak_class[class].slabs) ||
	    !hak_slabs_describe(d, first, class))
		return false;
	if (hak_lease_adopt(&d->view, d->me, first, word)) {
		take_over(d, first, word);
		return true;
	}
	hak_slabs_forget(d, first);
	d->held[first / HAK_SLABS_PER_SUPERSLAB]--;
	return false;
}

bool hak_slabs_adopt(hak_domain *d, uint32_t class, bool all)
{
	struct hak_domain_central *c = &d->central[class];
	uint32_t high = hak_domain_high(d);
	uint32_t n = all || high < ADOPT_SUPERS ? high : ADOPT_SUPERS;

	while (n--) {
		uint32_t super = c->orphans_at < high ? c->orphans_at : 0;
		uint32_t first = super * HAK_SLABS_PER_SUPERSLAB;

		c->orphans_at = super + 1;
		for (uint32_t i = first; i < first + HAK_SLABS_PER_SUPERSLAB; i++) {
			/* Relaxed: a look; the adoption's compare-and-swap decides. */
			uint64_t word =
				atomic_load_explicit(&d->view.lease[i], memory_order_relaxed);

			if (is_orphan(d, i, word, class) && adopt(d, i, word) &&
			    c->partial != HAK_NO_SLAB) {
				c->orphans_at = super;
				return true;
			}
		}
	}
	return false;
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
	hak_slabs_set_map(d, first, class, 0);
	for (uint32_t slot = 0; slot < hak_class[class].blocks; slot++) {
		uint16_t none = 0;

		/* Relaxed: the lease's word publishes it. */
		if (!(slab->bits[slot / 64] >> (slot % 64) & 1))
			(void)atomic_compare_exchange_strong_explicit(
				&d->view.half[hak_domain_index(first, slot)], &none,
				(uint16_t)d->me, memory_order_relaxed, memory_order_relaxed);
	}
	hak_slabs_unlink(d, first);
	hak_slabs_forget(d, first);
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

void hak_domain_make_way(hak_domain *d)
{
	if (HAK_LIKELY(!hak_domain_is_wanted(d)))
		return;
	hak_domain_thread_empty(d);
	hak_domain_give_way(d);
}
