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
 *   send     half = T|me;  word EMPTY -> FULL;  half T|me -> channel (a receiver may have done that)
 *   receive  word is FULL: half T|s -> channel (helping);  half channel -> me: that is the moment;
 *            word FULL -> EMPTY (a later one may have done that)
 *
 * A word FULL whose block is not the channel's is a receiver's that died, or is slow: whoever meets
 * it makes it EMPTY. The sweep of a receiver does so before anybody else can get the block, so that
 * a word FULL never is older than the block's present life. `head` and `tail` of the descriptor are hints, moved by whoever sees that they
 * lag. So a message is received once, and a sender or receiver that dies anywhere leaves either a
 * block of its own (the sweep has it) or a message under way. Order is first in, first out per
 * sender, but for messages that a dead receiver's place let slip in front.
 *
 * The ring's memory is fixed, HAK_CHANNEL_CAPACITY_MAX words a channel, of which the first 2^n are
 * used: setting a channel up is setting the descriptor's `ring`.
 *
 * WAIT AND WAKE  receivers: receivers_wait = 1; full fence; look again; futex_wait(sent, as seen
 * before the look). A sender, after its word: sent++; if receivers_wait was 1, 0 and wake all.
 * Likewise the other way. A waiter that dies leaves a flag, which costs one system call. A waiter
 * never waits without a time limit: a zeroed page must not make it wait for ever.
 *
 * tests/models/channel.pml is the model of this.
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
	uint32_t number; /* of the channel: its half-words are HAK_HALF_CHANNEL | number */
};

/* The place of a name's descriptor, new or found; -ENOSPC: all are taken. */
int hak_channel_find(const struct hak_domain_view *domain, const char *name, bool create,
		     uint32_t *ret_number);
/* Fills the view. False: it is not set up, or its ring cannot be (then nothing of it is used). */
bool hak_channel_view_init(struct hak_channel_view *ret, const struct hak_domain_view *domain,
			   uint32_t number);

enum {
	HAK_CHANNEL_E_FULL = 1,  /* nothing was changed: the block is the caller's */
	HAK_CHANNEL_E_EMPTY = 2, /* nothing to receive now */
	HAK_CHANNEL_E_BROKEN,    /* the ring was written over */
};
/* Sends the caller's block, whose place is known. Its half-word is 0 (of the caller's slab, which
 * is EXCEPTED) or the caller's number. Never waits. 0 or HAK_CHANNEL_E_*. */
int hak_channel_put(const struct hak_channel_view *channel, uint32_t me,
		    const struct hak_place *place, uint64_t offset);
/* Receives a block; it is the caller's. Never waits. 0 or HAK_CHANNEL_E_*. */
int hak_channel_take(const struct hak_channel_view *channel, uint32_t me, uint64_t *ret_offset);
/* Messages under way, as good as a look can be. */
uint32_t hak_channel_fill(const struct hak_channel_view *channel);
