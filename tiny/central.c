/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny/central.h"

#include "shared/check.h"
#include "tiny/bits.h"
#include "tiny/checked.h"
#include "tiny/depot.h"
#include "tiny/mixed.h"
#include "tiny/thread.h"
#include "tiny/tiny.h"

/* Wholly free slabs kept per class, so that a boundary case does not take and give for ever. */
#define SPARE_SLABS 1u

/* What a thread takes when it begins with a class: FIRST_CAPACITY in thread.c. */
#define FIRST_BATCH 8u

/*
 * When a heap counts as fragmented: it is no small one, and a share of it lies idle in slabs of
 * blocks; less of a share once there are mixed slabs, so that it goes on until little is left.
 */
#define MIX_LEAST     ((uint64_t)8 << 20)
#define MIX_SHARE     4u
#define MIX_SHARE_ON  32u
#define MIX_CLASS     256u /* a class is worth a look from this share on */
#define MIX_SLAB_FREE (HAK_SLAB_SIZE / 8)
#define MIX_DEPOT     64u /* free blocks in magazines are holes, too, if they are that many */
/* For each slab that would be new: classes tried, slabs looked at in each, slabs made mixed. */
#define MIX_CLASSES 3u
#define MIX_LOOKS   8u
#define MIX_AT_ONCE 4u
/* Looks in vain, in a row, let ever more slabs pass without one: up to this many. */
#define MIX_REST 15u
/* A share of the slabs held, and at most that many. */
#define MIX_PASS 64u

struct hak_tiny hak_tiny;

static uint8_t no_page;
uint8_t *hak_pagemap = &no_page;

void hak_central_init(char *base, uint64_t size, struct hak_slab *slabs,
		      const struct hak_tiny_source *source)
{
	hak_tiny.base = base;
	hak_tiny.size = size;
	hak_tiny.slabs = slabs;
	hak_tiny.source = *source;
}

static struct hak_central *central_lock(uint32_t class)
{
	struct hak_central *central = &hak_tiny.central[class];

	hak_lock_take(&central->lock);
	if (HAK_UNLIKELY(!central->begun)) {
		central->begun = true;
		central->partial = central->look = HAK_NO_SLAB;
	}
	return central;
}

static uint32_t number_of(const struct hak_slab *slab)
{
	return (uint32_t)(slab - hak_tiny.slabs);
}

static void list_push(struct hak_central *central, struct hak_slab *slab)
{
	slab->prev = HAK_NO_SLAB;
	slab->next = central->partial;
	slab->on_list = 1;
	if (slab->next != HAK_NO_SLAB)
		hak_tiny.slabs[slab->next].prev = number_of(slab);
	central->partial = number_of(slab);
}

static void list_drop(struct hak_central *central, struct hak_slab *slab)
{
	if (slab->prev != HAK_NO_SLAB)
		hak_tiny.slabs[slab->prev].next = slab->next;
	else
		central->partial = slab->next;
	if (slab->next != HAK_NO_SLAB)
		hak_tiny.slabs[slab->next].prev = slab->prev;
	if (central->look == number_of(slab))
		central->look = slab->next;
	slab->on_list = 0;
}

static void set(uint32_t *of, uint32_t n)
{
	__atomic_store_n(of, n, __ATOMIC_RELAXED);
}

static void add(uint64_t *sum, uint64_t n)
{
	__atomic_store_n(sum, *sum + n, __ATOMIC_RELAXED);
}

/* Bitmaps of more than one word live apart from the descriptor and are kept for their class. */
static uint64_t *bitmap_take(struct hak_central *central, uint32_t class)
{
	uint64_t *bits = central->bitmaps;

	if (!bits)
		return hak_tiny.source.meta(hak_slab_words(class) * sizeof(uint64_t));
	central->bitmaps = *(void **)bits;
	return bits;
}

static void bitmap_give(struct hak_central *central, const struct hak_slab *slab, uint64_t *bits)
{
	if (bits == &slab->word)
		return;
	*(void **)bits = central->bitmaps;
	central->bitmaps = bits;
}

