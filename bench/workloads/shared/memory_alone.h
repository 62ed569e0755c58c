/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_alone.h - memory that processes could share, but only one has here: PMDK opens a pool in
 * one process at a time, and a DPDK without huge pages has no other processes. The contract is that
 * of memory_hakmem.h.
 */
#ifndef BENCH_SHARED_MEMORY_ALONE_H
#define BENCH_SHARED_MEMORY_ALONE_H

#include "bench/workloads/shared/side.h"

#define MEMORY_PAIRS      1000000
#define MEMORY_PAIR_PEERS NULL
#define MEMORY_MEMBERS    1
/* MEMORY_MIXED comes with the program. */

void memory_join(struct side *side, uint64_t bytes, size_t largest);
void memory_leave(struct side *side);
void *memory_alloc(size_t size);
void memory_free(void *p);

#endif
