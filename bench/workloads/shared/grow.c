/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared memory grows block by block, and every page of a block is written to. A peer whose memory
 * cannot grow has it all from the beginning, but for the pages themselves.
 */
#include SIDE_MEMORY

#include "bench/workloads/hist.h"
#include "shared/sys.h"

static const struct work_variant variants[] = {
	{ "default", "to 256 MiB, by blocks of 64 KiB", 4096, 65536, 65536, 1, 1 },
	{ "4k", "to 256 MiB, by blocks of 4 KiB", 65536, 4096, 4096, 1, 1 },
	{ "1m", "to 256 MiB, by blocks of 1 MiB", 256, 1 << 20, 1 << 20, 1, 1 },
	{ 0 },
};

static const struct work_info info = {
	.name = "shared_grow",
	.group = "shared",
	.about = "shared memory grows, first touch included",
	.op = "one block, allocated and written to",
	.variants = variants,
	.peers = MEMORY_PEERS,
	.needs_daemon = true,
};

int main(int argc, char **argv)
{
	struct hist *hist = work_table(1, sizeof(*hist));
	struct work work;
	struct side side;

	work_init(&work, &info, argc, argv);
	side_begin(&side, 1);
	/* An eighth more, and more still, for whatever blocks and their owner need. */
	memory_join(&side, work.ops * work.max / 8 * 9 + work.ops * 64 + (1 << 20), work.max);
	work_start(&work);
	for (uint64_t i = 0; i < work.ops; i++) {
		uint64_t begin = hak_sys_now_ns();
		void *p = memory_alloc(work.max);

		work_touch(work_written(p), work.max);
		hist_add(hist, hak_sys_now_ns() - begin);
	}
	work_stop(&work);
	work_quantiles(&work, "", hist);
	work_extra(&work, "longest_ns", (double)hist->max);
	memory_leave(&side);
	side_end(&side);
	return work_report(&work);
}
