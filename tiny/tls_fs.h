/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_fs.h - the calling thread's bins on x86-64 with the initial-exec model.
 *
 * The compiler adds %fs:0 to get the address of a thread-local, and keeps a loaded pointer in a
 * register for the update. Here the segment register stays in the operand and the update is one
 * instruction in memory: six instructions less a malloc and free pair. Included by tiny.h only.
 */
#pragma once

/* Offset of a bin from the thread pointer. */
typedef struct {
	uintptr_t at;
	uintptr_t twice; /* of the class; times 8 it is the bin's place */
} hak_bin_ref;

typedef void **__seg_fs *hak_fs_word;
typedef const uint8_t __seg_fs *hak_fs_byte;

/* hak_thread's offset from the thread pointer: one load, the same for all threads. */
HAK_INLINE uintptr_t hak_thread_offset(void)
{
	uintptr_t offset;

	__asm__("movq hak_thread@gottpoff(%%rip), %0" : "=r"(offset));
	return offset;
}

/* For blocks of n * 16 bytes. */
HAK_INLINE hak_bin_ref hak_bin_of_sixteens(size_t n)
{
	uintptr_t at = hak_thread_offset();

	return (hak_bin_ref){ at, *(hak_fs_byte)(at + offsetof(struct hak_thread, twice) + n) };
}

HAK_INLINE hak_bin_ref hak_bin_of_byte(uint8_t twice)
{
	return (hak_bin_ref){ hak_thread_offset(), twice };
}

/*
 * By hand, since the compiler would spend an instruction on computing the address once for both
 * uses. volatile and "memory": neither moves across the cold path's plain writes to the same bin.
 */
HAK_INLINE void **hak_bin_top(hak_bin_ref bin)
{
	void **top;

	__asm__ volatile("movq %%fs:(%1,%2,8), %0"
			 : "=r"(top)
			 : "r"(bin.at), "r"(bin.twice)
			 : "memory");
	return top;
}

/* True if `top` has reached lim. */
HAK_INLINE bool hak_bin_full(hak_bin_ref bin, void **top)
{
	return top >= *(hak_fs_word)(bin.at + bin.twice * 8 + offsetof(struct hak_bin, lim));
}

HAK_INLINE void hak_bin_popped(hak_bin_ref bin)
{
	__asm__ volatile("subq $8, %%fs:(%0,%1,8)"
			 :
			 : "r"(bin.at), "r"(bin.twice)
			 : "cc", "memory");
}

HAK_INLINE void hak_bin_pushed(hak_bin_ref bin)
{
	__asm__ volatile("addq $8, %%fs:(%0,%1,8)"
			 :
			 : "r"(bin.at), "r"(bin.twice)
			 : "cc", "memory");
}
