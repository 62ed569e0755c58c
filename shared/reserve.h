/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reserve.h - superslabs that the daemon grants before they are asked for, and can take back as
 * long as they were not taken: a table of words in the session segment.
 *
 *	EMPTY --grant (daemon, store)--> READY --take (client, compare-and-swap)--> TAKEN
 *	  ^                                |                                          |
 *	  |<-- revoke (daemon, compare-and-swap) --+                                  |
 *	  +<------------------- collect (daemon, store) ------------------------------+
 *
 * A word names a superslab, a generation and a state. One compare-and-swap from exactly the READY
 * word that was seen decides between taker and revoker, without a lock or a message. Every grant in
 * a slot has another generation, so that a word seen before a revoke and a new grant never matches.
 *
 * The client can write anything here. The daemon's own table says what it granted; a word that is
 * neither that nor its TAKEN form ends the session. Taking what was revoked harms only the taker:
 * the superslab is in no other process's file.
 *
 * tests/models/reserve.pml is the model of this.
 */
#pragma once

#include <stdatomic.h>

#include "shared/base.h"

#define HAK_RESERVE_SLOTS 32u

enum hak_reserve_state {
	HAK_RESERVE_EMPTY = 0,
	HAK_RESERVE_READY = 1,
	HAK_RESERVE_TAKEN = 2,
};

struct hak_reserve {
	/* Superslab in the lower half, state in the two highest bits, between them generation. */
	_Atomic uint64_t slot[HAK_RESERVE_SLOTS];
};
HAK_PIN_SIZE(struct hak_reserve, 256);

#define HAK_RESERVE_GENERATIONS (UINT64_C(1) << 30)

static inline uint64_t hak_reserve_word(enum hak_reserve_state state, uint64_t generation,
					uint32_t superslab)
{
	return (uint64_t)state << 62 | (generation % HAK_RESERVE_GENERATIONS) << 32 | superslab;
}

static inline enum hak_reserve_state hak_reserve_state(uint64_t word)
{
	return (enum hak_reserve_state)(word >> 62);
}

static inline uint32_t hak_reserve_superslab(uint64_t word)
{
	return (uint32_t)word;
}

/* The same grant, taken. */
static inline uint64_t hak_reserve_taken(uint64_t ready)
{
	return (ready & ~(UINT64_C(3) << 62)) | (uint64_t)HAK_RESERVE_TAKEN << 62;
}

/* Daemon: makes a granted superslab takeable; its memory is ready. */
static inline void hak_reserve_grant(struct hak_reserve *reserve, uint32_t i, uint64_t ready)
{
	/* Release: pairs with the acquire in hak_reserve_take(). The superslab's bytes are the
	 * kernel's business; what is published is our decision. */
	atomic_store_explicit(&reserve->slot[i], ready, memory_order_release);
}

/* Client: takes the grant in slot i, if there is one. */
static inline bool hak_reserve_take(struct hak_reserve *reserve, uint32_t i,
				    uint32_t *ret_superslab)
{
	uint64_t word = atomic_load_explicit(&reserve->slot[i], memory_order_acquire);

	if (hak_reserve_state(word) != HAK_RESERVE_READY)
		return false;
	/* Acquire and release: after this we map it, and what we did with the slot's last grant is
	 * done. A failure means that it was revoked: nothing to order. */
	if (!atomic_compare_exchange_strong_explicit(&reserve->slot[i], &word,
						     hak_reserve_taken(word), memory_order_acq_rel,
						     memory_order_relaxed))
		return false;
	*ret_superslab = hak_reserve_superslab(word);
	return true;
}

/* Daemon: takes a grant back. True: it is ours again; false: it was taken, or overwritten. */
static inline bool hak_reserve_revoke(struct hak_reserve *reserve, uint32_t i, uint64_t ready)
{
	return atomic_compare_exchange_strong_explicit(&reserve->slot[i], &ready, 0,
						       memory_order_acq_rel, memory_order_acquire);
}

/* Daemon: the word as it is now. */
static inline uint64_t hak_reserve_look(const struct hak_reserve *reserve, uint32_t i)
{
	return atomic_load_explicit(&reserve->slot[i], memory_order_acquire);
}
