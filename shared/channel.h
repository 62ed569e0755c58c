/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel.h - a bounded queue of blocks in a domain, many senders, many receivers, and no state in
 * which a dead process leaves it for others to wait for.
 *
 * The ring is an array of 64-bit words in the domain's meta file, one compare-and-swap each:
 *
 *   EMPTY(lap)  --send-->  FULL(lap, block)  --receive-->  EMPTY(lap + 1)
 *
 * The half-word of the block is the truth of who owns it, the ring only says where to look:
 *
 *   send     half = T|me;  word EMPTY -> FULL;  tail;  half T|me -> channel: that is the moment
 *   receive  word is FULL;  half channel -> me: that is the moment;  word FULL -> EMPTY;  head
 *
 * Positions count up for ever; position p is place p % capacity in lap p / capacity. Senders use
 * them in order, each once, receivers take what is the first that can be taken.
 *
 * FULL AND T|s    s is just sending. Nobody can do it for s: a helper who stopped between looking
 *                 at the word and changing the half-word would hit what s does next. So receivers
 *                 pass by, and the place is taken until s goes on, or the sweep of s ends the send.
 * FULL, AND THE BLOCK IS SOMEBODY'S  a receiver died, or is slow, before its last step. Receivers
 *                 pass by; who needs the place for the next lap makes it EMPTY.
 *
 * A WORD FULL IS NEVER OLDER THAN THE BLOCK'S PRESENT LIFE: when a block can be sent, no word names
 * it. For the receiver makes the word EMPTY before it returns; its sweep does so before anybody
 * else can get the block; and a receiver that took by a word which is another one now looks through
 * the ring: the block had been received and sent again meanwhile. So what is the channel's always
 * is in a word, and T|d of the dead is sent if a word names it.
 *
 * `head` and `tail` are hints: all positions before tail were used, before head were received. Who
 * finds that they lag moves them, who finds that they are nonsense looks at the words instead. So a
 * message is received once, and a sender or receiver that dies anywhere leaves either a block of
 * its own (the sweep has it) or a message under way. Order is first in, first out per sender, but
 * for a block that was received and sent again while another receiver was about to take it.
 *
 * The ring's memory is fixed, HAK_CHANNEL_CAPACITY_MAX words a channel, of which the first 2^n are
 * used: setting a channel up is setting the descriptor's `ring`.
 *
 * WAIT AND WAKE  receivers: read sent; receivers_wait = 1; full fence; look again; futex_wait(sent,
 * as read). In this order, for a sender, after its half-word: full fence; if receivers_wait is 1:
 * 0, then sent++, then wake all; who announces himself between the two has read the old count.
 * Likewise the other way. A waiter that dies leaves a flag, which costs one system call. One who
 * dies between flag and wake leaves a waiter asleep until the sweep: a waiter never waits for long
 * at a time, for this and because a zeroed page must not make it wait for ever.
 *
 * tests/models/channel.pml and wait.pml are the models of this.
 */
#pragma once

#include "shared/domain.h"

/* word: block's offset / 16: 37 | lap: 26 | full: 1, from the lowest bit. EMPTY has offset 0. */
#define HAK_CHANNEL_FULL      (UINT64_C(1) << 63)
#define HAK_CHANNEL_LAP_SHIFT 37u
#define HAK_CHANNEL_LAPS      (UINT64_C(1) << 26)

static inline uint64_t hak_channel_word_lap(uint64_t word)
{
	return word >> HAK_CHANNEL_LAP_SHIFT & (HAK_CHANNEL_LAPS - 1);
}

static inline uint64_t hak_channel_word_offset(uint64_t word)
{
	return (word & ((UINT64_C(1) << HAK_CHANNEL_LAP_SHIFT) - 1)) << 4;
}

static inline uint64_t hak_channel_word_full(uint64_t lap, uint64_t offset)
{
	return HAK_CHANNEL_FULL | (lap % HAK_CHANNEL_LAPS) << HAK_CHANNEL_LAP_SHIFT | offset >> 4;
}

