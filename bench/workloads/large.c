/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large blocks: does the allocator keep what it got from the kernel, or fault it in anew each time?
 * Where the variant says "touched", each page of a block is written to.
 */
#include "bench/workloads/work.h"

#include <string.h>

static const struct work_variant variants[] = {
	{ "mixed", "64 KiB to 4 MiB in 16 slots, touched", 1500, 65536, 4194304, 16, 1 },
	{ "64k", "64 KiB, touched", 1000000, 65536, 65536, 1, 1 },
	{ "256k", "256 KiB, touched", 200000, 262144, 262144, 1, 1 },
	{ "1m", "1 MiB, touched", 20000, 1048576, 1048576, 1, 1 },
	{ "4m", "4 MiB, touched", 2000, 4194304, 4194304, 1, 1 },
	{ "16m", "16 MiB, touched", 100, 16777216, 16777216, 1, 1 },
	{ "32m", "32 MiB, touched", 16, 33554432, 33554432, 1, 1 },
	{ "untouched-1m", "1 MiB, not touched", 2000000, 1048576, 1048576, 1, 1 },
	{ "untouched-32m", "32 MiB, not touched", 3000, 33554432, 33554432, 1, 1 },
	{ 0 },
};

static const struct work_info info = {
	.name = "large",
	.group = "large",
	.about = "blocks of 64 KiB to 32 MiB, with and without touching their pages",
	.op = "one free and one malloc",
	.variants = variants,
};

int main(int argc, char **argv)
{
	struct work work;
	uint64_t seed;
	bool touch;
	void **slots;

	work_init(&work, &info, argc, argv);
	slots = work_table(work.slots, sizeof(*slots));
	touch = strncmp(work.variant->name, "untouched", strlen("untouched")) != 0;
	seed = work.seed;
	work_start(&work);
	for (uint64_t i = 0; i < work.ops; i++) {
		void **slot = &slots[work_below(&seed, work.slots)];
		size_t size = work_between(&seed, work.min, work.max);

		free(*slot);
		*slot = malloc(size);
		if (!*slot)
			work_die("out of memory");
		if (touch)
			work_touch(*slot, size);
	}
	work_stop(&work);
	for (size_t i = 0; i < work.slots; i++)
		free(slots[i]);
	return work_report(&work);
}