/* A new slab of the class at the list's head. False: out of memory. */
static bool slab_new(struct hak_central *central, uint32_t class)
{
	uint32_t slabs = hak_class[class].slabs, number;
	uint8_t *map, byte = (uint8_t)(2 * class);
	uint64_t *bits = NULL;

	if (hak_slab_words(class) > 1) {
		bits = bitmap_take(central, class);
		if (!bits)
			return false;
	}
	if (!hak_tiny.source.take(slabs, &number)) {
		if (bits) {
			*(void **)bits = central->bitmaps;
			central->bitmaps = bits;
		}
		return false;
	}
	hak_slab_format(&hak_tiny.slabs[number], class, bits);
	if (HAK_UNLIKELY(hak_tiny.checked)) {
		hak_checked_format(&hak_tiny.slabs[number]);
		byte = 0; /* every free is cold */
	}
	map = hak_page_of(&hak_tiny.slabs[number]);
	map[0] = byte;
	for (uint32_t i = 1; i < slabs; i++) {
		hak_tiny.slabs[number + i] = (struct hak_slab){ .kind = HAK_SLAB_INSIDE,
								.class = (uint8_t) class,
								.back = (uint8_t)i };
		map[i] = byte;
	}
	set(&central->slabs, central->slabs + slabs);
	__atomic_fetch_add(&hak_tiny.slabs_held, slabs, __ATOMIC_RELAXED);
	central->n_empty++;
	list_push(central, &hak_tiny.slabs[number]);
	return true;
}

/* Gives a wholly free slab back to the source. */
static void slab_release(struct hak_central *central, struct hak_slab *slab)
{
	uint32_t number = number_of(slab), slabs = hak_class[slab->class].slabs;
	uint8_t *map = hak_page_of(slab);

	if (HAK_UNLIKELY(hak_tiny.checked))
		hak_checked_release(slab);
	list_drop(central, slab);
	bitmap_give(central, slab, slab->bits);
	for (uint32_t i = 0; i < slabs; i++) {
		map[i] = 0;
		hak_tiny.slabs[number + i].kind = HAK_SLAB_NONE;
	}
	central->n_empty--;
	set(&central->slabs, central->slabs - slabs);
	__atomic_fetch_sub(&hak_tiny.slabs_held, slabs, __ATOMIC_RELAXED);
	hak_tiny.source.give(number, slabs);
}

static HAK_COLD void bad_block(const void *p, uint32_t class, const char *what)
{
	hak_die("%s %p (a block of %u bytes, size class %u, in the slab at %p)", what, p,
		hak_class[class].size, class, hak_slab_start(hak_slab_of(p)));
}

/* Bytes of the class's slabs that lie idle; no lock, as good as a look can be. */
static uint64_t idle_bytes(uint32_t class)
{
	const struct hak_central *central = &hak_tiny.central[class];
	uint64_t held = (uint64_t)__atomic_load_n(&central->slabs, __ATOMIC_RELAXED)
			<< HAK_SLAB_SHIFT;
	uint64_t used = __atomic_load_n(&central->blocks, __ATOMIC_RELAXED) -
			__atomic_load_n(&central->mixed, __ATOMIC_RELAXED);

	used *= hak_class[class].size;
	return used < held ? held - used : 0;
}

static uint64_t held_bytes(void)
{
	return __atomic_load_n(&hak_tiny.slabs_held, __ATOMIC_RELAXED) << HAK_SLAB_SHIFT;
}

/* True, and one less, while it is not 0. */
static bool counts_down(uint32_t *of)
{
	uint32_t n = __atomic_load_n(of, __ATOMIC_RELAXED);

	if (n)
		set(of, n - 1);
	return n;
}

static uint32_t at_most(uint32_t n, uint32_t most)
{
	return n < most ? n : most;
}

