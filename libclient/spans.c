/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/spans.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "libclient/heap.h"
#include "tiny/central.h"
#include "tiny/thread.h"

/* In the process's cache, and no more than give.c keeps of empty superslabs; and in one bin as many
 * spans as make BIN_BYTES, BIN_LEAST at least. */
#define CACHE_SLABS (((uint64_t)32 << 20) / HAK_SLAB_SIZE)
/* In a thread. */
#define THREAD_SLABS (((uint64_t)2 << 20) / HAK_SLAB_SIZE)

#define BIN_BYTES ((uint64_t)2 << 20)
#define BIN_LEAST 4u
#define BIN_MOST  32u

/* A bin for each size up to a superslab, and one for all beyond. */
#define BINS (HAK_SLABS_PER_SUPERSLAB + 2u)
#define LONG (BINS - 1)

/* How many frees may pass before the clock is looked at. */
#define AGE_EACH 64u

struct bin {
	uint32_t n;
	uint32_t least;                  /* the smallest n since the last ageing */
	struct hak_slab *span[BIN_MOST]; /* newest last */
};

static struct {
	_Atomic bool busy;
	uint64_t slabs, spans; /* in all bins */
	uint64_t aged;         /* when */
	uint32_t frees;        /* since the clock was looked at */
	struct bin bin[BINS];
} cache;

/* One locked instruction, and nobody ever waits for it on the way of malloc and free: who finds it
 * held goes to the heap. */
static inline bool try_lock(void)
{
	return !atomic_exchange_explicit(&cache.busy, true, memory_order_acquire);
}

static inline void unlock(void)
{
	atomic_store_explicit(&cache.busy, false, memory_order_release);
}

static struct bin *bin_of(uint64_t n_slabs)
{
	return &cache.bin[n_slabs < LONG ? n_slabs : LONG];
}

static uint32_t bin_capacity(uint64_t n_slabs)
{
	uint64_t n = BIN_BYTES / (n_slabs << HAK_SLAB_SHIFT);

	return n < BIN_LEAST ? BIN_LEAST : n > BIN_MOST ? BIN_MOST : (uint32_t)n;
}

static void count(uint64_t slabs, uint64_t spans)
{
	__atomic_store_n(&cache.slabs, slabs, __ATOMIC_RELAXED);
	__atomic_store_n(&cache.spans, spans, __ATOMIC_RELAXED);
}

static struct hak_slab *bin_remove(struct bin *bin, uint32_t i)
{
	struct hak_slab *span = bin->span[i];

	bin->n--;
	if (bin->n < bin->least)
		bin->least = bin->n;
	if (i < bin->n)
		memmove(&bin->span[i], &bin->span[i + 1], (bin->n - i) * sizeof(span));
	count(cache.slabs - span->n_slabs, cache.spans - 1);
	return span;
}

static inline bool suits(const struct hak_slab *span, uint64_t n_slabs, uint64_t align)
{
	return span->n_slabs == n_slabs && !((uintptr_t)hak_slab_start(span) & (align - 1));
}

/* The newest cached span of exactly that size. */
static struct hak_slab *cache_take(uint64_t n_slabs, uint64_t align)
{
	struct bin *bin = bin_of(n_slabs);

	for (uint32_t i = bin->n; i-- > 0;) {
		struct hak_slab *span = bin->span[i];

		if (span->n_slabs == n_slabs && !((uintptr_t)hak_slab_start(span) & (align - 1)))
			return bin_remove(bin, i);
	}
	return NULL;
}

/* The newest of the calling thread's spans of exactly that size. */
static inline struct hak_slab *own_take(uint64_t n_slabs, uint64_t align)
{
	struct hak_thread *t = &hak_thread;

	for (uint32_t i = t->n_spans; i-- > 0;) {
		struct hak_slab *span = t->span[i];

		if (!suits(span, n_slabs, align))
			continue;
		t->n_spans--;
		for (; i < t->n_spans; i++)
			t->span[i] = t->span[i + 1];
		t->span_slabs -= (uint32_t)n_slabs;
		return span;
	}
	return NULL;
}

/* True if the thread keeps it; what has to go for it is in *ret_out. */
static inline bool own_put(struct hak_slab *span, struct hak_slab **ret_out)
{
	struct hak_thread *t = &hak_thread;

	if (span->n_slabs > THREAD_SLABS || !hak_thread_ready())
		return false;
	if (t->n_spans == HAK_THREAD_SPANS || t->span_slabs + span->n_slabs > THREAD_SLABS) {
		struct hak_slab *oldest = t->span[0];

		if (t->span_slabs - oldest->n_slabs + span->n_slabs > THREAD_SLABS)
			return false;
		t->n_spans--;
		for (uint32_t i = 0; i < t->n_spans; i++)
			t->span[i] = t->span[i + 1];
		t->span_slabs -= (uint32_t)oldest->n_slabs;
		*ret_out = oldest;
	}
	t->span[t->n_spans++] = span;
	t->span_slabs += (uint32_t)span->n_slabs;
	return true;
}

