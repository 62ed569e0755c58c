/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that hand blocks to each other: a chain (each frees what the one before allocated) and
 * all to all. Every block carries a pattern that its receiver verifies over its whole length.
 *
 * The order of the threads is not repeatable, their decisions are. Runs under ThreadSanitizer: what
 * one thread wrote into a block happens before what the next owner writes.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "tests/arena.h"
#include "tests/must.h"
#include "tests/random/random.h"
#include "tiny/depot.h"
#include "tiny/mixed.h"
#include "tiny/thread.h"

#define THREADS 4u
#define BOX     256u /* blocks under way from one thread to another */

/* The cold ways without libclient. */
void *hak_alloc_cold(size_t size)
{
	return hak_thread_alloc(hak_class_of(size ? size : 1));
}

/* A heap that is short of memory has mixed slabs, too. */
static uint32_t class_of(const void *p)
{
	return hak_mixed_has(p) ? hak_mixed_class(p) : hak_page_class(p);
}

void hak_free_cold(void *p)
{
	hak_thread_free(class_of(p), p);
}

struct box {
	pthread_mutex_t lock;
	uint32_t n;
	void *blocks[BOX];
};

struct worker {
	pthread_t thread;
	struct random_run run;
	uint32_t number;
	bool chain;
	uint64_t sent, received;
};

static struct box boxes[THREADS][THREADS]; /* [from][to] */
static struct worker workers[THREADS];

/* The first 8 bytes say what the others are. */
static void fill(void *block, uint32_t size, uint32_t salt)
{
	uint32_t head[2] = { size, salt };

	memset(block, (int)(salt & 0xff), size);
	if (size >= sizeof(head))
		memcpy(block, head, sizeof(head));
}

static void verify_and_free(void *block)
{
	const unsigned char *p = block;
	uint32_t head[2];

	memcpy(head, block, sizeof(head));
	must(head[0] >= sizeof(head) && head[0] <= hak_class[class_of(block)].size);
	for (uint32_t i = sizeof(head); i < head[0]; i++)
		must(p[i] == (head[1] & 0xff));
	/* So that a second owner would be seen. */
	memset(block, 0xdd, head[0]);
	hak_tiny_free(block);
}

static bool box_put(struct box *box, void *block)
{
	bool room;

	pthread_mutex_lock(&box->lock);
	room = box->n < BOX;
	if (room)
		box->blocks[box->n++] = block;
	pthread_mutex_unlock(&box->lock);
	return room;
}

static uint32_t box_empty(struct box *box, void **ret_blocks)
{
	uint32_t n;

	pthread_mutex_lock(&box->lock);
	n = box->n;
	memcpy(ret_blocks, box->blocks, n * sizeof(*ret_blocks));
	box->n = 0;
	pthread_mutex_unlock(&box->lock);
	return n;
}

static void receive(struct worker *w)
{
	void *blocks[BOX];

	for (uint32_t from = 0; from < THREADS; from++) {
		uint32_t n = box_empty(&boxes[from][w->number], blocks);

		for (uint32_t i = 0; i < n; i++)
			verify_and_free(blocks[i]);
		w->received += n;
	}
}

static void step(struct worker *w)
{
	uint32_t size = 8 + random_skewed(&w->run, HAK_CLASS_MAX_SIZE - 8);
	uint32_t to = w->chain ? (w->number + 1) % THREADS : random_below(&w->run, THREADS);
	void *block = hak_tiny_alloc(size);

	if (!block) { /* the arena is small: make room */
		receive(w);
		hak_thread_flush();
		hak_depot_trim();
		return;
	}
	fill(block, size, (uint32_t)random_next(&w->run));
	if (box_put(&boxes[w->number][to], block)) {
		w->sent++;
	} else {
		verify_and_free(block);
		(void)sched_yield(); /* to who should empty it */
	}
	if (!random_below(&w->run, 64))
		receive(w);
	if (!random_below(&w->run, 5000))
		hak_depot_trim();
	if (!random_below(&w->run, 5000))
		hak_central_trim();
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (uint64_t i = 0; i < w->run.steps; i++)
		step(w);
	return NULL;
}

static void *drain(void *arg)
{
	receive(arg);
	return NULL;
}

static void in_all_threads(struct random_run *run, void *(*fn)(void *))
{
	for (uint32_t i = 0; i < THREADS; i++)
		random_check(run, !pthread_create(&workers[i].thread, NULL, fn, &workers[i]));
	for (uint32_t i = 0; i < THREADS; i++)
		random_check(run, !pthread_join(workers[i].thread, NULL));
}

static void exchange(struct random_run *run, bool chain)
{
	uint64_t sent = 0, received = 0;
	const char *wrong;

	for (uint32_t i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .number = i, .chain = chain };
		workers[i].run.state = random_next(run);
		workers[i].run.steps = run->steps / (2 * THREADS);
	}
	in_all_threads(run, work);
	/* Magazines went back with their threads, and the depots' do now: what is out lies in the
	 * boxes. */
	hak_depot_trim();
	for (uint32_t i = 0; i < THREADS; i++) {
		sent += workers[i].sent;
		received += workers[i].received;
	}
	random_check(run, arena_blocks() == sent - received);
	in_all_threads(run, drain);
	hak_depot_trim();
	wrong = arena_check();
	if (wrong)
		printf("# wrong: %s\n", wrong);
	random_check(run, !wrong);
	random_check(run, arena_blocks() == 0);
	hak_central_trim();
	random_check(run, arena.taken == 0);
	random_check(run, sent >= run->steps / 1000); /* or nothing was tried */
}

int main(int argc, char **argv)
{
	struct random_run run = random_start(argc, argv, 400000, 4);
	static const uint32_t slabs[] = { 4096, 400 };

	for (uint32_t from = 0; from < THREADS; from++) {
		for (uint32_t to = 0; to < THREADS; to++)
			pthread_mutex_init(&boxes[from][to].lock, NULL);
	}
	random_check(&run, !hak_thread_init(true));
	for (uint32_t i = 0; i < 2; i++) {
		arena_init(slabs[i]);
		exchange(&run, true);
		random_ok(&run, i ? "a chain of threads, memory short" : "a chain of threads");
		exchange(&run, false);
		random_ok(&run, i ? "all to all, memory short" : "all to all");
		arena_deinit();
	}
	return 0;
}
