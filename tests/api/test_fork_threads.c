/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork() while other threads allocate: the child gets a heap that works, whatever the others were
 * doing at that instant, and the blocks of all of them as they were.
 */
#include <pthread.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "tests/api/blocks.h"

#include <cmocka.h>

#define BUSY    4   /* threads that allocate during the forks */
#define STORM   200 /* forks */
#define AT_ONCE 4   /* children alive together */

extern char **environ;

static struct blocks set;

static struct {
	pthread_t thread[BUSY];
	atomic_bool stop;
	atomic_ulong turns[BUSY];
} busy;

static void *busy_run(void *argument)
{
	atomic_ulong *turns = argument;

	while (!atomic_load(&busy.stop))
		blocks_churn(atomic_fetch_add(turns, 1), 200);
	return NULL;
}

static void busy_start(void)
{
	atomic_store(&busy.stop, false);
	for (size_t i = 0; i < BUSY; i++)
		assert_int_equal(pthread_create(&busy.thread[i], NULL, busy_run, &busy.turns[i]),
				 0);
}

static void busy_stop(void)
{
	atomic_store(&busy.stop, true);
	for (size_t i = 0; i < BUSY; i++)
		assert_int_equal(pthread_join(busy.thread[i], NULL), 0);
}

static pid_t flushed_fork(void)
{
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	return pid;
}

static void *free_inherited(void *argument)
{
	struct blocks *blocks = argument;

	blocks_free(blocks);
	blocks_churn(1, 2000);
	return NULL;
}

static void *churn(void *argument)
{
	blocks_churn((uintptr_t)argument, 2000);
	return NULL;
}

/* Threads of its own, one of which frees what the parent's thread had allocated. */
__attribute__((noreturn)) static void child_with_threads(void)
{
	pthread_t thread[4];

	blocks_check(&set);
	CHECK(pthread_create(&thread[0], NULL, free_inherited, &set) == 0);
	for (uintptr_t i = 1; i < API_COUNT(thread); i++)
		CHECK(pthread_create(&thread[i], NULL, churn, (void *)i) == 0);
	for (size_t i = 0; i < API_COUNT(thread); i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	blocks_churn(2, 2000);
	exit(0);
}

static void child_has_threads_and_frees_inherited_blocks(void **state)
{
	(void)state;
	blocks_new(&set, 200, 1);
	busy_start();
	for (uint64_t i = 0; i < 10; i++) {
		pid_t pid = flushed_fork();

		if (pid == 0)
			child_with_threads();
		blocks_write(&set, i);
		assert_true(api_exited_cleanly(api_wait(pid)));
		blocks_check(&set);
	}
	busy_stop();
	blocks_free(&set);
}

__attribute__((noreturn)) static void storm_child(unsigned i)
{
	char *argv[] = { (char[]){ "true" }, NULL };

	blocks_check(&set);
	if (i % 8 == 0)
		(void)execv("/bin/true", argv);
	blocks_churn(i, 100);
	if (i % 4 == 1)
		blocks_free(&set);
	if (i % 2)
		exit(0);
	_exit(0);
}

static void storm_of_forks_with_allocating_threads(void **state)
{
	pid_t pid[AT_ONCE] = { 0 };

	(void)state;
	blocks_new(&set, 99, 2);
	busy_start();
	for (unsigned i = 0; i < STORM + AT_ONCE; i++) {
		pid_t *slot = &pid[i % AT_ONCE];

		if (*slot)
			assert_true(api_exited_cleanly(api_wait(*slot)));
		if (i >= STORM)
			continue;
		*slot = flushed_fork();
		if (*slot == 0)
			storm_child(i);
		blocks_write(&set, i);
	}
	busy_stop();
	blocks_free(&set);
	/* They did allocate meanwhile. */
	for (size_t i = 0; i < BUSY; i++)
		assert_true(atomic_load(&busy.turns[i]) > 0);
}

static void *fork_and_check(void *argument)
{
	uint64_t seed = (uintptr_t)argument;
	struct blocks own;

	blocks_new(&own, 100, seed);
	for (int i = 0; i < 10; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			blocks_check(&own);
			blocks_check(&set);
			blocks_write(&own, seed + 1);
			blocks_churn(seed, 500);
			blocks_check(&own);
			_exit(0);
		}
		blocks_churn(seed, 500);
		CHECK(api_exited_cleanly(api_wait(pid)));
	}
	blocks_free(&own);
	return NULL;
}

/* Forks from several threads at the same time, none of them the first. */
static void threads_fork_against_each_other(void **state)
{
	pthread_t thread[3];

	(void)state;
	(void)fflush(NULL);
	blocks_new(&set, 100, 3);
	busy_start();
	for (uintptr_t i = 0; i < API_COUNT(thread); i++)
		assert_int_equal(
			pthread_create(&thread[i], NULL, fork_and_check, (void *)(i * 100)), 0);
	for (size_t i = 0; i < API_COUNT(thread); i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	busy_stop();
	blocks_free(&set);
}

static void spawn_while_threads_allocate(void **state)
{
	char *argv[] = { (char[]){ "true" }, NULL };

	(void)state;
	busy_start();
	for (int i = 0; i < 30; i++) {
		pid_t pid;

		assert_int_equal(posix_spawnp(&pid, "true", NULL, NULL, argv, environ), 0);
		assert_true(api_exited_cleanly(api_wait(pid)));
	}
	busy_stop();
}

/*
 * Handlers that allocate run on both sides of the allocator's own, whichever registered first: the
 * constructor below runs before main(), the test's registration after much has been allocated.
 */
static atomic_uint handled;
static _Atomic(void *) kept_by_handler;

static void allocate_in_handler(void)
{
	void *p = malloc(5000);

	/* Threads that fork at the same time run this at the same time. */
	CHECK(p != NULL);
	blocks_churn(atomic_fetch_add(&handled, 1), 20);
	free(atomic_exchange(&kept_by_handler, p));
}

__attribute__((constructor(101))) static void register_early(void)
{
	CHECK(pthread_atfork(allocate_in_handler, allocate_in_handler, allocate_in_handler) == 0);
}

static void atfork_handlers_may_allocate(void **state)
{
	unsigned before = atomic_load(&handled);

	(void)state;
	assert_int_equal(
		pthread_atfork(allocate_in_handler, allocate_in_handler, allocate_in_handler), 0);
	busy_start();
	for (int i = 0; i < 10; i++) {
		pid_t pid = flushed_fork();

		if (pid == 0) {
			blocks_churn(7, 500);
			_exit(0);
		}
		assert_true(api_exited_cleanly(api_wait(pid)));
	}
	busy_stop();
	assert_int_equal(atomic_load(&handled) - before, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(child_has_threads_and_frees_inherited_blocks),
		cmocka_unit_test(storm_of_forks_with_allocating_threads),
		cmocka_unit_test(threads_fork_against_each_other),
		cmocka_unit_test(spawn_while_threads_allocate),
		cmocka_unit_test(atfork_handlers_may_allocate),
	};

	return cmocka_run_group_tests_name("fork_threads", tests, NULL, NULL);
}
