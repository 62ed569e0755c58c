/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/guarded.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "libclient/heap.h"
#include "shared/check.h"
#include "tiny/checked.h"

#define PAGE ((uint64_t)4096)

#define DELAY_SPANS 64u
#define DELAY_HELD  ((uint64_t)32 << 20)
#define DELAY_BYTES ((uint64_t)1 << 30)

#define GUARDS_MOST 10000u

/* Smaller ones are filled: cheaper than new pages. */
#define SCRUB_LIMIT ((uint64_t)256 << 10)

/* In a span's `hint`: its other fields are set, and it has guards or not. */
enum {
	GUARDED = 1,
	BARE
};

static _Atomic uint32_t n_guarded;

static struct {
	pthread_mutex_t lock;
	uint32_t first, n;
	uint64_t held, bytes;
	struct {
		struct hak_slab *span;
		uint64_t held;
	} ring[DELAY_SPANS];
} delay = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Offsets from the span's start: [low, high) is accessible, [front, front + asked) the block's. */
struct place {
	char *start;
	uint64_t low, front, asked, high, size;
};

static struct place place_of(const struct hak_slab *span)
{
	return (struct place){
		.start = hak_slab_start(span),
		.low = span->front & ~(PAGE - 1),
		.front = span->front,
		.asked = span->asked,
		.high = hak_align_up(span->front + span->asked, PAGE),
		.size = span->n_slabs << HAK_SLAB_SHIFT,
	};
}

static bool may_guard(void)
{
	if (atomic_fetch_add_explicit(&n_guarded, 1, memory_order_relaxed) < GUARDS_MOST)
		return true;
	atomic_fetch_sub_explicit(&n_guarded, 1, memory_order_relaxed);
	return false;
}

static void protect(const struct place *at)
{
	if (at->low)
		(void)hak_sys_protect_none(at->start, at->low);
	(void)hak_sys_protect_none(at->start + at->high, at->size - at->high);
}

void *hak_guarded_alloc(size_t size, size_t align, bool *ret_zeroed)
{
	uint64_t pages = hak_align_up(size, PAGE), front = align, whole;
	struct hak_slab *span;
	struct place at;
	bool guard;
	char *p;

	if (align <= PAGE)
		front = PAGE + pages - hak_align_up(size, align < 16 ? 16 : align);
	else if (align >= HAK_SLAB_SIZE)
		front = 0;
	whole = (front & ~(PAGE - 1)) + pages + PAGE;
	p = hak_heap_alloc(whole, front ? 1 : align, ret_zeroed);
	if (!p)
		return NULL;
	span = hak_slab_of(p);
	/* Before the guards, so that a fork between the two renews them. */
	span->front = (uint32_t)front;
	span->asked = size;
	guard = may_guard();
	__atomic_store_n(&span->hint, guard ? GUARDED : BARE, __ATOMIC_RELEASE);
	at = place_of(span);
	if (guard)
		protect(&at);
	memset(p + at.low, HAK_FREE_BYTE, at.front - at.low);
	memset(p + at.front + size, HAK_FREE_BYTE, at.high - at.front - size);
	return p + front;
}

struct hak_slab *hak_guarded_find(const void *p)
{
	struct hak_slab *span = hak_slab_of(p);

	if (span->kind != HAK_SLAB_SPAN || hak_slab_start(span) + span->front != p)
		return NULL;
	return span;
}

static HAK_COLD _Noreturn void die_written(const struct place *at, const char *where)
{
	hak_die("write %s %p (a large block of %lu bytes, in the span at %p)", where,
		(void *)(at->start + at->front), at->asked, (void *)at->start);
}

static void check_pads(const struct place *at)
{
	uint64_t end = at->front + at->asked;

	if (!hak_checked_untouched(at->start + at->low, at->front - at->low))
		die_written(at, "before the start of");
	if (!hak_checked_untouched(at->start + end, at->high - end))
		die_written(at, "past the end of");
}

/* True if giving its pages to the kernel frees them and makes them zero. */
static bool is_local(const struct place *at)
{
	uint64_t off = (uint64_t)(at->start - hak_heap.base);

	for (uint64_t i = off >> HAK_SUPERSLAB_SHIFT;
	     i <= (off + at->size - 1) >> HAK_SUPERSLAB_SHIFT; i++)
		if (hak_heap.carve.supers[i].flags & (HAK_SUPER_SHARED | HAK_SUPER_COPY))
			return false;
	return true;
}

/* What was in it is gone; the memory that it still holds. */
static uint64_t scrub(const struct place *at)
{
	uint64_t size = at->high - at->low;

	if (size > SCRUB_LIMIT && is_local(at) &&
	    !hak_sys_advise(at->start + at->low, size, MADV_DONTNEED))
		return 0;
	memset(at->start + at->low, HAK_FREE_BYTE, size);
	return size;
}

