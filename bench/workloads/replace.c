/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each operation frees the block of a random slot and puts a new one there. There is no branch that
 * the processor cannot predict but the allocator's own, so it is about three times as sensitive to
 * the allocator as random_mixed.
 */
#include "bench/workloads/work.h"

static const struct work_variant variants[] = {
	{ "default", "400 slots, 16 to 1024 bytes", 20000000, 16, 1024, 400, 1 },
	{ "small", "16 to 64 bytes", 20000000, 16, 64, 400, 1 },
	{ "16k", "16 bytes to 16 KiB", 5000000, 16, 16384, 400, 1 },
	{ "256k", "4 to 256 KiB", 500000, 4096, 262144, 400, 1 },
	{ "threads", "two threads with a table each", 20000000, 16, 1024, 400, 2 },
	{ 0 },
};

static const struct work_info info = {
	.name = "replace",
	.group = "small",
	.about = "free of a random block and malloc of another in its place",
	.op = "one free and one malloc",
	.variants = variants,
};

static void **table;

static void load(struct work_thread *t)
{
	const struct work *work = t->work;
	void **slots = table + t->index * work->slots;
	uint64_t seed = t->seed;

	for (size_t i = 0; i < work->slots; i++)
		slots[i] = work_malloc(work_between(&seed, work->min, work->max));
	for (uint64_t i = 0; i < t->ops; i++) {
		void **slot = &slots[work_below(&seed, work->slots)];

		free(*slot);
		*slot = work_malloc(work_between(&seed, work->min, work->max));
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
