/* SPDX-License-Identifier: Apache-2.0 */
/* malloc, then free of the same block: the shortest way through an allocator. */
#include "bench/workloads/work.h"

static const struct work_variant variants[] = {
	{ "64", "64 bytes", 50000000, 64, 64, 1, 1 },
	{ "1k", "1 KiB", 50000000, 1024, 1024, 1, 1 },
	{ "16k", "16 KiB", 10000000, 16384, 16384, 1, 1 },
	{ "batch100", "100 blocks, then all of them back", 50000000, 64, 64, 100, 1 },
	{ 0 },
};

static const struct work_info info = {
	.name = "pair",
	.group = "small",
	.about = "malloc and free of one size in turn",
	.op = "one malloc and one free",
	.variants = variants,
};

int main(int argc, char **argv)
{
	struct work work;
	void **slots;

	work_init(&work, &info, argc, argv);
	slots = work_table(work.slots, sizeof(*slots));
	work_start(&work);
	for (uint64_t left = work.ops; left;) {
		size_t n = left < work.slots ? left : work.slots;

		for (size_t i = 0; i < n; i++)
			slots[i] = work_malloc(work.max);
		for (size_t i = 0; i < n; i++)
			free(slots[i]);
		left -= n;
	}
	work_stop(&work);
	return work_report(&work);
}
