/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel_words.h - the words of a channel's ring and their positions, between channel_send.c and
 * channel_receive.c. channel.h has what they mean.
 */
#pragma once

#include "shared/channel.h"

/* Places looked at beyond those that there can be reason to: who is slow may be overtaken. */
#define HAK_CHANNEL_OVERTAKEN 64u

static inline _Atomic uint64_t *hak_channel_place(const struct hak_channel_view *channel,
						  uint64_t position)
{
	return &channel->word[position & channel->mask];
}

/* Acquire: pairs with the release of who made it so. Of a FULL word that is the sender, whose
 * half-word is seen as T|sender or later; of an EMPTY one the receiver, likewise. */
static inline uint64_t hak_channel_word_load(const struct hak_channel_view *channel,
					     uint64_t position)
{
	return atomic_load_explicit(hak_channel_place(channel, position), memory_order_acquire);
}

/*
 * How many laps after `position` its place was used last: 0 is by `position` itself, -1 by the one
 * a lap earlier (or, in the first lap, by none). Laps wrap, so half of their number is before.
 */
static inline int64_t hak_channel_used_after(const struct hak_channel_view *channel,
					     uint64_t position, uint64_t word)
{
	uint32_t laps = (uint32_t)(hak_channel_word_lap(word) - (position >> channel->shift));
	int32_t after = (int32_t)(laps << 6) / 64; /* 26 bits with sign */

	return after - !(word & HAK_CHANNEL_FULL);
}

/* The position that last used the place of this one. */
static inline uint64_t hak_channel_last_use(const struct hak_channel_view *channel,
					    uint64_t position, int64_t after)
{
	return position + ((uint64_t)after << channel->shift);
}

/* Release: what was done to the half-word before is seen by who sees the word. The failure needs
 * nothing: it ends in another load. */
static inline bool hak_channel_word_change(const struct hak_channel_view *channel,
					   uint64_t position, uint64_t word, uint64_t to)
{
	return atomic_compare_exchange_strong_explicit(hak_channel_place(channel, position), &word,
						       to, memory_order_release,
						       memory_order_relaxed);
}

static inline uint64_t hak_channel_emptied(uint64_t word)
{
	return hak_channel_word_empty(hak_channel_word_lap(word) + 1);
}
