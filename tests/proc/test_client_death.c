/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon dies or stands still: every client goes on, with what it has and with memory of its
 * own.
 */
#include "tests/proc/member.h"

#include <signal.h>

#define MIB    (UINT64_C(1) << 20)
#define SECOND UINT64_C(1000000000)

static void killed_while_threads_allocate(void **state)
{
	struct rig *rig = rig_start(NULL);
	struct member m = member_up(rig, HAK_INFO_DAEMON);
	struct member_answer a;

	assert_int_equal(member_do(&m, MEMBER_ALLOC, 100, 40000).result, 100);
	assert_int_equal(member_do(&m, MEMBER_ALLOC, 1000, 500).result, 1000);
	a = member_do(&m, MEMBER_THREADS, 4, 0);
	assert_int_equal(a.info.mode, HAK_INFO_DAEMON);
	assert_int_equal(member_do(&m, MEMBER_ALLOC, 10, MIB).result, 10);
	assert_int_equal(kill(rig->pid, SIGKILL), 0);
	assert_int_equal(rig_wait_exit(rig), -SIGKILL);
	/* More than can have been there: the process must find it by itself. */
	a = member_do(&m, MEMBER_ALLOC, 256, MIB);
	assert_int_equal(a.result, 256);
	assert_int_equal(a.info.mode, HAK_INFO_EMBEDDED);
	assert_true(a.ns < 5 * SECOND);
	assert_int_equal(member_do(&m, MEMBER_VERIFY, 0, 0).result, 1366);
	assert_true(member_do(&m, MEMBER_JOIN, 0, 0).result > 0);
	/* What came from the region is still there, and can be given back. */
	assert_true(member_do(&m, MEMBER_IN_REGION, 0, 0).result > 0);
	(void)member_do(&m, MEMBER_FREE, 0, 0);
	a = member_do(&m, MEMBER_TRIM, 0, 0);
	assert_int_equal(a.info.held_bytes, 0);
	assert_int_equal(a.info.kept_bytes, 0);
	assert_int_equal(member_do(&m, MEMBER_ALLOC, 100, 40000).result, 100);
	assert_int_equal(member_do(&m, MEMBER_VERIFY, 0, 0).result, 100);
	/* A fork then converts what is still the region's, without a daemon to ask. */
	assert_int_equal(member_do(&m, MEMBER_FORK_CHECKS, 3, 0).result, 3);
	member_end(&m);
	rig_free(rig);
}

/* A client that has stopped waiting for the daemon must still find out that it is gone. */
static void stands_still_and_then_dies(void **state)
{
	struct rig *rig = rig_start(NULL);
	struct member m = member_up(rig, HAK_INFO_DAEMON);
	struct member_answer a;

	assert_int_equal(kill(rig->pid, SIGSTOP), 0);
	assert_int_equal(member_do(&m, MEMBER_ALLOC, 1, 64 * MIB).result, 1);
	assert_int_equal(kill(rig->pid, SIGKILL), 0);
	assert_int_equal(rig_wait_exit(rig), -SIGKILL);
	a = member_do(&m, MEMBER_ALLOC, 100, 2 * MIB);
	assert_int_equal(a.result, 100);
	assert_int_equal(member_do(&m, MEMBER_VERIFY, 0, 0).result, 101);
	assert_int_equal(a.info.mode, HAK_INFO_EMBEDDED);
	member_end(&m);
	rig_free(rig);
}

/* What was given back to a daemon that died before it looked is not lost to the machine either. */
static void memory_goes_back_without_a_daemon(void **state)
{
	struct rig *rig = rig_start(NULL);
	struct member m = member_up(rig, HAK_INFO_DAEMON);
	struct member_answer a;

	assert_int_equal(member_do(&m, MEMBER_ALLOC, 30, MIB).result, 30);
	assert_true(member_do(&m, MEMBER_FILE_BYTES, 0, 0).result > 0);
	assert_int_equal(kill(rig->pid, SIGKILL), 0);
	assert_int_equal(rig_wait_exit(rig), -SIGKILL);
	(void)member_do(&m, MEMBER_FREE, 0, 0);
	(void)member_do(&m, MEMBER_TRIM, 0, 0);
	/* Now it needs memory, and so finds out. */
	a = member_do(&m, MEMBER_ALLOC, 64, MIB);
	assert_int_equal(a.result, 64);
	assert_int_equal(a.info.mode, HAK_INFO_EMBEDDED);
	(void)member_do(&m, MEMBER_FREE, 0, 0);
	(void)member_do(&m, MEMBER_TRIM, 0, 0);
	assert_int_equal(member_do(&m, MEMBER_FILE_BYTES, 0, 0).result, 0);
	member_end(&m);
	rig_free(rig);
}

static void never_there(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct member m = member_new(rig, 0);
	struct member_answer a = member_do(&m, MEMBER_ALLOC, 64, MIB);

	assert_int_equal(a.result, 64);
	assert_int_equal(a.info.mode, HAK_INFO_EMBEDDED);
	assert_int_equal(a.info.waits, 0);
	member_end(&m);
	rig_free(rig);
}

static bool was_granted(const struct hak_report_session *s, uint64_t at_least)
{
	return s->granted >= at_least;
}

static void stands_still_and_goes_on(void **state)
{
	struct rig *rig = rig_start(NULL);
	struct member m = member_up(rig, HAK_INFO_DAEMON);
	struct member_answer a;
	uint64_t leases;

	a = member_do(&m, MEMBER_ALLOC, 20, MIB);
	assert_int_equal(a.result, 20);
	assert_int_equal(kill(rig->pid, SIGSTOP), 0);
	a = member_do(&m, MEMBER_ALLOC, 1, 64 * MIB);
	assert_int_equal(a.result, 1);
	assert_true(a.ns < 2 * SECOND);
	/* It does not wait again for each of these. */
	a = member_do(&m, MEMBER_ALLOC, 20, 5 * MIB);
	assert_int_equal(a.result, 20);
	assert_true(a.ns < 2 * SECOND);
	assert_int_equal(a.info.mode, HAK_INFO_DAEMON); /* not given up yet */
	leases = a.info.leases;
	assert_int_equal(kill(rig->pid, SIGCONT), 0);

	/* What was asked for comes late, is taken in, and is on both sides' books. */
	(void)member_await(rig, m.pid, member_has_more, a.info.shared_bytes + 64 * MIB);
	(void)member_await(rig, m.pid, was_granted, leases + 1);
	a = member_do(&m, MEMBER_ALLOC, 1, 48 * MIB);
	assert_int_equal(a.result, 1);
	assert_true(a.info.leases > leases);
	assert_int_equal(member_do(&m, MEMBER_VERIFY, 0, 0).result, 42);
	(void)member_do(&m, MEMBER_FREE, 0, 0);
	assert_int_equal(member_settle(rig, &m), 0);
	a = member_do(&m, MEMBER_INFO, 0, 0);
	/* And the daemon serves again, when the private memory of the meantime is used up. */
	leases = a.info.leases;
	a = member_do(&m, MEMBER_ALLOC, 300, MIB);
	assert_int_equal(a.result, 300);
	assert_true(a.info.leases > leases);
	member_end(&m);
	rig_wait_sessions(rig, 0);
	rig_stop(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_while_threads_allocate),
		cmocka_unit_test(stands_still_and_then_dies),
		cmocka_unit_test(memory_goes_back_without_a_daemon),
		cmocka_unit_test(never_there),
		cmocka_unit_test(stands_still_and_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
