/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tiny.h - the fast path: a thread's magazines of free blocks, and the page map that tells free()
 * what a pointer is.
 *
 * RULES OF THE HOT PATH (tests/check holds them)
 *   no lock, no atomic, no system call, no counter, no configuration, no "initialised?" test.
 *   One load from the page map is the only check that a pointer gets.
 *   Everything else is behind the one branch that is there anyway: ZERO MEANS COLD. A zeroed
 *   struct hak_thread has every magazine empty (top at an aligned address) and full (top >= lim); a
 *   zero page map byte is class 0, whose magazine stays that way. So a thread not yet set up or
 *   already gone, libc mode, NULL, foreign pointers and spans all take that branch.
 *
 * A magazine is an array, not a list through the blocks: refill and flush touch no block, and
 * nothing in a freed block is ever trusted. Its bottom is aligned to HAK_MAGAZINE_ALIGN, so "empty"
 * is a test on the pointer itself (magazines: Bonwick and Adams, USENIX 2001).
 *
 *   bottom <= top <= lim <= bottom + HAK_MAGAZINE_MAX;  blocks are in [bottom, top)
 *
 * THREADS: a magazine belongs to its thread. FORK: the child has its own copy of them.
 */
#pragma once

#include "shared/sizeclass.h"

#define HAK_MAGAZINE_ALIGN 1024u
/* One less than the array has places: a full magazine's top must not look like a bottom. */
#define HAK_MAGAZINE_MAX (HAK_MAGAZINE_ALIGN / 8 - 1)

#define HAK_THREAD_SPANS 8u

/* Open domains that have an inline path. */
#define HAK_THREAD_DOMAINS 16u

struct hak_slab;
struct hak_domain_bins;

struct hak_bin {
	void **top; /* one past the newest block */
	void **lim; /* where it counts as full */
};

enum hak_thread_state {
	HAK_THREAD_NEW = 0,    /* zeroed: not set up yet */
	HAK_THREAD_SETTING_UP, /* allocations made by the set-up itself go to the centrals */
	HAK_THREAD_READY,
	HAK_THREAD_GONE, /* exit flushed it; what still runs goes to the centrals */
};

struct hak_thread {
	struct hak_bin bin[HAK_CLASSES]; /* first: a class's bin is 16 * class bytes in */
	uint8_t twice[HAK_TINY_MAX / 16 +
		      1]; /* 2 * class by (size + 15) >> 4; zero while not READY */
	uint8_t state;    /* enum hak_thread_state */
	uint8_t shard;    /* of the depots: where its magazines go, and come from first */
	/* By class: a second magazine's top, all full or all empty, so that what goes up and down
	 * around a limit stays in the thread. NULL: none yet. */
	void **other[HAK_CLASSES];
	/* The spans it freed last, oldest first; libclient/spans.c has them. */
	struct hak_slab *span[HAK_THREAD_SPANS];
	uint32_t n_spans;
	uint32_t span_slabs; /* in all of them */
	/* By the number of a domain: from its handle, which begins with magazines that are empty
	 * and full, to this thread's magazines there; zero is cold again. The last stays zero. */
	uintptr_t domain[HAK_THREAD_DOMAINS + 1];
	/* The same magazines, of all domains (libclient/domain_thread.c). NULL: none yet. */
	struct hak_domain_bins **domains;
};
static_assert(sizeof(struct hak_bin) == 16 && 2 * HAK_CLASSES <= 256,
	      "2 * class * 8 finds the bin");

#pragma GCC visibility push(hidden)

/* Initial-exec unless built otherwise (option tls_model): 3 ns against 7 for global-dynamic. */
extern __thread struct hak_thread hak_thread;

/*
 * One byte per slab of the whole address space: twice the class whose magazines this process may
 * free the slab's blocks into, or 0. (Twice, because bins are 16 bytes and addressing scales by 8.)
 * Before init it points at a zero byte that only NULL finds.
 */
extern uint8_t *hak_pagemap;

/* The other ways, in libclient: each does the whole job. */
__attribute__((noinline)) void *hak_alloc_cold(size_t size);
__attribute__((noinline)) void hak_free_cold(void *p);
__attribute__((noinline)) void hak_free_sized_cold(void *p, size_t size);

#pragma GCC visibility pop

/* Relaxed: of a slab that becomes mixed the byte becomes 0 while blocks are out; mixed.h says why
 * the old one is as good. */
HAK_INLINE uint8_t hak_page_byte(const void *p)
{
	return __atomic_load_n(&hak_pagemap[(uintptr_t)p >> HAK_SLAB_SHIFT], __ATOMIC_RELAXED);
}

/* The class of the plain slab that p lies in, or 0. */
HAK_INLINE uint32_t hak_page_class(const void *p)
{
	return hak_page_byte(p) / 2u;
}

#if defined(__x86_64__) && defined(HAK_TLS_INITIAL_EXEC) && defined(__SEG_FS)
#include "tiny/tls_fs.h"
#else
#include "tiny/tls_plain.h"
#endif

HAK_INLINE hak_bin_ref hak_bin_of_size(size_t size)
{
	return hak_bin_of_sixteens((size + 15) >> 4);
}

/* `cold` is a constant: what to do where the magazine can't serve. */
HAK_INLINE void *hak_tiny_alloc_else(size_t size, void *(*cold)(size_t size))
{
	hak_bin_ref bin;
	void **top;

	if (HAK_UNLIKELY(size > HAK_TINY_MAX))
		return cold(size);
	bin = hak_bin_of_size(size);
	top = hak_bin_top(bin);
	if (HAK_UNLIKELY(!((uintptr_t)top & (HAK_MAGAZINE_ALIGN - 1))))
		return cold(size);
	hak_bin_popped(bin);
	return top[-1];
}

HAK_INLINE void *hak_tiny_alloc(size_t size)
{
	return hak_tiny_alloc_else(size, hak_alloc_cold);
}

/* False: p is for the cold way. */
HAK_INLINE bool hak_tiny_free_hot(void *p)
{
	hak_bin_ref bin = hak_bin_of_byte(hak_page_byte(p));
	void **top = hak_bin_top(bin);

	if (HAK_UNLIKELY(hak_bin_full(bin, top)))
		return false;
	*top = p;
	hak_bin_pushed(bin);
	return true;
}

HAK_INLINE void hak_tiny_free(void *p)
{
	if (HAK_UNLIKELY(!hak_tiny_free_hot(p)))
		hak_free_cold(p);
}

/* What the caller says of the size is of use to the checked path only. */
HAK_INLINE void hak_tiny_free_sized(void *p, size_t size)
{
	if (HAK_UNLIKELY(!hak_tiny_free_hot(p)))
		hak_free_sized_cold(p, size);
}
