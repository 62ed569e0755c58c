/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock.h - a lock of four bytes, free when zero: a page of them is not touched before one is used.
 *
 * For sections of a dozen instructions: a thread that meets another one spins for about that long,
 * and then sleeps. FORK: held over fork by the thread that forks, released on both sides.
 */
#pragma once

#include <stdatomic.h>

#include "shared/base.h"

struct hak_lock {
	_Atomic uint32_t word; /* 0: free, 1: held, 2: and somebody may be asleep */
};

/* For the two below only. */
HAK_COLD void hak_lock_wait(struct hak_lock *lock);
HAK_COLD void hak_lock_wake(struct hak_lock *lock);

static inline void hak_lock_take(struct hak_lock *lock)
{
	uint32_t state = 0;

	if (HAK_UNLIKELY(!atomic_compare_exchange_strong_explicit(
		    &lock->word, &state, 1, memory_order_acquire, memory_order_relaxed)))
		hak_lock_wait(lock);
}

/* True if it was free and is the caller's now. */
static inline bool hak_lock_try(struct hak_lock *lock)
{
	uint32_t state = 0;

	return atomic_compare_exchange_strong_explicit(&lock->word, &state, 1, memory_order_acquire,
						       memory_order_relaxed);
}

static inline void hak_lock_drop(struct hak_lock *lock)
{
	if (HAK_UNLIKELY(atomic_exchange_explicit(&lock->word, 0, memory_order_release) == 2))
		hak_lock_wake(lock);
}
