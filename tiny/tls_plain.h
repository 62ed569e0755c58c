/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_plain.h - the calling thread's bins in plain C: every architecture and TLS model.
 * Included by tiny.h only; see tls_fs.h for the same contract on x86-64.
 */
#pragma once

typedef struct hak_bin *hak_bin_ref;

/* For blocks of n * 16 bytes. */
HAK_INLINE hak_bin_ref hak_bin_of_sixteens(size_t n)
{
	struct hak_thread *t = &hak_thread;

	return (hak_bin_ref)(void *)((char *)t + 8u * t->twice[n]);
}

HAK_INLINE hak_bin_ref hak_bin_of_byte(uint8_t twice)
{
	return (hak_bin_ref)(void *)((char *)&hak_thread + 8u * twice);
}

HAK_INLINE void **hak_bin_top(hak_bin_ref bin)
{
	return bin->top;
}

/* True if `top` has reached lim. */
HAK_INLINE bool hak_bin_full(hak_bin_ref bin, void **top)
{
	return top >= bin->lim;
}

HAK_INLINE void hak_bin_popped(hak_bin_ref bin)
{
	bin->top--;
}

HAK_INLINE void hak_bin_pushed(hak_bin_ref bin)
{
	bin->top++;
}
