/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation at every station of a process's and a thread's life: preinit_array, constructors,
 * main, atexit handlers, destructors, and the destructors of thread-specific data, which run when a
 * thread's own state in the allocator may be gone already. Blocks of each station are checked and
 * freed in another one.
 */
#include <pthread.h>

#include "tests/api/blocks.h"

#define THREADS 20

static struct blocks from_preinit, from_constructor, from_main, from_atexit;
static pthread_key_t key;
static int key_destructions;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void in_preinit(void)
{
	blocks_new(&from_preinit, 100, 1);
}

__attribute__((section(".preinit_array"), used)) static void (*const preinit)(void) = in_preinit;

__attribute__((constructor(101))) static void in_first_constructor(void)
{
	blocks_check(&from_preinit);
	blocks_new(&from_constructor, 100, 2);
}

__attribute__((constructor)) static void in_constructor(void)
{
	blocks_churn(3, 1000);
	blocks_check(&from_constructor);
}

/* Allocates, and sets the value again: pthreads then calls it once more, up to four times. */
static void destroy_value(void *value)
{
	uintptr_t *left = value;

	blocks_churn(*left, 200);
	CHECK(pthread_mutex_lock(&lock) == 0);
	key_destructions++;
	CHECK(pthread_mutex_unlock(&lock) == 0);
	if (*left > 0) {
		uintptr_t *next = malloc(sizeof(*next));

		CHECK(next != NULL);
		*next = *left - 1;
		CHECK(pthread_setspecific(key, next) == 0);
	}
	free(left);
}

static void *thread_run(void *argument)
{
	uintptr_t *value = malloc(sizeof(*value));

	CHECK(value != NULL);
	*value = 2;
	CHECK(pthread_setspecific(key, value) == 0);
	blocks_churn((uintptr_t)argument, 500);
	/* Left to the main thread, which frees it when this thread is gone. */
	return strdup("returned by a thread");
}

static void run_threads(void)
{
	pthread_t thread[THREADS];
	void *text;

	CHECK(pthread_key_create(&key, destroy_value) == 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, thread_run, (void *)i) == 0);
	for (size_t i = 0; i < THREADS; i++) {
		CHECK(pthread_join(thread[i], &text) == 0);
		CHECK(strcmp(text, "returned by a thread") == 0);
		free(text);
	}
	CHECK(key_destructions == 3 * THREADS);
}

static void in_atexit(void)
{
	blocks_free(&from_main);
	blocks_new(&from_atexit, 100, 5);
	blocks_churn(4, 1000);
}

__attribute__((destructor)) static void in_destructor(void)
{
	blocks_check(&from_atexit);
	blocks_free(&from_constructor);
	blocks_churn(5, 1000);
}

/* The program's last words; destructors of libraries come after it. */
__attribute__((destructor(101))) static void in_last_destructor(void)
{
	blocks_free(&from_preinit);
	blocks_free(&from_atexit);
	blocks_churn(6, 1000);
	CHECK(write(1, "last\n", 5) == 5);
}

int main(void)
{
	blocks_new(&from_main, BLOCKS_MAX, 4);
	CHECK(atexit(in_atexit) == 0);
	run_threads();
	blocks_check(&from_main);
	return 0;
}
