/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny/depot.h"

#include <stdatomic.h>

#include "tiny/central.h"

/* What may lie here: enough for a small program's bursts, and little beside a large one's heap. */
#define DEPOT_LEAST ((uint64_t)2 << 20)
#define DEPOT_SHARE 16u

#define LINK (HAK_MAGAZINE_ALIGN / sizeof(void *) - 1)

/* Arrays are cut from pieces of metadata of this size; alignment costs one array in each. */
#define PIECE_SIZE ((size_t)16 << 10)

struct depot {
	pthread_mutex_t lock;
	void **full;  /* tops of magazines, linked through their arrays' last words */
	void **empty; /* bottoms, the same way */
} HAK_ALIGNED(64);

static struct depot depots[HAK_CLASSES];

/* Arrays of no class; linked like the others. Guarded by the lock of class 0's depot, which has no
 * magazines. */
static void **store;
static char *fresh, *fresh_end; /* arrays never used: their pages are not touched yet */
#define STORE_LOCK (&depots[0].lock)

static _Atomic uint64_t held; /* bytes of blocks in all depots */

static void push(void ***list, void **bottom, void **entry)
{
	bottom[LINK] = (void *)*list;
	*list = entry;
}

void hak_depot_init(void)
{
	pthread_mutexattr_t attr;

	/* Held for a dozen instructions: a thread that meets another here spins for that long. */
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	for (uint32_t c = 0; c < HAK_CLASSES; c++)
		pthread_mutex_init(&depots[c].lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

/* Under the store's lock. */
static void **array_fresh(void)
{
	void **bottom;

	if (fresh == fresh_end) {
		char *p = hak_tiny.source.meta(PIECE_SIZE);

		if (!p)
			return NULL;
		fresh = (char *)hak_align_up((uintptr_t)p, HAK_MAGAZINE_ALIGN);
		fresh_end = (char *)(((uintptr_t)p + PIECE_SIZE) &
				     ~(uintptr_t)(HAK_MAGAZINE_ALIGN - 1));
	}
	bottom = (void **)fresh;
	fresh += HAK_MAGAZINE_ALIGN;
	return bottom;
}

void **hak_depot_array(void)
{
	void **bottom;

	pthread_mutex_lock(STORE_LOCK);
	bottom = store;
	if (bottom)
		store = bottom[LINK];
	else
		bottom = array_fresh();
	pthread_mutex_unlock(STORE_LOCK);
	return bottom;
}

void hak_depot_array_give(void **bottom)
{
	pthread_mutex_lock(STORE_LOCK);
	push(&store, bottom, bottom);
	pthread_mutex_unlock(STORE_LOCK);
}

static uint64_t bytes_of(uint32_t class, void **bottom, void **top)
{
	return (uint64_t)(top - bottom) * hak_class[class].size;
}

void **hak_depot_take(uint32_t class, void **empty)
{
	struct depot *depot = &depots[class];
	void **top;

	/* Without the lock: a magazine missed is found next time. */
	if (!__atomic_load_n(&depot->full, __ATOMIC_RELAXED))
		return NULL;
	pthread_mutex_lock(&depot->lock);
	top = depot->full;
	if (top) {
		void **bottom = hak_magazine_bottom(top);

		__atomic_store_n(&depot->full, (void **)bottom[LINK], __ATOMIC_RELAXED);
		push(&depot->empty, empty, empty);
		atomic_fetch_sub_explicit(&held, bytes_of(class, bottom, top),
					  memory_order_relaxed);
	}
	pthread_mutex_unlock(&depot->lock);
	return top;
}

static bool has_room(uint64_t bytes)
{
	uint64_t slabs = __atomic_load_n(&hak_tiny.slabs_held, __ATOMIC_RELAXED);

	return atomic_load_explicit(&held, memory_order_relaxed) + bytes <=
	       DEPOT_LEAST + (slabs << HAK_SLAB_SHIFT) / DEPOT_SHARE;
}

void **hak_depot_put(uint32_t class, void **bottom, void **top)
{
	struct depot *depot = &depots[class];
	uint64_t bytes = bytes_of(class, bottom, top);
	void **empty;

	if (!has_room(bytes))
		return NULL;
	pthread_mutex_lock(&depot->lock);
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
	pthread_mutex_unlock(&depot->lock);
	return empty;
}

uint64_t hak_depot_bytes(void)
{
	return atomic_load_explicit(&held, memory_order_relaxed);
}

static void depot_trim(uint32_t class)
{
	struct depot *depot = &depots[class];
	void **full, **empty;

	pthread_mutex_lock(&depot->lock);
	full = depot->full;
	empty = depot->empty;
	__atomic_store_n(&depot->full, NULL, __ATOMIC_RELAXED);
	depot->empty = NULL;
	pthread_mutex_unlock(&depot->lock);
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
	for (uint32_t c = 1; c < HAK_CLASSES; c++)
		depot_trim(c);
}

/* The store's lock, class 0's, is taken under the others and so comes last. */
void hak_depot_lock_all(void)
{
	for (uint32_t c = HAK_CLASSES; c-- > 0;)
		pthread_mutex_lock(&depots[c].lock);
}

void hak_depot_unlock_all(void)
{
	for (uint32_t c = 0; c < HAK_CLASSES; c++)
		pthread_mutex_unlock(&depots[c].lock);
}
