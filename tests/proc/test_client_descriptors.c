/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that close every descriptor, those of the client library among them.
 */
#include "tests/proc/member.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "libclient/session.h"

#define MIB (UINT64_C(1) << 20)

static void all_closed_then_much_allocated_then_forked(void **state)
{
	struct rig *rig = *state;
	struct member m = member_up(rig, HAK_INFO_DAEMON);
	struct hak_report_session s;
	struct member_answer a;
	uint64_t session;

	a = member_do(&m, MEMBER_ALLOC, 100, 10000);
	assert_int_equal(a.result, 100);
	session = a.info.session;
	(void)member_do(&m, MEMBER_CLOSE_ALL, 0, 0);
	a = member_do(&m, MEMBER_ALLOC, 256, MIB);
	assert_int_equal(a.result, 256);
	/* The same session, resumed, and the same memory. */
	assert_int_equal(a.info.mode, HAK_INFO_DAEMON);
	assert_int_equal(a.info.session, session);
	member_expect_in_region(&m, 356);
	s = member_await(rig, m.pid, member_any, 0);
	assert_int_equal(s.id, session);
	assert_int_equal(s.state, HAK_SESSION_ATTACHED);
	assert_int_equal(rig_status(rig).sessions, 1);
	assert_int_equal(member_do(&m, MEMBER_FORK_CHECKS, 2, 0).result, 2);
	assert_int_equal(member_do(&m, MEMBER_VERIFY, 0, 0).result, 356);
	(void)member_await(rig, m.pid, member_has_frozen, 1);
	member_end(&m);
	rig_wait_sessions(rig, 0);
	rig_wait_leased(rig, 0);
}

/* No growth between the closing and the fork: it is the fork that has to ask. */
static void all_closed_then_forked(void **state)
{
	struct rig *rig = *state;
	struct member m = member_up(rig, HAK_INFO_DAEMON);

	assert_int_equal(member_do(&m, MEMBER_ALLOC, 20, MIB).result, 20);
	(void)member_do(&m, MEMBER_CLOSE_ALL, 0, 0);
	assert_int_equal(member_do(&m, MEMBER_FORK_CHECKS, 2, 0).result, 2);
	assert_int_equal(member_do(&m, MEMBER_VERIFY, 0, 0).result, 20);
	(void)member_await(rig, m.pid, member_has_frozen, 10);
	member_end(&m);
	rig_wait_sessions(rig, 0);
}

/* Neither descriptors nor a daemon: fork copies by hand. */
static void all_closed_and_the_daemon_dead_then_forked(void **state)
{
	struct rig *rig = rig_start(NULL);
	struct member m = member_up(rig, HAK_INFO_DAEMON);

	assert_int_equal(member_do(&m, MEMBER_ALLOC, 20, MIB).result, 20);
	assert_int_equal(kill(rig->pid, SIGKILL), 0);
	assert_int_equal(rig_wait_exit(rig), -SIGKILL);
	(void)member_do(&m, MEMBER_CLOSE_ALL, 0, 0);
	assert_int_equal(member_do(&m, MEMBER_FORK_CHECKS, 2, 0).result, 2);
	assert_int_equal(member_do(&m, MEMBER_VERIFY, 0, 0).result, 20);
	assert_int_equal(member_do(&m, MEMBER_ALLOC, 64, MIB).result, 64);
	assert_int_equal(member_do(&m, MEMBER_VERIFY, 0, 0).result, 84);
	member_end(&m);
	rig_free(rig);
}

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 4096; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Whichever of its descriptors the program closes: both are there again, the same memory is behind
 * them (also where the new number is the old one), and none is left over. */
static void any_closed_then_had_again(void **state)
{
	struct rig *rig = *state;

	for (unsigned closed = 0; closed < 4; closed++) {
		struct hak_session session;
		struct hak_fd_id id;
		int n, fd;

		assert_int_equal(hak_session_open(&session, rig->socket), 0);
		n = open_descriptors();
		for (int times = 0; times < 3; times++) {
			if (closed & 1)
				assert_int_equal(close(session.sock), 0);
			if (closed & 2)
				assert_int_equal(close(session.region_fd), 0);
			fd = hak_session_region_fd(&session);
			assert_true(fd >= 0);
			assert_int_equal(fd, session.region_fd);
			assert_int_equal(hak_sys_fd_id(&id, fd), 0);
			assert_int_equal(id.ino, session.region_id.ino);
			assert_true(hak_session_alive(&session));
			assert_true(hak_sys_fd_is(session.sock, &session.sock_id));
			assert_int_equal(open_descriptors(), n);
		}
		assert_int_equal(hak_sys_unmap(session.segment, HAK_SEGMENT_SIZE), 0);
		assert_int_equal(hak_sys_unmap(session.presence, 4096), 0);
		hak_session_forget(&session);
		assert_int_equal(open_descriptors(), n - 2);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_closed_then_much_allocated_then_forked),
		TEST(all_closed_then_forked),
		TEST(any_closed_then_had_again),
		cmocka_unit_test(all_closed_and_the_daemon_dead_then_forked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
