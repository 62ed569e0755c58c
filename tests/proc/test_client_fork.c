/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork() in a process whose heap is the daemon's: parent and child have each their own bytes.
 */
#include "tests/proc/member.h"

#include <signal.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static void fill_heap(const struct member *m)
{
	assert_int_equal(member_do(m, MEMBER_ALLOC, 500, 24).result, 500);
	assert_int_equal(member_do(m, MEMBER_ALLOC, 500, 700).result, 500);
	assert_int_equal(member_do(m, MEMBER_ALLOC, 50, 30000).result, 50);
	assert_int_equal(member_do(m, MEMBER_ALLOC, 4, 5 * MIB).result, 4);
	member_expect_in_region(m, 1054);
}

/* The parent rewrites everything while the child verifies, and the child rewrites and frees. */
static void contents_are_apart(void **state)
{
	struct member m = member_up(*state, HAK_INFO_DAEMON);

	fill_heap(&m);
	assert_int_equal(member_do(&m, MEMBER_FORK_CHECKS, 5, 0).result, 5);
	assert_int_equal(member_do(&m, MEMBER_VERIFY, 0, 0).result, 1054);
	member_end(&m);
	rig_wait_sessions(*state, 0);
	rig_wait_leased(*state, 0);
}

static void a_hundred_forks_while_threads_allocate(void **state)
{
	struct member m = member_up(*state, HAK_INFO_DAEMON);

	assert_int_equal(member_do(&m, MEMBER_ALLOC, 200, 700).result, 200);
	assert_int_equal(member_do(&m, MEMBER_ALLOC, 2, 200000).result, 2);
	(void)member_do(&m, MEMBER_THREADS, 4, 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(member_do(&m, MEMBER_FORK_CHECKS, 10, 0).result, 10);
	assert_true(member_do(&m, MEMBER_JOIN, 0, 0).result > 0);
	assert_int_equal(member_do(&m, MEMBER_VERIFY, 0, 0).result, 202);
	member_end(&m);
	rig_wait_sessions(*state, 0);
	rig_wait_leased(*state, 0);
}

/* Each generation takes over the orders; its parent verifies its own bytes when it has ended. */
static void generations_have_sessions_of_their_own(void **state)
{
	struct rig *rig = *state;
	struct member m = member_up(rig, HAK_INFO_DAEMON);
	uint64_t frozen = 1;
	pid_t pid = m.pid;

	fill_heap(&m);
	for (int generation = 1; generation <= 3; generation++) {
		pid_t child = (pid_t)member_do(&m, MEMBER_FORK, 0, 0).result;
		struct member_answer a;

		/* The parent's memory is frozen for the child's sake. */
		(void)member_await(rig, pid, member_has_frozen, frozen);
		a = member_do(&m, MEMBER_INFO, 0, 0);
		assert_int_equal(a.info.session, 0);
		assert_int_equal(member_do(&m, MEMBER_VERIFY, 0, 0).result, 1050 + 4 * generation);
		(void)member_do(&m, MEMBER_REFILL, 40 + (uint64_t)generation, 0);
		/* More than it inherited room for: a session is needed now. */
		a = member_do(&m, MEMBER_ALLOC, 4, 20 * MIB);
		assert_int_equal(a.result, 4);
		assert_int_equal(a.info.mode, HAK_INFO_DAEMON);
		assert_int_equal(member_await(rig, child, member_any, 0).id, a.info.session);
		assert_int_equal(rig_status(rig).sessions, generation + 1);
		assert_int_equal(member_do(&m, MEMBER_VERIFY, 0, 0).result, 1054 + 4 * generation);
		pid = child;
	}
	member_end(&m);
	rig_wait_sessions(rig, 0);
	rig_wait_leased(rig, 0);
}

/*
 * The parent is killed before the daemon has read that its slices are frozen. They look like any
 * others then, and the child still maps them.
 */
static void a_child_keeps_its_bytes_when_its_parent_is_killed(void **state)
{
	struct rig *rig = *state;
	struct member m = member_up(rig, HAK_INFO_DAEMON);
	pid_t parent = m.pid;
	struct member_answer a;

	fill_heap(&m);
	assert_int_equal(kill(rig->pid, SIGSTOP), 0);
	m.pid = (pid_t)member_do(&m, MEMBER_FORK, 1, 0).result;
	assert_int_equal(kill(parent, SIGKILL), 0);
	assert_int_equal(rig_reap(parent), -SIGKILL);
	assert_int_equal(kill(rig->pid, SIGCONT), 0);
	rig_wait_sessions(rig, 0);
	rig_wait_leased(rig, 0);
	assert_int_equal(member_do(&m, MEMBER_VERIFY, 0, 0).result, 1054);
	a = member_do(&m, MEMBER_ALLOC, 4, 20 * MIB);
	assert_int_equal(a.result, 4);
	assert_int_equal(member_do(&m, MEMBER_VERIFY, 0, 0).result, 1058);
	close(m.sock); /* it ends by itself; its parent, who would wait, is gone */
	rig_wait_sessions(rig, 0);
}

/* Memory that was frozen is replaced by anonymous memory when the parent frees it. */
static void frozen_memory_is_replaced_when_it_is_freed(void **state)
{
	struct rig *rig = *state;
	struct member m = member_up(rig, HAK_INFO_DAEMON);

	fill_heap(&m);
	assert_int_equal(member_do(&m, MEMBER_FORK_CHECKS, 1, 0).result, 1);
	/* What the parent frees now was frozen, and is anonymous afterwards. */
	(void)member_do(&m, MEMBER_FREE, 0, 0);
	(void)member_do(&m, MEMBER_TRIM, 0, 0);
	assert_int_equal(member_do(&m, MEMBER_INFO, 0, 0).info.shared_bytes, 0);
	assert_int_equal(member_do(&m, MEMBER_ALLOC, 30, 2 * MIB).result, 30);
	assert_int_equal(member_do(&m, MEMBER_VERIFY, 0, 0).result, 30);
	(void)member_await(rig, m.pid, member_has_frozen, 1);
	member_end(&m);
	rig_wait_leased(rig, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(contents_are_apart),
		TEST(a_hundred_forks_while_threads_allocate),
		TEST(generations_have_sessions_of_their_own),
		TEST(a_child_keeps_its_bytes_when_its_parent_is_killed),
		TEST(frozen_memory_is_replaced_when_it_is_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
