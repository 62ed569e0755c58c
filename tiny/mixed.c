/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny/mixed.h"

#include <string.h>

#include "shared/check.h"
#include "tiny/bits.h"

#define WORDS   (HAK_GRANULES / 64)
#define BUCKETS HAK_MIXED_BUCKETS

/* Slabs that one take looks at, at most. */
#define LOOKS 16u

struct map {
	uint64_t edge[WORDS];
	uint64_t free[WORDS];
};

#define pool hak_tiny.mixed

static uint32_t head_of(uint32_t bucket)
{
	return __atomic_load_n(&pool.head[bucket], __ATOMIC_RELAXED) - 1; /* 0: HAK_NO_SLAB */
}

static struct map *map_of(const struct hak_slab *slab)
{
	return (struct map *)slab->bits;
}

static uint32_t number_of(const struct hak_slab *slab)
{
	return (uint32_t)(slab - hak_tiny.slabs);
}

static void add(uint64_t *sum, uint64_t n)
{
	__atomic_store_n(sum, *sum + n, __ATOMIC_RELAXED);
}

/* ---- rings ---- */

static uint32_t bucket_of(uint32_t granules)
{
	return 31 - (uint32_t)__builtin_clz(granules);
}

static void head_set(uint32_t bucket, uint32_t number)
{
	__atomic_store_n(&pool.head[bucket], number + 1, __ATOMIC_RELAXED);
}

static void ring_drop(struct hak_slab *slab)
{
	uint32_t number = number_of(slab), bucket = slab->class;

	if (!slab->on_list)
		return;
	slab->on_list = 0;
	if (slab->next == number) {
		head_set(bucket, HAK_NO_SLAB);
		return;
	}
	hak_tiny.slabs[slab->next].prev = slab->prev;
	hak_tiny.slabs[slab->prev].next = slab->next;
	if (head_of(bucket) == number)
		head_set(bucket, slab->next);
}

/* To the ring that its longest run says, as the next one to look at. */
static void ring_place(struct hak_slab *slab)
{
	uint32_t number = number_of(slab), bucket, head;

	if (slab->on_list && slab->longest && bucket_of(slab->longest) == slab->class)
		return;
	ring_drop(slab);
	if (!slab->longest)
		return;
	bucket = bucket_of(slab->longest);
	head = head_of(bucket);
	slab->class = (uint8_t)bucket;
	slab->on_list = 1;
	slab->next = slab->prev = number;
	if (head != HAK_NO_SLAB) {
		slab->next = head;
		slab->prev = hak_tiny.slabs[head].prev;
		hak_tiny.slabs[slab->prev].next = number;
		hak_tiny.slabs[head].prev = number;
	}
	head_set(bucket, number);
}

/* ---- bitmaps ---- */

/* Atomic, since holders of other blocks read the word; see hak_mixed_class(). */
static void range_set(uint64_t *bits, uint32_t from, uint32_t to, bool on)
{
	for (uint32_t w = from / 64; w * 64 < to; w++) {
		uint64_t mask = hak_bits_mask(w, from, to);

		__atomic_store_n(&bits[w], on ? bits[w] | mask : bits[w] & ~mask, __ATOMIC_RELAXED);
	}
}

static bool bit(const uint64_t *bits, uint32_t at)
{
	return __atomic_load_n(&bits[at / 64], __ATOMIC_RELAXED) >> (at % 64) & 1;
}

/* The first edge above `at`, or the slab's end. */
static uint32_t next_edge(const struct map *map, uint32_t at)
{
	uint64_t mask = ~UINT64_C(0) << (++at % 64);

	for (uint32_t w = at / 64; w < WORDS; w++, mask = ~UINT64_C(0)) {
		uint64_t word = __atomic_load_n(&map->edge[w], __ATOMIC_RELAXED) & mask;

		if (word)
			return w * 64 + (uint32_t)__builtin_ctzll(word);
	}
	return HAK_GRANULES;
}

static struct map *map_take(void)
{
	struct map *map = pool.maps;

	if (!map)
		return hak_tiny.source.meta(sizeof(*map));
	pool.maps = *(void **)map;
	return map;
}

/* ---- from and to slabs of one class ---- */

static void map_from_blocks(struct map *map, const struct hak_slab *slab)
{
	const struct hak_class *class = &hak_class[slab->class];
	uint32_t k = class->size / HAK_GRANULE;

	memset(map, 0, sizeof(*map));
	for (uint32_t i = 0; i < class->blocks; i++) {
		if (slab->bits[i / 64] >> (i % 64) & 1) {
			range_set(map->free, i * k, (i + 1) * k, true);
			range_set(map->edge, i * k, (i + 1) * k, true);
		} else {
			range_set(map->edge, i * k, i * k + 1, true);
		}
	}
	if (class->blocks * k < HAK_GRANULES) { /* what its class could not use */
		range_set(map->free, class->blocks * k, HAK_GRANULES, true);
		range_set(map->edge, class->blocks * k, HAK_GRANULES, true);
	}
}

