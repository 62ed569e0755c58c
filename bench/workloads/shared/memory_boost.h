/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_boost.h - memory that processes share, by Boost.Interprocess: a managed_shared_memory with
 * rbtree_best_fit. Behind its mutex, or without any where only one member allocates. The contract
 * is that of memory_hakmem.h.
 */
#ifndef BENCH_SHARED_MEMORY_BOOST_H
#define BENCH_SHARED_MEMORY_BOOST_H

#include <stddef.h>
#include <stdint.h>

#define MEMORY_PAIRS      1000000
#define MEMORY_PEERS      NULL
#define MEMORY_PAIR_PEERS NULL
#define MEMORY_MIXED      1
#define MEMORY_MEMBERS    SIDE_MEMBERS

#ifdef __cplusplus
extern "C" {
#else
#include "bench/workloads/shared/side.h"

void memory_join(struct side *side, uint64_t bytes, size_t largest);
void memory_leave(struct side *side);

static inline uint64_t memory_self(void)
{
	return 1; /* it knows no owners */
}
#endif

/* -1: it says why. */
int boost_make(const char *name, uint64_t bytes, int alone);
int boost_open(const char *name);
/* The name goes at once, the memory with the last who has it. */
void boost_unlink(const char *name);
void boost_close(void);

void *memory_alloc(size_t size);
void memory_free(void *p);
uint64_t memory_hand(void *p, uint64_t to);
void *memory_taken(uint64_t name);

#ifdef __cplusplus
}
#endif

#endif
