/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the manner of mimalloc's stress test: threads fill and empty tables of their own and exchange
 * blocks through a common one, so that a block may wander through several threads before it is
 * freed. Each block carries its address and size; a block that comes back damaged ends the run.
 */
#include "bench/workloads/work.h"

#include <stdatomic.h>

#define TRANSFER 1000 /* blocks on their way */

static const struct work_variant variants[] = {
	{ "default", "two threads, 16 to 8192 bytes", 5000000, 16, 8192, 1000, 2 },
	{ "four", "four threads", 5000000, 16, 8192, 1000, 4 },
	{ "one", "one thread", 2500000, 16, 8192, 1000, 1 },
	{ 0 },
};

static const struct work_info info = {
	.name = "mstress",
	.group = "small",
	.about = "threads that exchange blocks at random",
	.op = "one malloc, one free, or one exchange",
	.variants = variants,
};

struct head {
	uintptr_t mark; /* its address ^ size */
	size_t size;
};

static void **table;
static void *_Atomic *transfer;

/* Powers of two, each as likely as its neighbours, and something on top. */
static size_t size_of(uint64_t *seed, const struct work *work)
{
	size_t size = work->min < sizeof(struct head) ? sizeof(struct head) : work->min;
	size_t steps = 1;

	while (size << steps <= work->max)
		steps++;
	size <<= work_below(seed, steps);
	size += work_below(seed, size);
	return size < work->max || work->max < sizeof(struct head) ? size : work->max;
}

static void *marked(size_t size)
{
	struct head *p = work_malloc(size);
	char *last = (char *)p + size - 1;

	*last = (char)size;
	p->mark = (uintptr_t)p ^ size;
	p->size = size;
	return p;
}

static void check_and_free(struct head *p)
{
	if (!p)
		return;
	if (p->mark != ((uintptr_t)p ^ p->size) ||
	    (p->size > sizeof(*p) && ((char *)p)[p->size - 1] != (char)p->size))
		work_die("a block was damaged");
	p->mark = 0;
	free(p);
}

static void load(struct work_thread *t)
{
	const struct work *work = t->work;
	void **slots = table + t->index * work->slots;
	uint64_t seed = t->seed;

	for (uint64_t i = 0; i < t->ops; i++) {
		void **slot = &slots[work_below(&seed, work->slots)];

		if (work_below(&seed, 4) == 0) {
			void *_Atomic *other = &transfer[work_below(&seed, TRANSFER)];

			/* Acquire and release: the block's bytes go with it. */
			*slot = atomic_exchange_explicit(other, *slot, memory_order_acq_rel);
		} else if (*slot) {
			check_and_free(*slot);
			*slot = NULL;
		} else {
			*slot = marked(size_of(&seed, work));
		}
	}
}

int main(int argc, char **argv)
{
	struct work work;

	work_init(&work, &info, argc, argv);
	table = work_table(work.slots * work.threads, sizeof(*table));
	transfer = work_table(TRANSFER, sizeof(*transfer));
	work_start(&work);
	work_threads(&work, load);
	work_stop(&work);
	for (size_t i = 0; i < work.slots * work.threads; i++)
		check_and_free(table[i]);
	for (size_t i = 0; i < TRANSFER; i++)
		check_and_free(atomic_load_explicit(&transfer[i], memory_order_relaxed));
	return work_report(&work);
}
