/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session whose daemon has ended: what the process may go on with, and who may take it over.
 */
#include "tests/unit/fake_daemon.h"

#include "shared/reserve.h"

/* The daemon's end: its connection, and, unless it is held elsewhere, its listener. */
static void end_daemon(struct fake *f, bool listener_too)
{
	f->conn = hak_sys_close(f->conn);
	if (!listener_too)
		return;
	f->listener = hak_sys_close(f->listener);
	(void)unlink(f->path);
}

static void await_state(struct hak_session *session, enum hak_session_state_client state)
{
	uint64_t end = hak_sys_now_ns() + 20 * SECOND;

	while (session->state != state) {
		assert_true(hak_sys_now_ns() < end);
		(void)hak_session_alive(session);
		(void)hak_sys_poll(NULL, 0, 1);
	}
}

static void no_daemon_comes(void **state)
{
	struct hak_session session = HAK_SESSION_NULL;
	struct hak_sqe sqe = { .op = HAK_OP_NOP };
	struct fake *f = *state;
	uint64_t begin;

	open_session(f, &session);
	end_daemon(f, true);
	assert_false(hak_session_alive(&session));
	assert_int_equal(session.state, HAK_SESSION_AWAY);
	/* Nobody waits for long, however long they would; and a look takes no time at all. */
	begin = hak_sys_now_ns();
	assert_int_equal(hak_session_wait(&session, begin + 30 * SECOND), -ETIMEDOUT);
	assert_in_range(hak_sys_now_ns() - begin, HAK_AWAY_WAIT_NS, 10 * SECOND);
	begin = hak_sys_now_ns();
	assert_int_equal(hak_session_wait(&session, begin + SECOND / 50), -ETIMEDOUT);
	assert_true(hak_sys_now_ns() - begin < HAK_AWAY_WAIT_NS);
	assert_int_equal(hak_session_post(&session, &sqe), 0);
	assert_true(hak_session_region_fd(&session) >= 0);
	assert_int_equal(session.state, HAK_SESSION_AWAY);
	close_session(&session);
}

static void the_next_one_goes_on_where_the_first_was(void **state)
{
	struct hak_session session = HAK_SESSION_NULL;
	struct hak_sqe sqe = { .op = HAK_OP_LEASE, .count = 1 }, seen;
	unsigned fds = unit_count_fds();
	struct fake *f = *state;
	struct hak_cqe cqe;

	open_session(f, &session);
	end_daemon(f, false);
	assert_false(hak_session_alive(&session));
	/* Posted to nobody, and answered by whoever comes, asked for the session or not. */
	assert_int_equal(hak_session_post(&session, &sqe), 0);
	assert_int_equal(hak_ring_pop(&f->sq, &seen), 0);
	assert_memory_equal(&seen, &sqe, sizeof(sqe));
	cqe = (struct hak_cqe){ .op = HAK_OP_LEASE, .seq = seen.seq, .count = 1 };
	assert_int_equal(hak_ring_push(&f->cq, &cqe), 0);
	assert_int_equal(hak_session_wait(&session, hak_sys_now_ns() + SECOND), 0);
	assert_int_equal(session.state, HAK_SESSION_AWAY);
	assert_int_equal(hak_session_reap(&session, &cqe), 0);
	assert_int_equal(cqe.seq, sqe.seq);

	play(f, NEXT_LIFE);
	await_state(&session, HAK_SESSION_UP);
	played(f);
	assert_int_equal(f->hello.flags, HAK_HELLO_RESUME);
	assert_int_equal(f->hello.session_id, 77);
	assert_int_equal(session.epoch, 6);
	assert_int_equal(hak_session_post(&session, &sqe), 0);
	assert_int_equal(sqe.seq, 2);
	close_session(&session);
	f->conn = hak_sys_close(f->conn);
	assert_int_equal(unit_count_fds(), fds);
}

/* A listener that outlives the daemon: nobody waits for it, and one connection is enough. */
static void silence_costs_nobody_time(void **state)
{
	struct hak_session session = HAK_SESSION_NULL;
	struct fake *f = *state;
	uint64_t begin;
	unsigned fds;

	open_session(f, &session);
	end_daemon(f, false);
	(void)hak_session_alive(&session);
	fds = unit_count_fds();
	begin = hak_sys_now_ns();
	for (int i = 0; i < 1000; i++)
		assert_false(hak_session_alive(&session));
	assert_true(hak_sys_now_ns() - begin < SECOND);
	assert_int_equal(session.state, HAK_SESSION_AWAY);
	assert_int_equal(unit_count_fds(), fds);
	/* What was said into the silence is what the next one hears. */
	play(f, NEXT_LIFE);
	await_state(&session, HAK_SESSION_UP);
	played(f);
	close_session(&session);
}

