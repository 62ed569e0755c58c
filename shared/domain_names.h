/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_names.h - roots and channels, as they lie in the meta file of a domain: shared/domain.h
 * has all else, shared/channel.h the protocol.
 */
#pragma once

#include <stdatomic.h>

#include "shared/domain_state.h"

/* ---- roots ---- */

/*
 * `key` is a hash of the name, never 0, set once by compare-and-swap: open addressing, place
 * key % HAK_ROOTS and on from there. A name stays; its ref comes and goes. The name's bytes are
 * written by whoever won the key, all others compare the hash.
 */
struct hak_root {
	_Atomic uint64_t key;
	_Atomic uint64_t ref;
	char name[HAK_DOMAIN_NAME];
	uint64_t reserved[2];
};
HAK_PIN_SIZE(struct hak_root, 64);

/* ---- channels: shared/channel.h has the protocol ---- */

struct hak_channel_desc {
	_Atomic uint64_t key; /* as of a root */
	/* The capacity's logarithm + 1, perhaps with HAK_CHANNEL_DROPS; 0: not set up. Set once by
	 * compare-and-swap. The words are those of hak_channel_ring(). */
	_Atomic uint64_t ring;
	char name[HAK_DOMAIN_NAME];
	uint32_t reserved1;
	_Atomic uint32_t used; /* bit 0: ever had a sender, bit 1: a receiver */
	uint64_t reserved0;
	_Atomic uint64_t tail HAK_ALIGNED(64); /* a hint: where senders look first */
	_Atomic uint32_t sent;                 /* futex word of receivers, counts */
	_Atomic uint32_t receivers_wait;
	_Atomic uint64_t head HAK_ALIGNED(64); /* a hint: where receivers look first */
	_Atomic uint32_t received;             /* futex word of senders, counts */
	_Atomic uint32_t senders_wait;
	_Atomic uint64_t senders[HAK_MEMBERS / 64] HAK_ALIGNED(64); /* a bit for each member */
	_Atomic uint64_t receivers[HAK_MEMBERS / 64];
	uint64_t reserved[40];
};
HAK_PIN_SIZE(struct hak_channel_desc, 768);
HAK_PIN_FIELD(struct hak_channel_desc, tail, 64);
HAK_PIN_FIELD(struct hak_channel_desc, head, 128);
HAK_PIN_FIELD(struct hak_channel_desc, senders, 192);

/* When the last receiver has gone, what is under way is freed; else it stays for the next one. */
#define HAK_CHANNEL_DROPS 0x100u

/* Places of a channel's ring, a power of two; 0: not set up, or written over. */
static inline uint32_t hak_channel_capacity(const struct hak_channel_desc *desc)
{
	/* Acquire: pairs with the release of whoever set it up. */
	uint64_t shift = atomic_load_explicit(&desc->ring, memory_order_acquire) &
			 ~(uint64_t)HAK_CHANNEL_DROPS;

	return shift && shift <= 17 ? 1u << (shift - 1) : 0;
}

static inline bool hak_channel_drops(const struct hak_channel_desc *desc)
{
	/* Relaxed: of a channel that is set up it does not change. */
	return atomic_load_explicit(&desc->ring, memory_order_relaxed) & HAK_CHANNEL_DROPS;
}
