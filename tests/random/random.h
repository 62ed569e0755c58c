/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random.h - seeded runs against a plain model: PROGRAM [SEED [STEPS]].
 *
 * Without a seed each run takes another one and prints it, so that every run searches and every
 * find repeats. A failed check prints seed, step and condition and ends the program.
 */
#pragma once

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/sys.h"

struct random_run {
	uint64_t seed, state, steps, step;
	unsigned test;
};

static inline struct random_run random_start(int argc, char **argv, uint64_t steps, unsigned tests)
{
	struct random_run run = { .steps = steps };

	run.seed = argc > 1 ? strtoull(argv[1], NULL, 0) : hak_sys_random();
	if (argc > 2)
		run.steps = strtoull(argv[2], NULL, 0);
	run.state = run.seed;
	(void)setvbuf(stdout, NULL, _IOLBF, 0); /* the seed is out before anything can abort */
	printf("1..%u\n# %s %" PRIu64 " %" PRIu64 "\n", tests, argv[0], run.seed, run.steps);
	return run;
}

/* splitmix64: every seed is as good as another. */
static inline uint64_t random_next(struct random_run *run)
{
	uint64_t z = run->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0 .. n - 1; the bias is of no account here. */
static inline uint32_t random_below(struct random_run *run, uint32_t n)
{
	return (uint32_t)((random_next(run) >> 32) * n >> 32);
}

/* 1 .. max, small ones mostly: each doubling is as likely as the one before. */
static inline uint32_t random_skewed(struct random_run *run, uint32_t max)
{
	uint32_t bits = random_below(run, 32 - (uint32_t)__builtin_clz(max));
	uint32_t n = (1u << bits) + random_below(run, 1u << bits);

	return n < max ? n : max;
}

static inline void random_ok(struct random_run *run, const char *name)
{
	printf("ok %u - %s\n", ++run->test, name);
}

#define random_check(run, x)                                                                       \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			printf("not ok %u - seed %" PRIu64 ", step %" PRIu64 ": %s:%d: %s\n",      \
			       (run)->test + 1, (run)->seed, (run)->step, __FILE__, __LINE__, #x); \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)
