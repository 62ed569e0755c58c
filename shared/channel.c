/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/channel.h"

#include <errno.h>
#include <string.h>

/* How often a sender looks at a place that a receiver is just leaving, before it clears it. */
#define PATIENCE 64u

/* Places looked at beyond those that there can be reason to: who is slow may be overtaken. */
#define OVERTAKEN 64u

/* ---- names ---- */

static bool key_matches(struct hak_channel_desc *desc, uint64_t key, bool create, bool *ret_made)
{
	/* Relaxed: the key itself is all that is used of the name's line. */
	uint64_t found = atomic_load_explicit(&desc->key, memory_order_relaxed);

	*ret_made = !found && create &&
		    atomic_compare_exchange_strong_explicit(
			    &desc->key, &found, key, memory_order_relaxed, memory_order_relaxed);
	return *ret_made || found == key;
}

int hak_channel_find(const struct hak_domain_view *domain, const char *name, bool create,
		     uint32_t *ret_number)
{
	uint64_t key = hak_name_key(name);

	if (!key)
		return -EINVAL;
	for (uint32_t i = 0; i < HAK_CHANNELS; i++) {
		uint32_t number = (uint32_t)((key + i) % HAK_CHANNELS);
		struct hak_channel_desc *desc = &domain->channels[number];
		bool made;

		if (key_matches(desc, key, create, &made)) {
			if (made)
				memcpy(desc->name, name, strlen(name));
			*ret_number = number;
			return 0;
		}
		/* Relaxed: as above. */
		if (!create && !atomic_load_explicit(&desc->key, memory_order_relaxed))
			return -ENOENT;
	}
	return create ? -ENOSPC : -ENOENT;
}

void hak_channel_set_up(const struct hak_domain_view *domain, uint32_t number, uint32_t capacity,
			bool drops)
{
	uint64_t none = 0, shift = 0;

	while ((1u << shift) < capacity)
		shift++;
	/* Relaxed: nothing was prepared, zeroed memory is a ring. Who loses uses what there is. */
	(void)atomic_compare_exchange_strong_explicit(&domain->channels[number].ring, &none,
						      (shift + 1) | (drops ? HAK_CHANNEL_DROPS : 0),
						      memory_order_relaxed, memory_order_relaxed);
}

bool hak_channel_view_init(struct hak_channel_view *ret, const struct hak_domain_view *domain,
			   uint32_t number)
{
	uint32_t capacity;

	if (number >= HAK_CHANNELS)
		return false;
	capacity = hak_channel_capacity(&domain->channels[number]);
	if (!capacity)
		return false;
	*ret = (struct hak_channel_view){ .domain = domain,
					  .desc = &domain->channels[number],
					  .word = hak_channel_ring(domain, number),
					  .mask = capacity - 1,
					  .shift = (uint32_t)__builtin_ctz(capacity),
					  .number = number };
	return true;
}

/* ---- words and positions ---- */

static inline _Atomic uint64_t *place_of(const struct hak_channel_view *channel, uint64_t position)
{
	return &channel->word[position & channel->mask];
}

/* Acquire: pairs with the release of who made it so. Of a FULL word that is the sender, whose
 * half-word is seen as T|sender or later; of an EMPTY one the receiver, likewise. */
static inline uint64_t word_load(const struct hak_channel_view *channel, uint64_t position)
{
	return atomic_load_explicit(place_of(channel, position), memory_order_acquire);
}

/*
 * How many laps after `position` its place was used last: 0 is by `position` itself, -1 by the one
 * a lap earlier (or, in the first lap, by none). Laps wrap, so half of their number is before.
 */
static inline int64_t used_after(const struct hak_channel_view *channel, uint64_t position,
				 uint64_t word)
{
	uint32_t laps = (uint32_t)(hak_channel_word_lap(word) - (position >> channel->shift));
	int32_t after = (int32_t)(laps << 6) / 64; /* 26 bits with sign */

	return after - !(word & HAK_CHANNEL_FULL);
}

/* The position that last used the place of this one. */
static inline uint64_t last_use(const struct hak_channel_view *channel, uint64_t position,
				int64_t after)
{
	return position + ((uint64_t)after << channel->shift);
}

/* Release: what was done to the half-word before is seen by who sees the word. The failure needs
 * nothing: it ends in another load. */
static inline bool word_change(const struct hak_channel_view *channel, uint64_t position,
			       uint64_t word, uint64_t to)
{
	return atomic_compare_exchange_strong_explicit(place_of(channel, position), &word, to,
						       memory_order_release, memory_order_relaxed);
}

static inline uint64_t emptied(uint64_t word)
{
	return hak_channel_word_empty(hak_channel_word_lap(word) + 1);
}

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

/* ---- send ---- */

/* A place is FULL since the last lap. True: it changed, for it was of no use. The receiver, if it
 * lives, is about to clear it, and has to look through the ring when somebody else does. */
static bool vacate(const struct hak_channel_view *channel, uint64_t at, uint64_t word)
{
	if (!is_left(channel, word))
		return false;
	for (uint32_t i = 0; i < PATIENCE; i++) {
		if (word_load(channel, at) != word)
			return true;
		hak_cpu_relax();
	}
	(void)word_change(channel, at, word, emptied(word));
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
	while ((*steps)++ <= channel->mask + OVERTAKEN) {
		uint64_t word = word_load(channel, search->at);
		int64_t after = used_after(channel, search->at, word);

		/* All positions before one that was used were used. */
		if (after >= 0) {
			search->at = last_use(channel, search->at, after) + 1;
		} else if (after == -1) {
			if (!(word & HAK_CHANNEL_FULL))
				return 0;
			if (!vacate(channel, search->at, word))
				return HAK_CHANNEL_E_FULL;
		} else if (*steps == 1) {
			search->lost = true;
			search->at = last_use(channel, search->at, after) + 1;
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
	} while (!word_change(channel, search.at,
			      hak_channel_word_empty(search.at >> channel->shift),
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

/* ---- receive ---- */

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
		uint64_t word = word_load(channel, i);

		if (word & HAK_CHANNEL_FULL && hak_channel_word_offset(word) == offset)
			(void)word_change(channel, i, word, emptied(word));
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
	uint64_t last = last_use(channel, scan->at, after);

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
		if (!word_change(channel, scan->at, word, emptied(word)) ||
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
	for (uint32_t n = 0; n <= 3 * channel->mask + OVERTAKEN; n++) {
		uint64_t word = word_load(channel, scan->at);
		int64_t after = used_after(channel, scan->at, word);

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

uint32_t hak_channel_fill(const struct hak_channel_view *channel)
{
	/* Relaxed: two looks that need not go together. */
	uint64_t head = atomic_load_explicit(&channel->desc->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&channel->desc->tail, memory_order_relaxed);
	uint64_t fill = (int64_t)(tail - head) < 0 ? 0 : tail - head;

	return fill > channel->mask ? channel->mask + 1 : (uint32_t)fill;
}