static __attribute__((noinline)) void *alloc_other(size_t size, size_t align, bool *ret_zeroed)
{
	uint64_t n_slabs = (size + HAK_SLAB_SIZE - 1) >> HAK_SLAB_SHIFT;
	struct hak_slab *span;

	if (align > HAK_WINDOW_ALIGN) /* a cached one might happen to have it */
		return NULL;
	span = own_take(n_slabs, align);
	if (!span && n_slabs <= CACHE_SLABS && __atomic_load_n(&cache.spans, __ATOMIC_RELAXED) &&
	    try_lock()) {
		span = cache_take(n_slabs, align);
		unlock();
	}
	if (!span)
		return hak_heap_alloc(size, align, ret_zeroed);
	span->kind = HAK_SLAB_SPAN;
	if (ret_zeroed)
		*ret_zeroed = false;
	return hak_slab_start(span);
}

void *hak_spans_alloc(size_t size, size_t align, bool *ret_zeroed)
{
	struct hak_thread *t = &hak_thread;
	struct hak_slab *span;

	/* Mostly it is the one that the thread has freed last. */
	if (HAK_LIKELY(t->n_spans && align <= HAK_SLAB_SIZE)) {
		span = t->span[t->n_spans - 1];
		if (span->n_slabs == (size + HAK_SLAB_SIZE - 1) >> HAK_SLAB_SHIFT) {
			t->n_spans--;
			t->span_slabs -= (uint32_t)span->n_slabs;
			span->kind = HAK_SLAB_SPAN;
			if (ret_zeroed)
				*ret_zeroed = false;
			return hak_slab_start(span);
		}
	}
	return alloc_other(size, align, ret_zeroed);
}

/* True if the cache has the span now. Others it had no room for any more go to *ret_out. */
static bool cache_put(struct hak_slab *span, struct hak_slab **ret_out)
{
	struct bin *bin = bin_of(span->n_slabs);

	if (span->n_slabs > CACHE_SLABS)
		return false;
	if (bin->n == bin_capacity(span->n_slabs))
		*ret_out = bin_remove(bin, 0); /* the oldest */
	if (cache.slabs + span->n_slabs > CACHE_SLABS)
		return false;
	bin->span[bin->n++] = span;
	count(cache.slabs + span->n_slabs, cache.spans + 1);
	return true;
}

/* True if it is time; then the caller has the lock. */
static bool time_to_age(void)
{
	uint64_t now;

	if (__atomic_add_fetch(&cache.frees, 1, __ATOMIC_RELAXED) % AGE_EACH)
		return false;
	now = hak_sys_now_ns();
	if (now < __atomic_load_n(&cache.aged, __ATOMIC_RELAXED) + HAK_DECAY_NS || !try_lock())
		return false;
	__atomic_store_n(&cache.aged, now, __ATOMIC_RELAXED);
	return true;
}

void hak_spans_age(void)
{
	for (uint32_t i = 0; i < BINS; i++) {
		struct bin *bin = &cache.bin[i];

		for (uint32_t n = (bin->least + 1) / 2; n; n--)
			hak_heap_free(bin_remove(bin, 0));
		bin->least = bin->n;
	}
}

static void to_cache_or_heap(struct hak_slab *span)
{
	struct hak_slab *out = NULL;
	bool cached = false;

	if (try_lock()) {
		cached = cache_put(span, &out);
		unlock();
	}
	if (out)
		hak_heap_free(out);
	if (!cached)
		hak_heap_free(span);
	if (HAK_UNLIKELY(time_to_age())) {
		hak_spans_age();
		unlock();
	}
}

void hak_spans_free(struct hak_slab *span)
{
	struct hak_slab *out = NULL;

	span->kind = HAK_SLAB_CACHED;
	if (!own_put(span, &out))
		to_cache_or_heap(span);
	else if (HAK_UNLIKELY(out))
		to_cache_or_heap(out);
}

void hak_spans_flush(void)
{
	struct hak_thread *t = &hak_thread;

	while (t->n_spans)
		hak_heap_free(t->span[--t->n_spans]);
	t->span_slabs = 0;
}

void hak_spans_trim(void)
{
	hak_spans_lock();
	for (uint32_t i = 0; i < BINS; i++) {
		while (cache.bin[i].n)
			hak_heap_free(bin_remove(&cache.bin[i], cache.bin[i].n - 1));
	}
	hak_spans_unlock();
}

uint64_t hak_spans_cached(bool with_own, uint64_t *ret_slabs)
{
	uint64_t spans = __atomic_load_n(&cache.spans, __ATOMIC_RELAXED);

	*ret_slabs = __atomic_load_n(&cache.slabs, __ATOMIC_RELAXED);
	if (with_own) {
		*ret_slabs += hak_thread.span_slabs;
		spans += hak_thread.n_spans;
	}
	return spans;
}

void hak_spans_lock(void)
{
	while (!try_lock())
		(void)sched_yield();
}

void hak_spans_unlock(void)
{
	unlock();
}
