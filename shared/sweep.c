/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep.c - what a death means for a domain. One thread sweeps; members go on meanwhile.
 *
 * Whatever a living member may change under our hands is changed by compare-and-swap, and what was
 * changed meanwhile is left as it is: it is a living member's decision, and at worst keeps a slab
 * until the next hak_domain_gather().
 *
 * Interruption: a block goes d -> SWEPT, next generation, then free; a lease of the dead keeps its
 * name until it is FREE or an ORPHAN's. So begun again, the sweep finds all that was left.
 */
#include "shared/domain.h"

/* Acquire: pairs with the releases of members; also see domain.c. */
static uint64_t lease_load(const struct hak_domain_view *view, uint32_t slab)
{
	return atomic_load_explicit(&view->lease[slab], memory_order_acquire);
}

/* Acquire: pairs with the release of its last owner, who was done with the block and with its
 * generation. */
static uint16_t half_load(const struct hak_domain_view *view, uint64_t i)
{
	return atomic_load_explicit(&view->half[i], memory_order_acquire);
}

/* Release: pairs with the acquire of who owns it next; its generation goes before. */
static void half_store(const struct hak_domain_view *view, uint64_t i, uint16_t to)
{
	atomic_store_explicit(&view->half[i], to, memory_order_release);
}

/* Acquire and release, as above; a failure only says that somebody else decided. */
static bool half_change(const struct hak_domain_view *view, uint64_t i, uint16_t from, uint16_t to)
{
	return atomic_compare_exchange_strong_explicit(&view->half[i], &from, to,
						       memory_order_acq_rel, memory_order_relaxed);
}

/* The dead one's, or of a number that is nobody's; T of them, too: that nothing links it is known
 * since hak_domain_sweep_names(). */
static bool is_left_behind(const struct hak_sweep *sweep, uint16_t half)
{
	uint32_t number = half & HAK_HALF_NUMBER;

	if (!hak_half_is_member(half) && !hak_half_is_changing(half))
		return false;
	return number == sweep->member || sweep->nobody[number / 64] >> (number % 64) & 1;
}

static bool is_known(uint16_t half)
{
	return hak_half_is_member(half) || hak_half_is_changing(half) ||
	       hak_half_is_channel(half) || half == HAK_HALF_PUBLISHED;
}

/* Who is to own what the dead left behind; 0: nobody, it is freed. */
static uint16_t successor(const struct hak_sweep *sweep)
{
	switch (sweep->fate) {
	case HAK_FATE_PUBLISH:
		return HAK_HALF_PUBLISHED;
	case HAK_FATE_INHERITED:
		return sweep->heir < HAK_MEMBERS ? (uint16_t)sweep->heir : 0;
	case HAK_FATE_FREE:
		break;
	}
	return 0;
}

/*
 * Deals with one block. `free` is what a free one of this slab has as half-word: 0 where the holder
 * is dead, FREED where it must be told. True: it is in use.
 */
static bool sweep_block(const struct hak_domain_view *view, struct hak_sweep *sweep, uint64_t i,
			uint16_t half, uint16_t free)
{
	uint16_t to = successor(sweep);

	if (is_left_behind(sweep, half)) {
		if (to) {
			sweep->blocks_kept += half_change(view, i, half, to);
			return true;
		}
		if (!half_change(view, i, half, HAK_HALF_SWEPT))
			return true;
	} else if (half != HAK_HALF_SWEPT) {
		sweep->broken += !is_known(half);
		return true;
	}
	hak_domain_next_life(view, i);
	half_store(view, i, free);
	sweep->blocks_freed++;
	return false;
}

/* ---- the dead one's own slabs ---- */

/* Nobody but us writes a half-word of 0 or FREED here: the holder is dead, and nobody adopts it. */
static bool own_block_stays(const struct hak_domain_view *view, struct hak_sweep *sweep, uint64_t i)
{
	uint16_t half = half_load(view, i);

	switch (half) {
	case 0: /* in use or not: only the dead knew. If not, its next refs have another number. */
		hak_domain_next_life(view, i);
		return false;
	case HAK_HALF_FREED: /* who freed it saw to its refs */
		half_store(view, i, 0);
		return false;
	default:
		return sweep_block(view, sweep, i, half, 0);
	}
}

static void sweep_own(const struct hak_domain_view *view, struct hak_sweep *sweep, uint32_t first,
		      uint64_t word)
{
	bool stays = false;

	if (word & HAK_LEASE_EXCEPTED) {
		for (uint32_t slot = 0; slot < hak_lease_slots(word); slot++)
			stays |= own_block_stays(view, sweep, hak_domain_index(first, slot));
	}
	if (stays) {
		hak_lease_orphan(view, first);
		sweep->slabs_orphaned += hak_lease_length(word);
	} else {
		sweep->slabs_freed += hak_lease_release(view, first);
	}
}

/* ---- slabs of others ---- */

static bool is_empty(const struct hak_domain_view *view, uint32_t first, uint64_t word)
{
	if (!(word & HAK_LEASE_EXCEPTED))
		return true;
	for (uint32_t slot = 0; slot < hak_lease_slots(word); slot++) {
		uint16_t half = half_load(view, hak_domain_index(first, slot));

		if (half && half != HAK_HALF_FREED)
			return false;
	}
	return true;
}

