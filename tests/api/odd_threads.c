/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads in unusual numbers, with the smallest stacks, and with unusual ends.
 *
 *   odd_threads many|small|cancel|end
 */
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "tests/api/blocks.h"

#define MANY 500

static pthread_barrier_t all_alive;
static void *passed[MANY];

static void start(pthread_t *thread, size_t stack, void *(*run)(void *), void *argument)
{
	pthread_attr_t attr;

	CHECK(pthread_attr_init(&attr) == 0);
	CHECK(pthread_attr_setstacksize(&attr, stack) == 0);
	CHECK(pthread_create(thread, &attr, run, argument) == 0);
	CHECK(pthread_attr_destroy(&attr) == 0);
}

/* Each allocates while all live, hands one block on, and frees what its neighbour handed on. */
static void *one_of_many(void *argument)
{
	size_t i = (uintptr_t)argument;

	blocks_churn(i, 100);
	passed[i] = malloc(1 + i * 50);
	CHECK(passed[i] != NULL);
	memset(passed[i], (int)(i % 250), 1 + i * 50);
	(void)pthread_barrier_wait(&all_alive);
	i = (i + 1) % MANY;
	CHECK(api_all(passed[i], 1 + i * 50, (unsigned char)(i % 250)));
	free(passed[i]);
	blocks_churn(i, 100);
	return NULL;
}

static void many(void)
{
	static pthread_t thread[MANY];

	CHECK(pthread_barrier_init(&all_alive, NULL, MANY) == 0);
	for (int round = 0; round < 2; round++) {
		for (uintptr_t i = 0; i < MANY; i++)
			start(&thread[i], 128 * KIB, one_of_many, (void *)i);
		for (size_t i = 0; i < MANY; i++)
			CHECK(pthread_join(thread[i], NULL) == 0);
	}
}

/* No helper function here has a buffer: the stack is for the allocator. */
static void *on_a_small_stack(void *argument)
{
	uint64_t random = (uintptr_t)argument;
	void *list = NULL, *next;

	for (int i = 0; i < 2000; i++) {
		size_t size = 16 + api_random(&random) % (i % 100 ? 3000 : 3000000);

		next = i % 3 ? malloc(size) : memalign(256, size);
		CHECK(next != NULL);
		*(void **)next = list;
		list = next;
		next = realloc(list, size * 2);
		CHECK(next != NULL);
		list = next;
		if (i % 4 == 0) {
			next = *(void **)list;
			free(list);
			list = next;
		}
	}
	for (; list; list = next) {
		next = *(void **)list;
		free(list);
	}
	return NULL;
}

static void small(void)
{
	/* What POSIX promises to be enough for a thread that does nothing, or the old constant. */
	long minimum = sysconf(_SC_THREAD_STACK_MIN);
	size_t stack = minimum > 16384 ? (size_t)minimum : 16384;
	pthread_t thread[8];

	for (uintptr_t i = 0; i < API_COUNT(thread); i++)
		start(&thread[i], stack, on_a_small_stack, (void *)i);
	for (size_t i = 0; i < API_COUNT(thread); i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
}

static atomic_uint survived, released;
static pthread_barrier_t cancelled;

static void release(void *p)
{
	free(p);
	blocks_churn(1, 100);
	atomic_fetch_add(&released, 1);
}

/* malloc() is no cancellation point: a pending request acts in pthread_testcancel(), not before. */
static void *cancelled_thread(void *argument)
{
	void *p = malloc(5000);

	pthread_cleanup_push(release, p);
	(void)pthread_barrier_wait(&cancelled);
	(void)pthread_barrier_wait(&cancelled); /* the request is pending from here on */
	blocks_churn((uintptr_t)argument, 3000);
	free(malloc(64 * MIB));
	atomic_fetch_add(&survived, 1);
	pthread_testcancel();
	CHECK(!"cancelled");
	pthread_cleanup_pop(0);
	return NULL;
}

static void cancel(void)
{
	pthread_t thread;
	void *result;

	CHECK(pthread_barrier_init(&cancelled, NULL, 2) == 0);
	for (uintptr_t i = 1; i <= 30; i++) {
		start(&thread, 256 * KIB, cancelled_thread, (void *)i);
		(void)pthread_barrier_wait(&cancelled);
		CHECK(pthread_cancel(thread) == 0);
		(void)pthread_barrier_wait(&cancelled);
		CHECK(pthread_join(thread, &result) == 0);
		CHECK(result == PTHREAD_CANCELED);
		CHECK(atomic_load(&survived) == i);
		CHECK(atomic_load(&released) == i);
	}
}

static void *ending_thread(void *argument)
{
	blocks_churn((uintptr_t)argument, 300);
	pthread_exit(strdup("given to pthread_exit"));
}

static void *detached_thread(void *argument)
{
	sem_t *done = argument;

	blocks_churn(1, 100);
	CHECK(sem_post(done) == 0);
	return NULL;
}

static void *last_thread(void *argument)
{
	CHECK(pthread_join(*(pthread_t *)argument, NULL) == 0);
	blocks_churn(1, 5000);
	exit(0);
}

/* pthread_exit in threads, detached ones, and in the main thread while another one goes on. */
static void end(void)
{
	static pthread_t main_thread;
	pthread_t thread;
	void *text;
	sem_t done;

	CHECK(sem_init(&done, 0, 0) == 0);
	for (uintptr_t i = 0; i < 200; i++) {
		start(&thread, 128 * KIB, ending_thread, (void *)i);
		CHECK(pthread_join(thread, &text) == 0);
		CHECK(strcmp(text, "given to pthread_exit") == 0);
		free(text);
		start(&thread, 128 * KIB, detached_thread, &done);
		CHECK(pthread_detach(thread) == 0);
		CHECK(sem_wait(&done) == 0);
	}
	main_thread = pthread_self();
	start(&thread, 128 * KIB, last_thread, &main_thread);
	pthread_exit(NULL);
}

int main(int argc, char **argv)
{
	CHECK(argc == 2);
	if (strcmp(argv[1], "many") == 0)
		many();
	else if (strcmp(argv[1], "small") == 0)
		small();
	else if (strcmp(argv[1], "cancel") == 0)
		cancel();
	else if (strcmp(argv[1], "end") == 0)
		end();
	else
		CHECK(!"a known argument");
	return 0;
}