/* The sum is not for every slab that comes and goes: where it says no, some pass without it. */
static bool is_fragmented(void)
{
	uint64_t held = held_bytes(), idle = 0, mixed = hak_mixed_slabs();

	if (held < MIX_LEAST || hak_tiny.checked)
		return false;
	if (!mixed && counts_down(&hak_tiny.mixing.pass))
		return false;
	for (uint32_t c = 1; c < HAK_CLASSES && hak_class[c].slabs == 1; c++)
		idle += idle_bytes(c);
	if (idle >= held / (mixed ? MIX_SHARE_ON : MIX_SHARE))
		return true;
	set(&hak_tiny.mixing.pass, at_most((uint32_t)(held / HAK_SLAB_SIZE / MIX_PASS), MIX_PASS));
	return false;
}

/* Under the class's lock: makes this slab a mixed one. */
static bool mix(struct hak_central *central, struct hak_slab *slab)
{
	uint32_t used = hak_class[slab->class].blocks - slab->n_free;
	uint64_t *bits = slab->bits;

	list_drop(central, slab);
	if (!hak_mixed_convert(slab)) {
		list_push(central, slab);
		return false;
	}
	bitmap_give(central, slab, bits);
	set(&central->slabs, central->slabs - 1);
	add(&central->mixed, used);
	return true;
}

/* Mixes slabs of `class` that have a hole of `size` bytes. How many. */
static uint32_t mix_some(uint32_t class, uint32_t size)
{
	struct hak_central *central = central_lock(class);
	uint32_t run = (size + hak_class[class].size - 1) / hak_class[class].size;
	uint32_t end = 64 * hak_slab_words(class), mixed = 0;

	for (uint32_t i = 0; i < MIX_LOOKS && mixed < MIX_AT_ONCE; i++) {
		struct hak_slab *slab;

		if (central->look == HAK_NO_SLAB)
			central->look = central->partial;
		if (central->look == HAK_NO_SLAB)
			break;
		slab = &hak_tiny.slabs[central->look];
		central->look = slab->next;
		if (slab->n_free * hak_class[class].size >= MIX_SLAB_FREE &&
		    slab->n_free < hak_class[class].blocks &&
		    hak_bits_find(slab->bits, 0, end, run) < end && mix(central, slab))
			mixed++;
	}
	hak_lock_drop(&central->lock);
	return mixed;
}

/* With no lock held: makes slabs of other classes mixed that have holes for this one. */
static void make_holes(uint32_t class)
{
	uint32_t least = MIX_CLASSES, mixed = 0, vain;
	uint64_t worth = held_bytes() / MIX_CLASS;

	if (counts_down(&hak_tiny.mixing.rest[class]))
		return;
	if (hak_depot_bytes() > held_bytes() / MIX_DEPOT) {
		hak_thread_flush();
		hak_depot_trim();
	}
	for (uint32_t i = 0; i < HAK_CLASSES && least && mixed < MIX_AT_ONCE; i++) {
		uint32_t c = __atomic_add_fetch(&hak_tiny.mixing.turn, 1, __ATOMIC_RELAXED) %
			     HAK_CLASSES;

		if (!c || c == class || hak_class[c].slabs > 1 || idle_bytes(c) < worth)
			continue;
		mixed += mix_some(c, hak_class[class].size);
		least--;
	}
	vain = __atomic_load_n(&hak_tiny.mixing.in_vain[class], __ATOMIC_RELAXED);
	vain = mixed ? 0 : at_most(vain * 2 + 1, MIX_REST);
	set(&hak_tiny.mixing.in_vain[class], vain);
	set(&hak_tiny.mixing.rest[class], vain);
}

/* Instead of a new slab: blocks out of other classes' holes. Without the lock meanwhile, since it
 * takes other classes'. */
static uint32_t take_mixed(struct hak_central *central, uint32_t class, void **ret_blocks,
			   uint32_t n)
{
	bool fragmented = is_fragmented();
	uint32_t got;

	if (!fragmented && !hak_mixed_may_have(class))
		return 0;
	hak_lock_drop(&central->lock);
	got = hak_mixed_take(class, ret_blocks, n);
	if (!got && fragmented) {
		make_holes(class);
		got = hak_mixed_take(class, ret_blocks, n);
	}
	hak_lock_take(&central->lock);
	add(&central->mixed, got);
	return got;
}

