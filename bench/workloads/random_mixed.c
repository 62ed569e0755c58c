/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of slots; each operation picks one at random and frees its block, or fills it if it is
 * empty. The branch on that is a coin toss for the processor, the same for every allocator;
 * replace.c does without it.
 */
#include "bench/workloads/work.h"

static const struct work_variant variants[] = {
	{ "default", "400 slots, 16 to 1024 bytes", 20000000, 16, 1024, 400, 1 },
	{ "c6", "blocks of 512 bytes only", 20000000, 512, 512, 400, 1 },
	{ "c7", "blocks of 1024 bytes only", 20000000, 1024, 1024, 400, 1 },
	{ "small", "16 to 64 bytes", 20000000, 16, 64, 400, 1 },
	{ "slots4k", "4,000 slots", 20000000, 16, 1024, 4000, 1 },
	{ "slots100k", "100,000 slots", 10000000, 16, 1024, 100000, 1 },
	{ "slots100k-256", "100,000 slots, 16 to 256 bytes", 10000000, 16, 256, 100000, 1 },
	{ "threads", "two threads with a table each", 40000000, 16, 1024, 400, 2 },
	{ 0 },
};

static const struct work_info info = {
	.name = "random_mixed",
	.group = "small",
	.about = "malloc and free of random sizes in random order",
	.op = "one malloc or one free",
	.variants = variants,
};

static void **table;

static void load(struct work_thread *t)
{
	const struct work *work = t->work;
	void **slots = table + t->index * work->slots;
	uint64_t seed = t->seed;

	for (uint64_t i = 0; i < t->ops; i++) {
		void **slot = &slots[work_below(&seed, work->slots)];

		if (*slot) {
			free(*slot);
			*slot = NULL;
		} else {
			*slot = work_malloc(work_between(&seed, work->min, work->max));
		}
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
	for (size_t i = 0; i < work.slots * work.threads; i++)
		free(table[i]);
	return work_report(&work);
}
