/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny/depot.h"

#include <stdatomic.h>

#include "tiny/central.h"

/* What may lie here: enough for a small program's bursts, and little beside a large one's heap. */
#define DEPOT_LEAST ((uint64_t)2 << 20)
#define DEPOT_SHARE 16u

#define LINK (HAK_MAGAZINE_ALIGN / sizeof(void *) - 1)

struct depot {
	struct hak_lock lock;
	void **full;  /* tops of magazines, linked through their arrays' last words */
	void **empty; /* bottoms, the same way */
} HAK_ALIGNED(64);

static struct depot depots[HAK_DEPOT_SHARDS][HAK_CLASSES];

/* Arrays of no class; linked like the others. */
static void **store;
static struct hak_lock store_lock;

static _Atomic uint64_t held; /* bytes of blocks in all depots */

static void push(void ***list, void **bottom, void **entry)
{
	bottom[LINK] = (void *)*list;
	*list = entry;
}

void **hak_depot_array(void)
{
	void **bottom;

	hak_lock_take(&store_lock);
	bottom = store;
	if (bottom)
		store = bottom[LINK];
	hak_lock_drop(&store_lock);
	return bottom ? bottom : hak_tiny.source.meta(HAK_MAGAZINE_ALIGN);
}

void hak_depot_array_give(void **bottom)
{
	hak_lock_take(&store_lock);
	push(&store, bottom, bottom);
	hak_lock_drop(&store_lock);
}

static uint64_t bytes_of(uint32_t class, void **bottom, void **top)
{
	return (uint64_t)(top - bottom) * hak_class[class].size;
}

static void **take_from(struct depot *depot, uint32_t class, void **empty)
{
	void **top;

	/* Without the lock: a magazine missed is found next time. */
	if (!__atomic_load_n(&depot->full, __ATOMIC_RELAXED))
		return NULL;
	hak_lock_take(&depot->lock);
	top = depot->full;
	if (top) {
		void **bottom = hak_magazine_bottom(top);

		__atomic_store_n(&depot->full, (void **)bottom[LINK], __ATOMIC_RELAXED);
		push(&depot->empty, empty, empty);
		atomic_fetch_sub_explicit(&held, bytes_of(class, bottom, top),
					  memory_order_relaxed);
	}
	hak_lock_drop(&depot->lock);
	return top;
}

void **hak_depot_take(uint32_t class, void **empty)
{
	if (!atomic_load_explicit(&held, memory_order_relaxed))
		return NULL;
	for (uint32_t i = 0; i < HAK_DEPOT_SHARDS; i++) {
		uint32_t shard = (hak_thread.shard + i) % HAK_DEPOT_SHARDS;
		void **top = take_from(&depots[shard][class], class, empty);

		if (top)
			return top;
	}
	return NULL;
}

static bool has_room(uint64_t bytes)
{
	uint64_t slabs = __atomic_load_n(&hak_tiny.slabs_held, __ATOMIC_RELAXED);

	return atomic_load_explicit(&held, memory_order_relaxed) + bytes <=
	       DEPOT_LEAST + (slabs << HAK_SLAB_SHIFT) / DEPOT_SHARE;
}

void **hak_depot_put(uint32_t class, void **bottom, void **top)
{
	struct depot *depot = &depots[hak_thread.shard][class];
	uint64_t bytes = bytes_of(class, bottom, top);
	void **empty;

	if (!has_room(bytes))
		return NULL;
	hak_lock_take(&depot->lock);
	empty = depot->empty;
	if (empty)
		depot->empty = empty[LINK];
	else
		empty = hak_depot_array();
	if (empty) {
		bottom[LINK] = (void *)depot->full;
		__atomic_store_n(&depot->full, top, __ATOMIC_RELAXED);
		atomic_fetch_add_explicit(&held, bytes, memory_order_relaxed);
	}
	hak_lock_drop(&depot->lock);
	return empty;
}

uint64_t hak_depot_bytes(void)
{
	return atomic_load_explicit(&held, memory_order_relaxed);
}

static void depot_trim(struct depot *depot, uint32_t class)
{
	void **full, **empty;

	hak_lock_take(&depot->lock);
	full = depot->full;
	empty = depot->empty;
	__atomic_store_n(&depot->full, NULL, __ATOMIC_RELAXED);
	depot->empty = NULL;
	hak_lock_drop(&depot->lock);
	while (full) {
		void **bottom = hak_magazine_bottom(full), **next = bottom[LINK];

		atomic_fetch_sub_explicit(&held, bytes_of(class, bottom, full),
					  memory_order_relaxed);
		hak_central_put(class, bottom, (uint32_t)(full - bottom));
		hak_depot_array_give(bottom);
		full = next;
	}
	while (empty) {
		void **next = empty[LINK];

		hak_depot_array_give(empty);
		empty = next;
	}
}

void hak_depot_trim(void)
{
	for (uint32_t s = 0; s < HAK_DEPOT_SHARDS; s++) {
		for (uint32_t c = 1; c < HAK_CLASSES; c++)
			depot_trim(&depots[s][c], c);
	}
}

void hak_depot_lock_all(void)
{
	for (uint32_t s = 0; s < HAK_DEPOT_SHARDS; s++) {
		for (uint32_t c = 1; c < HAK_CLASSES; c++)
			hak_lock_take(&depots[s][c].lock);
	}
	hak_lock_take(&store_lock);
}

void hak_depot_unlock_all(void)
{
	hak_lock_drop(&store_lock);
	for (uint32_t s = 0; s < HAK_DEPOT_SHARDS; s++) {
		for (uint32_t c = 1; c < HAK_CLASSES; c++)
			hak_lock_drop(&depots[s][c].lock);
	}
}
