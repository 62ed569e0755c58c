/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process and its daemon while both live: session, memory, account, quota, the process's end.
 */
#include "tests/proc/member.h"

#include <errno.h>
#include <signal.h>

#include "shared/sys.h"

#define MIB    (UINT64_C(1) << 20)
#define SECOND UINT64_C(1000000000)

static void comes_up_and_serves(struct rig *rig, unsigned mode)
{
	struct member m = member_new(rig, mode);
	struct hak_report_session s;
	struct member_answer a;

	/* Nothing is asked of the daemon before the first block. */
	a = member_do(&m, MEMBER_INFO, 0, 0);
	assert_int_equal(a.info.mode, HAK_INFO_EMBEDDED);
	assert_int_equal(a.info.session, 0);
	assert_int_equal(rig_status(rig).sessions, 0);
	member_end(&m);

	m = member_up(rig, mode);
	assert_int_equal(member_do(&m, MEMBER_ALLOC, 300, 100).result, 300);
	assert_int_equal(member_do(&m, MEMBER_ALLOC, 20, 20000).result, 20);
	assert_int_equal(member_do(&m, MEMBER_ALLOC, 5, 3 * MIB).result, 5);
	member_expect_in_region(&m, 325);
	a = member_do(&m, MEMBER_VERIFY, 0, 0);
	assert_int_equal(a.result, 325);
	assert_int_equal(a.info.mode, HAK_INFO_DAEMON);
	if (!a.timeouts) {
		assert_true(a.info.leases >= 9);
		assert_true(a.info.shared_bytes >= 18 * MIB);
		assert_true(a.info.held_bytes <= a.info.shared_bytes);
	}
	assert_int_equal(a.info.refusals, 0);

	s = member_await(rig, m.pid, member_any, 0);
	assert_int_equal(s.id, a.info.session);
	assert_int_equal(s.state, HAK_SESSION_ATTACHED);
	assert_int_equal(rig_status(rig).epoch, a.info.epoch);
	/* Everything back: both sides' books agree on it. */
	(void)member_do(&m, MEMBER_FREE, 0, 0);
	assert_int_equal(member_settle(rig, &m), 0);
	a = member_do(&m, MEMBER_INFO, 0, 0);
	assert_int_equal(a.info.leases, a.info.returns);
	s = member_await(rig, m.pid, member_has_bytes, 0);
	assert_int_equal(s.granted, s.returned);
	member_end(&m);
	rig_wait_sessions(rig, 0);
	rig_wait_leased(rig, 0);
}

static void auto_mode_finds_the_daemon(void **state)
{
	comes_up_and_serves(*state, 0);
}

static void daemon_mode_finds_the_daemon(void **state)
{
	comes_up_and_serves(*state, HAK_INFO_DAEMON);
}

static void embedded_mode_does_not_ask(void **state)
{
	struct rig *rig = *state;
	struct member m = member_new(rig, HAK_INFO_EMBEDDED);
	uint64_t total = rig_status(rig).sessions_total;
	struct member_answer a;

	assert_int_equal(member_do(&m, MEMBER_ALLOC, 100, 50000).result, 100);
	a = member_do(&m, MEMBER_IN_REGION, 0, 0);
	assert_int_equal(a.result, 0);
	assert_int_equal(a.info.mode, HAK_INFO_EMBEDDED);
	assert_int_equal(rig_status(rig).sessions_total, total);
	member_end(&m);
}

static void exec_ends_the_session(void **state)
{
	struct rig *rig = *state;
	struct member m = member_up(rig, HAK_INFO_DAEMON);

	assert_int_equal(member_do(&m, MEMBER_ALLOC, 10, MIB).result, 10);
	(void)member_await(rig, m.pid, member_any, 0);
	(void)member_do(&m, MEMBER_EXEC, 0, 0);
	rig_wait_sessions(rig, 0);
	rig_wait_leased(rig, 0);
	assert_int_equal(kill(m.pid, 0), 0); /* the process lives on */
	member_end(&m);
}

static void a_second_after_kill_nothing_is_left(void **state)
{
	struct rig *rig = *state;
	struct member m = member_up(rig, HAK_INFO_DAEMON);
	uint64_t begin;

	assert_int_equal(member_do(&m, MEMBER_ALLOC, 50, MIB).result, 50);
	(void)member_await(rig, m.pid, member_any, 0);
	begin = hak_sys_now_ns();
	member_kill(&m);
	rig_wait_sessions(rig, 0);
	rig_wait_leased(rig, 0);
	assert_true(hak_sys_now_ns() - begin < SECOND);
}

/* Small blocks, since a span of its own might be refused for its size alone. */
static void a_quota_is_kept_and_recovered_from(void **state)
{
	struct rig *rig = rig_start("[limits]\nsession-bytes = 64 MiB\n");
	struct member m = member_up(rig, HAK_INFO_DAEMON);
	uint64_t refusals = 0;

	for (int round = 0; round < 3; round++) {
		struct member_answer a = member_do(&m, MEMBER_ALLOC, 2000, 64 * 1024);

		if (a.timeouts)
			skip();                              /* private memory came in between */
		assert_in_range(a.result, 24 * 16, 64 * 16); /* 64 KiB each */
		assert_int_equal(a.error, ENOMEM);
		assert_int_equal(a.info.mode, HAK_INFO_DAEMON);
		assert_true(a.info.refusals > refusals);
		assert_true(a.info.shared_bytes <= 64 * MIB);
		refusals = a.info.refusals;
		member_expect_in_region(&m, a.result);
		assert_int_equal(member_do(&m, MEMBER_VERIFY, 0, 0).result, a.result);
		assert_true(rig_status(rig).leased_bytes <= 64 * MIB);
		(void)member_do(&m, MEMBER_FREE, 0, 0);
		if (round)
			(void)member_do(&m, MEMBER_TRIM, 0, 0);
	}
	assert_int_equal(member_do(&m, MEMBER_ALLOC, 1, 128 * MIB).result, 0);
	assert_int_equal(member_do(&m, MEMBER_ALLOC, 100, 64 * 1024).result, 100);
	member_end(&m);
	rig_stop(rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

/* What was asked for ahead is refused as a whole; what is needed may still be there. */
static void the_last_superslab_of_a_quota_can_be_had(void **state)
{
	struct rig *rig = rig_start("[limits]\nsession-bytes = 12 MiB\n");
	struct member m = member_up(rig, HAK_INFO_DAEMON);
	struct member_answer a = member_do(&m, MEMBER_ALLOC, 100, 31 * 65536);

	if (!a.timeouts) {
		assert_int_equal(a.result, 6);
		assert_int_equal(a.error, ENOMEM);
		assert_int_equal(a.info.shared_bytes, 12 * MIB);
	}
	member_end(&m);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(auto_mode_finds_the_daemon),
		TEST(daemon_mode_finds_the_daemon),
		TEST(embedded_mode_does_not_ask),
		TEST(exec_ends_the_session),
		TEST(a_second_after_kill_nothing_is_left),
		cmocka_unit_test(a_quota_is_kept_and_recovered_from),
		cmocka_unit_test(the_last_superslab_of_a_quota_can_be_had),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
