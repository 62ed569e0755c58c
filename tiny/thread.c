/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny/thread.h"

#include <string.h>

#include "tiny/central.h"

#define FIRST_CAPACITY 8u
#define CLASS_BYTES    65536u /* what a magazine may hold, at most */
#define ARRAYS_BYTES   ((size_t)(HAK_CLASSES - 1) * HAK_MAGAZINE_ALIGN)

__thread struct hak_thread hak_thread;

static pthread_key_t exit_key;
static bool has_key;

/* Array sets of threads that are gone, linked through their first word. Guarded by the lock of
 * class 0, which has no blocks: so fork holds it with the others. */
static void **spare;
#define SPARE_LOCK (&hak_tiny.central[0].lock)

static void **arrays_take(void)
{
	void **arrays;
	char *p;

	pthread_mutex_lock(SPARE_LOCK);
	arrays = spare;
	if (arrays)
		spare = (void **)arrays[0];
	pthread_mutex_unlock(SPARE_LOCK);
	if (arrays)
		return arrays;
	p = hak_tiny.source.meta(ARRAYS_BYTES + HAK_MAGAZINE_ALIGN);
	if (!p)
		return NULL;
	return (void **)hak_align_up((uintptr_t)p, HAK_MAGAZINE_ALIGN);
}

static void arrays_give(void **arrays)
{
	pthread_mutex_lock(SPARE_LOCK);
	arrays[0] = spare;
	spare = arrays;
	pthread_mutex_unlock(SPARE_LOCK);
}

static void **bottom_of(const struct hak_bin *bin)
{
	/* lim lies above the bottom and inside the array, and the array is aligned. */
	return (void **)(((uintptr_t)bin->lim - 1) & ~(uintptr_t)(HAK_MAGAZINE_ALIGN - 1));
}

static uint32_t max_capacity(uint32_t class)
{
	uint32_t n = CLASS_BYTES / hak_class[class].size;

	return n > HAK_MAGAZINE_MAX ? HAK_MAGAZINE_MAX : n;
}

static void bin_grow(struct hak_bin *bin, uint32_t class)
{
	uint32_t cap = (uint32_t)(bin->lim - bottom_of(bin));
	uint32_t max = max_capacity(class);

	cap = cap * 2 > max ? max : cap * 2;
	bin->lim = bottom_of(bin) + cap;
}

static void bin_open(struct hak_thread *t, uint32_t class)
{
	uint32_t cap = max_capacity(class);
	void **bottom = t->arrays + (size_t)t->opened++ * (HAK_MAGAZINE_ALIGN / sizeof(void *));

	if (cap > FIRST_CAPACITY)
		cap = FIRST_CAPACITY;
	t->bin[class] = (struct hak_bin){ .top = bottom, .lim = bottom + cap };
}

static void flush_all(struct hak_thread *t)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		struct hak_bin *bin = &t->bin[c];
		void **bottom;

		if (!bin->lim)
			continue;
		bottom = bottom_of(bin);
		if (bin->top > bottom)
			hak_central_put(c, bottom, (uint32_t)(bin->top - bottom));
		bin->top = bottom;
	}
}

void hak_thread_flush(void)
{
	if (hak_thread.state == HAK_THREAD_READY)
		flush_all(&hak_thread);
}

static void on_thread_exit(void *unused)
{
	struct hak_thread *t = &hak_thread;
	void **arrays = t->arrays;

	(void)unused;
	flush_all(t);
	memset(t, 0, sizeof(*t));
	t->state = HAK_THREAD_GONE;
	arrays_give(arrays);
}

int hak_thread_init(void)
{
	int r = pthread_key_create(&exit_key, on_thread_exit);

	has_key = r == 0;
	return -r;
}

/* True if the calling thread has, or now gets, magazines. */
static bool thread_ready(struct hak_thread *t)
{
	if (HAK_LIKELY(t->state == HAK_THREAD_READY))
		return true;
	if (t->state != HAK_THREAD_NEW || !has_key)
		return false;
	t->arrays = arrays_take();
	if (!t->arrays)
		return false;
	/* Setting a key's value may allocate: those blocks come from the centrals. */
	t->state = HAK_THREAD_SETTING_UP;
	if (pthread_setspecific(exit_key, t)) {
		arrays_give(t->arrays);
		t->arrays = NULL;
		t->state = HAK_THREAD_GONE;
		return false;
	}
	for (size_t i = 0; i < hak_array_size(t->twice); i++)
		t->twice[i] = (uint8_t)(2 * hak_tiny_class[i]);
	t->state = HAK_THREAD_READY;
	return true;
}

void *hak_thread_alloc(uint32_t class)
{
	struct hak_thread *t = &hak_thread;
	struct hak_bin *bin = &t->bin[class];
	void **bottom, *block;
	uint32_t n;

	if (HAK_UNLIKELY(!thread_ready(t)))
		return hak_central_take(class, &block, 1) ? block : NULL;
	if (!bin->lim)
		bin_open(t, class);
	bottom = bottom_of(bin);
	if (bin->top == bottom) {
		/* Half of it: the other half is room for what comes back before the next refill. */
		n = ((uint32_t)(bin->lim - bottom) + 1) / 2;
		n = hak_central_take(class, bottom, n);
		if (!n)
			return NULL;
		bin->top = bottom + n;
		bin_grow(bin, class);
	}
	return *--bin->top;
}

void hak_thread_free(uint32_t class, void *p)
{
	struct hak_thread *t = &hak_thread;
	struct hak_bin *bin = &t->bin[class];

	if (HAK_UNLIKELY(!thread_ready(t))) {
		hak_central_put(class, &p, 1);
		return;
	}
	if (!bin->lim)
		bin_open(t, class);
	if (bin->top == bin->lim)
		bin_grow(bin, class);
	if (bin->top == bin->lim) {
		/* The older half goes; the newer blocks are warm in this CPU's cache. */
		void **bottom = bottom_of(bin);
		uint32_t used = (uint32_t)(bin->top - bottom), n = (used + 1) / 2;

		hak_central_put(class, bottom, n);
		memmove(bottom, bottom + n, (used - n) * sizeof(void *));
		bin->top = bottom + (used - n);
	}
	*bin->top++ = p;
}
