/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heaps that are filled with one mix of sizes, mostly freed, and filled with another: slabs become
 * mixed and go. Each block carries a pattern that is verified over its whole length when it is
 * freed: no two blocks overlap. First one thread and every invariant; then threads that free each
 * other's blocks while slabs change their kind under them; that one is for ThreadSanitizer.
 */
#include "tiny/mixed.h"

#include <pthread.h>
#include <string.h>

#include "tests/arena.h"
#include "tests/must.h"
#include "tests/random/random.h"
#include "tiny/depot.h"
#include "tiny/thread.h"

#define THREADS 4u
#define SLOTS   65536u
#define N_SLABS 2048u

/* The cold ways without libclient. */
void *hak_alloc_cold(size_t size)
{
	return hak_thread_alloc(hak_class_of(size ? size : 1));
}

static uint32_t class_of(const void *p)
{
	uint32_t class = hak_page_class(p);

	must(class || hak_mixed_has(p));
	return class ? class : hak_mixed_class(p);
}

void hak_free_cold(void *p)
{
	hak_thread_free(class_of(p), p);
}

/* Shared by all; a slot's lock is its stripe's. */
static struct slot {
	uint8_t *p;
	uint32_t size;
} slots[SLOTS];
static pthread_mutex_t stripes[64];

static uint8_t salt(const uint8_t *p, uint32_t size)
{
	return (uint8_t)(((uintptr_t)p >> 4) + size);
}

static void give(struct slot slot)
{
	if (!slot.p)
		return;
	for (uint32_t i = 0; i < slot.size; i++)
		must(slot.p[i] == salt(slot.p, slot.size));
	must(hak_class[class_of(slot.p)].size >= slot.size);
	memset(slot.p, 0xdd, slot.size); /* a second owner would see it */
	hak_tiny_free(slot.p);
}

static struct slot get(uint32_t size)
{
	struct slot slot = { hak_tiny_alloc(size), size };

	if (slot.p)
		memset(slot.p, salt(slot.p, size), size);
	return slot;
}

static void exchange(uint32_t at, struct slot slot)
{
	pthread_mutex_t *lock = &stripes[at % hak_array_size(stripes)];
	struct slot before;

	pthread_mutex_lock(lock);
	before = slots[at];
	slots[at] = slot;
	pthread_mutex_unlock(lock);
	give(before);
}

/* Sizes of a phase: from `min` up to four times as much. */
struct phase {
	uint32_t min, fill, empty; /* of 16 */
};

static struct phase phase_of(struct random_run *run)
{
	return (struct phase){ .min = 8u << random_below(run, 9),
			       .fill = random_below(run, 17),
			       .empty = 8 + random_below(run, 9) };
}

/* Fills a part of the slots, then empties one, in runs now and then. */
static void play(struct random_run *run, uint32_t steps)
{
	struct phase phase = phase_of(run);
	uint32_t at = random_below(run, SLOTS);

	for (uint32_t i = 0; i < steps; i++) {
		at = random_below(run, 8) ? (at + 1) % SLOTS : random_below(run, SLOTS);
		if (random_below(run, 16) < phase.fill)
			exchange(at, get(phase.min + random_below(run, 3 * phase.min)));
	}
	for (uint32_t i = 0; i < steps; i++) {
		at = random_below(run, 8) ? (at + 1) % SLOTS : random_below(run, SLOTS);
		if (random_below(run, 16) < phase.empty)
			exchange(at, (struct slot){ 0 });
	}
}

/* Whatever the seed does: when it begins there are mixed slabs. */
static void begin(struct random_run *run)
{
	for (uint32_t i = 0; i < SLOTS; i++)
		exchange(i, get(100 + random_below(run, 156)));
	for (uint32_t i = 0; i < SLOTS; i++) {
		if (i % 8)
			exchange(i, (struct slot){ 0 });
	}
	hak_thread_flush();
	hak_depot_trim();
	for (uint32_t i = 0; i < SLOTS; i += 4)
		exchange(i + 1, get(400 + random_below(run, 400)));
	random_check(run, hak_mixed_slabs() > 0);
}

static void empty_all(void)
{
	for (uint32_t i = 0; i < SLOTS; i++)
		exchange(i, (struct slot){ 0 });
	hak_thread_flush();
	hak_depot_trim();
}

static void verify(struct random_run *run)
{
	const char *wrong = arena_check();

	if (wrong)
		printf("# wrong: %s\n", wrong);
	random_check(run, !wrong);
}

static void all_gone(struct random_run *run)
{
	verify(run);
	random_check(run, arena_blocks() == 0);
	random_check(run, hak_mixed_slabs() == 0);
	hak_central_trim();
	random_check(run, arena.taken == 0);
}

static void alone(struct random_run *run)
{
	uint32_t phases = (uint32_t)(run->steps / 20000);

	begin(run);
	for (uint32_t i = 0; i < phases; i++) {
		play(run, 20000);
		if (i % 4 == 3)
			hak_thread_flush();
		if (i % 8 == 7) {
			hak_depot_trim();
			hak_central_trim();
		}
		verify(run);
	}
	empty_all();
	all_gone(run);
}

static struct worker {
	pthread_t thread;
	struct random_run run;
} workers[THREADS];

static void *work(void *arg)
{
	struct worker *w = arg;

	for (uint64_t i = 0; i < w->run.steps / 20000; i++)
		play(&w->run, 20000);
	return NULL;
}

static void together(struct random_run *run)
{
	begin(run);
	for (uint32_t i = 0; i < THREADS; i++) {
		workers[i].run.state = random_next(run);
		workers[i].run.steps = run->steps / THREADS;
		random_check(run, !pthread_create(&workers[i].thread, NULL, work, &workers[i]));
	}
	for (uint32_t i = 0; i < THREADS; i++)
		random_check(run, !pthread_join(workers[i].thread, NULL));
	empty_all();
	all_gone(run);
}

int main(int argc, char **argv)
{
	struct random_run run = random_start(argc, argv, 800000, 3);
	static const uint32_t slabs[] = { N_SLABS, 160 };

	for (size_t i = 0; i < hak_array_size(stripes); i++)
		pthread_mutex_init(&stripes[i], NULL);
	random_check(&run, !hak_thread_init(true));
	for (size_t i = 0; i < hak_array_size(slabs); i++) {
		arena_init(slabs[i]);
		alone(&run);
		arena_deinit();
		random_ok(&run, i ? "one thread, memory short" : "one thread");
	}
	arena_init(N_SLABS);
	together(&run);
	arena_deinit();
	random_ok(&run, "threads that free each other's blocks");
	return 0;
}
