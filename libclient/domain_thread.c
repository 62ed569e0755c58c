/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_thread.c - the threads' magazines of domains, and the arrays that they are made of.
 *
 * A thread has a table of its magazines by domain (hak_thread.domains), a domain a list of those of
 * its threads: the thread takes itself off the lists when it ends, the domain empties the tables
 * when it is closed. The arrays are not the depots': those need the heap, and a process whose
 * malloc is libc's has none.
 */
#include <string.h>

#include "libclient/domain_fast.h"
#include "tiny/magazine.h"

#define CHUNK ((size_t)64 << 10)

/* hak_thread.domains of a thread that is past its end; whatever it does still goes to the slabs. */
#define GONE ((struct hak_domain_bins **)sizeof(void *))

static pthread_key_t exit_key;
static bool have_key;

void **hak_domain_array(void)
{
	struct hak_domains *s = &hak_domains;
	void **array, *chunk;

	hak_lock_take(&s->store_lock);
	array = s->store;
	if (array) {
		s->store = (void **)*array;
	} else {
		if (s->store_at == s->store_end && !hak_sys_map_anon(&chunk, CHUNK)) {
			s->store_at = chunk;
			s->store_end = s->store_at + CHUNK;
		}
		if (s->store_at != s->store_end) {
			array = (void **)(void *)s->store_at;
			s->store_at += HAK_MAGAZINE_ALIGN;
		}
	}
	hak_lock_drop(&s->store_lock);
	return array;
}

void hak_domain_array_give(void **array)
{
	hak_lock_take(&hak_domains.store_lock);
	*array = (void *)hak_domains.store;
	hak_domains.store = array;
	hak_lock_drop(&hak_domains.store_lock);
}

static void *zeroed_array(void)
{
	void *array = hak_domain_array();

	return array ? memset(array, 0, HAK_MAGAZINE_ALIGN) : NULL;
}

/* True if the thread has, or now gets, a table; its end will be noticed. */
static bool thread_ready(struct hak_thread *t)
{
	void *table;

	if (HAK_LIKELY(t->domains && t->domains != GONE))
		return true;
	if (t->domains == GONE || t->state == HAK_THREAD_GONE)
		return false;
	table = zeroed_array();
	if (!table)
		return false;
	if (pthread_setspecific(exit_key, table)) {
		hak_domain_array_give(table);
		return false;
	}
	t->domains = table;
	return true;
}

static HAK_COLD struct hak_domain_bins *bind(hak_domain *d)
{
	struct hak_thread *t = &hak_thread;
	struct hak_domain_bins *bins;

	bins = thread_ready(t) ? zeroed_array() : NULL;
	if (!bins)
		return NULL;
	bins->domain = d;
	bins->thread = t;
	pthread_mutex_lock(&d->mutex);
	bins->next = d->threads;
	d->threads = bins;
	pthread_mutex_unlock(&d->mutex);
	t->domains[d->slot] = bins;
	if (d->slot < HAK_THREAD_DOMAINS)
		t->domain[d->slot] = (uintptr_t)bins - (uintptr_t)d;
	return bins;
}

/* NULL: it has none, and gets none. */
static inline struct hak_domain_bins *bins_of(hak_domain *d)
{
	struct hak_domain_bins **table = hak_thread.domains;

	return HAK_LIKELY(table && table != GONE && table[d->slot]) ? table[d->slot] : bind(d);
}

/* The magazine of a class, with an array; NULL: none is to be had. */
static struct hak_bin *bin_of(hak_domain *d, uint32_t class)
{
	struct hak_domain_bins *bins = bins_of(d);
	void **array;

	if (HAK_UNLIKELY(!bins))
		return NULL;
	if (HAK_UNLIKELY(!bins->bin[class].lim)) {
		array = hak_domain_array();
		if (!array)
			return NULL;
		bins->bin[class] = hak_bin_make(array, class);
	}
	return &bins->bin[class];
}

void *hak_domain_thread_alloc(hak_domain *d, uint32_t class)
{
	struct hak_bin *bin = bin_of(d, class);
	void *block = NULL;
	uint32_t n;

	if (bin && !hak_magazine_is_empty(bin->top))
		return *--bin->top;
	pthread_mutex_lock(&d->mutex);
	if (HAK_LIKELY(bin)) {
		n = hak_domain_take(d, class, bin->top, (uint32_t)(bin->lim - bin->top));
		bin->top += n;
	} else {
		n = hak_domain_take(d, class, &block, 1);
	}
	pthread_mutex_unlock(&d->mutex);
	if (!n || !bin)
		return block;
	hak_bin_widen(bin, class);
	return *--bin->top;
}

