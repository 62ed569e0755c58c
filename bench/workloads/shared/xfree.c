/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block is allocated in one process and freed in another. Its name goes there by a ring of words
 * that is the same for everybody; that it becomes the other's, where blocks have owners, is part of
 * the figure.
 */
#include SIDE_MEMORY

#include <string.h>

#define ROOM (UINT64_C(64) << 20)

static const struct work_variant variants[] = {
	{ "64", "64 bytes, given to the other", MEMORY_PAIRS / 4, 64, 64, 1, 2 },
	{ "1k", "1 KiB, given to the other", MEMORY_PAIRS / 4, 1024, 1024, 1, 2 },
	{ "published", "64 bytes, made nobody's", MEMORY_PAIRS / 4, 64, 64, 1, 2 },
	{ 0 },
};

static const struct work_info info = {
	.name = "shared_xfree",
	.group = "shared",
	.about = "blocks of shared memory, allocated in one process and freed in another",
	.op = "one block",
	.variants = variants,
	.peers = MEMORY_PEERS,
	.needs_daemon = true,
};

static void give(const struct work *work, const struct side *side, uint64_t to)
{
	for (uint64_t i = 0; i < work->ops; i++)
		side_ring_push(side, i, memory_hand(work_written(memory_alloc(work->max)), to));
}

static void take(const struct work *work, const struct side *side)
{
	for (uint64_t i = 0; i < work->ops; i++)
		memory_free(memory_taken(side_ring_pop(side, i)));
}

int main(int argc, char **argv)
{
	struct work work;
	struct side side;
	bool given;

	work_init(&work, &info, argc, argv);
	if (work.threads != 2)
		work_die("--threads: there are two members");
	given = strcmp(work.variant->name, "published") != 0;
	side_begin(&side, 2);
	memory_join(&side, ROOM, work.max);
	side.page->word[side.member] = memory_self();
	side_meet(&side);
	work_start(&work);
	if (side.member)
		take(&work, &side);
	else
		give(&work, &side, given ? side.page->word[1] : 0);
	side_meet(&side);
	work_stop(&work);
	memory_leave(&side);
	side_end(&side);
	return work_report(&work);
}
