/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the manner of SmartHeap's sh6bench and sh8bench: batches of blocks, small sizes more often
 * than large ones, given back in the order of allocation, in reverse, or every other one first; one
 * block in eight outlives its batch and goes with the next one.
 */
#include "bench/workloads/work.h"

static const struct work_variant variants[] = {
	{ "default", "one thread, up to 1 KiB (sh6)", 10000000, 1, 1024, 4096, 1 },
	{ "sh8", "two threads", 20000000, 1, 1024, 4096, 2 },
	{ "four", "four threads", 20000000, 1, 1024, 4096, 4 },
	{ 0 },
};

static const struct work_info info = {
	.name = "sh6",
	.group = "small",
	.about = "batches of skewed sizes, freed in different orders",
	.op = "one malloc and one free",
	.variants = variants,
};

static void **table;

/* The product of two random numbers: half of the sizes lie in the lowest fifth. */
static size_t skewed(uint64_t *seed, size_t min, size_t max)
{
	size_t span = max - min + 1;

	return min + work_below(seed, work_below(seed, span) + 1);
}

static void give_back(void **slots, size_t from, size_t n, size_t step)
{
	for (size_t i = from; i < n; i += step) {
		free(slots[i]);
		slots[i] = NULL;
	}
}

static void give_back_all(void **slots, size_t n, uint64_t order)
{
	switch (order % 3) {
	case 0:
		give_back(slots, 0, n, 1);
		break;
	case 1:
		while (n--)
			give_back(slots, n, n + 1, 1);
		break;
	default:
		give_back(slots, 0, n, 2);
		give_back(slots, 1, n, 2);
	}
}

static void load(struct work_thread *t)
{
	const struct work *work = t->work;
	void **slots = table + t->index * work->slots;
	void **kept = table + (t->work->threads + t->index) * work->slots;
	uint64_t seed = t->seed, left = t->ops;

	for (uint64_t batch = 0; left; batch++) {
		size_t n = 1 + work_below(&seed, work->slots), n_kept = 0;

		if (n > left)
			n = left;
		for (size_t i = 0; i < n; i++)
			slots[i] = work_malloc(skewed(&seed, work->min, work->max));
		give_back(kept, 0, work->slots / 8, 1);
		for (size_t i = 0; i < n && n_kept < work->slots / 8; i += 8) {
			kept[n_kept++] = slots[i];
			slots[i] = NULL;
		}
		give_back_all(slots, n, batch);
		left -= n;
	}
	give_back(kept, 0, work->slots / 8, 1);
}

int main(int argc, char **argv)
{
	struct work work;

	work_init(&work, &info, argc, argv);
	table = work_table(2 * work.slots * work.threads, sizeof(*table));
	work_start(&work);
	work_threads(&work, load);
	work_stop(&work);
	return work_report(&work);
}
