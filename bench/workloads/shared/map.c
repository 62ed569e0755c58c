/* SPDX-License-Identifier: Apache-2.0 */
/* A map is built by one process, entry by entry, and read by another. */
#include <string.h>

#include "bench/workloads/shared/map_side.h"
#include "bench/workloads/shared/side.h"
#include "shared/sys.h"

static const struct work_variant variants[] = {
	{ "default", "100,000 entries in order of their keys", 100000, 16, 16, 1, 2 },
	{ "hash", "100,000 entries by a hash of their keys", 100000, 16, 16, 1, 2 },
	{ 0 },
};

static const struct work_info info = {
	.name = "shared_map",
	.group = "shared",
	.about = "a map, built by one process and read by another",
	.op = "one entry, put in and found",
	.variants = variants,
	.peers = MAP_PEERS,
	.needs_daemon = true,
};

int main(int argc, char **argv)
{
	uint64_t begin, built = 0, read;
	struct work work;
	struct side side;
	bool hashed;

	work_init(&work, &info, argc, argv);
	if (work.threads != 2)
		work_die("--threads: one builds and one reads");
	hashed = !strcmp(work.variant->name, "hash");
	side_begin(&side, 2);
	if (!side.member && !map_make(side.name, work.ops, hashed))
		work_die("there is no shared memory");
	side_meet(&side);
	work_start(&work);
	begin = hak_sys_now_ns();
	if (!side.member && !map_build(work.ops, hashed))
		work_die("the map cannot be built");
	built = hak_sys_now_ns() - begin;
	side_meet(&side);
	if (side.member) {
		if (!map_open(side.name, hashed))
			work_die("the map cannot be opened");
		begin = hak_sys_now_ns();
		if (map_read(work.ops, hashed) != work.ops)
			work_die("the map lacks entries");
		side.page->word[0] = hak_sys_now_ns() - begin;
	}
	side_meet(&side);
	work_stop(&work);
	read = side.page->word[0];
	map_close();
	side_end(&side);
	work.timed_ns = built + read;
	work_extra(&work, "build_ns", (double)built / (double)work.ops);
	work_extra(&work, "read_ns", (double)read / (double)work.ops);
	return work_report(&work);
}
