/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the manner of glibc's bench-malloc-thread: each thread replaces random blocks of its own; the
 * sizes are drawn so that a size is the rarer the larger it is.
 */
#include "bench/workloads/work.h"

#define N_SIZES 8192 /* drawn beforehand */

static const struct work_variant variants[] = {
	{ "default", "two threads, 4 bytes to 32 KiB", 20000000, 4, 32768, 1024, 2 },
	{ "one", "one thread", 10000000, 4, 32768, 1024, 1 },
	{ "four", "four threads", 20000000, 4, 32768, 1024, 4 },
	{ 0 },
};

static const struct work_info info = {
	.name = "glibc_thread",
	.group = "small",
	.about = "threads that replace random blocks, small ones more often",
	.op = "one free and one malloc",
	.variants = variants,
};

static void **table;
static size_t *sizes;

/* The density falls with 1/size: u uniform in (0, 1] gives 1 / (1/max + u * (1/min - 1/max)). */
static void draw_sizes(const struct work *work)
{
	double low = 1.0 / (double)work->max, high = 1.0 / (double)work->min;
	uint64_t seed = work->seed;

	for (size_t i = 0; i < N_SIZES; i++) {
		double u = (double)(work_next(&seed) >> 11) / (double)(UINT64_C(1) << 53);

		sizes[i] = (size_t)(1.0 / (low + u * (high - low)));
		if (sizes[i] < work->min)
			sizes[i] = work->min;
	}
}

static void load(struct work_thread *t)
{
	const struct work *work = t->work;
	void **slots = table + t->index * work->slots;
	uint64_t seed = t->seed;

	for (uint64_t i = 0; i < t->ops; i++) {
		void **slot = &slots[work_below(&seed, work->slots)];

		free(*slot);
		*slot = work_malloc(sizes[work_below(&seed, N_SIZES)]);
	}
}

int main(int argc, char **argv)
{
	struct work work;

	work_init(&work, &info, argc, argv);
	table = work_table(work.slots * work.threads, sizeof(*table));
	sizes = work_table(N_SIZES, sizeof(*sizes));
	draw_sizes(&work);
	work_start(&work);
	work_threads(&work, load);
	work_stop(&work);
	for (size_t i = 0; i < work.slots * work.threads; i++)
		free(table[i]);
	return work_report(&work);
}