/* Nor does a program that closes even the connection under way see its own descriptor closed. */
static void the_connection_under_way_is_closed_by_the_program(void **state)
{
	struct hak_session session = HAK_SESSION_NULL;
	struct fake *f = *state;
	struct hak_fd_id id;
	int fd;

	open_session(f, &session);
	end_daemon(f, false);
	(void)hak_session_alive(&session);
	fd = session.hello;
	assert_true(fd >= 0);
	assert_int_equal(dup2(STDERR_FILENO, fd), fd);
	assert_int_equal(hak_sys_fd_id(&id, fd), 0);
	f->play = HANG_UP;
	serve(f); /* the one that was hung up on */
	play(f, NEXT_LIFE);
	await_state(&session, HAK_SESSION_UP);
	played(f);
	assert_true(hak_sys_fd_is(fd, &id));
	hak_sys_close(fd);
	close_session(&session);
}

static void lost_by(struct fake *f, enum play what)
{
	struct hak_session session = HAK_SESSION_NULL;
	struct hak_sqe sqe = { .op = HAK_OP_NOP };
	unsigned fds = unit_count_fds();
	int sock;

	open_session(f, &session);
	end_daemon(f, false);
	play(f, what);
	await_state(&session, HAK_SESSION_LOST);
	played(f);
	assert_int_equal(session.epoch, 5);
	assert_int_equal(session.sock, -1);
	assert_int_equal(session.hello, -1);
	assert_true(hak_sys_fd_is(session.region_fd, &session.region_id));
	assert_int_equal(hak_session_post(&session, &sqe), -ECONNRESET);
	assert_int_equal(hak_session_wait(&session, UINT64_MAX), -ECONNRESET);
	close_session(&session);
	sock = f->conn;
	f->conn = hak_sys_close(sock);
	assert_int_equal(unit_count_fds(), fds);
}

static void one_that_is_another_ends_it_for_good(void **state)
{
	static const enum play plays[] = { STALE, OTHER_REGION, GARBAGE, WRONG_TYPE,
					   FEW_DESCRIPTORS };

	for (size_t i = 0; i < hak_array_size(plays); i++)
		lost_by(*state, plays[i]);
}

/* A daemon that is full, or that ends at once, may do better the next time. */
static void one_that_can_not_is_asked_again(void **state)
{
	struct hak_session session = HAK_SESSION_NULL;
	struct fake *f = *state;

	open_session(f, &session);
	end_daemon(f, false);
	play(f, REFUSED);
	(void)hak_session_alive(&session);
	played(f);
	play(f, HANG_UP);
	await_state(&session, HAK_SESSION_AWAY);
	while (session.hello >= 0 || session.retry_ns > hak_sys_now_ns()) {
		assert_false(hak_session_alive(&session));
		(void)hak_sys_poll(NULL, 0, 1);
	}
	(void)hak_session_alive(&session);
	played(f);
	play(f, NEXT_LIFE);
	await_state(&session, HAK_SESSION_UP);
	played(f);
	close_session(&session);
}

static void the_reserve_can_be_taken_while_away(void **state)
{
	struct hak_session session = HAK_SESSION_NULL;
	struct fake *f = *state;
	struct hak_reserve *reserve = hak_at(f->segment, HAK_SEGMENT_RESERVE_OFF);
	uint32_t index = 0;

	open_session(f, &session);
	hak_reserve_grant(reserve, 0, hak_reserve_word(HAK_RESERVE_READY, 1, 3));
	end_daemon(f, true);
	assert_false(hak_session_alive(&session));
	assert_true(hak_reserve_take(session.reserve, 0, &index));
	assert_int_equal(index, 3);
	assert_int_equal(hak_reserve_look(reserve, 0), hak_reserve_word(HAK_RESERVE_TAKEN, 1, 3));
	close_session(&session);
}

/* A question on the socket: away is said at once, by whoever has the heap's lock. */
static void a_question_is_for_later(void **state)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_DOMAIN_CLOSE), answer;
	struct hak_session session = HAK_SESSION_NULL;
	struct fake *f = *state;
	int fds[HAK_WIRE_FDS_MAX];
	unsigned n_fds = 0;
	uint64_t begin;

	open_session(f, &session);
	end_daemon(f, true);
	begin = hak_sys_now_ns();
	assert_int_equal(hak_session_ask(&session, &frame, 1, &answer, fds, &n_fds,
					 begin + 30 * SECOND),
			 -EAGAIN);
	assert_true(hak_sys_now_ns() - begin < SECOND);
	assert_int_equal(session.state, HAK_SESSION_AWAY);
	close_session(&session);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_daemon_comes),
		TEST(the_next_one_goes_on_where_the_first_was),
		TEST(silence_costs_nobody_time),
		TEST(the_connection_under_way_is_closed_by_the_program),
		TEST(one_that_is_another_ends_it_for_good),
		TEST(one_that_can_not_is_asked_again),
		TEST(the_reserve_can_be_taken_while_away),
		TEST(a_question_is_for_later),
	};

	unit_watchdog();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
