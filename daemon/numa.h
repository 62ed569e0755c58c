/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numa.h - the machine's memory nodes as parts of a region, and the only door to libnuma.
 *
 * Part p of every region belongs to node[p]. A placement policy is set once, by the daemon, on the
 * file: it then holds for whoever touches a page first, even in a container that forbids mbind().
 */
#pragma once

#include <sys/types.h>

#include "shared/runs.h"

struct numa {
	uint32_t parts; /* nodes that have memory; 1 where there is no NUMA */
	uint32_t node[HAK_PARTS_MAX];
	/* Parts by distance from a part, itself first. */
	uint8_t order[HAK_PARTS_MAX][HAK_PARTS_MAX];
	bool binds; /* mbind() is worth calling and allowed */
};

void numa_init(struct numa *numa);

/* Where to look for memory near a node: the part whose row of `order` to follow. */
uint32_t numa_part_of(const struct numa *numa, uint32_t node);

/* Makes [at, at + size), a shared mapping of a region's part, prefer the part's node. */
int numa_prefer(const struct numa *numa, uint32_t part, void *at, uint64_t size);

/* The calling thread runs on the part's CPUs from here on, if it has some. */
void numa_bind_thread(const struct numa *numa, uint32_t part);
/* The node of the CPU that a process ran on last, HAK_NODE_ANY if that can't be known. */
uint32_t numa_node_of_process(pid_t pid);
