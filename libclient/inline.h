/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inline.h - calloc and realloc of small blocks, without a call. The rules of tiny/tiny.h hold.
 */
#pragma once

#include "libclient/client.h"
#include "tiny/tiny.h"

/* True if a block of `block` bytes serves `size` in place: it fits, and half or more is used. */
HAK_INLINE bool hak_fits(size_t size, size_t block)
{
	return size <= block && size * 2 >= block;
}

/* What is cleared without a call: what one meets most is too short for one. */
#define HAK_CLEAR_MAX 64u

/* Zeroes the first last + 16 bytes of a block; `last` a multiple of 16 below HAK_CLEAR_MAX. */
HAK_INLINE void *hak_clear(void *p, size_t last)
{
	typedef uint64_t piece __attribute__((vector_size(16), may_alias));

	*(piece *)p = (piece){ 0 };
	*(piece *)hak_at(p, last) = (piece){ 0 };
	if (last > 16) {
		*(piece *)hak_at(p, 16) = (piece){ 0 };
		*(piece *)hak_at(p, last - 16) = (piece){ 0 };
	}
	return p;
}

/* calloc */
HAK_INLINE void *hak_zeroed(size_t n, size_t size)
{
	hak_bin_ref bin;
	size_t bytes;
	void **top;

	if (HAK_UNLIKELY(__builtin_mul_overflow(n, size, &bytes)))
		return hak_zeroed_slow(n, size);
	bytes--;
	if (HAK_UNLIKELY(bytes >= HAK_CLEAR_MAX)) /* 0 bytes as well */
		return hak_zeroed_long(bytes);
	bytes >>= 4;
	__asm__("" : "+r"(bytes)); /* shifted once, not masked anew */
	bin = hak_bin_of_sixteens(bytes + 1);
	top = hak_bin_top(bin);
	if (HAK_UNLIKELY(!((uintptr_t)top & (HAK_MAGAZINE_ALIGN - 1))))
		return hak_zeroed_slow(n, size);
	hak_bin_popped(bin);
	return hak_clear(top[-1], bytes << 4);
}

/* realloc */
HAK_INLINE void *hak_resize(void *p, size_t size)
{
	uint32_t class = hak_page_class(p);

	/* No class has blocks of 0 bytes, and size 0 is not in place in any other. */
	if (HAK_LIKELY(class && hak_fits(size, hak_class[class].size)))
		return p;
	return hak_resize_slow(p, size);
}
