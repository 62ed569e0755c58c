/* SPDX-License-Identifier: Apache-2.0 */
/* replace.c with calloc. The last byte of each block must be zero; then it is written to. */
#include "bench/workloads/work.h"

static const struct work_variant variants[] = {
	{ "default", "400 slots, 16 to 1024 bytes", 10000000, 16, 1024, 400, 1 },
	{ "small", "16 to 64 bytes", 10000000, 16, 64, 400, 1 },
	{ "64k", "4 to 64 KiB", 200000, 4096, 65536, 400, 1 },
	{ 0 },
};

static const struct work_info info = {
	.name = "calloc",
	.group = "small",
	.about = "free of a random block and calloc of another in its place",
	.op = "one free and one calloc",
	.variants = variants,
};

int main(int argc, char **argv)
{
	struct work work;
	uint64_t seed;
	void **slots;

	work_init(&work, &info, argc, argv);
	slots = work_table(work.slots, sizeof(*slots));
	seed = work.seed;
	work_start(&work);
	for (uint64_t i = 0; i < work.ops; i++) {
		void **slot = &slots[work_below(&seed, work.slots)];
		size_t size = work_between(&seed, work.min, work.max);
		volatile char *p;

		free(*slot);
		p = *slot = calloc(1, size);
		if (!p)
			work_die("out of memory");
		if (p[size - 1])
			work_die("calloc returned memory that is not zero");
		p[size - 1] = 1;
	}
	work_stop(&work);
	for (size_t i = 0; i < work.slots; i++)
		free(slots[i]);
	return work_report(&work);
}
