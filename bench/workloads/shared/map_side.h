/* SPDX-License-Identifier: Apache-2.0 */
/* map_side.h - a map in memory that processes share, by whatever map_*.cpp is linked. */
#ifndef BENCH_SHARED_MAP_SIDE_H
#define BENCH_SHARED_MAP_SIDE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Scattered over all numbers, each once. */
static inline uint64_t map_key(uint64_t i)
{
	return (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

/* An empty map, in the process that makes the memory. False: it says why. */
bool map_make(const char *name, uint64_t entries, bool hashed);
/* The same map in another process, which only reads it. */
bool map_open(const char *name, bool hashed);
/* map_key(i) stands for i, for i from 0 to n. */
bool map_build(uint64_t n, bool hashed);
/* How many of n keys stand for what they should, in another order. */
uint64_t map_read(uint64_t n, bool hashed);
void map_close(void);

#ifdef __cplusplus
}
#endif

#endif