static uint32_t longest_run(const uint64_t *bits)
{
	uint32_t longest = 0;

	for (uint32_t at = 0, end; at < HAK_GRANULES; at = end) {
		at = hak_bits_find(bits, at, HAK_GRANULES, longest + 1);
		end = hak_bits_run_end(bits, at, HAK_GRANULES);
		if (end > at)
			longest = end - at;
	}
	return longest;
}

bool hak_mixed_convert(struct hak_slab *slab)
{
	const struct hak_class *class = &hak_class[slab->class];
	uint32_t used = (class->blocks - slab->n_free) * (class->size / HAK_GRANULE);
	struct map *map;

	hak_lock_take(&pool.lock);
	map = map_take();
	if (map) {
		map_from_blocks(map, slab);
		slab->bits = (uint64_t *)map;
		slab->n_free = HAK_GRANULES - used;
		slab->longest = longest_run(map->free);
		slab->on_list = 0;
		/* Who frees a span or asks for a size looks at it without a lock. */
		__atomic_store_n(&slab->kind, HAK_SLAB_MIXED, __ATOMIC_RELAXED);
		/* Under the lock: who cuts a block of another class out of it must find no trace of
		 * the old one. Release: see hak_mixed_has(). */
		__atomic_store_n(hak_page_of(slab), 0, __ATOMIC_RELEASE);
		add(&pool.slabs, 1);
		add(&pool.made, 1);
		add(&pool.n_free, slab->n_free);
		ring_place(slab);
	}
	hak_lock_drop(&pool.lock);
	return map != NULL;
}

/* Wholly free: back to the source. */
static void release(struct hak_slab *slab)
{
	struct map *map = map_of(slab);

	ring_drop(slab);
	*(void **)map = pool.maps;
	pool.maps = map;
	slab->kind = HAK_SLAB_NONE;
	add(&pool.slabs, (uint64_t)-1);
	add(&pool.n_free, -(uint64_t)HAK_GRANULES);
	__atomic_fetch_sub(&hak_tiny.slabs_held, 1, __ATOMIC_RELAXED);
	hak_tiny.source.give(number_of(slab), 1);
}

/* ---- blocks ---- */

/* True if blocks of k granules leave little or nothing of a run. */
static bool is_tight(uint32_t run, uint32_t k)
{
	return run % k <= k / 8;
}

/* Cuts up to n blocks out of the slab's holes, or of those alone that they fill. */
static uint32_t cut(struct hak_slab *slab, uint32_t class, bool tight, void **ret_blocks,
		    uint32_t n)
{
	struct map *map = map_of(slab);
	char *start = hak_slab_start(slab);
	uint32_t k = hak_class[class].size / HAK_GRANULE, got = 0, first = 0, at, end;

	for (; got < n; first = end) {
		first = hak_bits_find(map->free, first, HAK_GRANULES, k);
		if (first == HAK_GRANULES) {
			if (!tight)
				slab->longest = k - 1;
			break;
		}
		end = hak_bits_run_end(map->free, first, HAK_GRANULES);
		if (tight && !is_tight(end - first, k))
			continue;
		for (at = first; got < n && at + k <= end; at += k) {
			range_set(map->edge, at + 1, at + k, false);
			ret_blocks[got++] = start + at * HAK_GRANULE;
		}
		range_set(map->free, first, at, false);
	}
	slab->n_free -= got * k;
	add(&pool.n_free, -(uint64_t)got * k);
	return got;
}

bool hak_mixed_may_have(uint32_t class)
{
	uint32_t bucket = bucket_of(hak_class[class].size / HAK_GRANULE);

	for (; hak_mixed_slabs() && bucket < BUCKETS; bucket++) {
		if (head_of(bucket) != HAK_NO_SLAB)
			return true;
	}
	return false;
}

/* Under the lock. */
static uint32_t take(uint32_t class, bool tight, void **ret_blocks, uint32_t n)
{
	uint32_t k = hak_class[class].size / HAK_GRANULE, got = 0, looks = LOOKS;

	/* Short runs first: long ones are for large blocks. */
	for (uint32_t bucket = bucket_of(k); bucket < BUCKETS && got < n; bucket++) {
		while (got < n && looks && head_of(bucket) != HAK_NO_SLAB) {
			struct hak_slab *slab = &hak_tiny.slabs[head_of(bucket)];

			looks--;
			head_set(bucket, slab->next);
			if (slab->longest < k)
				continue;
			got += cut(slab, class, tight, ret_blocks + got, n - got);
			ring_place(slab);
		}
		/* It is the only one whose slabs may have nothing that fits. */
		if (bucket == bucket_of(k))
			looks = LOOKS;
	}
	return got;
}

