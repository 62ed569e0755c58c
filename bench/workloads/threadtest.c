/* SPDX-License-Identifier: Apache-2.0 */
/* After Hoard's threadtest: each thread allocates many blocks of one size, then frees them all. */
#include "bench/workloads/work.h"

static const struct work_variant variants[] = {
	{ "default", "two threads, 10,000 blocks of 64 bytes each", 20000000, 64, 64, 10000, 2 },
	{ "one", "one thread", 10000000, 64, 64, 10000, 1 },
	{ "four", "four threads", 20000000, 64, 64, 10000, 4 },
	{ 0 },
};

static const struct work_info info = {
	.name = "threadtest",
	.group = "small",
	.about = "threads that allocate and free batches of their own",
	.op = "one malloc and one free",
	.variants = variants,
};

static void **table;

static void load(struct work_thread *t)
{
	const struct work *work = t->work;
	void **slots = table + t->index * work->slots;

	for (uint64_t left = t->ops; left;) {
		size_t n = left < work->slots ? left : work->slots;

		for (size_t i = 0; i < n; i++)
			slots[i] = work_malloc(work->max);
		for (size_t i = 0; i < n; i++)
			free(slots[i]);
		left -= n;
	}
}

int main(int argc, char **argv)
{
	struct work work;

	work_init(&work, &info, argc, argv);
	table = work_table(work.slots * work.threads, sizeof(*table));
	work_start(&work);
	work_threads(&work, load);
	work_stop(&work);
	return work_report(&work);
}
