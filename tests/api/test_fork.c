/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork() in programs with one thread: copy-on-write in both directions, generations, parents that
 * die first. Heap memory that were shared after a fork would show at once: each side rewrites every
 * byte that the other side still has to find unchanged.
 */
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>

#include "tests/api/blocks.h"

#include <cmocka.h>

extern char **environ;

static struct blocks set;

/* CMocka's output must not be flushed a second time by a child that calls exit(). */
static pid_t flushed_fork(void)
{
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	return pid;
}

static void in_child_rewrite_and_check(int from_parent, int to_parent)
{
	blocks_check(&set);
	api_tell(to_parent);
	api_await(from_parent); /* the parent has rewritten its copy */
	blocks_check(&set);
	blocks_write(&set, 3);
	api_tell(to_parent);
	api_await(from_parent); /* the parent has checked and freed its copy, and allocated anew */
	blocks_check(&set);
	blocks_churn(1, 2000);
	blocks_free(&set);
	blocks_churn(2, 2000);
	_exit(0);
}

static void writes_are_isolated_in_both_directions(void **state)
{
	int down[2], up[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(down), 0);
	assert_int_equal(pipe(up), 0);
	blocks_new(&set, BLOCKS_MAX, 1);
	pid = flushed_fork();
	if (pid == 0)
		in_child_rewrite_and_check(down[0], up[1]);
	api_await(up[0]);
	blocks_check(&set);
	blocks_write(&set, 2);
	api_tell(down[1]);
	api_await(up[0]); /* the child has rewritten its copy */
	blocks_check(&set);
	blocks_free(&set);
	blocks_new(&set, BLOCKS_MAX, 4);
	api_tell(down[1]);
	assert_true(api_exited_cleanly(api_wait(pid)));
	blocks_free(&set);
	for (int i = 0; i < 2; i++) {
		(void)close(down[i]);
		(void)close(up[i]);
	}
}

/* Freed in the child, alive in the parent, and the other way round. */
static void frees_are_isolated_in_both_directions(void **state)
{
	(void)state;
	for (uint64_t round = 0; round < 10; round++) {
		pid_t pid;

		blocks_new(&set, BLOCKS_MAX, round);
		pid = flushed_fork();
		if (pid == 0) {
			if (round % 2)
				blocks_free(&set);
			blocks_churn(round, 3000);
			if (!(round % 2))
				blocks_free(&set);
			exit(0);
		}
		if (!(round % 2))
			blocks_free(&set);
		blocks_churn(round + 100, 3000);
		assert_true(api_exited_cleanly(api_wait(pid)));
		blocks_free(&set);
	}
}

static void generation(unsigned depth)
{
	struct blocks own;
	pid_t pid;

	blocks_check(&set); /* of the first ancestor */
	blocks_new(&own, 100, depth);
	if (depth < 5) {
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			blocks_check(&own); /* inherited, and freed again here */
			blocks_free(&own);
			generation(depth + 1);
			_exit(0);
		}
		blocks_write(&own, depth + 10);
		CHECK(api_exited_cleanly(api_wait(pid)));
	}
	blocks_free(&own);
	blocks_churn(depth, 2000);
	blocks_check(&set);
	blocks_write(&set, depth + 20);
	blocks_check(&set);
}

static void generations_of_forks_each_have_their_own_heap(void **state)
{
	pid_t pid;

	(void)state;
	blocks_new(&set, BLOCKS_MAX, 5);
	pid = flushed_fork();
	if (pid == 0) {
		generation(1);
		exit(0);
	}
	assert_true(api_exited_cleanly(api_wait(pid)));
	blocks_free(&set);
}

/* A shell's life: one process that forks again and again, and writes in between. */
static void parent_goes_on_after_many_forks(void **state)
{
	(void)state;
	blocks_new(&set, BLOCKS_MAX, 0);
	for (uint64_t i = 1; i <= 100; i++) {
		pid_t pid = flushed_fork();

		if (pid == 0) {
			blocks_check(&set);
			_exit(0);
		}
		if (i % 10 == 0)
			blocks_write(&set, i);
		blocks_churn(i, 50);
		assert_true(api_exited_cleanly(api_wait(pid)));
		blocks_check(&set);
	}
	blocks_free(&set);
}

/* In the grandchild: go on when the parent is gone, as a daemon does; the answer is one byte. */
__attribute__((noreturn)) static void outlive(int parent, int answer)
{
	struct pollfd poll_fd = { .fd = parent, .events = POLLIN, .revents = 0 };

	CHECK(poll(&poll_fd, 1, (int)API_DEADLINE_MS) == 1);
	blocks_check(&set);
	blocks_write(&set, 9);
	blocks_churn(9, 20000);
	blocks_free(&set);
	api_tell(answer);
	exit(0);
}

static void daemonised_grandchild_outlives_its_parent(void **state)
{
	int answer[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(answer), 0);
	blocks_new(&set, BLOCKS_MAX, 8);
	pid = flushed_fork();
	if (pid == 0) {
		int self = (int)syscall(SYS_pidfd_open, getpid(), 0);

		CHECK(self >= 0);
		CHECK(setsid() >= 0);
		blocks_churn(1, 100);
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0)
			outlive(self, answer[1]);
		_exit(0);
	}
	assert_true(api_exited_cleanly(api_wait(pid)));
	api_await(answer[0]);
	(void)close(answer[0]);
	(void)close(answer[1]);
	blocks_free(&set);
}

/* The first process is gone while its child works: its memory must not be reused under it. */
static void child_of_a_killed_parent_keeps_its_copy(void **state)
{
	int answer[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(answer), 0);
	pid = flushed_fork();
	if (pid == 0) {
		int self = (int)syscall(SYS_pidfd_open, getpid(), 0);

		CHECK(self >= 0);
		blocks_new(&set, BLOCKS_MAX, 11);
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0)
			outlive(self, answer[1]);
		(void)kill(getpid(), SIGKILL);
	}
	assert_int_equal(api_wait(pid), SIGKILL);
	blocks_churn(3, 5000);
	api_await(answer[0]);
	(void)close(answer[0]);
	(void)close(answer[1]);
}

static void spawned_and_vforked_programs_run(void **state)
{
	char *argv[] = { (char[]){ "true" }, NULL };

	(void)state;
	blocks_new(&set, BLOCKS_MAX, 12);
	for (int i = 0; i < 20; i++) {
		pid_t pid;

		assert_int_equal(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ), 0);
		assert_true(api_exited_cleanly(api_wait(pid)));
		pid = vfork();
		if (pid == 0) {
			(void)execv("/bin/true", argv);
			_exit(127);
		}
		assert_true(pid > 0);
		blocks_churn((uint64_t)i, 100);
		assert_true(api_exited_cleanly(api_wait(pid)));
		blocks_check(&set);
	}
	blocks_free(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_are_isolated_in_both_directions),
		cmocka_unit_test(frees_are_isolated_in_both_directions),
		cmocka_unit_test(generations_of_forks_each_have_their_own_heap),
		cmocka_unit_test(parent_goes_on_after_many_forks),
		cmocka_unit_test(daemonised_grandchild_outlives_its_parent),
		cmocka_unit_test(child_of_a_killed_parent_keeps_its_copy),
		cmocka_unit_test(spawned_and_vforked_programs_run),
	};

	return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}
