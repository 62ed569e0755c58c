/* SPDX-License-Identifier: Apache-2.0 */
/* The first part of a sweep: see shared/domain.h. */
#include "shared/domain.h"

#include "shared/channel.h"

/* Of a block that somebody was just linking: it is done. Acquire and release, as in sweep.c. */
static bool link_block(const struct hak_domain_view *view, struct hak_sweep *sweep, uint64_t i,
		       uint16_t half, uint16_t to)
{
	if (half != (HAK_HALF_T | sweep->member))
		return false;
	if (atomic_compare_exchange_strong_explicit(&view->half[i], &half, to, memory_order_acq_rel,
						    memory_order_relaxed))
		sweep->blocks_kept++;
	return true;
}

static uint16_t half_of(const struct hak_domain_view *view, const struct hak_place *place)
{
	/* Acquire: as in sweep.c. */
	return atomic_load_explicit(&view->half[place->index], memory_order_acquire);
}

static void sweep_roots(const struct hak_domain_view *view, struct hak_sweep *sweep)
{
	for (uint32_t i = 0; i < HAK_ROOTS; i++) {
		/* Acquire: pairs with the release of who set it; the half-word was T then. */
		uint64_t ref = atomic_load_explicit(&view->roots[i].ref, memory_order_acquire);
		struct hak_place place;

		if (ref && hak_domain_place_ref(view, ref, &place) == 0)
			(void)link_block(view, sweep, place.index, half_of(view, &place),
					 HAK_HALF_PUBLISHED);
	}
}

/* True: something changed that others may wait for. */
static bool sweep_word(const struct hak_domain_view *view, struct hak_sweep *sweep,
		       uint32_t channel, _Atomic uint64_t *at)
{
	/* Acquire: pairs with the release of the sender; its half-word is visible. */
	uint64_t word = atomic_load_explicit(at, memory_order_acquire);
	struct hak_place place;
	uint16_t half;

	if (!(word & HAK_CHANNEL_FULL) ||
	    hak_domain_place(view, hak_channel_word_offset(word), &place) < 0)
		return false;
	half = half_of(view, &place);
	if (link_block(view, sweep, place.index, half, (uint16_t)(HAK_HALF_CHANNEL | channel)))
		return true;
	if (half != sweep->member)
		return false;
	/* Received by the dead, who did not come to say so here. Whoever gets the block after this
	 * sweep may link it elsewhere: then this word must not be taken for that. Release: as of a
	 * receiver. A failure: another sender or receiver has seen to it. */
	return atomic_compare_exchange_strong_explicit(
		at, &word, hak_channel_word_empty(hak_channel_word_lap(word) + 1),
		memory_order_release, memory_order_relaxed);
}

/* Frees a message that nobody will receive. As in sweep.c: SWEPT, next generation, FREED, hint; cut
 * off in between, the sweep of superslabs goes on from SWEPT. */
static void drop_word(const struct hak_domain_view *view, struct hak_sweep *sweep, uint32_t channel,
		      _Atomic uint64_t *at)
{
	/* Acquire: pairs with the release of the sender. */
	uint64_t word = atomic_load_explicit(at, memory_order_acquire);
	uint16_t half = (uint16_t)(HAK_HALF_CHANNEL | channel);
	struct hak_place place;

	if (!(word & HAK_CHANNEL_FULL) ||
	    hak_domain_place(view, hak_channel_word_offset(word), &place) < 0)
		return;
	/* Acquire and release: somebody may have come to receive it, and one of us does. */
	if (!atomic_compare_exchange_strong_explicit(&view->half[place.index], &half,
						     HAK_HALF_SWEPT, memory_order_acq_rel,
						     memory_order_relaxed))
		return;
	hak_domain_next_life(view, place.index);
	/* Release, both: see "who collects" in domain.h. */
	atomic_store_explicit(&view->half[place.index], HAK_HALF_FREED, memory_order_release);
	atomic_store_explicit(&view->hint[place.slab], 1, memory_order_release);
	sweep->blocks_freed++;
	/* Release: as of a receiver. */
	(void)atomic_compare_exchange_strong_explicit(
		at, &word, hak_channel_word_empty(hak_channel_word_lap(word) + 1),
		memory_order_release, memory_order_relaxed);
}

static void sweep_channel(const struct hak_domain_view *view, struct hak_sweep *sweep,
			  uint32_t channel)
{
	struct hak_channel_desc *desc = &view->channels[channel];
	uint32_t capacity = hak_channel_capacity(desc);
	bool changed = false;

	for (uint32_t i = 0; i < capacity; i++)
		changed |= sweep_word(view, sweep, channel, &hak_channel_ring(view, channel)[i]);
	if (!hak_channel_leave(desc, sweep->member, HAK_CHANNEL_SENDERS | HAK_CHANNEL_RECEIVERS) &&
	    changed) {
		hak_channel_rouse(desc, HAK_CHANNEL_RECEIVERS);
		hak_channel_rouse(desc, HAK_CHANNEL_SENDERS);
	}
	if (!hak_channel_drops(desc) || !hak_channel_deserted(desc, HAK_CHANNEL_RECEIVERS))
		return;
	for (uint32_t i = 0; i < capacity; i++)
		drop_word(view, sweep, channel, &hak_channel_ring(view, channel)[i]);
}

void hak_domain_sweep_names(const struct hak_domain_view *view, struct hak_sweep *sweep,
			    uint32_t first, uint32_t count)
{
	if (sweep->member >= HAK_MEMBERS) /* the daemon links nothing */
		return;
	for (uint32_t c = first; c < HAK_CHANNELS && c - first < count; c++)
		sweep_channel(view, sweep, c);
	/* After all rings: of a block that was claimed while a root has its ref, T was for sending
	 * it, if a ring has it. */
	if (first >= HAK_CHANNELS || HAK_CHANNELS - first <= count)
		sweep_roots(view, sweep);
}
