/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A seeded random program: threads that allocate, resize and free blocks of 0 B to 8 MiB through
 * every entry point, hand blocks to each other, end and are replaced. Every byte of every block is
 * checked before the block goes, every block's place against the model of what is alive.
 *
 *   test_random [--seed S] [--count operations-per-thread] [--threads 1..4] [--rounds R]
 *
 * A failure prints the seed. With one thread a seed gives the same calls again; with several the
 * order between the threads is the machine's.
 */
#include <getopt.h>
#include <malloc.h>
#include <pthread.h>
#include <time.h>

#include "tests/api/api.h"
#include "tests/api/model.h"

#define THREADS_MAX 4
#define SLOTS       600 /* blocks that one thread holds at most */
#define EXCHANGE    64  /* blocks lying between the threads */
#define LARGE_MAX   12  /* blocks above 256 KiB alive in one thread */

struct block {
	void *p;
	size_t size, align;
	uint64_t seed;
};

struct worker {
	uint64_t random, count;
	struct block slot[SLOTS];
	size_t large;
};

static struct {
	struct model model;
	pthread_mutex_t lock; /* of exchange[] */
	struct block exchange[EXCHANGE];
	struct worker worker[THREADS_MAX];
	uint64_t seed, count;
	unsigned threads, rounds;
} run = { .lock = PTHREAD_MUTEX_INITIALIZER, .count = 300000, .threads = 4, .rounds = 6 };

__attribute__((noreturn)) static void broken(const char *what, const struct block *block)
{
	(void)printf("not ok 1 - random program\n"
		     "# %s: block %p of %zu bytes aligned to %zu\n"
		     "# again: --seed %llu --count %llu --threads %u --rounds %u\n",
		     what, block->p, block->size, block->align, (unsigned long long)run.seed,
		     (unsigned long long)run.count, run.threads, run.rounds);
	(void)fflush(stdout);
	_exit(1);
}

/* Of 1,000 requests about 900 are below 1 KiB, 96 below 64 KiB, 4 up to 8 MiB. */
static size_t random_size(struct worker *worker)
{
	uint64_t r = api_random(&worker->random);
	unsigned kind = (unsigned)(r % 1000);
	unsigned bits = kind < 900 ? (unsigned)(r >> 16) % 11 : kind < 980 ? 14 : 16;

	if (kind >= 996 && worker->large < LARGE_MAX)
		bits = 17 + (unsigned)(r >> 16) % 7;
	return (r >> 32) & (((size_t)1 << bits) - 1);
}

/* The bytes that must be this block's alone; an empty block still has its own address. */
static size_t extent(const void *p)
{
	size_t usable = malloc_usable_size((void *)(uintptr_t)p);

	return usable ? usable : 1;
}

static void block_enter(struct worker *worker, struct block *block)
{
	const void *other = NULL;

	if (!block->p)
		broken("out of memory", block);
	if ((uintptr_t)block->p & (block->align - 1))
		broken("wrongly aligned", block);
	if (malloc_usable_size(block->p) < block->size)
		broken("usable size too small", block);
	if (model_add(&run.model, block->p, extent(block->p), &other) < 0) {
		(void)printf("# it lies over the block at %p\n", other);
		broken("overlap", block);
	}
	block->seed = api_random(&worker->random);
	api_fill(block->p, block->size, block->seed);
	worker->large += block->size > 256 * KIB;
}

static void block_leave(struct worker *worker, const struct block *block)
{
	if (!api_filled(block->p, block->size, block->seed))
		broken("contents changed", block);
	if (model_remove(&run.model, block->p) < 0)
		broken("not in the model", block);
	worker->large -= block->size > 256 * KIB && worker->large > 0;
}

static void op_allocate(struct worker *worker, struct block *block)
{
	size_t size = random_size(worker);
	uint64_t r = api_random(&worker->random);
	size_t align = (size_t)16 << (r >> 8) % ((r & 0xf00000) ? 6 : 15);

	*block = (struct block){ .size = size, .align = 16 };
	switch (r % 10) {
	case 0:
		block->p = calloc(size / 8 + 1, 8);
		if (block->p && !api_all(block->p, size, 0))
			broken("calloc is not zero", block);
		break;
	case 1:
		block->p = realloc(NULL, size);
		break;
	case 2:
		block->align = align;
		block->p = memalign(align, size);
		break;
	case 3:
		block->align = align;
		block->p = aligned_alloc(align, size);
		break;
	case 4:
		block->align = align;
		if (posix_memalign(&block->p, align, size) != 0)
			block->p = NULL;
		break;
	case 5:
		block->p = reallocarray(NULL, 1, size);
		break;
	case 6:
		if (size < 64 * KIB) {
			block->align = 4096;
			block->p = r & 0x100 ? valloc(size) : pvalloc(size);
			break;
		}
		__attribute__((fallthrough));
	default:
		block->p = malloc(size);
	}
	block_enter(worker, block);
}