static uint32_t take(uint32_t class, void **ret_blocks, uint32_t n, bool mixed_too)
{
	struct hak_central *central = central_lock(class);
	uint32_t got = 0, more;

	if (central->partial == HAK_NO_SLAB && mixed_too)
		got = take_mixed(central, class, ret_blocks, n);
	while (got < n) {
		struct hak_slab *slab;

		/* A new slab only for the first block: the rest of the batch can wait. */
		if (central->partial == HAK_NO_SLAB && (got || !slab_new(central, class)))
			break;
		slab = &hak_tiny.slabs[central->partial];
		if (slab->n_free == hak_class[class].blocks)
			central->n_empty--;
		/* A magazine's first blocks: what two threads begin with shares no cache line. */
		more = n <= FIRST_BATCH ? hak_slab_take_lines(slab, hak_slab_start(slab),
							      ret_blocks + got, n - got)
					: 0;
		if (!more)
			more = hak_slab_take(slab, hak_slab_start(slab), ret_blocks + got, n - got);
		got += more;
		if (!slab->n_free)
			list_drop(central, slab);
	}
	add(&central->blocks, got);
	central->refills++;
	hak_lock_drop(&central->lock);
	return got;
}

uint32_t hak_central_take(uint32_t class, void **ret_blocks, uint32_t n)
{
	return take(class, ret_blocks, n, true);
}

void *hak_central_take_aligned(uint32_t class)
{
	void *block;

	return take(class, &block, 1, false) ? block : NULL;
}

static HAK_COLD void bad_put(int r, const void *p, uint32_t class)
{
	bad_block(p, class, r == HAK_SLAB_E_DOUBLE ? "double free of" : "free of the inside of");
}

/* The page map said "this class" when the block was freed; a slab that was released meanwhile means
 * that it had been freed before. */
static void put_elsewhere(struct hak_central *central, uint32_t class, void *p)
{
	int r = hak_slab_of(p)->kind == HAK_SLAB_MIXED ? hak_mixed_put(class, p)
						       : HAK_SLAB_E_DOUBLE;

	if (HAK_UNLIKELY(r))
		bad_put(r, p, class);
	add(&central->mixed, (uint64_t)-1);
}

void hak_central_put(uint32_t class, void *const *blocks, uint32_t n)
{
	struct hak_central *central = central_lock(class);

	for (uint32_t i = 0; i < n; i++) {
		struct hak_slab *slab = hak_slab_of(blocks[i]);
		int r;

		slab -= slab->back;
		if (HAK_UNLIKELY(slab->kind != HAK_SLAB_BLOCKS || slab->class != class)) {
			put_elsewhere(central, class, blocks[i]);
			continue;
		}
		r = hak_slab_put(slab, (uint32_t)((char *)blocks[i] - hak_slab_start(slab)));
		if (HAK_UNLIKELY(r))
			bad_put(r, blocks[i], class);
		if (!slab->on_list)
			list_push(central, slab);
		if (slab->n_free == hak_class[class].blocks && ++central->n_empty > SPARE_SLABS)
			slab_release(central, slab);
	}
	add(&central->blocks, -(uint64_t)n);
	central->flushes++;
	hak_lock_drop(&central->lock);
}

void hak_central_trim(void)
{
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		struct hak_central *central = central_lock(c);
		uint32_t number;

		for (number = central->partial; number != HAK_NO_SLAB && central->n_empty;) {
			struct hak_slab *slab = &hak_tiny.slabs[number];

			number = slab->next;
			if (slab->n_free == hak_class[c].blocks)
				slab_release(central, slab);
		}
		hak_lock_drop(&central->lock);
	}
}

void hak_central_lock_all(void)
{
	for (uint32_t c = 0; c < HAK_CLASSES; c++)
		hak_lock_take(&hak_tiny.central[c].lock);
	hak_mixed_lock();
}

void hak_central_unlock_all(void)
{
	hak_mixed_unlock();
	for (uint32_t c = HAK_CLASSES; c-- > 0;)
		hak_lock_drop(&hak_tiny.central[c].lock);
}
