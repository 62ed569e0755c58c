/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement.h - what is held of each NUMA node, and which nodes a lease may use.
 *
 * Counted is what a superslab is meant for: where its node is full, the kernel takes the nearest
 * one, unless the policy is strict.
 *
 * EQUATION  held[p] == sum of placed.held[p] over the sessions;
 *           sum of placed.held == what the session's region has leased
 */
#pragma once

#include "shared/runs.h"

struct config;
struct numa;

struct placement {
	const struct numa *numa;
	uint64_t max_node; /* superslabs of each node */
	uint64_t held[HAK_PARTS_MAX];
	uint64_t hits[HAK_PARTS_MAX]; /* how often that limit said no */
};

/* One session's part of it. */
struct placed {
	uint32_t held[HAK_PARTS_MAX];
};

/* `numa` outlives it and has its policy. */
void placement_init(struct placement *placement, const struct numa *numa,
		    const struct config *config);
/* A new limit, at any time. Nothing is taken away: nothing more is placed on a node until what is
 * held of it has fallen below. */
void placement_limit(struct placement *placement, const struct config *config);

/* The parts, a bit each, that a lease of `count` for this one may come from; 0: none. */
uint64_t placement_allowed(const struct placement *placement, uint32_t part, uint32_t count);
/* Somebody was told that there is none, with the limit in bytes and what is held of the node. */
void placement_refused(struct placement *placement, uint32_t part, uint64_t *ret_limit,
		       uint64_t *ret_used);

/* Of a region's superslabs: leased, given back. */
void placement_charge(struct placement *placement, struct placed *placed, uint32_t first,
		      uint32_t count);
void placement_release(struct placement *placement, struct placed *placed, uint32_t first,
		       uint32_t count);
/* The same of a file that is not cut into parts: `count` that are meant for a part. */
void placement_charge_part(struct placement *placement, struct placed *placed, uint32_t part,
			   uint32_t count);
void placement_release_part(struct placement *placement, struct placed *placed, uint32_t part,
			    uint32_t count);
/* All that the session still has. */
void placement_release_all(struct placement *placement, struct placed *placed);
