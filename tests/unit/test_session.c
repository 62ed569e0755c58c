/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's session against a daemon of the test's own making, which can say anything: one
 * listening socket, one thread that plays a script for each connection.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "libclient/connect.h"
#include "libclient/session.h"
#include "shared/fdpass.h"
#include "tests/must.h"

#define REGION_SIZE (4 * HAK_SUPERSLAB_SIZE)
#define SECOND      UINT64_C(1000000000)

enum play {
	WELCOME,            /* as it should be */
	REFUSED,            /* -EDQUOT */
	SILENCE,            /* no answer until the client hangs up */
	HANG_UP,            /* at once */
	GARBAGE,            /* 64 random bytes */
	SHORT,              /* 10 bytes of a frame */
	WRONG_TYPE,         /* HELLO, with three descriptors */
	FEW_DESCRIPTORS,    /* WELCOME with two */
	MANY_DESCRIPTORS,   /* WELCOME with four */
	WRONG_SEGMENT,      /* its header says another layout */
	TOO_LARGE_A_REGION, /* more superslabs than a window has */
	OTHER_REGION,       /* on resume: memory that is not the session's */
};

struct fake {
	char dir[64], path[96];
	int listener, conn;
	int segment_fd, region_fd, other_fd, presence_fd;
	void *segment;
	struct hak_ring_end sq, cq;
	enum play play;
	struct hak_wire_hello hello; /* the last one that came */
	pthread_t thread;
};

static void format_segment(struct fake *f)
{
	struct hak_segment_head *head = f->segment;

	*head = (struct hak_segment_head){ .magic = HAK_SEGMENT_MAGIC,
					   .layout_version = HAK_LAYOUT_VERSION,
					   .segment_size = HAK_SEGMENT_SIZE,
					   .sq_entries = HAK_SQ_ENTRIES,
					   .cq_entries = HAK_CQ_ENTRIES,
					   .region_superslabs = 4 };
}

static void fake_memory(struct fake *f)
{
	must(!hak_sys_memfd(&f->segment_fd, "segment", HAK_SEGMENT_SIZE, true));
	must(!hak_sys_memfd(&f->region_fd, "region", REGION_SIZE, true));
	must(!hak_sys_memfd(&f->other_fd, "other", REGION_SIZE, true));
	must(!hak_sys_memfd(&f->presence_fd, "presence", 4096, true));
	must(!hak_sys_map_shared(&f->segment, NULL, f->segment_fd, 0, HAK_SEGMENT_SIZE));
	format_segment(f);
	hak_ring_end_init(&f->sq, hak_at(f->segment, HAK_SEGMENT_SQ_OFF),
			  hak_at(f->segment, HAK_SEGMENT_SQES_OFF), HAK_SQ_ENTRIES);
	hak_ring_end_init(&f->cq, hak_at(f->segment, HAK_SEGMENT_CQ_OFF),
			  hak_at(f->segment, HAK_SEGMENT_CQES_OFF), HAK_CQ_ENTRIES);
}

static void send_frame(const struct fake *f, const struct hak_wire_frame *frame, unsigned n_fds)
{
	const int fds[] = { f->segment_fd, f->play == OTHER_REGION ? f->other_fd : f->region_fd,
			    f->presence_fd, f->other_fd };

	must(!hak_fdpass_send(f->conn, frame, fds, n_fds));
}

