/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fresh memory: what does a page cost that the process never had? Blocks are allocated, every page
 * of them is written to once, and nothing is freed until the clock has stopped.
 */
#include "bench/workloads/work.h"

#include <string.h>
#include <sys/prctl.h>

static const struct work_variant variants[] = {
	{ "default", "64 MiB in blocks of 4 KiB", 16384, 4096, 4096, 0, 1 },
	{ "64k", "64 MiB in blocks of 64 KiB", 16384, 65536, 65536, 0, 1 },
	{ "1m", "64 MiB in blocks of 1 MiB", 16384, 1048576, 1048576, 0, 1 },
	{ "small-pages", "64 MiB in blocks of 4 KiB, no pages of 2 MiB for this process", 16384,
	  4096, 4096, 0, 1 },
	{ "1m-small-pages", "64 MiB in blocks of 1 MiB, no pages of 2 MiB for this process", 16384,
	  1048576, 1048576, 0, 1 },
	{ 0 },
};

static const struct work_info info = {
	.name = "first_touch",
	.group = "memory",
	.about = "the first write to fresh memory",
	.op = "4 KiB of memory allocated and written to",
	.variants = variants,
};

int main(int argc, char **argv)
{
	struct work work;
	size_t n;
	void **blocks;

	work_init(&work, &info, argc, argv);
	/* Whatever an allocator asks for, before it has memory to speak of. */
	if (strstr(work.variant->name, "small-pages") && prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
		work_die("this kernel cannot do without large pages");
	n = (work.ops * WORK_PAGE + work.max - 1) / work.max;
	work.slots = n;
	work.done = (n * work.max + WORK_PAGE - 1) / WORK_PAGE;
	blocks = work_table(n, sizeof(*blocks));
	work_start(&work);
	for (size_t i = 0; i < n; i++) {
		blocks[i] = malloc(work.max);
		if (!blocks[i])
			work_die("out of memory");
		work_touch(blocks[i], work.max);
	}
	work_stop(&work);
	for (size_t i = 0; i < n; i++)
		free(blocks[i]);
	return work_report(&work);
}
