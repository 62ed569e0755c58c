/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/ring.h"

#include <string.h>

#include "shared/check.h"

#define ENTRY 64u

void hak_ring_end_init(struct hak_ring_end *end, struct hak_ring *ring, void *entries,
		       uint32_t size)
{
	hak_assert(hak_is_pow2(size));
	*end = (struct hak_ring_end){ .ring = ring, .entries = entries, .size = size };
}

static void *entry_at(const struct hak_ring_end *end, uint32_t index)
{
	return (char *)end->entries + (size_t)(index & (end->size - 1)) * ENTRY;
}

int hak_ring_push(struct hak_ring_end *end, const void *entry)
{
	/* Acquire: pairs with the release in hak_ring_consume(); the consumer is done with the
	 * place that we are about to overwrite. */
	uint32_t head = atomic_load_explicit(&end->ring->head, memory_order_acquire);
	uint32_t used = end->mine - head;

	if (used > end->size)
		return HAK_RING_E_CORRUPT;
	if (used == end->size)
		return HAK_RING_E_FULL;
	hak_ring_put(end, entry);
	return 0;
}

void hak_ring_put(struct hak_ring_end *end, const void *entry)
{
	memcpy(entry_at(end, end->mine), entry, ENTRY);
	end->mine++;
	/* Release: pairs with the acquire in hak_ring_peek(); hands over the entry's bytes. */
	atomic_store_explicit(&end->ring->tail, end->mine, memory_order_release);
}

int hak_ring_peek(const struct hak_ring_end *end, void *ret_entry)
{
	/* Acquire: pairs with the release in hak_ring_put(); the entry's bytes are visible. */
	uint32_t tail = atomic_load_explicit(&end->ring->tail, memory_order_acquire);
	uint32_t used = tail - end->mine;

	if (used == 0)
		return HAK_RING_E_EMPTY;
	if (used > end->size)
		return HAK_RING_E_CORRUPT;
	memcpy(ret_entry, entry_at(end, end->mine), ENTRY);
	return 0;
}

void hak_ring_consume(struct hak_ring_end *end)
{
	end->mine++;
	/* Release: pairs with the acquire in hak_ring_push(); our copy is complete. */
	atomic_store_explicit(&end->ring->head, end->mine, memory_order_release);
}

int hak_ring_pop(struct hak_ring_end *end, void *ret_entry)
{
	int r = hak_ring_peek(end, ret_entry);

	if (r == 0)
		hak_ring_consume(end);
	return r;
}

uint32_t hak_ring_room(const struct hak_ring_end *end)
{
	uint32_t used = end->mine - atomic_load_explicit(&end->ring->head, memory_order_acquire);

	return used > end->size ? 0 : end->size - used;
}

bool hak_ring_ready(const struct hak_ring_end *end)
{
	/* Relaxed: only the pop that follows reads what the tail publishes. */
	return atomic_load_explicit(&end->ring->tail, memory_order_relaxed) != end->mine;
}

bool hak_ring_must_wake(const struct hak_ring_end *end)
{
	/* Full fence: our tail must be visible before we look at the sleeper's flag; pairs with the
	 * one in hak_ring_may_sleep(). Without it both sides may miss the other. */
	atomic_thread_fence(memory_order_seq_cst);
	return atomic_load_explicit(&end->ring->sleeper, memory_order_relaxed) != 0;
}

bool hak_ring_may_sleep(struct hak_ring_end *end)
{
	atomic_store_explicit(&end->ring->sleeper, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst); /* see hak_ring_must_wake() */
	if (atomic_load_explicit(&end->ring->tail, memory_order_relaxed) == end->mine)
		return true;
	hak_ring_awake(end);
	return false;
}

void hak_ring_awake(struct hak_ring_end *end)
{
	/* Relaxed: a producer that still sees 1 only wakes somebody who is awake. */
	atomic_store_explicit(&end->ring->sleeper, 0, memory_order_relaxed);
}
