/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's session against a daemon that can say anything.
 */
#include "tests/unit/fake_daemon.h"

static void opens_and_forgets(void **state)
{
	struct hak_session session = HAK_SESSION_NULL;
	unsigned fds = unit_count_fds();
	struct fake *f = *state;

	open_session(f, &session);
	assert_int_equal(session.state, HAK_SESSION_UP);
	assert_int_equal(session.id, 77);
	assert_int_equal(session.epoch, 5);
	assert_int_equal(session.region_superslabs, 4);
	assert_int_equal(f->hello.flags, 0);
	assert_int_equal(f->hello.layout_version, HAK_LAYOUT_VERSION);
	/* Out of the way of programs that reuse low numbers. */
	assert_true(session.sock > 2 && session.region_fd > 2);
	assert_int_equal(hak_session_region_fd(&session), session.region_fd);
	close_session(&session);
	f->conn = hak_sys_close(f->conn);
	assert_int_equal(unit_count_fds(), fds);
}

struct refusal {
	enum play play;
	int r;
};

static void a_bad_daemon_is_as_good_as_none(void **state)
{
	static const struct refusal refusals[] = {
		{ REFUSED, -EDQUOT },       { HANG_UP, -ECONNRESET },
		{ GARBAGE, -EBADMSG },      { SHORT, -EBADMSG },
		{ WRONG_TYPE, -EPROTO },    { FEW_DESCRIPTORS, -EPROTO },
		{ WRONG_SEGMENT, -EPROTO }, { TOO_LARGE_A_REGION, -EPROTO },
	};
	struct fake *f = *state;

	for (size_t i = 0; i < hak_array_size(refusals); i++) {
		struct hak_session session = HAK_SESSION_NULL;
		unsigned fds = unit_count_fds();
		int r;

		format_segment(f);
		play(f, refusals[i].play);
		r = hak_session_open(&session, f->path);
		played(f);
		if (r != refusals[i].r)
			fail_msg("play %d: %s", (int)refusals[i].play, strerror(-r));
		assert_int_equal(session.state, HAK_SESSION_LOST);
		assert_int_equal(unit_count_fds(), fds);
		assert_ptr_equal(session.segment, NULL);
	}
}

static void more_descriptors_than_expected_leak_nothing(void **state)
{
	struct hak_session session = HAK_SESSION_NULL;
	unsigned fds = unit_count_fds();
	struct fake *f = *state;

	play(f, MANY_DESCRIPTORS);
	assert_true(hak_session_open(&session, f->path) < 0);
	played(f);
	assert_int_equal(session.state, HAK_SESSION_LOST);
	assert_int_equal(unit_count_fds(), fds);
}

static void nobody_answers(void **state)
{
	struct hak_session session = HAK_SESSION_NULL;
	struct fake *f = *state;
	char path[112];
	uint64_t begin;

	(void)snprintf(path, sizeof(path), "%s/none", f->dir);
	assert_int_equal(hak_session_open(&session, path), -ENOENT);
	play(f, SILENCE);
	begin = hak_sys_now_ns();
	assert_int_equal(hak_session_open(&session, f->path), -ETIMEDOUT);
	assert_in_range(hak_sys_now_ns() - begin, HAK_GREETING_WAIT_NS, 10 * SECOND);
	played(f);
	assert_int_equal(session.state, HAK_SESSION_LOST);
	assert_int_equal(hak_session_post(&session, &(struct hak_sqe){ .op = HAK_OP_NOP }),
			 -ECONNRESET);
	assert_int_equal(hak_session_wait(&session, 0), -ECONNRESET);
}

static void requests_go_out_and_answers_come_in(void **state)
{
	struct hak_session session = HAK_SESSION_NULL;
	struct fake *f = *state;
	struct hak_sqe sqe, seen;
	struct hak_cqe cqe;

	open_session(f, &session);
	assert_int_equal(hak_session_reap(&session, &cqe), -EAGAIN);
	for (uint64_t seq = 1; seq <= 3 * HAK_CQ_ENTRIES; seq++) {
		sqe = (struct hak_sqe){ .op = HAK_OP_LEASE, .count = 3 };
		assert_int_equal(hak_session_post(&session, &sqe), 0);
		assert_int_equal(sqe.seq, seq);
		assert_int_equal(hak_ring_pop(&f->sq, &seen), 0);
		assert_memory_equal(&seen, &sqe, sizeof(sqe));
		cqe = (struct hak_cqe){ .op = HAK_OP_LEASE, .seq = seq, .count = 3 };
		assert_int_equal(hak_ring_push(&f->cq, &cqe), 0);
		assert_int_equal(hak_session_wait(&session, hak_sys_now_ns() + SECOND), 0);
		memset(&cqe, 0, sizeof(cqe));
		assert_int_equal(hak_session_reap(&session, &cqe), 0);
		assert_int_equal(cqe.seq, seq);
	}
	close_session(&session);
}

