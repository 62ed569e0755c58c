/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.h - one producer, one consumer, 64-byte entries, in memory that both processes write.
 *
 * RULES
 *   Indices run free and are masked on use; one writer per cache line.
 *   `tail` is written by the producer, `head` by the consumer, `sleeper` by the consumer alone (it
 *   sets it before it sleeps *and* clears it after: a peer that cleared it would lose wake-ups).
 *   Each end keeps its own index privately (struct hak_ring_end.mine) and never reads it back: what
 *   the peer scribbles over our index changes nothing. The peer's index is loaded once a call,
 *   checked, and used from the copy.
 *
 * SLEEP AND WAKE (Dekker: each side stores, fences, then loads the other's word)
 *   consumer: sleeper = 1; fence; tail == mine ? futex_wait(&tail, mine) : go on; sleeper = 0
 *   producer: tail = new; fence; sleeper ? futex_wake(&tail) : nothing
 *   The futex word is the tail itself, so an entry published before the wait makes it return.
 *
 * THREADS: each end belongs to one thread at a time (a lock above it where several use it).
 */
#pragma once

#include <stdatomic.h>

#include "shared/base.h"

struct hak_ring {
	_Atomic uint32_t head; /* consumer: entries before it are free again */
	uint8_t pad0[HAK_LINE - 4];
	_Atomic uint32_t tail; /* producer: entries before it are filled; the futex word */
	uint8_t pad1[HAK_LINE - 4];
	_Atomic uint32_t sleeper; /* consumer: 1 while it sleeps or is about to */
	uint8_t pad2[HAK_LINE - 4];
};
HAK_PIN_SIZE(struct hak_ring, 192);
HAK_PIN_FIELD(struct hak_ring, tail, 64);
HAK_PIN_FIELD(struct hak_ring, sleeper, 128);

/* One process's view of its end: producer and consumer alike. */
struct hak_ring_end {
	struct hak_ring *ring;
	void *entries; /* 64 bytes each */
	uint32_t size; /* entries, a power of two */
	uint32_t mine; /* our index: tail for the producer, head for the consumer */
};
#define HAK_RING_END_NULL \
	{                 \
		0         \
	}

enum {
	HAK_RING_E_FULL = 1, /* push: no room; nothing was written */
	HAK_RING_E_EMPTY,    /* pop: nothing there */
	HAK_RING_E_CORRUPT,  /* the peer's index can't be: more entries than the ring has */
};

/* `size` is a power of two; the ring's memory starts zeroed. Neither end touches it here. */
void hak_ring_end_init(struct hak_ring_end *end, struct hak_ring *ring, void *entries,
		       uint32_t size);

/* Copies one 64-byte entry in and publishes it. 0 or HAK_RING_E_*. */
int hak_ring_push(struct hak_ring_end *end, const void *entry);

/* The same without a look at the consumer, who may have taken it already: for who pushes an entry
 * again, in the same place. */
void hak_ring_put(struct hak_ring_end *end, const void *entry);

/* Copies one 64-byte entry out, which stays where it is: the next peek copies the same place, and
 * who looks at it twice must check it twice. 0 or HAK_RING_E_*. */
int hak_ring_peek(const struct hak_ring_end *end, void *ret_entry);
/* Gives the place of an entry back that was peeked. */
void hak_ring_consume(struct hak_ring_end *end);
/* Both: copies one entry out, once, and gives its place back. */
int hak_ring_pop(struct hak_ring_end *end, void *ret_entry);

/* Consumer: true if a pop would find something, if only a corrupt index. */
bool hak_ring_ready(const struct hak_ring_end *end);

/* Producer: entries that can be pushed now; 0 also where the peer's index is corrupt. */
uint32_t hak_ring_room(const struct hak_ring_end *end);

/* Producer, after its pushes: true if the consumer sleeps and must be woken on &ring->tail. */
bool hak_ring_must_wake(const struct hak_ring_end *end);

/*
 * Consumer: announces sleep. True if it may sleep (then wait on &ring->tail for a value other than
 * end->mine and call hak_ring_awake() afterwards); false if there is work, nothing is announced.
 */
bool hak_ring_may_sleep(struct hak_ring_end *end);
void hak_ring_awake(struct hak_ring_end *end);
