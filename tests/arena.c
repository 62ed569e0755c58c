/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tiny/mixed.h"
#include "tiny/tiny.h"

#include <cmocka.h>

struct arena arena = { .lock = PTHREAD_MUTEX_INITIALIZER };

static uint8_t pagemap[ARENA_MAX_SLABS];
static struct hak_slab slabs[ARENA_MAX_SLABS];

/* What meta() gave, linked through its first word: reachable, and so no leak. */
static void *metas;

static bool is_free(uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++) {
		if (arena.is_taken[i])
			return false;
	}
	return true;
}

static bool take(uint32_t n, uint32_t *ret_slab)
{
	bool ok = false;

	pthread_mutex_lock(&arena.lock);
	arena.takes++;
	for (uint32_t i = 0; arena.taken + n <= arena.limit && i + n <= arena.n_slabs; i++) {
		if (!is_free(i, n))
			continue;
		memset(&arena.is_taken[i], true, n);
		arena.taken += n;
		*ret_slab = i;
		ok = true;
		break;
	}
	pthread_mutex_unlock(&arena.lock);
	return ok;
}

static void give(uint32_t slab, uint32_t n)
{
	pthread_mutex_lock(&arena.lock);
	for (uint32_t i = slab; i < slab + n; i++) {
		if (i >= arena.n_slabs || !arena.is_taken[i])
			abort(); /* a test's thread has no way to fail but this */
		arena.is_taken[i] = false;
	}
	arena.taken -= n;
	pthread_mutex_unlock(&arena.lock);
}

static void *meta(size_t size)
{
	size_t align = size < HAK_MAGAZINE_ALIGN ? HAK_LINE : HAK_MAGAZINE_ALIGN;
	void **p = NULL;

	pthread_mutex_lock(&arena.lock);
	if (!arena.no_meta)
		p = calloc(1, size + 2 * align);
	if (p) {
		*p = metas;
		metas = p;
		arena.metas++;
	}
	pthread_mutex_unlock(&arena.lock);
	return p ? (void *)hak_align_up((uintptr_t)p + 1, align) : NULL;
}

void arena_init(uint32_t n_slabs)
{
	static const struct hak_tiny_source source = { take, give, meta, NULL };

	assert_true(n_slabs <= ARENA_MAX_SLABS);
	arena.memory = malloc((n_slabs + 1) * HAK_SLAB_SIZE);
	assert_non_null(arena.memory);
	arena.base = (char *)hak_align_up((uintptr_t)arena.memory, HAK_SLAB_SIZE);
	arena.n_slabs = arena.limit = n_slabs;
	arena.no_meta = false;
	arena.taken = arena.metas = 0;
	arena.takes = 0;
	memset(arena.is_taken, 0, sizeof(arena.is_taken));
	memset(slabs, 0, sizeof(slabs));
	memset(pagemap, 0, sizeof(pagemap));
	memset(&hak_tiny, 0, sizeof(hak_tiny));
	hak_central_init(arena.base, n_slabs * HAK_SLAB_SIZE, slabs, &source);
	/* Only the arena's own bytes of the map exist. */
	hak_pagemap = (uint8_t *)((uintptr_t)pagemap - ((uintptr_t)arena.base >> HAK_SLAB_SHIFT));
}

void arena_deinit(void)
{
	const char *wrong = arena_check();

	assert_ptr_equal(wrong, NULL);
	assert_int_equal(arena_blocks(), 0);
	hak_central_trim();
	assert_int_equal(arena.taken, 0);
	free(arena.memory);
	arena.memory = arena.base = NULL;
}

uint64_t arena_blocks(void)
{
	uint64_t blocks = 0;

	for (uint32_t c = 0; c < HAK_CLASSES; c++)
		blocks += hak_tiny.central[c].blocks;
	return blocks;
}

static const char *check_run(uint32_t first)
{
	const struct hak_slab *slab = &slabs[first];
	uint32_t n = hak_class[slab->class].slabs, byte = hak_tiny.checked ? 0 : 2 * slab->class;

	if (!hak_slab_check(slab))
		return "a slab's bitmap";
	if (slab->on_list != (slab->n_free != 0))
		return "a slab on the list without free blocks, or the other way round";
	for (uint32_t i = 0; i < n; i++) {
		if (!arena.is_taken[first + i] || pagemap[first + i] != byte)
			return "the page map";
		if (i && (slab[i].kind != HAK_SLAB_INSIDE || slab[i].back != i ||
			  slab[i].class != slab->class))
			return "a run's further slab";
	}
	return NULL;
}

/* `in_mixed`: blocks of the class that lie in mixed slabs. */
static const char *check_list(const struct hak_central *central, uint32_t class, uint64_t in_mixed)
{
	uint32_t prev = HAK_NO_SLAB, empty = 0;
	uint64_t runs = 0, listed = 0, blocks = 0, with_free = 0;

	for (uint32_t i = central->begun ? central->partial : HAK_NO_SLAB; i != HAK_NO_SLAB;
	     prev = i, i = slabs[i].next) {
		if (slabs[i].class != class || !slabs[i].on_list || slabs[i].prev != prev)
			return "the list of slabs with free blocks";
		if (++listed > arena.n_slabs)
			return "a ring in the list";
	}
	for (uint32_t i = 0; i < arena.n_slabs; i++) {
		if (slabs[i].kind != HAK_SLAB_BLOCKS || slabs[i].class != class)
			continue;
		runs++;
		with_free += slabs[i].n_free != 0;
		empty += slabs[i].n_free == hak_class[class].blocks;
		blocks += hak_class[class].blocks - slabs[i].n_free;
	}
	if (listed != with_free)
		return "a slab with free blocks that is on no list";
	if (empty != central->n_empty || runs * hak_class[class].slabs != central->slabs)
		return "the number of slabs";
	if (in_mixed != central->mixed)
		return "the number of blocks in mixed slabs";
	return blocks + in_mixed == central->blocks ? NULL : "the number of blocks";
}

static const char *check_mixed(uint64_t ret_blocks[HAK_CLASSES], uint64_t *ret_slabs)
{
	uint64_t free = 0;

	for (uint32_t i = 0; i < arena.n_slabs; i++) {
		if (slabs[i].kind != HAK_SLAB_MIXED)
			continue;
		++*ret_slabs;
		free += slabs[i].n_free * HAK_GRANULE;
		if (!hak_mixed_check(&slabs[i], ret_blocks) || slabs[i].back)
			return "a mixed slab";
		if (!arena.is_taken[i] || pagemap[i])
			return "a mixed slab in the page map";
	}
	return *ret_slabs == hak_mixed_slabs() && free == hak_mixed_free()
		       ? NULL
		       : "the sums of mixed slabs";
}

const char *arena_check(void)
{
	uint64_t in_mixed[HAK_CLASSES] = { 0 }, held = 0;
	const char *wrong = check_mixed(in_mixed, &held);

	for (uint32_t c = 1; c < HAK_CLASSES && !wrong; c++) {
		wrong = check_list(&hak_tiny.central[c], c, in_mixed[c]);
		held += hak_tiny.central[c].slabs;
	}
	for (uint32_t i = 0; i < arena.n_slabs && !wrong; i++) {
		if (slabs[i].kind == HAK_SLAB_BLOCKS)
			wrong = check_run(i);
		else if (slabs[i].kind == HAK_SLAB_NONE && (pagemap[i] || arena.is_taken[i]))
			wrong = "a slab that is nobody's";
	}
	return wrong                                                ? wrong
	       : held == arena.taken && held == hak_tiny.slabs_held ? NULL
								    : "slabs taken and slabs held";
}
