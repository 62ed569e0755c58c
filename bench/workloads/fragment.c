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

static const struct work_variant variants[] = {
	{ "default", "48 MiB, 64 bytes doubled up to 64 KiB", 786432, 64, 65536, 2, 1 },
	{ "small", "48 MiB, 16 bytes doubled up to 1 KiB", 3145728, 16, 1024, 2, 1 },
	{ "medium", "48 MiB, 4 KiB doubled up to 1 MiB", 12288, 4096, 1048576, 2, 1 },
	{ "sparse", "48 MiB, 64 bytes; one in 16 survives, then 512 bytes", 786432, 64, 512, 16,
	  1 },
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

static void fill(struct heap *heap, size_t size, size_t budget, uint64_t *done)
{
	while (heap->live + size <= budget) {
		void *p = malloc(size);

		if (!p)
			work_die("out of memory");
		memset(p, 1, size);
		heap->blocks[heap->n] = p;
		heap->sizes[heap->n++] = size;
		heap->live += size;
		++*done;
	}
}

static void free_most(struct heap *heap, size_t keep, uint64_t *done)
{
	size_t kept = 0;

	for (size_t i = 0; i < heap->n; i++) {
		if (i % keep) {
			heap->live -= heap->sizes[i];
			free(heap->blocks[i]);
			++*done;
			continue;
		}
		heap->blocks[kept] = heap->blocks[i];
		heap->sizes[kept++] = heap->sizes[i];
	}
	heap->n = kept;
}

int main(int argc, char **argv)
{
	struct heap heap = { 0 };
	struct work work;
	struct work_memory before;
	size_t budget, factor;
	double held;

	work_init(&work, &info, argc, argv);
	work.done = 0;
	if (work.slots < 2)
		work.slots = 2; /* one block in so many survives */
	factor = work.slots < 4 ? 2 : work.slots / 2;
	budget = work.ops * work.min;
	heap.blocks = work_table(work.ops, sizeof(*heap.blocks));
	heap.sizes = work_table(work.ops, sizeof(*heap.sizes));
	work_memory_read(&before);
	work_start(&work);
	fill(&heap, work.min, budget, &work.done);
	for (size_t size = work.min * factor; size <= work.max && size <= budget; size *= factor) {
		free_most(&heap, work.slots, &work.done);
		fill(&heap, size, budget, &work.done);
	}
	work_stop(&work);

	held = (double)work.live.rss_kib - (double)before.rss_kib;
	work_extra(&work, "live_kib", (double)heap.live / 1024);
	work_extra(&work, "held_kib", held);
	work_extra(&work, "held_per_live", held * 1024 / (double)heap.live);
	for (size_t i = 0; i < heap.n; i++)
		free(heap.blocks[i]);
	return work_report(&work);
}
