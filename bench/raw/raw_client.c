/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/raw/raw_client.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/fdpass.h"
#include "shared/sys.h"

int raw_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (sock < 0)
		return -errno;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = -errno;

		close(sock);
		return r;
	}
	return sock;
}

int raw_send(int sock, const void *bytes, size_t size, const int *fds, unsigned n_fds)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 253)];
		struct cmsghdr align;
	} control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	return sendmsg(sock, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int raw_recv(int sock, struct hak_wire_frame *ret_frame, int *ret_fds, unsigned *ret_n_fds)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	uint8_t buf[HAK_WIRE_SIZE];
	int fds[HAK_WIRE_FDS_MAX];
	unsigned n_fds = 0;
	ssize_t n;

	if (poll(&p, 1, RAW_DEADLINE_MS) <= 0)
		return -ETIMEDOUT;
	n = hak_fdpass_recv(sock, buf, sizeof(buf), fds, HAK_WIRE_FDS_MAX, &n_fds);
	if (n == 0 || n == -ECONNRESET)
		return -ENOTCONN;
	if (n < 0)
		return (int)n;
	if (ret_n_fds) {
		memcpy(ret_fds, fds, sizeof(int) * n_fds);
		*ret_n_fds = n_fds;
	} else {
		while (n_fds)
			close(fds[--n_fds]);
	}
	return hak_wire_decode(ret_frame, buf, (size_t)n);
}

int raw_wait_hangup(int sock)
{
	struct hak_wire_frame frame;
	int r;

	do {
		r = raw_recv(sock, &frame, NULL, NULL);
	} while (r == 0);
	return r == -ENOTCONN ? 0 : r;
}

int raw_wait_refused(int sock, int *ret_code, char ret_text[HAK_WIRE_TEXT])
{
	struct hak_wire_frame frame;
	int r = raw_recv(sock, &frame, NULL, NULL);

	if (r < 0)
		return r;
	if (frame.type != HAK_WIRE_REFUSED)
		return -EPROTO;
	*ret_code = frame.refused.code;
	memcpy(ret_text, frame.refused.text, HAK_WIRE_TEXT);
	return raw_wait_hangup(sock);
}

struct hak_wire_frame raw_hello(void)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_HELLO);

	frame.hello.version_min = HAK_WIRE_VERSION_MIN;
	frame.hello.version_max = HAK_WIRE_VERSION_MAX;
	frame.hello.layout_version = HAK_LAYOUT_VERSION;
	(void)snprintf(frame.hello.comm, sizeof(frame.hello.comm), "raw");
	return frame;
}

/* Takes over the descriptors of a WELCOME. */
static int map_all(struct raw *raw)
{
	void *at;
	int r = hak_sys_map_shared(&at, NULL, raw->segment_fd, 0, HAK_SEGMENT_SIZE);

	if (r < 0)
		return r;
	raw->segment = at;
	if (!hak_segment_head_ok(raw->segment))
		return -EBADMSG;
	hak_ring_end_init(&raw->sq, hak_at(at, HAK_SEGMENT_SQ_OFF),
			  hak_at(at, HAK_SEGMENT_SQES_OFF), HAK_SQ_ENTRIES);
	hak_ring_end_init(&raw->cq, hak_at(at, HAK_SEGMENT_CQ_OFF),
			  hak_at(at, HAK_SEGMENT_CQES_OFF), HAK_CQ_ENTRIES);
	r = hak_sys_map_shared(&raw->presence, NULL, raw->presence_fd, 0, 4096);
	if (r == 0) /* a forked child is not this client */
		r = madvise(raw->presence, 4096, MADV_DONTFORK) < 0 ? -errno : 0;
	return r;
}

static int greet(struct raw *ret_raw, const char *path, const struct hak_wire_frame *hello)
{
	struct raw raw = { .segment_fd = -1, .region_fd = -1, .presence_fd = -1 };
	struct hak_wire_frame frame;
	int fds[HAK_WIRE_FDS_MAX];
	unsigned n_fds = 0;
	int r;

	raw.sock = raw_connect(path);
	if (raw.sock < 0)
		return raw.sock;
	r = raw_send(raw.sock, hello, sizeof(*hello), NULL, 0);
	if (r == 0 || r == -EPIPE) /* turned away before it was sent: the reason is there */
		r = raw_recv(raw.sock, &frame, fds, &n_fds);
	if (r == 0 && frame.type == HAK_WIRE_REFUSED)
		r = frame.refused.code;
	else if (r == 0 && (frame.type != HAK_WIRE_WELCOME || n_fds != 3))
		r = -EPROTO;
	if (r < 0) {
		close(raw.sock);
		return r;
	}
	raw.segment_fd = fds[0];
	raw.region_fd = fds[1];
	raw.presence_fd = fds[2];
	raw.session_id = frame.welcome.session_id;
	raw.epoch = frame.welcome.epoch;
	r = map_all(&raw);
	if (r < 0) {
		raw_close(&raw);
		return r;
	}
	*ret_raw = raw;
	return 0;
}

