/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Producer and consumer: one thread allocates, another one frees, and a queue between them. Every
 * block is freed by a thread that did not allocate it. Threads come in pairs.
 */
#include "bench/workloads/work.h"

#include <stdatomic.h>

static const struct work_variant variants[] = {
	{ "64", "64 bytes, a queue of 4,096", 5000000, 64, 64, 4096, 2 },
	{ "mixed", "16 to 1024 bytes, a queue of 4,096", 5000000, 16, 1024, 4096, 2 },
	{ "deep", "64 bytes, a queue of 65,536", 5000000, 64, 64, 65536, 2 },
	{ 0 },
};

static const struct work_info info = {
	.name = "xmalloc",
	.group = "small",
	.about = "producer and consumer: one thread allocates, another one frees",
	.op = "one malloc and, by another thread, its free",
	.variants = variants,
};

/* Free-running: tail - head blocks are in it. Each side writes its own line. */
struct queue {
	_Alignas(128) _Atomic uint64_t tail; /* written by the producer, with release */
	_Alignas(128) _Atomic uint64_t head; /* written by the consumer, with release */
	_Alignas(128) void **blocks;
};

static struct queue *queues;

static void produce(struct work_thread *t, struct queue *q, uint64_t n)
{
	const struct work *work = t->work;
	uint64_t seed = t->seed, head = 0;
	unsigned tries = 0;

	for (uint64_t i = 0; i < n; i++) {
		void *p = work_malloc(work_between(&seed, work->min, work->max));

		while (i - head == work->slots) {
			head = atomic_load_explicit(&q->head, memory_order_acquire);
			if (i - head == work->slots)
				work_wait(&tries);
		}
		q->blocks[i % work->slots] = p;
		atomic_store_explicit(&q->tail, i + 1, memory_order_release);
	}
}

static void consume(struct work_thread *t, struct queue *q, uint64_t n)
{
	const struct work *work = t->work;
	uint64_t tail = 0;
	unsigned tries = 0;

	for (uint64_t i = 0; i < n; i++) {
		void *p;

		while (i == tail) {
			tail = atomic_load_explicit(&q->tail, memory_order_acquire);
			if (i == tail)
				work_wait(&tries);
		}
		p = q->blocks[i % work->slots];
		atomic_store_explicit(&q->head, i + 1, memory_order_release);
		free(p);
	}
}

static void load(struct work_thread *t)
{
	struct queue *q = &queues[t->index / 2];
	uint64_t n = t->work->done / (t->work->threads / 2);

	if (t->index % 2)
		consume(t, q, n);
	else
		produce(t, q, n);
}

int main(int argc, char **argv)
{
	struct work work;
	unsigned pairs;

	work_init(&work, &info, argc, argv);
	work.threads = (work.threads + 1) & ~1u;
	pairs = work.threads / 2;
	work.done = (work.ops + pairs - 1) / pairs * pairs;
	queues = work_table(pairs, sizeof(*queues));
	for (unsigned i = 0; i < pairs; i++)
		queues[i].blocks = work_table(work.slots, sizeof(void *));
	work_start(&work);
	work_threads(&work, load);
	work_stop(&work);
	return work_report(&work);
}
