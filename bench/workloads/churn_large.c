/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large blocks in rounds: a table is filled, every page of it written to, and all of it freed. More
 * lies free at the end of a round than an allocator should keep, so that the memory comes from the
 * kernel, or the daemon, again and again: what does that cost?
 */
#include "bench/workloads/work.h"

static const struct work_variant variants[] = {
	{ "default", "16 blocks of 1 to 64 MiB a round", 160, 1048576, 67108864, 16, 1 },
	{ "to8m", "128 blocks of 1 to 8 MiB a round", 1280, 1048576, 8388608, 128, 1 },
	{ "64m", "8 blocks of 64 MiB a round", 80, 67108864, 67108864, 8, 1 },
	{ "two", "two threads, each with 8 blocks of 1 to 64 MiB a round", 160, 1048576, 67108864,
	  8, 2 },
	{ 0 },
};

static const struct work_info info = {
	.name = "churn_large",
	.group = "large",
	.about = "rounds of large blocks, more than caches keep",
	.op = "one block allocated, each page of it written to, and freed",
	.variants = variants,
};

static _Atomic uint64_t pages;

static void load(struct work_thread *t)
{
	const struct work *work = t->work;
	void **slots = work_table(work->slots, sizeof(*slots));
	uint64_t left = t->ops, touched = 0;

	while (left) {
		size_t n = left < work->slots ? (size_t)left : work->slots;

		for (size_t i = 0; i < n; i++) {
			size_t size = work_between(&t->seed, work->min, work->max);

			slots[i] = malloc(size);
			if (!slots[i])
				work_die("out of memory");
			work_touch(slots[i], size);
			touched += (size + WORK_PAGE - 1) / WORK_PAGE;
		}
		for (size_t i = 0; i < n; i++)
			free(slots[i]);
		left -= n;
	}
	pages += touched;
}

int main(int argc, char **argv)
{
	struct work work;

	work_init(&work, &info, argc, argv);
	work_start(&work);
	work_threads(&work, load);
	work_stop(&work);
	work_extra(&work, "ns_per_4k",
		   (double)(work.stop.wall_ns - work.start.wall_ns) / (double)pages);
	return work_report(&work);
}
