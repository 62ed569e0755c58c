/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base.h - the words that every other file uses: attributes, alignment helpers, layout pins.
 *
 * Nothing here has state or cost; C and libc only.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A cache line as a constant of the shared layout, not a property of the machine. */
#define HAK_LINE 64u

#define HAK_LIKELY(x)         __builtin_expect(!!(x), 1)
#define HAK_UNLIKELY(x)       __builtin_expect(!!(x), 0)
#define HAK_COLD              __attribute__((cold, noinline))
#define HAK_INLINE            static inline __attribute__((always_inline))
#define HAK_EXPORT            __attribute__((visibility("default")))
#define HAK_ALIGNED(n)        __attribute__((aligned(n)))
#define HAK_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define HAK_MUST_CHECK        __attribute__((warn_unused_result))
#define HAK_CLEAN(fn)         __attribute__((cleanup(fn)))

#define hak_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define hak_array_size(a)                   (sizeof(a) / sizeof((a)[0]))

/* Layout pins: a struct that two processes see may not move by accident. */
#define HAK_PIN_SIZE(type, bytes) static_assert(sizeof(type) == (bytes), #type " moved")
#define HAK_PIN_FIELD(type, field, off) \
	static_assert(offsetof(type, field) == (off), #type "." #field " moved")

static inline uint64_t hak_align_up(uint64_t v, uint64_t align)
{
	return (v + align - 1) & ~(align - 1);
}

static inline bool hak_is_pow2(uint64_t v)
{
	return v && !(v & (v - 1));
}

static inline void *hak_at(void *base, uint64_t off)
{
	return (char *)base + off;
}

static inline void hak_cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#endif
}
