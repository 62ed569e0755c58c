/* SPDX-License-Identifier: Apache-2.0 */
/* channel_receive.c - a block leaves a channel. */
#include "shared/channel_words.h"

/*
 * The block at a place that is now ours. If the slab was cut anew between our look at it and the
 * compare-and-swap, that is another one than the word had: one that was sent since. Now that we
 * own it, the slab stays as it is.
 */
static uint64_t offset_of(const struct hak_domain_view *domain, const struct hak_place *place,
			  uint64_t offset)
{
	/* Relaxed: the half-word's acquire came before; what its sender knew of the slab is seen,
	 * and it does not change while the block is ours. */
	uint64_t word = atomic_load_explicit(&domain->lease[place->slab], memory_order_relaxed);
	uint64_t whose = HAK_LEASE_EXCEPTED | UINT64_C(0xffff);
	uint32_t class = hak_lease_class(word);

	if (HAK_LIKELY(!((word ^ place->lease) & ~whose)))
		return offset;
	offset = (uint64_t)place->slab << HAK_SLAB_SHIFT;
	if (hak_lease_kind(word) == HAK_LEASE_BLOCKS && class < HAK_CLASSES &&
	    place->slot < hak_class[class].blocks)
		offset += (uint64_t)place->slot * hak_class[class].size;
	return offset;
}

enum finding {
	FOUND_MESSAGE,
	FOUND_SENDING, /* its sender is not done yet, or died */
	FOUND_NOTHING, /* it was received */
};

/* What a FULL word names. Relaxed: a look, so that what others own costs no exclusive line. */
static enum finding look_at(const struct hak_channel_view *channel, uint64_t word,
			    struct hak_place *ret)
{
	uint16_t half;

	if (hak_domain_place(channel->domain, hak_channel_word_offset(word), ret) < 0)
		return FOUND_NOTHING;
	half = atomic_load_explicit(&channel->domain->half[ret->index], memory_order_relaxed);
	if (half == (HAK_HALF_CHANNEL | channel->number))
		return FOUND_MESSAGE;
	return hak_half_is_changing(half) ? FOUND_SENDING : FOUND_NOTHING;
}

/* Takes the message, if it is still there. */
static bool take_block(const struct hak_channel_view *channel, uint32_t me, uint64_t word,
		       const struct hak_place *place, uint64_t *ret_offset)
{
	uint16_t half = HAK_HALF_CHANNEL | (uint16_t)channel->number;

	/* Acquire: pairs with the release in hak_channel_put(), the contents are ours to read. A
	 * failure has nothing to order. */
	if (!atomic_compare_exchange_strong_explicit(&channel->domain->half[place->index], &half,
						     (uint16_t)me, memory_order_acquire,
						     memory_order_relaxed))
		return false;
	*ret_offset = offset_of(channel->domain, place, hak_channel_word_offset(word));
	return true;
}

/* Our own block is in no word. */
static HAK_COLD void unlink_all(const struct hak_channel_view *channel, uint64_t offset)
{
	for (uint64_t i = 0; i <= channel->mask; i++) {
		uint64_t word = hak_channel_word_load(channel, i);

		if (word & HAK_CHANNEL_FULL && hak_channel_word_offset(word) == offset)
			(void)hak_channel_word_change(channel, i, word, hak_channel_emptied(word));
	}
}

/* What is received and not yet EMPTY is passed, too, and remembered by `front` as not done. */
struct scan {
	uint64_t at;
	uint64_t front;  /* all before it are done */
	uint64_t passed; /* the first that was just being sent; NOT_PASSED */
	uint64_t until;  /* a message is at this place, and all before it were looked at again */
};
#define NOT_PASSED UINT64_MAX

/* A position that was used is a capacity after one that is done, and so are all before that. */
static void jump(const struct hak_channel_view *channel, struct scan *scan, int64_t after)
{
	uint64_t last = hak_channel_last_use(channel, scan->at, after);

	scan->at = last > channel->mask ? last - channel->mask : 0;
	scan->front = scan->at;
	scan->passed = NOT_PASSED;
	scan->until = 0;
}

/*
 * A message is there, and before it one was passed that was just being sent. Were the two of the
 * same sender, then the first was sent before the second, and this is seen now that the second
 * one's word is: so that one is looked at again. Still being sent, it is another sender's.
 */
static bool go_back(struct scan *scan)
{
	if (scan->passed == NOT_PASSED || scan->at < scan->until)
		return false;
	scan->until = scan->at + 1;
	scan->at = scan->passed;
	return true;
}

/* At a position in use. True: a message was taken. False: the scan is where to look next. */
static bool take_at(const struct hak_channel_view *channel, uint32_t me, struct scan *scan,
		    uint64_t word, uint64_t *ret_offset)
{
	struct hak_place place;

	switch (look_at(channel, word, &place)) {
	case FOUND_MESSAGE:
		if (go_back(scan))
			return false;
		if (!take_block(channel, me, word, &place, ret_offset))
			break;
		/* Fails if a sender could not wait, and that's all; or it was received, sent again,
		 * and we have taken it from another place than this. */
		if (!hak_channel_word_change(channel, scan->at, word, hak_channel_emptied(word)) ||
		    *ret_offset != hak_channel_word_offset(word))
			unlink_all(channel, *ret_offset);
		scan->front += scan->front == scan->at;
		return true;
	case FOUND_SENDING:
		if (scan->passed == NOT_PASSED)
			scan->passed = scan->at;
		break;
	case FOUND_NOTHING:
		break;
	}
	scan->at++;
	return false;
}

static int take_first(const struct hak_channel_view *channel, uint32_t me, struct scan *scan,
		      uint64_t *ret_offset)
{
	/* As many as are done and `head` lags behind, as many as there can be, twice, and jumps. */
	for (uint32_t n = 0; n <= 3 * channel->mask + HAK_CHANNEL_OVERTAKEN; n++) {
		uint64_t word = hak_channel_word_load(channel, scan->at);
		int64_t after = hak_channel_used_after(channel, scan->at, word);

		/* Overtaken by more than a lap; or `head` is nonsense. */
		if (after > 1 || (!n && (after < -1 || (after < 0 && word & HAK_CHANNEL_FULL)))) {
			jump(channel, scan, after);
			continue;
		}
		if (after < 0)
			return after == -1 ? HAK_CHANNEL_E_EMPTY : HAK_CHANNEL_E_BROKEN;
		if (word & HAK_CHANNEL_FULL && !after) {
			if (take_at(channel, me, scan, word, ret_offset))
				return 0;
			continue;
		}
		scan->front += scan->front == scan->at;
		scan->at++;
	}
	return HAK_CHANNEL_E_EMPTY;
}

int hak_channel_take(const struct hak_channel_view *channel, uint32_t me, uint64_t *ret_offset)
{
	/* Acquire: pairs with the release below; all words before are seen as done. */
	uint64_t head = atomic_load_explicit(&channel->desc->head, memory_order_acquire);
	struct scan scan = { .at = head, .front = head, .passed = NOT_PASSED };
	int r = take_first(channel, me, &scan, ret_offset);

	/* Release: see above. If somebody else moved it, that is as good. */
	if (r != HAK_CHANNEL_E_BROKEN && scan.front != head)
		(void)atomic_compare_exchange_strong_explicit(&channel->desc->head, &head,
							      scan.front, memory_order_release,
							      memory_order_relaxed);
	if (!r)
		hak_channel_rouse(channel->desc, HAK_CHANNEL_SENDERS);
	return r;
}
