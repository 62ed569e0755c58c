/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_hakmem.h - memory that processes share, by hakmem. A workload includes this or the same of
 * a peer, whichever SIDE_MEMORY names: a call in between would be a good part of what is measured.
 */
#ifndef BENCH_SHARED_MEMORY_HAKMEM_H
#define BENCH_SHARED_MEMORY_HAKMEM_H

#include "bench/workloads/shared/side.h"
#include "libclient/include/hakmem.h"

#define MEMORY_PAIRS      20000000 /* operations that take a while */
#define MEMORY_PEERS      "boost"
#define MEMORY_PAIR_PEERS "boost,dpdk,pmdk"
/* What a peer may be unable to do: */
#define MEMORY_MIXED   1            /* blocks of several sizes */
#define MEMORY_MEMBERS SIDE_MEMBERS /* at most so many allocate */

extern hak_domain *memory_domain;

/* All members; `bytes` have to fit, in blocks of at most `largest`. Number 0 makes it. */
void memory_join(struct side *side, uint64_t bytes, size_t largest);
/* All members; with the last one it is gone. */
void memory_leave(struct side *side);

static inline void *memory_alloc(size_t size)
{
	return hak_domain_alloc(memory_domain, size);
}

static inline void memory_free(void *p)
{
	hak_domain_free(memory_domain, p);
}

/* Who this member is to memory_hand(). */
uint64_t memory_self(void);

/* Makes a block the other member's, or nobody's (0), and names it to it; memory_taken() is the
 * block there, which may be freed. */
static inline uint64_t memory_hand(void *p, uint64_t to)
{
	if (to ? hak_give(memory_domain, p, to) : hak_publish(memory_domain, p))
		work_die("a block cannot be handed over");
	return (uint64_t)(uintptr_t)p;
}

static inline void *memory_taken(uint64_t name)
{
	return (void *)(uintptr_t)name; /* the same address in every member */
}

#endif