static void op_free(struct worker *worker, struct block *block)
{
	block_leave(worker, block);
	if (api_random(&worker->random) % 16 == 0 && block->size)
		CHECK(realloc(block->p, api_hide_size(0)) == NULL);
	else
		free(block->p);
	*block = (struct block){ .p = NULL };
}

static void op_resize(struct worker *worker, struct block *block)
{
	struct block old = *block;
	size_t size = random_size(worker) + 1;
	size_t kept;

	/* Half of them small steps, as growing strings and arrays make them. */
	if (api_random(&worker->random) % 2)
		size = old.size + old.size / 8 + 1;
	if (size > 8 * MIB)
		size = 8 * MIB;
	kept = old.size < size ? old.size : size;
	block_leave(worker, &old);
	*block = (struct block){ .size = size, .align = 16 };
	block->p = api_random(&worker->random) % 2 ? realloc(old.p, size)
						   : reallocarray(old.p, size, 1);
	if (block->p && !api_filled(block->p, kept, old.seed))
		broken("realloc lost contents", block);
	block_enter(worker, block);
}

static void op_exchange(struct worker *worker, struct block *block)
{
	uint64_t i = api_random(&worker->random) % EXCHANGE;
	struct block other;

	CHECK(pthread_mutex_lock(&run.lock) == 0);
	other = run.exchange[i];
	run.exchange[i] = *block;
	CHECK(pthread_mutex_unlock(&run.lock) == 0);
	*block = other;
}

static void *worker_run(void *argument)
{
	struct worker *worker = argument;

	for (uint64_t n = 0; n < worker->count; n++) {
		uint64_t r = api_random(&worker->random);
		struct block *block = &worker->slot[r % SLOTS];

		if (r >> 32 & 3 && !(r >> 40 & 7))
			op_exchange(worker, block);
		else if (!block->p)
			op_allocate(worker, block);
		else if (r >> 32 & 3)
			op_free(worker, block);
		else
			op_resize(worker, block);
	}
	return NULL;
}

/* Each round is a new set of threads, which find the blocks of the old ones in their slots. */
static void run_rounds(void)
{
	pthread_t thread[THREADS_MAX];

	for (unsigned round = 0; round < run.rounds; round++) {
		for (unsigned t = 0; t < run.threads; t++) {
			run.worker[t].count = run.count / run.rounds;
			CHECK(pthread_create(&thread[t], NULL, worker_run,
					     &run.worker[(t + round) % run.threads]) == 0);
		}
		for (unsigned t = 0; t < run.threads; t++)
			CHECK(pthread_join(thread[t], NULL) == 0);
	}
	for (unsigned i = 0; i < EXCHANGE; i++)
		if (run.exchange[i].p)
			op_free(&run.worker[0], &run.exchange[i]);
	for (unsigned t = 0; t < run.threads; t++)
		for (unsigned i = 0; i < SLOTS; i++)
			if (run.worker[t].slot[i].p)
				op_free(&run.worker[0], &run.worker[t].slot[i]);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "count", required_argument, NULL, 'c' },
		{ "threads", required_argument, NULL, 't' },
		{ "rounds", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	struct timespec now;
	int c;

	CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
	run.seed = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		CHECK(c != '?');
		if (c == 's')
			run.seed = strtoull(optarg, NULL, 0);
		else if (c == 'c')
			run.count = strtoull(optarg, NULL, 0);
		else if (c == 't')
			run.threads = (unsigned)strtoul(optarg, NULL, 0);
		else
			run.rounds = (unsigned)strtoul(optarg, NULL, 0);
	}
	CHECK(run.threads >= 1 && run.threads <= THREADS_MAX && run.rounds >= 1);
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	(void)printf("1..1\n# seed %llu\n", (unsigned long long)run.seed);
	(void)fflush(stdout);
	model_init(&run.model, THREADS_MAX * SLOTS + EXCHANGE + 2);
	for (unsigned t = 0; t < run.threads; t++)
		run.worker[t].random = run.seed * THREADS_MAX + t;
	run_rounds();
	CHECK(run.model.root == 0);
	model_deinit(&run.model);
	(void)printf("ok 1 - random program: %llu operations in each of %u threads\n",
		     (unsigned long long)run.count, run.threads);
	return 0;
}
