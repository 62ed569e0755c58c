/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the manner of glibc's bench-malloc-simple: 25, 100, 400, then 1,600 blocks of one size are
 * allocated and freed in the order of allocation; the sizes follow one another.
 */
#include "bench/workloads/work.h"

static const struct work_variant variants[] = {
	{ "default", "8 to 4096 bytes", 500000, 8, 4096, 1600, 1 },
	{ "128", "128 bytes", 2000000, 128, 128, 1600, 1 },
	{ 0 },
};

static const struct work_info info = {
	.name = "glibc_simple",
	.group = "small",
	.about = "runs of one size, freed in the order of allocation",
	.op = "one malloc and one free",
	.variants = variants,
};

/* What is left to do afterwards. */
static uint64_t run(void **slots, size_t n, size_t size, uint64_t left)
{
	if (n > left)
		n = left;
	for (size_t i = 0; i < n; i++)
		slots[i] = work_malloc(size);
	for (size_t i = 0; i < n; i++)
		free(slots[i]);
	return left - n;
}

int main(int argc, char **argv)
{
	struct work work;
	uint64_t left;
	size_t size;
	void **slots;

	work_init(&work, &info, argc, argv);
	slots = work_table(work.slots, sizeof(*slots));
	left = work.ops;
	size = work.min;
	work_start(&work);
	while (left) {
		for (size_t n = 25; n < work.slots; n *= 4)
			left = run(slots, n, size, left);
		left = run(slots, work.slots, size, left);
		size = size * 2 <= work.max ? size * 2 : work.min;
	}
	work_stop(&work);
	return work_report(&work);
}