static void answer(struct fake *f)
{
	struct hak_wire_frame welcome = hak_wire_make(HAK_WIRE_WELCOME), refused;
	uint8_t bytes[HAK_WIRE_SIZE];

	welcome.welcome.version = HAK_WIRE_VERSION_MAX;
	welcome.welcome.region_superslabs = 4;
	welcome.welcome.session_id = 77;
	welcome.welcome.epoch = 5;
	memset(bytes, 0x5a, sizeof(bytes));
	switch (f->play) {
	case REFUSED:
		refused = hak_wire_refuse(-EDQUOT, "no");
		send_frame(f, &refused, 0);
		break;
	case GARBAGE:
		must(send(f->conn, bytes, sizeof(bytes), 0) == sizeof(bytes));
		break;
	case SHORT:
		must(send(f->conn, &welcome, 10, 0) == 10);
		break;
	case WRONG_TYPE:
		welcome = hak_wire_make(HAK_WIRE_HELLO);
		send_frame(f, &welcome, 3);
		break;
	case TOO_LARGE_A_REGION:
		welcome.welcome.region_superslabs = HAK_REGION_SUPERSLABS + 1;
		send_frame(f, &welcome, 3);
		break;
	case SILENCE:
	case HANG_UP:
		break;
	case FEW_DESCRIPTORS:
		send_frame(f, &welcome, 2);
		break;
	case MANY_DESCRIPTORS:
		send_frame(f, &welcome, 4);
		break;
	case WRONG_SEGMENT:
		((struct hak_segment_head *)f->segment)->layout_version++;
		send_frame(f, &welcome, 3);
		break;
	case WELCOME:
	case OTHER_REGION:
		send_frame(f, &welcome, 3);
		break;
	}
}

static void *serve(void *arg)
{
	struct fake *f = arg;
	struct hak_wire_frame frame;
	uint8_t bytes[HAK_WIRE_SIZE + 1];
	ssize_t n;

	f->conn = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	must(f->conn >= 0);
	n = recv(f->conn, bytes, sizeof(bytes), 0);
	must(n == HAK_WIRE_SIZE && !hak_wire_decode(&frame, bytes, HAK_WIRE_SIZE));
	must(frame.type == HAK_WIRE_HELLO);
	f->hello = frame.hello;
	answer(f);
	if (f->play == SILENCE)
		must(recv(f->conn, bytes, sizeof(bytes), 0) == 0);
	if (f->play != WELCOME && f->play != OTHER_REGION)
		f->conn = hak_sys_close(f->conn);
	return NULL;
}

static void play(struct fake *f, enum play what)
{
	f->play = what;
	assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
}

static void played(struct fake *f)
{
	assert_int_equal(pthread_join(f->thread, NULL), 0);
}

static int setup(void **state)
{
	struct fake *f = calloc(1, sizeof(*f));
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *tmp = getenv("TMPDIR");

	must(f);
	f->conn = -1;
	(void)snprintf(f->dir, sizeof(f->dir), "%s/hakfake.XXXXXX",
		       tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	must(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/sock", f->dir);
	memcpy(addr.sun_path, f->path, strlen(f->path) + 1);
	f->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	must(!bind(f->listener, (struct sockaddr *)&addr, sizeof(addr)) && !listen(f->listener, 8));
	fake_memory(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fake *f = *state;

	hak_sys_close(f->conn);
	hak_sys_close(f->listener);
	hak_sys_close(f->segment_fd);
	hak_sys_close(f->region_fd);
	hak_sys_close(f->other_fd);
	hak_sys_close(f->presence_fd);
	must(!hak_sys_unmap(f->segment, HAK_SEGMENT_SIZE));
	(void)unlink(f->path);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

static void open_session(struct fake *f, struct hak_session *session)
{
	play(f, WELCOME);
	assert_int_equal(hak_session_open(session, f->path), 0);
	played(f);
}

static void close_session(struct hak_session *session)
{
	if (session->segment)
		(void)hak_sys_unmap(session->segment, HAK_SEGMENT_SIZE);
	if (session->presence)
		(void)hak_sys_unmap(session->presence, 4096);
	hak_session_forget(session);
	assert_int_equal(session->state, HAK_SESSION_NONE);
}

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
	assert_int_equal(hak_session_wait(&session, begin + 30 * SECOND), -ECONNRESET);
	assert_true(hak_sys_now_ns() - begin < 10 * SECOND);
	assert_int_equal(session.state, HAK_SESSION_LOST);
	assert_int_equal(hak_session_reap(&session, &cqe), -ECONNRESET);
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