static void a_full_ring_says_again(void **state)
{
	struct hak_session session = HAK_SESSION_NULL;
	struct fake *f = *state;
	struct hak_sqe sqe = { .op = HAK_OP_NOP };

	open_session(f, &session);
	for (uint32_t i = 0; i < HAK_SQ_ENTRIES; i++)
		assert_int_equal(hak_session_post(&session, &sqe), 0);
	assert_int_equal(hak_session_post(&session, &sqe), -EAGAIN);
	assert_int_equal(session.seq, HAK_SQ_ENTRIES); /* no number is lost */
	assert_int_equal(hak_ring_pop(&f->sq, &sqe), 0);
	assert_int_equal(hak_session_post(&session, &sqe), 0);
	close_session(&session);
}

static void waiting_ends_with_time_or_the_daemon(void **state)
{
	struct hak_session session = HAK_SESSION_NULL;
	struct fake *f = *state;
	struct hak_cqe cqe;
	uint64_t begin;

	open_session(f, &session);
	begin = hak_sys_now_ns();
	assert_int_equal(hak_session_wait(&session, begin + SECOND / 20), -ETIMEDOUT);
	assert_true(hak_sys_now_ns() - begin >= SECOND / 20);
	assert_int_equal(session.state, HAK_SESSION_UP);
	f->conn = hak_sys_close(f->conn);
	begin = hak_sys_now_ns();
	assert_int_equal(hak_session_wait(&session, begin + 30 * SECOND), -ETIMEDOUT);
	assert_in_range(hak_sys_now_ns() - begin, HAK_AWAY_WAIT_NS, 10 * SECOND);
	assert_int_equal(session.state, HAK_SESSION_AWAY);
	assert_int_equal(hak_session_reap(&session, &cqe), -EAGAIN);
	/* Giving memory back needs the region even then. */
	assert_true(hak_session_region_fd(&session) >= 0);
	close_session(&session);
}

/* The peer writes what cannot be into its index. */
static void corrupt_rings_end_the_session(void **state)
{
	struct hak_session session = HAK_SESSION_NULL;
	struct fake *f = *state;
	struct hak_sqe sqe = { .op = HAK_OP_NOP };
	struct hak_cqe cqe;

	open_session(f, &session);
	f->cq.ring->tail = HAK_CQ_ENTRIES + 1;
	assert_int_equal(hak_session_reap(&session, &cqe), -ECONNRESET);
	assert_int_equal(session.state, HAK_SESSION_LOST);
	close_session(&session);
	f->conn = hak_sys_close(f->conn);
	f->cq.ring->tail = 0;

	open_session(f, &session);
	f->sq.ring->head = 1000;
	assert_int_equal(hak_session_post(&session, &sqe), -ECONNRESET);
	assert_int_equal(session.state, HAK_SESSION_LOST);
	close_session(&session);
}

static void a_closed_descriptor_is_asked_for_again(void **state)
{
	struct hak_session session = HAK_SESSION_NULL;
	struct fake *f = *state;
	struct hak_fd_id id;
	int old, fd;

	open_session(f, &session);
	old = f->conn;
	/* Closed, and the number taken by something else. */
	fd = session.region_fd;
	assert_int_equal(dup2(STDERR_FILENO, fd), fd);
	hak_sys_close(session.sock);
	play(f, WELCOME);
	assert_true(hak_session_region_fd(&session) >= 0);
	played(f);
	assert_int_equal(f->hello.flags, HAK_HELLO_RESUME);
	assert_int_equal(f->hello.session_id, 77);
	assert_int_not_equal(session.region_fd, fd);
	assert_true(hak_sys_fd_is(session.region_fd, &session.region_id));
	assert_true(hak_sys_fd_is(session.sock, &session.sock_id));
	/* The program's descriptor was left alone. */
	assert_int_equal(hak_sys_fd_id(&id, fd), 0);
	assert_false(hak_sys_fd_is(fd, &session.region_id));
	hak_sys_close(fd);
	hak_sys_close(old);
	close_session(&session);
}

static void other_memory_is_never_accepted(void **state)
{
	struct hak_session session = HAK_SESSION_NULL;
	struct fake *f = *state;
	int old;

	open_session(f, &session);
	old = f->conn;
	hak_sys_close(session.region_fd);
	play(f, OTHER_REGION);
	assert_int_equal(hak_session_region_fd(&session), -EPROTO);
	played(f);
	hak_sys_close(old);
	close_session(&session);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(opens_and_forgets),
		TEST(a_bad_daemon_is_as_good_as_none),
		TEST(more_descriptors_than_expected_leak_nothing),
		TEST(nobody_answers),
		TEST(requests_go_out_and_answers_come_in),
		TEST(a_full_ring_says_again),
		TEST(waiting_ends_with_time_or_the_daemon),
		TEST(corrupt_rings_end_the_session),
		TEST(a_closed_descriptor_is_asked_for_again),
		TEST(other_memory_is_never_accepted),
	};

	unit_watchdog();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
