/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/session.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

#include "shared/fdpass.h"

/* Long enough for an answer that is under way, short enough not to keep a CPU from the daemon. */
#define SPIN_NS 20000u
/* Between looks at whether the daemon is still there. */
#define SLICE_NS 20000000

static int map_segment(struct hak_session *session, int segment_fd, int presence_fd)
{
	void *segment = NULL, *presence = NULL;
	int r = hak_sys_map_shared(&segment, NULL, segment_fd, 0, HAK_SEGMENT_SIZE);

	if (r < 0)
		return r;
	if (!hak_segment_head_ok(segment)) {
		r = -EPROTO;
		goto unmap_segment;
	}
	r = hak_sys_map_shared(&presence, NULL, presence_fd, 0, 4096);
	if (r < 0)
		goto unmap_segment;
	/* A raw clone() must neither use the parent's rings nor look like the parent's memory. */
	r = hak_sys_advise(segment, HAK_SEGMENT_SIZE, MADV_DONTFORK);
	if (!r)
		r = hak_sys_advise(presence, 4096, MADV_DONTFORK);
	if (r < 0)
		goto unmap_presence;
	session->segment = segment;
	session->reserve = hak_at(segment, HAK_SEGMENT_RESERVE_OFF);
	session->presence = presence;
	hak_ring_end_init(&session->sq, hak_at(segment, HAK_SEGMENT_SQ_OFF),
			  hak_at(segment, HAK_SEGMENT_SQES_OFF), HAK_SQ_ENTRIES);
	hak_ring_end_init(&session->cq, hak_at(segment, HAK_SEGMENT_CQ_OFF),
			  hak_at(segment, HAK_SEGMENT_CQES_OFF), HAK_CQ_ENTRIES);
	return 0;

unmap_presence:
	(void)hak_sys_unmap(presence, 4096);
unmap_segment:
	(void)hak_sys_unmap(segment, HAK_SEGMENT_SIZE);
	return r;
}

int hak_session_open(struct hak_session *session, const char *path)
{
	struct hak_greeting greeting = HAK_GREETING_NULL;
	int r;

	*session = (struct hak_session)HAK_SESSION_NULL;
	session->state = HAK_SESSION_LOST;
	session->path = path;
	r = hak_connect(&greeting, path, 0);
	if (r < 0)
		return r;
	r = map_segment(session, greeting.segment_fd, greeting.presence_fd);
	if (!r)
		r = hak_sys_fd_id(&session->region_id, greeting.region_fd);
	if (!r)
		r = hak_sys_fd_id(&session->segment_id, greeting.segment_fd);
	if (!r)
		r = hak_sys_fd_id(&session->sock_id, greeting.sock);
	if (!r) {
		session->id = greeting.welcome.session_id;
		session->epoch = greeting.welcome.epoch;
		session->region_superslabs = greeting.welcome.region_superslabs;
		session->version = greeting.welcome.version;
		session->sock = greeting.sock;
		session->region_fd = greeting.region_fd;
		greeting.sock = greeting.region_fd = -1;
		session->state = HAK_SESSION_UP;
	}
	hak_greeting_deinit(&greeting);
	return r;
}

int hak_session_post(struct hak_session *session, struct hak_sqe *sqe)
{
	int r;

	if (!hak_session_lasts(session))
		return -ECONNRESET;
	sqe->seq = session->seq + 1;
	r = hak_ring_push(&session->sq, sqe);
	if (r == HAK_RING_E_FULL)
		return -EAGAIN;
	if (r) {
		hak_session_lose(session);
		return -ECONNRESET;
	}
	session->seq++;
	if (hak_ring_must_wake(&session->sq))
		hak_sys_futex_wake(&session->sq.ring->tail, 1);
	return 0;
}

int hak_session_reap(struct hak_session *session, struct hak_cqe *ret_cqe)
{
	int r;

	if (!hak_session_lasts(session))
		return -ECONNRESET;
	r = hak_ring_pop(&session->cq, ret_cqe);
	if (r == HAK_RING_E_EMPTY)
		return -EAGAIN;
	if (r) {
		hak_session_lose(session);
		return -ECONNRESET;
	}
	return 0;
}

/* False: the daemon has closed its end, or is to be treated so. */
static bool daemon_there(struct hak_session *session)
{
	struct pollfd pfd = { .fd = session->sock, .events = POLLIN };
	int r;

	if (!hak_sys_fd_is(session->sock, &session->sock_id)) {
		/* Closed by the program: ask for it again; a dead daemon does not answer. */
		r = hak_session_region_fd(session);
		return r >= 0;
	}
	r = hak_sys_poll(&pfd, 1, 0);
	/* Unasked, the daemon says nothing on the socket: anything readable is its end. */
	return r <= 0;
}

bool hak_session_alive(struct hak_session *session)
{
	if (session->state == HAK_SESSION_UP && !daemon_there(session))
		hak_session_leave(session);
	if (session->state == HAK_SESSION_AWAY)
		hak_session_resume(session);
	return session->state == HAK_SESSION_UP;
}

static bool has_completion(struct hak_session *session)
{
	return atomic_load_explicit(&session->cq.ring->tail, memory_order_acquire) !=
	       session->cq.mine;
}