/* Under the lock: the oldest, which goes to the heap. NULL: it can't. */
static struct hak_slab *take_oldest(void)
{
	struct hak_slab *span = delay.ring[delay.first].span;
	struct place at = place_of(span);

	delay.held -= delay.ring[delay.first].held;
	delay.bytes -= at.size;
	delay.first = (delay.first + 1) % DELAY_SPANS;
	delay.n--;
	/* Refused, it would be a trap in the heap: so it stays what it is, for ever. */
	return hak_sys_protect_rw(at.start, at.size) < 0 ? NULL : span;
}

/* Makes room for a span of that size. */
static void shed(uint32_t most, uint64_t held, uint64_t bytes)
{
	while (delay.n && (delay.n > most || delay.held + held > DELAY_HELD ||
			   delay.bytes + bytes > DELAY_BYTES)) {
		struct hak_slab *span = take_oldest();

		if (span)
			hak_heap_free(span);
	}
}

bool hak_guarded_free(struct hak_slab *span)
{
	uint8_t kind = HAK_SLAB_SPAN;
	struct place at = place_of(span);
	uint64_t held;
	uint32_t i;

	if (!__atomic_compare_exchange_n(&span->kind, &kind, HAK_SLAB_CACHED, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return false;
	check_pads(&at);
	if (span->hint == GUARDED)
		atomic_fetch_sub_explicit(&n_guarded, 1, memory_order_relaxed);
	held = scrub(&at);
	(void)hak_sys_protect_none(at.start, at.size);
	pthread_mutex_lock(&delay.lock);
	shed(DELAY_SPANS - 1, held, at.size);
	i = (delay.first + delay.n++) % DELAY_SPANS;
	delay.ring[i].span = span;
	delay.ring[i].held = held;
	delay.held += held;
	delay.bytes += at.size;
	pthread_mutex_unlock(&delay.lock);
	return true;
}

void hak_guarded_flush(void)
{
	pthread_mutex_lock(&delay.lock);
	shed(0, 0, 0);
	pthread_mutex_unlock(&delay.lock);
}

/* The span that p lies in; NULL: none. */
static const struct hak_slab *around(const void *p)
{
	const struct hak_slab *slab = hak_slab_of(p);
	uint64_t n = 1;

	while (slab->kind == HAK_SLAB_NONE && slab > hak_tiny.slabs &&
	       hak_heap_has(&hak_heap, hak_slab_start(slab - 1)))
		slab--, n++;
	if ((slab->kind == HAK_SLAB_SPAN || slab->kind == HAK_SLAB_CACHED) && slab->n_slabs >= n)
		return slab;
	return NULL;
}

void hak_guarded_die(const void *p, const char *deed)
{
	const struct hak_slab *span = around(p);
	const char *what = " after free of";
	struct place at;

	if (!span)
		hak_die("%s of %p, which is no block in use: freed before, or not the start of one",
			deed, p);
	at = place_of(span);
	if (at.start + at.front != p)
		what = " of the inside of";
	else if (!strcmp(deed, "free"))
		deed = "double free of", what = "";
	hak_die("%s%s %p (a large block of %lu bytes, in the span at %p)", deed, what, p, at.asked,
		(void *)at.start);
}

uint64_t hak_guarded_delayed(uint64_t *ret_bytes)
{
	uint64_t n;

	pthread_mutex_lock(&delay.lock);
	n = delay.n;
	*ret_bytes = delay.bytes;
	pthread_mutex_unlock(&delay.lock);
	return n;
}

void hak_guarded_lock(void)
{
	pthread_mutex_lock(&delay.lock);
}

void hak_guarded_renew(void)
{
	const struct hak_heap *heap = &hak_heap;
	uint64_t end = (uint64_t)heap->carve.zone[0].high * HAK_SLABS_PER_SUPERSLAB;
	struct place at;

	for (uint64_t i = (uint64_t)heap->shift * HAK_SLABS_PER_SUPERSLAB; i < end; i++) {
		const struct hak_slab *slab = &hak_tiny.slabs[i];

		if (!hak_heap_has(heap, hak_slab_start(slab))) {
			i |= HAK_SLABS_PER_SUPERSLAB - 1;
			continue;
		}
		if (slab->kind != HAK_SLAB_SPAN ||
		    __atomic_load_n(&slab->hint, __ATOMIC_ACQUIRE) != GUARDED)
			continue;
		at = place_of(slab);
		protect(&at);
	}
	/* Not by their kind: the contents of one that is not here yet may just be overwritten. */
	for (uint32_t i = 0; i < delay.n; i++) {
		at = place_of(delay.ring[(delay.first + i) % DELAY_SPANS].span);
		(void)hak_sys_protect_none(at.start, at.size);
	}
}

void hak_guarded_unlock(void)
{
	pthread_mutex_unlock(&delay.lock);
}
