/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numa.h - the machine's memory nodes as parts of a region, and the only door to libnuma.
 *
 * Part p of every region belongs to node[p]. A placement policy is set once, by the daemon, on the
 * file: it then holds for whoever touches a page first, even in a container that forbids mbind().
 */
#pragma once

#include <sys/types.h>

#include "daemon/config.h"
#include "shared/layout.h"
#include "shared/runs.h"

struct numa {
	uint32_t parts; /* nodes that have memory; 1 where there is no NUMA */
	uint32_t node[HAK_PARTS_MAX];
	/* Parts by distance from a part, itself first. */
	uint8_t order[HAK_PARTS_MAX][HAK_PARTS_MAX];
	bool binds; /* mbind() is worth calling and allowed */
	enum config_numa_policy policy;
	uint32_t preferred;         /* part */
	bool starts[HAK_PARTS_MAX]; /* some CPU's node is served from here, before others */
};

void numa_init(struct numa *numa);
/* 0, or a negative errno after saying on stderr why this machine can't have that policy. */
int numa_set_policy(struct numa *numa, const struct config *config);

/* Where to look for memory near a node: the part whose row of `order` to follow. */
uint32_t numa_part_of(const struct numa *numa, uint32_t node);

/* The node of a part's superslabs, or HAK_NODE_ANY where they are on all nodes in turn. */
uint32_t numa_node_of(const struct numa *numa, uint32_t part);
/* How many of a region's superslabs [first, first + count) are meant for a part's node. */
uint32_t numa_share(const struct numa *numa, uint32_t part, uint32_t first, uint32_t count);

/* Gives [at, at + size), a shared mapping of a region's part, its policy: the part's node before
 * others, or all nodes in turn. */
int numa_prefer(const struct numa *numa, uint32_t part, void *at, uint64_t size);
/* In turn means superslab by superslab: this is for one that is about to be filled, mapped at `at`.
 * Its pages by themselves would be too small a step for a 2 MiB page. */
int numa_spread(const struct numa *numa, uint32_t index, void *at);
/* The part whose node a region's superslab is meant for. */
uint32_t numa_part_at(const struct numa *numa, uint32_t index);
/* True if the first `pages` pages of a filled superslab, mapped at `at`, are on a part's node. */
bool numa_in_place(const struct numa *numa, uint32_t part, void *at, uint32_t pages);

/* The calling thread runs on the part's CPUs from here on, if it has some. */
void numa_bind_thread(const struct numa *numa, uint32_t part);
/* The node of the CPU that a process ran on last, HAK_NODE_ANY if that can't be known. */
uint32_t numa_node_of_process(pid_t pid);
