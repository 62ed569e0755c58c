/* SPDX-License-Identifier: Apache-2.0 */
/* channel_send.c - a block enters a channel. */
#include "shared/channel_words.h"

/* How often a sender looks at a place that a receiver is just leaving, before it clears it. */
#define PATIENCE 64u

/* True if a FULL word names nothing that is sent or being sent: its receiver has it, or had. */
static bool is_left(const struct hak_channel_view *channel, uint64_t word)
{
	struct hak_place place;
	uint16_t half;

	if (hak_domain_place(channel->domain, hak_channel_word_offset(word), &place) < 0)
		return true;
	/* Relaxed: the word was loaded with acquire, so this is T|sender or what came later. If it
	 * is neither that nor the channel's now, it has been received; and the compare-and-swap
	 * fails if the word has become another since. */
	half = atomic_load_explicit(&channel->domain->half[place.index], memory_order_relaxed);
	return half != (HAK_HALF_CHANNEL | channel->number) && !hak_half_is_changing(half);
}

/* A place is FULL since the last lap. True: it changed, for it was of no use. The receiver, if it
 * lives, is about to clear it, and has to look through the ring when somebody else does. */
static bool vacate(const struct hak_channel_view *channel, uint64_t at, uint64_t word)
{
	if (!is_left(channel, word))
		return false;
	for (uint32_t i = 0; i < PATIENCE; i++) {
		if (hak_channel_word_load(channel, at) != word)
			return true;
		hak_cpu_relax();
	}
	(void)hak_channel_word_change(channel, at, word, hak_channel_emptied(word));
	return true;
}

/* Where a sender looks. */
struct search {
	uint64_t tail; /* the hint */
	uint64_t at;
	bool lost; /* the hint is nonsense */
};

/* The next position that nobody used: 0, or HAK_CHANNEL_E_*. */
static int find_room(const struct hak_channel_view *channel, struct search *search, uint32_t *steps)
{
	while ((*steps)++ <= channel->mask + HAK_CHANNEL_OVERTAKEN) {
		uint64_t word = hak_channel_word_load(channel, search->at);
		int64_t after = hak_channel_used_after(channel, search->at, word);

		/* All positions before one that was used were used. */
		if (after >= 0) {
			search->at = hak_channel_last_use(channel, search->at, after) + 1;
		} else if (after == -1) {
			if (!(word & HAK_CHANNEL_FULL))
				return 0;
			if (!vacate(channel, search->at, word))
				return HAK_CHANNEL_E_FULL;
		} else if (*steps == 1) {
			search->lost = true;
			search->at = hak_channel_last_use(channel, search->at, after) + 1;
		} else {
			return HAK_CHANNEL_E_BROKEN;
		}
	}
	return HAK_CHANNEL_E_FULL;
}

/*
 * Before the half-word says that the message is there: so nobody who received it finds a tail
 * behind it. Never back, or a sender might use a position before that of its last message.
 */
static void move_tail(const struct hak_channel_view *channel, const struct search *search)
{
	uint64_t tail = search->tail, to = search->at + 1;

	/* Release: pairs with the acquire in hak_channel_put(); all words before are seen as used.
	 * A failure only gives the value to compare with. */
	while ((search->lost || (int64_t)(to - tail) > 0) &&
	       !atomic_compare_exchange_strong_explicit(&channel->desc->tail, &tail, to,
							memory_order_release,
							memory_order_relaxed)) {
		if (search->lost)
			return; /* somebody put it right */
	}
}

/*
 * T|me. A compare-and-swap, for another thread may be sending, too, what only one can send; again
 * where the block became ours by name meanwhile. Relaxed: the word's release comes after it.
 */
static bool begin(_Atomic uint16_t *half, uint16_t was, uint32_t me)
{
	while (!atomic_compare_exchange_strong_explicit(half, &was, HAK_HALF_T | (uint16_t)me,
							memory_order_relaxed,
							memory_order_relaxed)) {
		if (was != me)
			return false;
	}
	return true;
}

int hak_channel_put(const struct hak_channel_view *channel, uint32_t me,
		    const struct hak_place *place, uint64_t offset)
{
	_Atomic uint16_t *half = &channel->domain->half[place->index];
	/* Relaxed: our own; a thread that changes it meanwhile makes the compare-and-swap fail. */
	uint16_t was = atomic_load_explicit(half, memory_order_relaxed);
	struct search search;
	uint32_t steps = 0;
	bool begun = false;
	int r;

	if (was && was != me)
		return HAK_CHANNEL_E_NOT_OWN;
	/* Acquire: pairs with the release in move_tail(). */
	search.tail = atomic_load_explicit(&channel->desc->tail, memory_order_acquire);
	search.at = search.tail;
	search.lost = false;
	do {
		r = find_room(channel, &search, &steps);
		if (r)
			break;
		/* Only when there is room. */
		if (!begun && !begin(half, was, me))
			return HAK_CHANNEL_E_NOT_OWN;
		begun = true;
	} while (!hak_channel_word_change(
		channel, search.at, hak_channel_word_empty(search.at >> channel->shift),
		hak_channel_word_full(search.at >> channel->shift, offset)));
	if (r) {
		/* Relaxed: nobody else acts on either value while we live. Ours by name, whatever
		 * it was: the slab may be an ORPHAN's since, where 0 means free. */
		if (begun)
			atomic_store_explicit(half, (uint16_t)me, memory_order_relaxed);
		return r;
	}
	move_tail(channel, &search);
	/* Release: pairs with the acquire of whoever takes it. It hands over the block's contents,
	 * and that the word is there. A plain store: T|me is nobody's but ours. */
	atomic_store_explicit(half, HAK_HALF_CHANNEL | (uint16_t)channel->number,
			      memory_order_release);
	hak_channel_rouse(channel->desc, HAK_CHANNEL_RECEIVERS);
	return 0;
}
