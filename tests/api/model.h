/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plain model of a heap: which byte ranges are alive. A treap in memory of its own, so that it
 * neither uses nor disturbs the allocator under test. One lock around it; the allocator's own calls
 * are made outside.
 *
 *   invariant: ranges are disjoint, in order of start; no child's priority is above its parent's
 */
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct model_node {
	uintptr_t start, end;
	uint32_t priority, left, right; /* indices into node[]; 0: none */
};

struct model {
	pthread_mutex_t lock;
	struct model_node *node;
	uint32_t root, unused, capacity;
	uint64_t random;
};

void model_init(struct model *model, uint32_t capacity);
void model_deinit(struct model *model);

/* 0, or -EEXIST and the range that is alive where [start, start + size) was handed out again. */
int model_add(struct model *model, const void *start, size_t size, const void **ret_other);

/* 0, or -ENOENT when no range starts here. */
int model_remove(struct model *model, const void *start);
