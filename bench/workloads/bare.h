/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bare.h - what two processes need at least to hear from each other and back: two words, each
 * alone on its cache line. The other process answers every number with the same one.
 *
 * On two processors: on one, a wake-up is a switch from the waker to the woken, and takes a tenth
 * of the time; which of the two it is would be left to chance.
 */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <stdbool.h>

#include "bench/workloads/hist.h"

/* This process on the first processor that it may use; a child of the functions below is then on
 * the second, if there is one. */
void bare_place(void);
/* The n-th of those that there were then, if there are so many. */
void bare_keep_to(int n);

/* Both look at the other's word all the time. */
void bare_ping_pong(struct hist *hist, uint64_t rounds);

/*
 * The other process sleeps on a futex when it is called; so does this one while it waits for the
 * answer, if `both`. Before each round: a pause of `pause_ns`, asleep; 0: until the other surely
 * sleeps.
 */
void bare_futex(struct hist *hist, uint64_t rounds, bool both, uint64_t pause_ns);

#endif