/* The older half goes: the newer blocks are warm in this CPU's cache. */
static void make_room(hak_domain *d, struct hak_bin *bin, uint32_t class)
{
	void **bottom = hak_bin_bottom(bin);
	uint32_t have = (uint32_t)(bin->top - bottom), n = (have + 1) / 2;

	pthread_mutex_lock(&d->mutex);
	hak_domain_put(d, class, bottom, n);
	hak_domain_give_way(d);
	pthread_mutex_unlock(&d->mutex);
	memmove(bottom, bottom + n, (have - n) * sizeof(*bottom));
	bin->top -= n;
}

void hak_domain_thread_free(hak_domain *d, uint32_t class, void *p)
{
	struct hak_bin *bin = bin_of(d, class);

	if (HAK_UNLIKELY(!bin)) {
		pthread_mutex_lock(&d->mutex);
		hak_domain_put(d, class, &p, 1);
		pthread_mutex_unlock(&d->mutex);
		return;
	}
	if (bin->top == bin->lim)
		hak_bin_widen(bin, class);
	if (bin->top == bin->lim)
		make_room(d, bin, class);
	*bin->top++ = p;
}

/* Under the domain's mutex. */
static void flush(struct hak_domain_bins *bins)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		struct hak_bin *bin = &bins->bin[c];
		void **bottom;

		if (hak_magazine_is_empty(bin->top))
			continue;
		bottom = hak_bin_bottom(bin);
		hak_domain_put(bins->domain, c, bottom, (uint32_t)(bin->top - bottom));
		bin->top = bottom;
	}
}

void hak_domain_thread_empty(hak_domain *d)
{
	struct hak_domain_bins **table = hak_thread.domains;

	if (table && table != GONE && table[d->slot])
		flush(table[d->slot]);
}

void hak_domain_thread_flush(hak_domain *d)
{
	pthread_mutex_lock(&d->mutex);
	hak_domain_thread_empty(d);
	pthread_mutex_unlock(&d->mutex);
}

void hak_domains_trim(void)
{
	/* So none is closed meanwhile. */
	pthread_mutex_lock(&hak_domains.lock);
	for (uint32_t i = 0; i < HAK_DOMAINS_MAX; i++) {
		hak_domain *d =
			atomic_load_explicit(&hak_domains.place[i].domain, memory_order_relaxed);

		if (!d || d->forked || d->readonly)
			continue;
		hak_domain_thread_flush(d);
		pthread_mutex_lock(&d->mutex);
		(void)hak_domain_collect(d, true);
		(void)hak_domain_shed(d);
		pthread_mutex_unlock(&d->mutex);
	}
	pthread_mutex_unlock(&hak_domains.lock);
}

/* The arrays go back to the store, whatever is in them. */
static void give_arrays(struct hak_domain_bins *bins)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		if (bins->bin[c].lim)
			hak_domain_array_give(hak_bin_bottom(&bins->bin[c]));
	}
	hak_domain_array_give((void **)bins);
}

static void unlink_bins(struct hak_domain_bins *bins)
{
	struct hak_domain_bins **link = &bins->domain->threads;

	while (*link != bins)
		link = &(*link)->next;
	*link = bins->next;
}

static void on_thread_exit(void *arg)
{
	struct hak_domain_bins **table = arg;
	struct hak_thread *t = &hak_thread;

	/* Against hak_domain_unbind_all(): a domain in the table stays as long as it is held. */
	pthread_mutex_lock(&hak_domains.lock);
	for (uint32_t i = 0; i < HAK_DOMAINS_MAX; i++) {
		struct hak_domain_bins *bins = table[i];

		if (!bins)
			continue;
		pthread_mutex_lock(&bins->domain->mutex);
		flush(bins);
		unlink_bins(bins);
		pthread_mutex_unlock(&bins->domain->mutex);
		give_arrays(bins);
	}
	t->domains = GONE;
	memset(t->domain, 0, sizeof(t->domain));
	pthread_mutex_unlock(&hak_domains.lock);
	hak_domain_array_give((void **)table);
}

void hak_domain_unbind_all(hak_domain *d)
{
	struct hak_domain_bins *bins, *next;

	for (bins = d->threads; bins; bins = next) {
		next = bins->next;
		/* No thread may be using a domain that is closed. These may only be reading the
		 * other words; and they learn of a new domain in this place from whoever gives them
		 * its handle, who has seen this. */
		__atomic_store_n(&bins->thread->domains[d->slot], NULL, __ATOMIC_RELAXED);
		if (d->slot < HAK_THREAD_DOMAINS)
			__atomic_store_n(&bins->thread->domain[d->slot], 0, __ATOMIC_RELAXED);
		give_arrays(bins);
	}
	d->threads = NULL;
}

void hak_domain_thread_forget(void)
{
	struct hak_thread *t = &hak_thread;

	memset(t->domain, 0, sizeof(t->domain));
	if (t->domains && t->domains != GONE)
		memset(t->domains, 0, HAK_DOMAINS_MAX * sizeof(*t->domains));
}

int hak_domain_thread_init(void)
{
	int r = have_key ? 0 : pthread_key_create(&exit_key, on_thread_exit);

	have_key = have_key || !r;
	return -r;
}
