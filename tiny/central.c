/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny/central.h"

#include "shared/check.h"
#include "tiny/checked.h"
#include "tiny/tiny.h"

/* Wholly free slabs kept per class, so that a boundary case does not take and give for ever. */
#define SPARE_SLABS 1u

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
		central->partial = HAK_NO_SLAB;
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
	slab->on_list = 0;
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

static void bitmap_give(struct hak_central *central, struct hak_slab *slab)
{
	if (slab->bits == &slab->word)
		return;
	*(void **)slab->bits = central->bitmaps;
	central->bitmaps = slab->bits;
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
	map = &hak_pagemap[((uintptr_t)hak_tiny.base >> HAK_SLAB_SHIFT) + number];
	map[0] = byte;
	for (uint32_t i = 1; i < slabs; i++) {
		hak_tiny.slabs[number + i] = (struct hak_slab){ .kind = HAK_SLAB_INSIDE,
								.class = (uint8_t) class,
								.back = (uint8_t)i };
		map[i] = byte;
	}
	central->slabs += slabs;
	__atomic_fetch_add(&hak_tiny.slabs_held, slabs, __ATOMIC_RELAXED);
	central->n_empty++;
	list_push(central, &hak_tiny.slabs[number]);
	return true;
}

/* Gives a wholly free slab back to the source. */
static void slab_release(struct hak_central *central, struct hak_slab *slab)
{
	uint32_t number = number_of(slab), slabs = hak_class[slab->class].slabs;
	uint8_t *map = &hak_pagemap[((uintptr_t)hak_tiny.base >> HAK_SLAB_SHIFT) + number];

	if (HAK_UNLIKELY(hak_tiny.checked))
		hak_checked_release(slab);
	list_drop(central, slab);
	bitmap_give(central, slab);
	for (uint32_t i = 0; i < slabs; i++) {
		map[i] = 0;
		hak_tiny.slabs[number + i].kind = HAK_SLAB_NONE;
	}
	central->n_empty--;
	central->slabs -= slabs;
	__atomic_fetch_sub(&hak_tiny.slabs_held, slabs, __ATOMIC_RELAXED);
	hak_tiny.source.give(number, slabs);
}

static HAK_COLD void bad_block(const void *p, uint32_t class, const char *what)
{
	hak_die("%s %p (a block of %u bytes, size class %u, in the slab at %p)", what, p,
		hak_class[class].size, class, hak_slab_start(hak_slab_of(p)));
}

uint32_t hak_central_take(uint32_t class, void **ret_blocks, uint32_t n)
{
	struct hak_central *central = central_lock(class);
	uint32_t got = 0, more;

	while (got < n) {
		struct hak_slab *slab;

		/* A new slab only for the first block: the rest of the batch can wait. */
		if (central->partial == HAK_NO_SLAB && (got || !slab_new(central, class)))
			break;
		slab = &hak_tiny.slabs[central->partial];
		if (slab->n_free == hak_class[class].blocks)
			central->n_empty--;
		more = hak_slab_take(slab, hak_slab_start(slab), ret_blocks + got, n - got);
		got += more;
		if (!slab->n_free)
			list_drop(central, slab);
	}
	central->blocks += got;
	central->refills++;
	hak_lock_drop(&central->lock);
	return got;
}

void hak_central_put(uint32_t class, void *const *blocks, uint32_t n)
{
	struct hak_central *central = central_lock(class);

	for (uint32_t i = 0; i < n; i++) {
		struct hak_slab *slab = hak_slab_of(blocks[i]);
		int r;

		slab -= slab->back;
		/* The page map said "this class" when the block was freed; a slab that was released
		 * meanwhile means that it had been freed before. */
		if (HAK_UNLIKELY(slab->kind != HAK_SLAB_BLOCKS || slab->class != class))
			bad_block(blocks[i], class, "double free of");
		r = hak_slab_put(slab, (uint32_t)((char *)blocks[i] - hak_slab_start(slab)));
		if (HAK_UNLIKELY(r))
			bad_block(blocks[i], class,
				  r == HAK_SLAB_E_DOUBLE ? "double free of"
							 : "free of the inside of");
		if (!slab->on_list)
			list_push(central, slab);
		if (slab->n_free == hak_class[class].blocks && ++central->n_empty > SPARE_SLABS)
			slab_release(central, slab);
	}
	central->blocks -= n;
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
}

void hak_central_unlock_all(void)
{
	for (uint32_t c = HAK_CLASSES; c-- > 0;)
		hak_lock_drop(&hak_tiny.central[c].lock);
}
