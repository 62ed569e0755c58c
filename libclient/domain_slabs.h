/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_slabs.h - the books of a domain's slabs, between domain_slabs.c and domain_orphans.c.
 * All of it under the domain's mutex.
 */
#pragma once

#include "libclient/domain.h"

/* The bytes of the run that begins at `first`. */
static inline uint8_t *hak_slabs_map(const hak_domain *d, uint32_t first)
{
	return &d->map[((uintptr_t)d->base >> HAK_SLAB_SHIFT) + first];
}

void hak_slabs_set_map(hak_domain *d, uint32_t first, uint32_t class, uint8_t byte);

/* Describes a run of ours, all free, linked nowhere. False: no memory for its bitmap. */
bool hak_slabs_describe(hak_domain *d, uint32_t first, uint32_t class);
/* It is described no more. */
void hak_slabs_forget(hak_domain *d, uint32_t first);
/* Off its class's list. */
void hak_slabs_unlink(hak_domain *d, uint32_t first);
/* Free blocks came to a slab that had `before`. */
void hak_slabs_gained(hak_domain *d, uint32_t first, uint32_t before);

/* Takes an ORPHAN slab with free blocks of the class, if a bounded look, or one at all, finds
 * one. */
bool hak_slabs_adopt(hak_domain *d, uint32_t class, bool all);

/* Acquire: pairs with the release of who gave it back; its use of the block is over. */
static inline bool hak_slabs_is_freed(const hak_domain *d, uint64_t index)
{
	return atomic_load_explicit(&d->view.half[index], memory_order_acquire) == HAK_HALF_FREED;
}

/* Only the holder changes FREED: no exchange. Relaxed: who is told of the block later is told by
 * something that orders. */
static inline void hak_slabs_clear_half(const hak_domain *d, uint64_t index)
{
	atomic_store_explicit(&d->view.half[index], 0, memory_order_relaxed);
}

/* From here on what is given back sets the hint again, or is seen by a look at the half-words. */
static inline void hak_slabs_clear_hint(hak_domain *d, uint32_t first)
{
	/* An exchange, not a store, so that it pairs with the release of a hint that it wipes out:
	 * FREED of that one is seen. */
	(void)atomic_exchange_explicit(&d->view.hint[first], 0, memory_order_acquire);
}
