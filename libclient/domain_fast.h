/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_fast.h - allocate and free in a domain, the way that nearly all calls go: 27 instructions
 * for the two of them (tests/check holds them), the rules are those of tiny.h.
 *
 * The calling thread's magazines lie at the handle's address plus the thread's word for the domain;
 * while that word is 0 they are the handle's own, empty and full.
 */
#pragma once

#include "libclient/domain.h"

#if defined(__x86_64__) && defined(HAK_TLS_INITIAL_EXEC) && defined(__SEG_FS)

/* domain.tls: the word's offset from the thread pointer. */
HAK_INLINE uintptr_t hak_domain_tls(uint32_t word)
{
	return hak_thread_offset() + offsetof(struct hak_thread, domain) + word * sizeof(uintptr_t);
}

/* By hand: the addition takes the word from memory, and the handle need not be kept. */
HAK_INLINE uintptr_t hak_domain_bins_at(uintptr_t handle, uintptr_t tls)
{
	__asm__ volatile("addq %%fs:(%1), %0" : "+r"(handle) : "r"(tls) : "cc");
	return handle;
}

HAK_INLINE hak_domain *hak_domain_again(uintptr_t bins, uintptr_t tls)
{
	__asm__ volatile("subq %%fs:(%1), %0" : "+r"(bins) : "r"(tls) : "cc");
	return (hak_domain *)bins;
}

HAK_INLINE void **hak_domain_top(uintptr_t bins, uintptr_t twice)
{
	void **top;

	__asm__ volatile("movq (%1,%2,8), %0" : "=r"(top) : "r"(bins), "r"(twice) : "memory");
	return top;
}

HAK_INLINE void hak_domain_popped(uintptr_t bins, uintptr_t twice)
{
	__asm__ volatile("subq $8, (%0,%1,8)" : : "r"(bins), "r"(twice) : "cc", "memory");
}

HAK_INLINE void hak_domain_pushed(uintptr_t bins, uintptr_t twice)
{
	__asm__ volatile("addq $8, (%0,%1,8)" : : "r"(bins), "r"(twice) : "cc", "memory");
}

#else

/* domain.tls: the word's offset in hak_thread. */
HAK_INLINE uintptr_t hak_domain_tls(uint32_t word)
{
	return offsetof(struct hak_thread, domain) + word * sizeof(uintptr_t);
}

HAK_INLINE uintptr_t hak_domain_word(uintptr_t tls)
{
	return *(uintptr_t *)(void *)((char *)&hak_thread + tls);
}

HAK_INLINE uintptr_t hak_domain_bins_at(uintptr_t handle, uintptr_t tls)
{
	return handle + hak_domain_word(tls);
}

HAK_INLINE hak_domain *hak_domain_again(uintptr_t bins, uintptr_t tls)
{
	return (hak_domain *)(bins - hak_domain_word(tls));
}

HAK_INLINE void **hak_domain_top(uintptr_t bins, uintptr_t twice)
{
	return ((struct hak_bin *)(bins + twice * 8))->top;
}

HAK_INLINE void hak_domain_popped(uintptr_t bins, uintptr_t twice)
{
	((struct hak_bin *)(bins + twice * 8))->top--;
}

HAK_INLINE void hak_domain_pushed(uintptr_t bins, uintptr_t twice)
{
	((struct hak_bin *)(bins + twice * 8))->top++;
}

#endif

HAK_INLINE void *hak_domain_alloc_hot(hak_domain *d, size_t size)
{
	uintptr_t tls = d->tls, bins, twice;
	void **top;

	if (HAK_UNLIKELY(size > HAK_TINY_MAX))
		return hak_domain_alloc_cold(d, size);
	twice = d->twice[(size + 15) >> 4];
	bins = hak_domain_bins_at((uintptr_t)d, tls);
	top = hak_domain_top(bins, twice);
	if (HAK_UNLIKELY(!((uintptr_t)top & (HAK_MAGAZINE_ALIGN - 1))))
		return hak_domain_alloc_cold(hak_domain_again(bins, tls), size);
	hak_domain_popped(bins, twice);
	return top[-1];
}

HAK_INLINE void hak_domain_free_hot(hak_domain *d, void *p)
{
	/* Relaxed: domain.h says why a byte that was just taken back is as good. */
	uintptr_t twice =
		__atomic_load_n(&d->map[(uintptr_t)p >> HAK_SLAB_SHIFT], __ATOMIC_RELAXED);
	uintptr_t tls = d->tls, bins = hak_domain_bins_at((uintptr_t)d, tls);
	void **top = hak_domain_top(bins, twice);

	if (HAK_UNLIKELY(top >= ((struct hak_bin *)(bins + twice * 8))->lim)) {
		hak_domain_free_cold(hak_domain_again(bins, tls), p);
		return;
	}
	*top = p;
	hak_domain_pushed(bins, twice);
}
