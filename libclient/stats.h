/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats.h - what HAKMEM_STATS=1 prints at exit and mallinfo() returns.
 */
#pragma once

#include "libclient/heap.h"

struct hak_stats {
	uint64_t slab_bytes;  /* in slabs of blocks */
	uint64_t block_bytes; /* of these, with the program or in magazines */
	uint64_t mixed_bytes; /* in slabs of blocks of many classes */
	uint64_t mixed_free;  /* of these, in no block */
	uint64_t mixed_made;  /* such slabs so far */
	uint64_t refills, flushes;
	uint32_t added, empty, clean; /* superslabs: all, wholly free, of these never written */
	enum hak_session_state_client session;
	struct hak_heap_stats heap;
	uint32_t refusal; /* the last: enum hak_refusal */
};

/* A snapshot; takes one lock after the other. Only while the heap is READY. */
void hak_stats_read(struct hak_stats *ret_stats);
