/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_steps.h - stops a member, or the sweep, before any of its writes. The engine's sources are
 * compiled once more with this in front of them: every atomic write asks first whether it is still
 * to happen; if not, a jump ends whatever was being done, as SIGKILL would.
 */
#pragma once

#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* How many more writes happen; negative: as many as there are. */
extern int64_t domain_steps_left;
extern jmp_buf domain_steps_end;

/* if (!domain_stopped(n)) something(); else it was stopped after n writes. To be written so, for a
 * function cannot return twice for its caller. */
#define domain_stopped(n) (domain_steps_left = (n), setjmp(domain_steps_end))

static inline void domain_step(void)
{
	if (domain_steps_left == 0)
		longjmp(domain_steps_end, 1);
	domain_steps_left -= domain_steps_left > 0;
}

static inline void step_store8(_Atomic uint8_t *at, uint8_t value, memory_order order)
{
	domain_step();
	atomic_store_explicit(at, value, order);
}

static inline void step_store16(_Atomic uint16_t *at, uint16_t value, memory_order order)
{
	domain_step();
	atomic_store_explicit(at, value, order);
}

static inline void step_store64(_Atomic uint64_t *at, uint64_t value, memory_order order)
{
	domain_step();
	atomic_store_explicit(at, value, order);
}

static inline bool step_change16(_Atomic uint16_t *at, uint16_t *from, uint16_t to)
{
	domain_step();
	return atomic_compare_exchange_strong(at, from, to);
}

static inline bool step_change64(_Atomic uint64_t *at, uint64_t *from, uint64_t to)
{
	domain_step();
	return atomic_compare_exchange_strong(at, from, to);
}

static inline uint64_t step_or(_Atomic uint64_t *at, uint64_t bits)
{
	domain_step();
	return atomic_fetch_or(at, bits);
}

static inline uint64_t step_and(_Atomic uint64_t *at, uint64_t bits)
{
	domain_step();
	return atomic_fetch_and(at, bits);
}

#undef atomic_store_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit

#define atomic_store_explicit(at, value, order) \
	_Generic((at), _Atomic uint8_t *               \
		 : step_store8, _Atomic uint16_t *     \
		 : step_store16, _Atomic uint64_t *    \
		 : step_store64)(at, value, order)
#define atomic_compare_exchange_strong_explicit(at, from, to, order, failure) \
	_Generic((at), _Atomic uint16_t *                                     \
		 : step_change16, _Atomic uint64_t *                          \
		 : step_change64)(at, from, to)
#define atomic_fetch_or_explicit(at, bits, order)  step_or(at, bits)
#define atomic_fetch_and_explicit(at, bits, order) step_and(at, bits)