uint32_t hak_mixed_take(uint32_t class, void **ret_blocks, uint32_t n)
{
	uint32_t got;

	hak_lock_take(&pool.lock);
	got = take(class, true, ret_blocks, n);
	if (!got)
		got = take(class, false, ret_blocks, n);
	hak_lock_drop(&pool.lock);
	return got;
}

int hak_mixed_put(uint32_t class, void *p)
{
	struct hak_slab *slab = hak_slab_of(p);
	struct map *map = map_of(slab);
	uint32_t offset = (uint32_t)((char *)p - hak_slab_start(slab));
	uint32_t at = offset / HAK_GRANULE, k = hak_class[class].size / HAK_GRANULE, run;
	int r = 0;

	hak_lock_take(&pool.lock);
	if (bit(map->free, at)) {
		r = HAK_SLAB_E_DOUBLE;
	} else if (offset % HAK_GRANULE || !bit(map->edge, at) || next_edge(map, at) != at + k) {
		r = HAK_SLAB_E_INTERIOR;
	} else {
		range_set(map->free, at, at + k, true);
		range_set(map->edge, at, at + k, true);
		slab->n_free += k;
		add(&pool.n_free, k);
		run = hak_bits_run_end(map->free, at + k - 1, HAK_GRANULES) -
		      hak_bits_run_start(map->free, at + 1);
		if (run > slab->longest)
			slab->longest = run;
		if (slab->n_free == HAK_GRANULES)
			release(slab);
		else
			ring_place(slab);
	}
	hak_lock_drop(&pool.lock);
	return r;
}

static HAK_COLD _Noreturn void no_block(const void *p, const char *what)
{
	hak_die("%s %p (in the mixed slab at %p)", what, p, hak_slab_start(hak_slab_of(p)));
}

uint32_t hak_mixed_class(const void *p)
{
	const struct hak_slab *slab = hak_slab_of(p);
	const struct map *map = map_of(slab);
	uint32_t offset = (uint32_t)((const char *)p - hak_slab_start(slab));
	uint32_t at = offset / HAK_GRANULE, size;

	if (HAK_UNLIKELY(bit(map->free, at)))
		no_block(p, "double free of");
	size = (next_edge(map, at) - at) * HAK_GRANULE;
	if (HAK_UNLIKELY(offset % HAK_GRANULE || !bit(map->edge, at)))
		no_block(p, "free of the inside of");
	return hak_class_of(size);
}

/* ---- for others ---- */

uint64_t hak_mixed_slabs(void)
{
	return __atomic_load_n(&pool.slabs, __ATOMIC_RELAXED);
}

uint64_t hak_mixed_made(void)
{
	return __atomic_load_n(&pool.made, __ATOMIC_RELAXED);
}

uint64_t hak_mixed_free(void)
{
	return __atomic_load_n(&pool.n_free, __ATOMIC_RELAXED) * HAK_GRANULE;
}

bool hak_mixed_check(const struct hak_slab *slab, uint64_t ret_blocks[HAK_CLASSES])
{
	const struct map *map = map_of(slab);
	uint32_t n_free = 0, longest = longest_run(map->free), end;

	if (slab->kind != HAK_SLAB_MIXED || longest > slab->longest ||
	    slab->on_list != (slab->longest != 0) ||
	    (slab->on_list && slab->class != bucket_of(slab->longest)))
		return false;
	for (uint32_t w = 0; w < WORDS; w++) {
		n_free += (uint32_t)__builtin_popcountll(map->free[w]);
		if (map->free[w] & ~map->edge[w])
			return false;
	}
	for (uint32_t at = 0; at < HAK_GRANULES; at = end) {
		uint32_t size;

		end = next_edge(map, at);
		size = (end - at) * HAK_GRANULE;
		if (!bit(map->edge, at))
			return false;
		if (bit(map->free, at))
			continue;
		if (size > HAK_CLASS_MAX_SIZE || hak_class[hak_class_of(size)].size != size)
			return false;
		ret_blocks[hak_class_of(size)]++;
	}
	return n_free == slab->n_free && n_free < HAK_GRANULES;
}

void hak_mixed_lock(void)
{
	hak_lock_take(&pool.lock);
}

void hak_mixed_unlock(void)
{
	hak_lock_drop(&pool.lock);
}
