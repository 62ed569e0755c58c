/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hist.h - a histogram of times for percentiles: log-linear, of fixed size, without an allocator.
 *
 * Values below 64 have a bucket each. Above, every power of two has 64 buckets of equal width, so a
 * bucket is at most 1/64 of its values wide and its middle at most 1/128 off. One thread at a time
 * adds; histograms of threads and processes are merged afterwards.
 */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stddef.h>
#include <stdint.h>

#define HIST_BITS    6u
#define HIST_LINEAR  (1u << HIST_BITS)
#define HIST_MAX     ((UINT64_C(1) << 40) - 1) /* 18 minutes, if these are nanoseconds */
#define HIST_BUCKETS ((40u - HIST_BITS + 1) * HIST_LINEAR)

struct hist {
	uint64_t n;
	uint64_t sum, max;
	uint32_t bucket[HIST_BUCKETS];
};

static inline uint32_t hist_bucket(uint64_t value)
{
	uint32_t shift;

	if (value < HIST_LINEAR)
		return (uint32_t)value;
	shift = 63 - (uint32_t)__builtin_clzll(value) - HIST_BITS;
	return (shift << HIST_BITS) + (uint32_t)(value >> shift);
}

/* The middle of a bucket. */
static inline uint64_t hist_value(uint32_t bucket)
{
	uint32_t shift;

	if (bucket < HIST_LINEAR)
		return bucket;
	shift = (bucket >> HIST_BITS) - 1;
	return ((uint64_t)(HIST_LINEAR + bucket % HIST_LINEAR) << shift) +
	       ((UINT64_C(1) << shift) >> 1);
}

/* Values above HIST_MAX count as HIST_MAX. */
static inline void hist_add(struct hist *hist, uint64_t value)
{
	if (value > HIST_MAX)
		value = HIST_MAX;
	hist->n++;
	hist->sum += value;
	if (value > hist->max)
		hist->max = value;
	hist->bucket[hist_bucket(value)]++;
}

static inline void hist_merge(struct hist *hist, const struct hist *other)
{
	hist->n += other->n;
	hist->sum += other->sum;
	if (other->max > hist->max)
		hist->max = other->max;
	for (uint32_t i = 0; i < HIST_BUCKETS; i++)
		hist->bucket[i] += other->bucket[i];
}

/* The smallest value that a part of at least `q` (0 < q <= 1) of all does not exceed, as far as
 * buckets tell; never above the largest. 0 if there are none. */
static inline uint64_t hist_quantile(const struct hist *hist, double q)
{
	double want = q * (double)hist->n;
	uint64_t seen = 0;

	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		seen += hist->bucket[i];
		if (seen && (double)seen >= want) {
			uint64_t value = hist_value(i);

			return value < hist->max ? value : hist->max;
		}
	}
	return hist->max;
}

static inline double hist_mean(const struct hist *hist)
{
	return hist->n ? (double)hist->sum / (double)hist->n : 0;
}

#endif
