/* SPDX-License-Identifier: Apache-2.0 */
/*
 * side.h - what the workloads of memory that processes share have in common: members, each a
 * process on a processor of its own, that meet and pass words to each other in a page that is
 * neither side's business.
 *
 * Each workload is built once with hakmem and once for each peer: as NAME and as NAME.PEER, from
 * the same source, so that all carry the same load.
 */
#ifndef BENCH_SHARED_SIDE_H
#define BENCH_SHARED_SIDE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/workloads/work.h"

#define SIDE_NAME    32
#define SIDE_RING    256 /* words under way */
#define SIDE_MEMBERS 8

struct side_page {
	_Atomic uint32_t arrived; /* at meetings, by all members together */
	/* What member n has to say, between two meetings. */
	uint64_t word[SIDE_MEMBERS];
	/* From member 0 to member 1; 0: empty. */
	_Atomic uint64_t ring[SIDE_RING];
};

struct side {
	struct side_page *page;
	unsigned member, members; /* number 0 is the program itself, which measures */
	uint32_t expected;        /* arrivals at the last meeting and before */
	pid_t pid[SIDE_MEMBERS];  /* of the others, in member 0 */
	char name[SIDE_NAME];     /* of whatever is shared: nobody else's */
};

/* Starts the other members, each of which goes on from here as well. Before anything is shared. */
void side_begin(struct side *ret_side, unsigned members);
/* Nobody goes on before all are here. */
void side_meet(struct side *side);
/* Ends the program in all members but 0, which waits for that. */
void side_end(struct side *side);

/* In loops that wait for another member: lets others run, and sees its death. */
void side_look(const struct side *side, unsigned *tries);

/* Words that are not 0, in order. Both keep their own count of them. */
void side_ring_push(const struct side *side, uint64_t count, uint64_t word);
uint64_t side_ring_pop(const struct side *side, uint64_t count);

#endif
