/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of live blocks of all kinds, each full of a pattern: what a fork, a limit or a signal must
 * not change. Every byte counts; a set is checked and rewritten as a whole.
 */
#pragma once

#include "tests/api/api.h"

#define BLOCKS_MAX 300

struct blocks {
	void *p[BLOCKS_MAX];
	size_t size[BLOCKS_MAX], n;
	uint64_t seed;
};

/* Small ones, of each class; slabs' worth; superslabs' worth. About 3 MiB in all. */
static inline size_t blocks_size(size_t i)
{
	if (i % 100 == 99)
		return 700000;
	if (i % 20 == 19)
		return 10000 + i * 300;
	return 1 + i * i % 1500;
}

static inline void blocks_write(struct blocks *blocks, uint64_t seed)
{
	blocks->seed = seed;
	for (size_t i = 0; i < blocks->n; i++)
		api_fill(blocks->p[i], blocks->size[i], seed * 1000 + i);
}

static inline void blocks_check(const struct blocks *blocks)
{
	for (size_t i = 0; i < blocks->n; i++)
		CHECK(api_filled(blocks->p[i], blocks->size[i], blocks->seed * 1000 + i));
}

static inline void blocks_new(struct blocks *blocks, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++) {
		blocks->size[i] = blocks_size(i);
		blocks->p[i] = malloc(blocks->size[i]);
		CHECK(blocks->p[i] != NULL);
	}
	blocks->n = n;
	blocks_write(blocks, seed);
}

static inline void blocks_free(struct blocks *blocks)
{
	blocks_check(blocks);
	for (size_t i = 0; i < blocks->n; i++)
		free(blocks->p[i]);
	blocks->n = 0;
}

/* Allocate, resize and free for a while; check all of it. */
static inline void blocks_churn(uint64_t seed, size_t operations)
{
	unsigned char *slot[64] = { NULL };
	size_t size[64] = { 0 };

	for (size_t k = 0; k < operations; k++) {
		uint64_t r = api_random(&seed);
		size_t i = r % API_COUNT(slot);

		if (slot[i])
			CHECK(api_filled(slot[i], size[i], i));
		if (slot[i] && r & 0x10000) {
			free(slot[i]);
			slot[i] = NULL;
			continue;
		}
		size[i] = blocks_size((r >> 20) % 512 ? (r >> 32) % 99 : 99);
		slot[i] = (unsigned char *)realloc(slot[i], size[i]);
		CHECK(slot[i] != NULL);
		api_fill(slot[i], size[i], i);
	}
	for (size_t i = 0; i < API_COUNT(slot); i++)
		free(slot[i]);
}
