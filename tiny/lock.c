/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny/lock.h"

#include "shared/sys.h"

#define SPINS 100

void hak_lock_wait(struct hak_lock *lock)
{
	for (int i = 0; i < SPINS; i++) {
		hak_cpu_relax();
		if (!atomic_load_explicit(&lock->word, memory_order_relaxed) && hak_lock_try(lock))
			return;
	}
	/* Taken as "somebody may be asleep", even if nobody is any more: one wake too many. */
	while (atomic_exchange_explicit(&lock->word, 2, memory_order_acquire))
		(void)hak_sys_futex_wait(&lock->word, 2, -1);
}

void hak_lock_wake(struct hak_lock *lock)
{
	hak_sys_futex_wake(&lock->word, 1);
}
