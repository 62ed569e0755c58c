/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bucket.h - a rate: so many a second, with a burst of one second's worth.
 *
 * EQUATION  taken in any interval of t seconds <= rate * (t + 1)
 *
 * Credit is counted in billionths of one, so that no rate and no interval rounds. A bucket of zeros
 * is full. Times are CLOCK_MONOTONIC, later ones not before earlier ones.
 */
#pragma once

#include "shared/base.h"

/* Of credit. */
#define BUCKET_ONE UINT64_C(1000000000)

struct bucket {
	uint64_t credit;
	uint64_t at_ns; /* when that was true */
};

/* Adds what has come since. `rate` may differ from call to call; 0: there is no limit. */
void bucket_fill(struct bucket *bucket, uint64_t rate, uint64_t now_ns);

/* These are asked after bucket_fill() of the same moment. */
static inline bool bucket_has(const struct bucket *bucket, uint64_t rate)
{
	return !rate || bucket->credit >= BUCKET_ONE;
}
/* One that it has. */
static inline void bucket_take(struct bucket *bucket, uint64_t rate)
{
	if (rate)
		bucket->credit -= BUCKET_ONE;
}
/* Until it has one. */
uint64_t bucket_wait_ns(const struct bucket *bucket, uint64_t rate);
/* What is missing from a full one: taken in the last second, at a steady pace. */
uint64_t bucket_used(const struct bucket *bucket, uint64_t rate, uint64_t now_ns);
