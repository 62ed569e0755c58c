/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny/thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "tiny/central.h"
#include "tiny/depot.h"
#include "tiny/magazine.h"

__thread struct hak_thread hak_thread;

/* Not zero: so it lies with the data that every process touches. */
/* Ever set up; they take the depots' shards in turn. */
static _Atomic uint32_t threads;

#define NO_KEY ((pthread_key_t)-1)
static pthread_key_t exit_key = NO_KEY;

/* False: no memory for its array. */
static bool bin_open(struct hak_bin *bin, uint32_t class)
{
	void **bottom = hak_depot_array();

	if (!bottom)
		return false;
	*bin = hak_bin_make(bottom, class);
	return true;
}

/* The magazine [bottom, top) becomes the one in use, with room for as many blocks as the last. */
static void bin_load(struct hak_bin *bin, void **top)
{
	uint32_t cap = (uint32_t)(bin->lim - hak_bin_bottom(bin));
	void **bottom = hak_magazine_is_empty(top) ? top : hak_magazine_bottom(top);

	if (cap < (uint32_t)(top - bottom))
		cap = (uint32_t)(top - bottom);
	*bin = (struct hak_bin){ .top = top, .lim = bottom + cap };
}

/* Hands a magazine's blocks to the slabs. Its bottom. */
static void **empty_out(uint32_t class, void **top)
{
	void **bottom;

	if (hak_magazine_is_empty(top))
		return top;
	bottom = hak_magazine_bottom(top);
	hak_central_put(class, bottom, (uint32_t)(top - bottom));
	return bottom;
}

static void flush_all(struct hak_thread *t)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		struct hak_bin *bin = &t->bin[c];

		if (bin->lim)
			bin->top = empty_out(c, bin->top);
		if (t->other[c])
			t->other[c] = empty_out(c, t->other[c]);
	}
	if (hak_tiny.source.flush)
		hak_tiny.source.flush();
}

void hak_thread_flush(void)
{
	if (hak_thread.state == HAK_THREAD_READY)
		flush_all(&hak_thread);
}

static void on_thread_exit(void *unused)
{
	struct hak_thread *t = &hak_thread;

	(void)unused;
	flush_all(t);
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		if (t->bin[c].lim)
			hak_depot_array_give(t->bin[c].top);
		if (t->other[c])
			hak_depot_array_give(t->other[c]);
	}
	memset(t, 0, sizeof(*t));
	t->state = HAK_THREAD_GONE;
}

int hak_thread_init(bool magazines)
{
	int r = 0;

	if (magazines) {
		r = pthread_key_create(&exit_key, on_thread_exit);
		if (r)
			exit_key = NO_KEY;
	}
	return -r;
}

/* True if the calling thread has, or now gets, magazines. */
static bool thread_ready(struct hak_thread *t)
{
	if (HAK_LIKELY(t->state == HAK_THREAD_READY))
		return true;
	if (t->state != HAK_THREAD_NEW || exit_key == NO_KEY)
		return false;
	/* Setting a key's value may allocate: those blocks come from the centrals. */
	t->state = HAK_THREAD_SETTING_UP;
	if (pthread_setspecific(exit_key, t)) {
		t->state = HAK_THREAD_GONE;
		return false;
	}
	t->shard = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % HAK_DEPOT_SHARDS;
	for (size_t i = 0; i < hak_array_size(t->twice); i++)
		t->twice[i] = (uint8_t)(2 * hak_tiny_class[i]);
	t->state = HAK_THREAD_READY;
	return true;
}

bool hak_thread_ready(void)
{
	return thread_ready(&hak_thread);
}

void *hak_thread_alloc(uint32_t class)
{
	struct hak_thread *t = &hak_thread;
	struct hak_bin *bin = &t->bin[class];
	void **top, *block;
	uint32_t n;

	if (HAK_UNLIKELY(!thread_ready(t)) || (!bin->lim && !bin_open(bin, class)))
		return hak_central_take(class, &block, 1) ? block : NULL;
	if (!hak_magazine_is_empty(bin->top))
		return *--bin->top;
	top = t->other[class];
	if (top && !hak_magazine_is_empty(top)) {
		t->other[class] = bin->top;
		bin_load(bin, top);
	} else if ((top = hak_depot_take(class, bin->top))) {
		bin_load(bin, top);
	} else {
		n = hak_central_take(class, bin->top, (uint32_t)(bin->lim - bin->top));
		if (!n)
			return NULL;
		bin->top += n;
		hak_bin_widen(bin, class);
	}
	return *--bin->top;
}

/* Makes room in a full magazine that may not grow. */
static void make_room(struct hak_thread *t, uint32_t class)
{
	struct hak_bin *bin = &t->bin[class];
	void **full = t->other[class], **empty;

	if (!full) {
		empty = hak_depot_array();
		if (!empty) { /* out of memory: go on with the one there is */
			bin->top = empty_out(class, bin->top);
			return;
		}
	} else if (hak_magazine_is_empty(full)) {
		empty = full;
	} else {
		/* The older one goes: the newer blocks are warm in this CPU's cache. */
		empty = hak_depot_put(class, hak_magazine_bottom(full), full);
		if (!empty)
			empty = empty_out(class, full);
	}
	t->other[class] = bin->top;
	bin_load(bin, empty);
}

void hak_thread_free(uint32_t class, void *p)
{
	struct hak_thread *t = &hak_thread;
	struct hak_bin *bin = &t->bin[class];

	/* The first block of a class that a thread meets may be another's, with neighbours on its
	 * cache line that are still in use: it goes home instead of around in this thread. */
	if (HAK_UNLIKELY(!thread_ready(t)) || !bin->lim) {
		if (t->state == HAK_THREAD_READY)
			(void)bin_open(bin, class);
		hak_central_put(class, &p, 1);
		return;
	}
	if (bin->top == bin->lim)
		hak_bin_widen(bin, class);
	if (bin->top == bin->lim)
		make_room(t, class);
	*bin->top++ = p;
}