static inline uint64_t hak_channel_word_empty(uint64_t lap)
{
	return (lap % HAK_CHANNEL_LAPS) << HAK_CHANNEL_LAP_SHIFT;
}

/* A channel that is set up, as one process sees it. */
struct hak_channel_view {
	const struct hak_domain_view *domain;
	struct hak_channel_desc *desc;
	_Atomic uint64_t *word;
	uint32_t mask;   /* capacity - 1 */
	uint32_t shift;  /* capacity == 1 << shift */
	uint32_t number; /* of the channel: its half-words are HAK_HALF_CHANNEL | number */
};

/* The place of a name's descriptor, found or, with `create`, made. -EINVAL: no name, -ENOENT: there
 * is none, -ENOSPC: all are taken. */
int hak_channel_find(const struct hak_domain_view *domain, const char *name, bool create,
		     uint32_t *ret_number);
/* Sets up a channel that is not, with a capacity of 1 .. HAK_CHANNEL_CAPACITY_MAX, rounded up. */
void hak_channel_set_up(const struct hak_domain_view *domain, uint32_t number, uint32_t capacity,
			bool drops);
/* Fills the view. False: it is not set up, or its ring cannot be (then nothing of it is used). */
bool hak_channel_view_init(struct hak_channel_view *ret, const struct hak_domain_view *domain,
			   uint32_t number);

enum {
	HAK_CHANNEL_E_FULL = 1,  /* the block is the caller's as it was */
	HAK_CHANNEL_E_EMPTY = 2, /* nothing to receive now */
	HAK_CHANNEL_E_BROKEN,    /* the ring was written over; nothing was sent or received */
	HAK_CHANNEL_E_NOT_OWN,   /* the half-word is another */
};
/* Sends the caller's block, whose place is known. Its half-word is 0 (of the caller's slab, which
 * is EXCEPTED) or the caller's number. Never waits. 0 or HAK_CHANNEL_E_*. */
int hak_channel_put(const struct hak_channel_view *channel, uint32_t me,
		    const struct hak_place *place, uint64_t offset);
/* Receives a block; it is the caller's: its half-word is the caller's number, whosever the slab is.
 * Never waits. 0 or HAK_CHANNEL_E_*. */
int hak_channel_take(const struct hak_channel_view *channel, uint32_t me, uint64_t *ret_offset);
/* Messages under way, as good as a look can be. */
uint32_t hak_channel_fill(const struct hak_channel_view *channel);

/* ---- who is there, and waiting: channel_wait.c ---- */

enum hak_channel_side {
	HAK_CHANNEL_SENDERS = 1,
	HAK_CHANNEL_RECEIVERS = 2,
};

/* The member is on these sides (a sum) from now on; not any more, and if it was, all who wait look
 * again. The latter also for the dead. */
void hak_channel_enter(struct hak_channel_desc *desc, uint32_t member, uint32_t sides);
bool hak_channel_leave(struct hak_channel_desc *desc, uint32_t member, uint32_t sides);
/* There was somebody on that side, and all are gone. Who then finds it empty, finds it so for good
 * (or until somebody comes). */
bool hak_channel_deserted(const struct hak_channel_desc *desc, enum hak_channel_side side);

/* Announces somebody of that side, who then looks once more, and if it must waits with what this
 * returned. */
uint32_t hak_channel_announce(struct hak_channel_desc *desc, enum hak_channel_side side);
/* 0: the other side did something, or for no reason; -ETIMEDOUT. */
int hak_channel_wait(struct hak_channel_desc *desc, enum hak_channel_side side, uint32_t announced,
		     int64_t timeout_ns);
/* Wakes that side if somebody waits there. After put and take, which do so. */
void hak_channel_rouse(struct hak_channel_desc *desc, enum hak_channel_side side);
