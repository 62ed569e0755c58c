/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After Hoard's cache-scratch and cache-thrash: does the allocator put blocks of different threads
 * on one cache line? Each thread frees a block, allocates another and writes to it many times.
 * Built twice: in cache_scratch the first blocks are neighbours that the main thread allocated and
 * handed over, and an allocator that gives them to whoever freed them passes the sharing on; in
 * cache_thrash each thread begins with its own.
 */
#include "bench/workloads/work.h"

#define WRITES 1000 /* to a block before it is replaced; part of the operation */

static const struct work_variant variants[] = {
	{ "default", "two threads, 8 bytes", 100000, 8, 8, 1, 2 },
	{ "one", "one thread: what it costs without sharing", 100000, 8, 8, 1, 1 },
	{ 0 },
};

static const struct work_info info = {
	.name = HANDED_OVER ? "cache_scratch" : "cache_thrash",
	.group = "small",
	.about = HANDED_OVER ? "false sharing of blocks that were handed over"
			     : "false sharing of blocks that threads allocate",
	.op = "one malloc, 1,000 writes to each byte, one free",
	.variants = variants,
};

static void **table;

static void load(struct work_thread *t)
{
	const struct work *work = t->work;

	free(table[t->index]);
	for (uint64_t i = 0; i < t->ops; i++) {
		volatile char *p = work_malloc(work->max);

		for (unsigned n = 0; n < WRITES; n++) {
			for (size_t at = 0; at < work->max; at++)
				p[at] = (char)(p[at] + 1);
		}
		free((void *)(uintptr_t)p);
	}
}

int main(int argc, char **argv)
{
	struct work work;

	work_init(&work, &info, argc, argv);
	table = work_table(work.threads, sizeof(*table));
	work_start(&work);
	for (unsigned i = 0; HANDED_OVER && i < work.threads; i++)
		table[i] = work_malloc(work.max);
	work_threads(&work, load);
	work_stop(&work);
	return work_report(&work);
}