int raw_open(struct raw *ret_raw, const char *path)
{
	const struct hak_wire_frame hello = raw_hello();

	return greet(ret_raw, path, &hello);
}

int raw_open_version(struct raw *ret_raw, const char *path, uint16_t version)
{
	struct hak_wire_frame hello = raw_hello();

	hello.hello.version_max = version;
	return greet(ret_raw, path, &hello);
}

int raw_resume(struct raw *ret_raw, const char *path, uint64_t session_id)
{
	struct hak_wire_frame hello = raw_hello();

	hello.hello.flags = HAK_HELLO_RESUME;
	hello.hello.session_id = session_id;
	return greet(ret_raw, path, &hello);
}

void raw_close_fds(struct raw *raw)
{
	raw->sock = hak_sys_close(raw->sock);
	raw->segment_fd = hak_sys_close(raw->segment_fd);
	raw->region_fd = hak_sys_close(raw->region_fd);
	raw->presence_fd = hak_sys_close(raw->presence_fd);
}

void raw_close(struct raw *raw)
{
	if (raw->presence)
		(void)hak_sys_unmap(raw->presence, 4096);
	if (raw->segment)
		(void)hak_sys_unmap(raw->segment, HAK_SEGMENT_SIZE);
	raw->presence = NULL;
	raw->segment = NULL;
	raw_close_fds(raw);
}

struct hak_sqe raw_entry(struct raw *raw, enum hak_op op)
{
	return (struct hak_sqe){ .op = op, .seq = ++raw->seq };
}

void raw_wake(struct raw *raw)
{
	if (hak_ring_must_wake(&raw->sq))
		hak_sys_futex_wake(&raw->sq.ring->tail, INT_MAX);
}

int raw_push(struct raw *raw, const struct hak_sqe *sqe)
{
	int r = hak_ring_push(&raw->sq, sqe);

	if (r == 0)
		raw_wake(raw);
	return r;
}

/* Sleeps on the ring in slices, to notice that the daemon has hung up. */
int raw_pop(struct raw *raw, struct hak_cqe *ret_cqe)
{
	const uint64_t deadline = hak_sys_now_ns() + RAW_DEADLINE_MS * UINT64_C(1000000);

	for (;;) {
		struct pollfd p = { .fd = raw->sock, .events = POLLRDHUP };

		if (hak_ring_pop(&raw->cq, ret_cqe) == 0)
			return 0;
		if (raw->sock >= 0 && poll(&p, 1, 0) > 0)
			return hak_ring_pop(&raw->cq, ret_cqe) == 0 ? 0 : -ENOTCONN;
		if (hak_sys_now_ns() > deadline)
			return -ETIMEDOUT;
		if (hak_ring_may_sleep(&raw->cq)) {
			(void)hak_sys_futex_wait(&raw->cq.ring->tail, raw->cq.mine, 50000000);
			hak_ring_awake(&raw->cq);
		}
	}
}

int raw_call(struct raw *raw, const struct hak_sqe *sqe, struct hak_cqe *ret_cqe)
{
	int r = raw_push(raw, sqe);

	if (r)
		return -EBUSY;
	r = raw_pop(raw, ret_cqe);
	if (r < 0)
		return r;
	return ret_cqe->seq == sqe->seq && ret_cqe->op == sqe->op ? ret_cqe->result : -EPROTO;
}

int raw_nop(struct raw *raw)
{
	const struct hak_sqe sqe = raw_entry(raw, HAK_OP_NOP);
	struct hak_cqe cqe;

	return raw_call(raw, &sqe, &cqe);
}

int raw_lease(struct raw *raw, uint32_t count, uint32_t *ret_first)
{
	struct hak_sqe sqe = raw_entry(raw, HAK_OP_LEASE);
	struct hak_cqe cqe;
	int r;

	sqe.count = count;
	sqe.node = HAK_NODE_ANY;
	r = raw_call(raw, &sqe, &cqe);
	if (r < 0)
		return r;
	*ret_first = cqe.first;
	return cqe.count == count ? 0 : -EPROTO;
}