/*
 * An ORPHAN run of which nothing seems to be in use. It is taken first, by the daemon's number, and
 * looked at again then: between the look and this it may have been adopted, used, and made an
 * ORPHAN again with the same word by a member that gave way. Taken, nobody can use more of it.
 * Held by the daemon, in between, it is what that one's sweep finds.
 */
static uint64_t take_apart(const struct hak_domain_view *view, uint32_t first, uint64_t word)
{
	uint64_t expected = word;

	/* Acquire: what others did to the blocks was done. A failure has nothing to order. */
	if (!atomic_compare_exchange_strong_explicit(&view->lease[first], &expected,
						     hak_lease_with_holder(word, HAK_HOLDER_DAEMON),
						     memory_order_acquire, memory_order_relaxed))
		return 0;
	if (is_empty(view, first, word))
		return hak_lease_release(view, first);
	/* Release: as of who makes an orphan; nothing of it was changed. */
	atomic_store_explicit(&view->lease[first], word, memory_order_release);
	return 0;
}

static void sweep_others(const struct hak_domain_view *view, struct hak_sweep *sweep,
			 uint32_t first, uint64_t word)
{
	bool stays = false, freed = false;

	for (uint32_t slot = 0; slot < hak_lease_slots(word); slot++) {
		uint64_t i = hak_domain_index(first, slot);
		uint16_t half = half_load(view, i);

		if (!half)
			continue;
		if (half == HAK_HALF_FREED || !sweep_block(view, sweep, i, half, HAK_HALF_FREED))
			freed = true;
		else
			stays = true;
	}
	/* Also for what a dead one freed without coming to the hint, and a sweep that was
	 * interrupted. Release: pairs with the holder's fence; FREED goes before. */
	if (freed)
		atomic_store_explicit(&view->hint[first], 1, memory_order_release);
	if (hak_lease_holder(word) == HAK_HOLDER_ORPHAN && !stays)
		sweep->slabs_freed += take_apart(view, first, word);
}

/* ---- a step ---- */

/* The word of a further slab whose first one is the same holder's: it goes with that one. */
static bool has_first(const struct hak_domain_view *view, uint32_t slab, uint64_t word)
{
	uint64_t distance = hak_lease_length(word), first;

	if (!distance || distance > slab)
		return false;
	first = lease_load(view, slab - (uint32_t)distance);
	return hak_lease_holder(first) == hak_lease_holder(word) &&
	       hak_lease_length(first) > distance;
}

static void sweep_slab(const struct hak_domain_view *view, struct hak_sweep *sweep, uint32_t slab)
{
	uint64_t word = lease_load(view, slab);
	bool is_own = hak_lease_holder(word) == sweep->member;

	switch (hak_lease_kind(word)) {
	case HAK_LEASE_BLOCKS:
	case HAK_LEASE_SPAN:
		if (!hak_lease_is_run(word, slab, hak_domain_slabs(view)))
			sweep->broken++;
		else if (is_own)
			sweep_own(view, sweep, slab, word);
		else if (word & HAK_LEASE_EXCEPTED)
			sweep_others(view, sweep, slab, word);
		break;
	case HAK_LEASE_CLAIM:
		if (hak_lease_class(word) >= HAK_CLASSES)
			sweep->broken++;
		else if (is_own)
			sweep->slabs_freed += hak_lease_release(view, slab);
		break;
	case HAK_LEASE_INSIDE:
		sweep->broken += is_own && !has_first(view, slab, word);
		break;
	case HAK_LEASE_ABSENT:
		sweep->broken += word != 0;
		break;
	case HAK_LEASE_FREE:
		sweep->broken += hak_lease_holder(word) != HAK_HOLDER_NONE;
		break;
	default:
		sweep->broken++;
	}
}

static uint32_t end_of(const struct hak_domain_view *view, uint32_t first, uint32_t count)
{
	uint32_t end = first < view->superslabs ? view->superslabs - first : 0;

	return (first + (count < end ? count : end)) * HAK_SLABS_PER_SUPERSLAB;
}

void hak_domain_sweep(const struct hak_domain_view *view, struct hak_sweep *sweep, uint32_t first,
		      uint32_t count)
{
	uint32_t end = end_of(view, first, count);

	for (uint32_t slab = first * HAK_SLABS_PER_SUPERSLAB; slab < end; slab++)
		sweep_slab(view, sweep, slab);
}

uint64_t hak_domain_gather(const struct hak_domain_view *view, uint32_t first, uint32_t count,
			   uint64_t *ret_left)
{
	uint32_t end = end_of(view, first, count);
	uint64_t freed = 0, left = 0, n;

	for (uint32_t slab = first * HAK_SLABS_PER_SUPERSLAB; slab < end; slab++) {
		uint64_t word = lease_load(view, slab);

		if (hak_lease_holder(word) != HAK_HOLDER_ORPHAN ||
		    !hak_lease_is_run(word, slab, hak_domain_slabs(view)))
			continue;
		n = is_empty(view, slab, word) ? take_apart(view, slab, word) : 0;
		freed += n;
		left += !n;
	}
	*ret_left = left;
	return freed;
}