int hak_session_wait(struct hak_session *session, uint64_t deadline_ns)
{
	uint64_t now = hak_sys_now_ns(), spin_end = now + SPIN_NS, away_end = 0;

	if (!hak_session_lasts(session))
		return -ECONNRESET;
	while (now < spin_end) {
		for (int i = 0; i < 100; i++) {
			if (has_completion(session))
				return 0;
			hak_cpu_relax();
		}
		now = hak_sys_now_ns();
	}
	for (; now < deadline_ns; now = hak_sys_now_ns()) {
		int64_t slice;

		if (!hak_session_alive(session)) {
			if (session->state == HAK_SESSION_LOST)
				return -ECONNRESET;
			if (!away_end)
				away_end = now + HAK_AWAY_WAIT_NS;
			if (deadline_ns > away_end)
				deadline_ns = away_end;
			if (now >= deadline_ns)
				break;
		}
		slice = (int64_t)(deadline_ns - now);
		if (!hak_ring_may_sleep(&session->cq))
			return 0;
		(void)hak_sys_futex_wait(&session->cq.ring->tail, session->cq.mine,
					 slice < SLICE_NS ? slice : SLICE_NS);
		hak_ring_awake(&session->cq);
		if (has_completion(session))
			return 0;
	}
	return -ETIMEDOUT;
}

int hak_session_region_fd(struct hak_session *session)
{
	struct hak_greeting greeting = HAK_GREETING_NULL;
	bool has_region = hak_sys_fd_is(session->region_fd, &session->region_id);
	int r;

	if (has_region &&
	    (session->state != HAK_SESSION_UP || hak_sys_fd_is(session->sock, &session->sock_id)))
		return session->region_fd;
	if (session->state == HAK_SESSION_AWAY) {
		hak_session_resume(session);
		return session->state == HAK_SESSION_UP ? session->region_fd : -EBADF;
	}
	if (session->state != HAK_SESSION_UP)
		return -EBADF;
	r = hak_connect(&greeting, session->path, session->id);
	if (r < 0)
		return r;
	r = hak_session_adopt(session, &greeting);
	hak_greeting_deinit(&greeting);
	return r < 0 ? r : session->region_fd;
}

static bool poll_until(int sock, short events, uint64_t deadline)
{
	struct pollfd pfd = { .fd = sock, .events = events };
	uint64_t now = hak_sys_now_ns();

	return now < deadline && hak_sys_poll(&pfd, 1, (int)((deadline - now) / 1000000) + 1) > 0;
}

static int send_frame(struct hak_session *session, const struct hak_wire_frame *frame,
		      uint64_t deadline)
{
	int r;

	while ((r = hak_fdpass_send(session->sock, frame, NULL, 0)) == -EAGAIN) {
		if (!poll_until(session->sock, POLLOUT, deadline))
			return -ETIMEDOUT;
	}
	return r;
}

static int receive_frame(struct hak_session *session, struct hak_wire_frame *ret, int *ret_fds,
			 unsigned *ret_n_fds, uint64_t deadline)
{
	uint8_t buf[HAK_WIRE_SIZE];
	unsigned n_fds = 0;
	ssize_t n;
	int r;

	while ((n = hak_fdpass_recv(session->sock, buf, sizeof(buf), ret_fds, HAK_WIRE_FDS_MAX,
				    &n_fds)) == -EAGAIN) {
		if (!poll_until(session->sock, POLLIN, deadline))
			return -ETIMEDOUT;
	}
	r = n > 0 ? hak_wire_decode(ret, buf, (size_t)n) : n < 0 ? (int)n : -ECONNRESET;
	if (r < 0) {
		while (n > 0 && n_fds)
			hak_sys_close(ret_fds[--n_fds]);
		return r;
	}
	*ret_n_fds = n_fds;
	return 0;
}

int hak_session_ask(struct hak_session *session, const struct hak_wire_frame *frames, unsigned n,
		    struct hak_wire_frame *ret, int *ret_fds, unsigned *ret_n_fds,
		    uint64_t deadline_ns)
{
	int r = 0;

	if (!hak_session_alive(session))
		return session->state == HAK_SESSION_AWAY ? -EAGAIN : -ECONNRESET;
	for (unsigned i = 0; i < n && !r; i++)
		r = send_frame(session, &frames[i], deadline_ns);
	if (!r)
		r = receive_frame(session, ret, ret_fds, ret_n_fds, deadline_ns);
	if (r == -ECONNRESET || r == -EPIPE) {
		hak_session_leave(session);
		return session->state == HAK_SESSION_AWAY ? -EAGAIN : -ECONNRESET;
	}
	if (r < 0)
		hak_session_lose(session);
	return r;
}

void hak_session_forget(struct hak_session *session)
{
	/* The segment and the presence page were not inherited (MADV_DONTFORK). */
	if (session->state == HAK_SESSION_UP && hak_sys_fd_is(session->sock, &session->sock_id))
		hak_sys_close(session->sock);
	if (session->hello >= 0 && hak_sys_fd_is(session->hello, &session->hello_id))
		hak_sys_close(session->hello);
	if (session->region_fd >= 0 && hak_sys_fd_is(session->region_fd, &session->region_id))
		hak_sys_close(session->region_fd);
	*session = (struct hak_session)HAK_SESSION_NULL;
}