static int range_call(struct raw *raw, enum hak_op op, uint32_t first, uint32_t count)
{
	struct hak_sqe sqe = raw_entry(raw, op);
	struct hak_cqe cqe;

	sqe.first = first;
	sqe.count = count;
	return raw_call(raw, &sqe, &cqe);
}

int raw_return(struct raw *raw, uint32_t first, uint32_t count)
{
	return range_call(raw, HAK_OP_RETURN, first, count);
}

int raw_freeze(struct raw *raw, uint32_t first, uint32_t count)
{
	return range_call(raw, HAK_OP_FREEZE, first, count);
}

void *raw_map(const struct raw *raw, uint32_t index)
{
	void *at = NULL;

	if (hak_sys_map_shared(&at, NULL, raw->region_fd, (uint64_t)index << HAK_SUPERSLAB_SHIFT,
			       HAK_SUPERSLAB_SIZE) < 0)
		return NULL;
	return at;
}

void raw_unmap(void *at)
{
	(void)hak_sys_unmap(at, HAK_SUPERSLAB_SIZE);
}

/* A report as it came, and its file. */
struct answer {
	struct hak_wire_frame frame;
	int fds[HAK_WIRE_FDS_MAX];
	unsigned n_fds;
};

static int ask(int sock, enum hak_wire_query what, struct answer *ret_answer)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_QUERY);
	int r;

	frame.query.what = what;
	ret_answer->n_fds = 0;
	r = raw_send(sock, &frame, sizeof(frame), NULL, 0);
	if (r == 0 || r == -EPIPE)
		r = raw_recv(sock, &ret_answer->frame, ret_answer->fds, &ret_answer->n_fds);
	return r;
}

/* Maps the answer, copies at most `max` records out of it. */
static int take_records(const struct answer *answer, void *ret_records, size_t record_size,
			unsigned max)
{
	const struct hak_wire_frame *frame = &answer->frame;
	unsigned n;
	void *at;
	int r = 0;

	if (frame->type != HAK_WIRE_REPORT || answer->n_fds != 1 ||
	    frame->report.record_size != record_size)
		return frame->type == HAK_WIRE_REFUSED ? frame->refused.code : -EPROTO;
	n = frame->report.count < max ? (unsigned)frame->report.count : max;
	if (n) {
		r = hak_sys_map_readonly(&at, answer->fds[0], n * record_size);
		if (r == 0) {
			memcpy(ret_records, at, n * record_size);
			(void)hak_sys_unmap(at, n * record_size);
		}
	}
	close(answer->fds[0]);
	return r < 0 ? r : (int)n;
}

int raw_ask(int sock, enum hak_wire_query what, void *ret_records, size_t record_size, unsigned max)
{
	struct answer answer;
	int r = ask(sock, what, &answer);

	return r < 0 ? r : take_records(&answer, ret_records, record_size, max);
}

static int query(const char *path, enum hak_wire_query what, void *ret_records, size_t record_size,
		 unsigned max)
{
	struct answer answer;
	int sock = raw_connect(path), r;

	if (sock < 0)
		return sock;
	r = ask(sock, what, &answer);
	close(sock); /* early: who asks next may count the daemon's descriptors */
	return r < 0 ? r : take_records(&answer, ret_records, record_size, max);
}

int raw_sessions(const char *path, struct hak_report_session *ret_records, unsigned max)
{
	return query(path, HAK_QUERY_SESSIONS, ret_records, sizeof(*ret_records), max);
}

int raw_limits(const char *path, struct hak_report_limit *ret_records, unsigned max)
{
	return query(path, HAK_QUERY_LIMITS, ret_records, sizeof(*ret_records), max);
}

bool raw_limit(const char *path, const char *key, uint64_t owner, struct hak_report_limit *ret)
{
	struct hak_report_limit limits[128];
	int n = raw_limits(path, limits, hak_array_size(limits));

	for (int i = 0; i < n; i++) {
		if (strcmp(limits[i].key, key) || limits[i].owner != owner)
			continue;
		*ret = limits[i];
		return true;
	}
	return false;
}

int raw_status(const char *path, struct hak_report_status *ret_status)
{
	int n = query(path, HAK_QUERY_STATUS, ret_status, sizeof(*ret_status), 1);

	return n == 1 ? 0 : n < 0 ? n : -EPROTO;
}
