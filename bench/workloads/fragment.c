/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After Robson's worst case: the heap is filled with small blocks, every second one is freed, and
 * what was freed is allocated again in blocks of twice the size, which do not fit the holes; and so
 * on up to the largest size. What the program holds stays the same; what the process holds is the
 * allocator's doing. In the variant `sparse` one block in 16 survives and the next ones are eight
 * times as large: they do fit, if the allocator can join neighbours that are free.
 */
#include "bench/workloads/work.h"

#include <string.h>
#include <sys/mman.h>

static const struct work_variant variants[] = {
	{ "default", "48 MiB, 64 bytes doubled up to 64 KiB", 786432, 64, 65536, 2, 1 },
	{ "small", "48 MiB, 16 bytes doubled up to 1 KiB", 3145728, 16, 1024, 2, 1 },
	{ "medium", "48 MiB, 4 KiB doubled up to 1 MiB", 12288, 4096, 1048576, 2, 1 },
	{ "sparse", "48 MiB, 64 bytes; one in 16 survives, then 512 bytes", 786432, 64, 512, 16,
	  1 },
	{ "refill", "48 MiB, random sizes to 512, then to 2 KiB, 8 KiB", 98304, 512, 8192, 1, 1 },
	{ "groups", "the same, 256 blocks live or die together", 98304, 512, 8192, 256, 1 },
	{ 0 },
};

static const struct work_info info = {
	.name = "fragment",
	.group = "memory",
	.about = "a heap half freed and refilled with larger blocks, again and again",
	.op = "one malloc or one free; --ops is the number of blocks to begin with",
	.variants = variants,
};

/* blocks[0..n) are alive; n never grows from one generation to the next. */
struct heap {
	void **blocks;
	size_t *sizes;
	size_t n;
	size_t live; /* bytes */
};

static void add(struct heap *heap, size_t size, uint64_t *done)
{
	void *p = malloc(size);

	if (!p)
		work_die("out of memory");
	memset(p, 1, size);
	heap->blocks[heap->n] = p;
	heap->sizes[heap->n++] = size;
	heap->live += size;
	++*done;
}

/* Frees the block at i, or moves it to where `kept` are. */
static void sift(struct heap *heap, size_t i, bool keep, size_t *kept, uint64_t *done)
{
	if (!keep) {
		heap->live -= heap->sizes[i];
		free(heap->blocks[i]);
		++*done;
		return;
	}
	heap->blocks[*kept] = heap->blocks[i];
	heap->sizes[(*kept)++] = heap->sizes[i];
}

static void fill(struct heap *heap, size_t size, size_t budget, uint64_t *done)
{
	while (heap->live + size <= budget)
		add(heap, size, done);
}

static void free_most(struct heap *heap, size_t keep, uint64_t *done)
{
	size_t kept = 0;

	for (size_t i = 0; i < heap->n; i++)
		sift(heap, i, i % keep == 0, &kept, done);
	heap->n = kept;
}

static void doubled(struct work *work, struct heap *heap, size_t budget)
{
	size_t factor = work->slots < 4 ? 2 : work->slots / 2;

	fill(heap, work->min, budget, &work->done);
	for (size_t size = work->min * factor; size <= work->max && size <= budget;
	     size *= factor) {
		free_most(heap, work->slots, &work->done);
		fill(heap, size, budget, &work->done);
	}
}

static void fill_between(struct work *work, struct heap *heap, size_t min, size_t max,
			 size_t budget, uint64_t *seed)
{
	while (heap->live + max <= budget)
		add(heap, work_between(seed, min, max), &work->done);
}

static void free_half(struct work *work, struct heap *heap, uint64_t *seed)
{
	bool keep = false;
	size_t kept = 0;

	for (size_t i = 0; i < heap->n; i++) {
		if (i % work->slots == 0)
			keep = work_below(seed, 2);
		sift(heap, i, keep, &kept, &work->done);
	}
	heap->n = kept;
}

/* The first generation has the smallest blocks; `name` tells what the process holds after it. */
static void random_sizes(struct work *work, struct heap *heap, size_t budget)
{
	static const char *const names[] = { "held_per_live_1", "held_per_live_2" };
	struct work_memory before, now;
	uint64_t seed = work->seed | 1;
	size_t min = 16, max = work->min;

	work_memory_read(&before);
	for (unsigned i = 0;; i++) {
		fill_between(work, heap, min, max, budget, &seed);
		min = max;
		max *= 4;
		if (max > work->max)
			break;
		if (i < sizeof(names) / sizeof(names[0])) {
			work_memory_read(&now);
			work_extra(work, names[i],
				   ((double)now.rss_kib - (double)before.rss_kib) * 1024 /
					   (double)heap->live);
		}
		free_half(work, heap, &seed);
	}
}

int main(int argc, char **argv)
{
	struct heap heap = { 0 };
	struct work work;
	struct work_memory before;
	size_t budget, n;
	double held;
	bool random;

	work_init(&work, &info, argc, argv);
	work.done = 0;
	random = !strcmp(work.variant->name, "refill") || !strcmp(work.variant->name, "groups");
	if (work.slots < 2 && !random)
		work.slots = 2; /* one block in so many survives */
	budget = work.ops * work.min;
	n = random ? budget / 16 : work.ops;
	heap.blocks = work_table(n, sizeof(*heap.blocks));
	heap.sizes = work_table(n, sizeof(*heap.sizes));
	work_memory_read(&before);
	work_start(&work);
	if (random)
		random_sizes(&work, &heap, budget);
	else
		doubled(&work, &heap, budget);
	work_stop(&work);

	held = (double)work.live.rss_kib - (double)before.rss_kib;
	work_extra(&work, "live_kib", (double)heap.live / 1024);
	work_extra(&work, "held_kib", held);
	work_extra(&work, "held_per_live", held * 1024 / (double)heap.live);
	for (size_t i = 0; i < heap.n; i++)
		free(heap.blocks[i]);
	/* They would count as what the allocator does not give back. */
	(void)munmap(heap.blocks, n * sizeof(*heap.blocks));
	(void)munmap(heap.sizes, n * sizeof(*heap.sizes));
	return work_report(&work);
}
