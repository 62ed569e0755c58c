/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of memory that is shared, allocated and freed by the same member: in turn, or from a table
 * of slots at random as in random_mixed.c. With two members, both do it at once.
 */
#include SIDE_MEMORY

#define ROOM (UINT64_C(512) << 20)

static const struct work_variant variants[] = {
	{ "64", "64 bytes, one member", MEMORY_PAIRS, 64, 64, 1, 1 },
	{ "1k", "1 KiB, one member", MEMORY_PAIRS, 1024, 1024, 1, 1 },
#if MEMORY_MEMBERS > 1
	{ "members2", "64 bytes, two members at once", MEMORY_PAIRS, 64, 64, 1, 2 },
#endif
#if MEMORY_MIXED
	{ "mixed", "400 slots at random, 16 to 1,024 bytes", MEMORY_PAIRS, 16, 1024, 400, 1 },
	{ "mixed-100k", "100,000 slots at random", MEMORY_PAIRS / 4, 16, 1024, 100000, 1 },
#endif
#if MEMORY_MIXED && MEMORY_MEMBERS > 1
	{ "mixed-members2", "the same by two members at once", MEMORY_PAIRS, 16, 1024, 400, 2 },
	{ "mixed-100k-members2", "the same, each of two members has so many", MEMORY_PAIRS / 4, 16,
	  1024, 100000, 2 },
#endif
	{ 0 },
};

static const struct work_info info = {
	.name = "shared_pair",
	.group = "shared",
	.about = "blocks of shared memory, allocated and freed",
	.op = "one allocation and one free",
	.variants = variants,
	.peers = MEMORY_PAIR_PEERS,
	.needs_daemon = true,
	.counted = true,
};

static void in_turn(const struct work *work, uint64_t n)
{
	while (n--)
		memory_free(work_written(memory_alloc(work->max)));
}

/* Half of the steps allocate and half of them free. */
static void at_random(const struct work *work, uint64_t n, uint64_t seed, void **slots)
{
	for (n *= 2; n--;) {
		void **slot = &slots[work_below(&seed, work->slots)];

		if (*slot) {
			memory_free(*slot);
			*slot = NULL;
		} else {
			*slot = work_written(
				memory_alloc(work_between(&seed, work->min, work->max)));
		}
	}
}

int main(int argc, char **argv)
{
	struct work work;
	struct side side;
	void **slots;
	uint64_t n;

	work_init(&work, &info, argc, argv);
	if (work.threads > MEMORY_MEMBERS)
		work_die("--threads: it cannot do this for so many members");
	slots = work_table(work.slots, sizeof(*slots));
	side_begin(&side, work.threads);
	memory_join(&side, ROOM, work.max);
	n = work.ops / side.members + (side.member < work.ops % side.members);
	memory_free(
		work_written(memory_alloc(work.max))); /* the first is at everything's beginning */
	side_meet(&side);
	work_start(&work);
	if (work.slots == 1)
		in_turn(&work, n);
	else
		at_random(&work, n, work.seed + side.member, slots);
	side_meet(&side);
	work_stop(&work);
	for (size_t i = 0; i < work.slots; i++) {
		if (slots[i])
			memory_free(slots[i]);
	}
	memory_leave(&side);
	side_end(&side);
	return work_report(&work);
}
