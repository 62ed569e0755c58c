/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After Larson and Krishnan: a server whose threads replace random blocks of a table. Threads live
 * for a while only and leave their tables to others, so that blocks are freed by threads that did
 * not allocate them, and thread start and exit are part of the load.
 */
#include "bench/workloads/work.h"

#define GENERATION 250000 /* operations in the life of a thread */

static const struct work_variant variants[] = {
	{ "default", "one thread at a time, 8 to 1000 bytes", 10000000, 8, 1000, 1000, 1 },
	{ "two", "two threads, 8 to 1000 bytes", 20000000, 8, 1000, 1000, 2 },
	{ "short", "200,000 operations: page faults decide", 200000, 8, 1000, 1000, 1 },
	{ 0 },
};

static const struct work_info info = {
	.name = "larson",
	.group = "small",
	.about = "a server: threads replace random blocks and hand their tables on",
	.op = "one free and one malloc",
	.variants = variants,
};

static void **table;
static uint64_t generation, share;

static void load(struct work_thread *t)
{
	const struct work *work = t->work;
	void **slots = table + (t->index + generation) % work->threads * work->slots;
	uint64_t seed = t->seed + 2 * generation; /* odd, so never 0 */

	for (uint64_t i = 0; i < share; i++) {
		void **slot = &slots[work_below(&seed, work->slots)];

		free(*slot);
		*slot = work_malloc(work_between(&seed, work->min, work->max));
	}
}

int main(int argc, char **argv)
{
	struct work work;
	uint64_t per_thread, seed;
	size_t n;

	work_init(&work, &info, argc, argv);
	n = work.slots * work.threads;
	table = work_table(n, sizeof(*table));
	seed = work.seed;
	per_thread = (work.ops + work.threads - 1) / work.threads;
	work.done = per_thread * work.threads;

	work_start(&work);
	for (size_t i = 0; i < n; i++)
		table[i] = work_malloc(work_between(&seed, work.min, work.max));
	for (; per_thread; per_thread -= share, generation++) {
		share = per_thread < GENERATION ? per_thread : GENERATION;
		work_spawn(&work, load);
	}
	work_stop(&work);
	for (size_t i = 0; i < n; i++)
		free(table[i]);
	return work_report(&work);
}
