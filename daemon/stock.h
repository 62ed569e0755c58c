/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stock.h - regions that are ready before anybody asks: made, placed, their first superslabs warm.
 *
 * A process that connects gets one, and its first leases wait for nothing. Memory of one process is
 * never another's, so there is no common heap of warm superslabs: what is kept ready is whole
 * regions that no process has seen.
 *
 * DEMAND  per node between one ready region and config.stock_sessions: doubled when a process came
 * and found none, one again when none was taken for config.stock_decay_ms. While it is more than
 * one, the daemon's tick looks after it; otherwise nothing wakes up. Nothing is kept for a node
 * that no process runs on, or that the NUMA policy serves nobody from first.
 *
 * Stock is nobody's: it is not charged to an account, and is reported as such.
 */
#pragma once

#include <sys/types.h>

#include "daemon/list.h"
#include "shared/runs.h"

struct daemon;
struct region;

struct stock_shelf {
	struct list ready;  /* newest last */
	struct list making; /* its task is in flight */
	uint32_t n_ready, n_making;
	uint32_t target;
	uint32_t taken; /* since the last look */
};

struct stock {
	struct daemon *daemon;
	struct stock_shelf shelf[HAK_PARTS_MAX];
	uint64_t looked_ns; /* CLOCK_MONOTONIC */
	bool stopping;
};

void stock_init(struct stock *stock, struct daemon *daemon);
/* Begins to fill it. */
void stock_start(struct stock *stock);
/* Drops everything, also what is being made; nothing is made any more. */
void stock_stop(struct stock *stock);
bool stock_in_flight(const struct stock *stock);

/* The configuration has changed; `anew`: also in what is ready, which is made again. */
void stock_configure(struct stock *stock, bool anew);

/* A region for a process, ready near the CPU it last ran on, or a new one. */
int stock_take(struct stock *stock, pid_t pid, struct region *ret_region);

/* True: look again at the next tick. */
bool stock_tick(struct stock *stock);
/* Drops what is ready (memory is short), until somebody takes one again. */
void stock_drop(struct stock *stock);
/* Looks at all regions, those in the making included. */
typedef void stock_fn(void *arg, const struct region *region, bool making);
void stock_each(const struct stock *stock, stock_fn *fn, void *arg);
/* Superslabs that are warm here, in so many regions. */
uint64_t stock_superslabs(const struct stock *stock);
uint64_t stock_regions(const struct stock *stock);
