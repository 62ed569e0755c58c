/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>

#include "shared/channel.h"
#include "shared/sys.h"

/* What that side waits for: how often the other one woke it. */
static _Atomic uint32_t *count_of(struct hak_channel_desc *desc, enum hak_channel_side side)
{
	return side == HAK_CHANNEL_SENDERS ? &desc->received : &desc->sent;
}

static _Atomic uint32_t *flag_of(struct hak_channel_desc *desc, enum hak_channel_side side)
{
	return side == HAK_CHANNEL_SENDERS ? &desc->senders_wait : &desc->receivers_wait;
}

/* Release: pairs with the acquire in hak_channel_announce(); who reads the new count sees why. */
static void wake(struct hak_channel_desc *desc, enum hak_channel_side side)
{
	atomic_fetch_add_explicit(count_of(desc, side), 1, memory_order_release);
	hak_sys_futex_wake(count_of(desc, side), INT_MAX);
}

void hak_channel_enter(struct hak_channel_desc *desc, uint32_t member, uint32_t sides)
{
	uint64_t bit = UINT64_C(1) << member % 64;

	/* Release: pairs with hak_channel_deserted(); `used` is never seen before the bit. */
	if (sides & HAK_CHANNEL_SENDERS)
		atomic_fetch_or_explicit(&desc->senders[member / 64], bit, memory_order_relaxed);
	if (sides & HAK_CHANNEL_RECEIVERS)
		atomic_fetch_or_explicit(&desc->receivers[member / 64], bit, memory_order_relaxed);
	atomic_fetch_or_explicit(&desc->used, sides, memory_order_release);
}

void hak_channel_leave(struct hak_channel_desc *desc, uint32_t member, uint32_t sides)
{
	uint64_t bit = UINT64_C(1) << member % 64;
	uint64_t was = 0;

	/* Release: who sees that a sender is gone sees all that it sent. */
	if (sides & HAK_CHANNEL_SENDERS)
		was |= atomic_fetch_and_explicit(&desc->senders[member / 64], ~bit,
						 memory_order_release);
	if (sides & HAK_CHANNEL_RECEIVERS)
		was |= atomic_fetch_and_explicit(&desc->receivers[member / 64], ~bit,
						 memory_order_release);
	if (!(was & bit))
		return;
	wake(desc, HAK_CHANNEL_SENDERS);
	wake(desc, HAK_CHANNEL_RECEIVERS);
}

bool hak_channel_deserted(const struct hak_channel_desc *desc, enum hak_channel_side side)
{
	const _Atomic uint64_t *members =
		side == HAK_CHANNEL_SENDERS ? desc->senders : desc->receivers;
	uint64_t any = 0;

	/* Acquire: see hak_channel_enter() and hak_channel_leave(). */
	if (!(atomic_load_explicit(&desc->used, memory_order_acquire) & side))
		return false;
	for (uint32_t i = 0; i < HAK_MEMBERS / 64; i++)
		any |= atomic_load_explicit(&members[i], memory_order_acquire);
	return !any;
}

uint32_t hak_channel_announce(struct hak_channel_desc *desc, enum hak_channel_side side)
{
	/* Acquire: pairs with wake(). */
	uint32_t count = atomic_load_explicit(count_of(desc, side), memory_order_acquire);

	/* Exchanges on both sides, acquire and release: who takes this flag away, or one that came
	 * after it, counts up after we read. A store would end the chain for those before it. */
	atomic_exchange_explicit(flag_of(desc, side), 1, memory_order_acq_rel);
	/* Pairs with the one in hak_channel_rouse(): either our next look sees what was done, or
	 * who did it sees the flag. */
	atomic_thread_fence(memory_order_seq_cst);
	return count;
}

int hak_channel_wait(struct hak_channel_desc *desc, enum hak_channel_side side, uint32_t announced,
		     int64_t timeout_ns)
{
	return hak_sys_futex_wait(count_of(desc, side), announced, timeout_ns);
}

void hak_channel_rouse(struct hak_channel_desc *desc, enum hak_channel_side side)
{
	_Atomic uint32_t *flag = flag_of(desc, side);

	atomic_thread_fence(memory_order_seq_cst); /* see hak_channel_announce() */
	/* Relaxed: a look, so that a flag that is not set is not written. */
	if (HAK_LIKELY(!atomic_load_explicit(flag, memory_order_relaxed)))
		return;
	/* Before the count: a flag that is set after this was set by one who has read the old count,
	 * or is for us to leave. */
	if (atomic_exchange_explicit(flag, 0, memory_order_acq_rel))
		wake(desc, side);
}
