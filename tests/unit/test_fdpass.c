/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "shared/fdpass.h"

/* A connected pair, and the number of descriptors to come back to. */
struct link {
	int a, b;
	unsigned before;
	int fds[HAK_WIRE_FDS_MAX]; /* something to send: each another file */
};

static int setup(void **state)
{
	static struct link link;
	int pair[2];

	link.before = unit_count_fds();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -1;
	link.a = pair[0];
	link.b = pair[1];
	for (unsigned i = 0; i < HAK_WIRE_FDS_MAX; i++) {
		if (hak_sys_memfd(&link.fds[i], "test-fdpass", 4096 * (i + 1), true))
			return -1;
	}
	*state = &link;
	return 0;
}

static int teardown(void **state)
{
	struct link *link = *state;

	hak_sys_close(link->a);
	hak_sys_close(link->b);
	for (unsigned i = 0; i < HAK_WIRE_FDS_MAX; i++)
		hak_sys_close(link->fds[i]);
	return unit_count_fds() == link->before ? 0 : -1; /* every test: nothing leaked */
}

/* Sends as an attacker may: any bytes, any number of descriptors, in up to two control messages. */
static void send_raw(int sock, const void *bytes, size_t size, int fd, unsigned n_first,
		     unsigned n_second)
{
	union {
		char bytes[2 * CMSG_SPACE(sizeof(int) * 253)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { (void *)(uintptr_t)bytes, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes };
	struct cmsghdr *c = (struct cmsghdr *)(void *)control.bytes;
	unsigned parts[2] = { n_first, n_second };

	memset(&control, 0, sizeof(control));
	for (unsigned p = 0; p < 2 && parts[p]; p++) {
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * parts[p]);
		for (unsigned i = 0; i < parts[p]; i++)
			memcpy(CMSG_DATA(c) + sizeof(int) * i, &fd, sizeof(fd));
		msg.msg_controllen += CMSG_SPACE(sizeof(int) * parts[p]);
		c = (struct cmsghdr *)(void *)(control.bytes + msg.msg_controllen);
	}
	if (!msg.msg_controllen)
		msg.msg_control = NULL;
	assert_int_equal(sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL), size);
}

static void a_frame_passes_with_its_descriptors(void **state)
{
	struct link *link = *state;

	for (unsigned n = 0; n <= HAK_WIRE_FDS_MAX; n++) {
		struct hak_wire_frame in = hak_wire_make(HAK_WIRE_WELCOME), out;
		int fds[HAK_WIRE_FDS_MAX] = { -7, -7, -7, -7 };
		unsigned n_fds = 99;

		in.welcome.session_id = n;
		assert_int_equal(hak_fdpass_send(link->a, &in, link->fds, n), 0);
		assert_int_equal(hak_fdpass_recv(link->b, &out, sizeof(out), fds, HAK_WIRE_FDS_MAX,
						 &n_fds),
				 sizeof(out));
		assert_memory_equal(&in, &out, sizeof(in));
		assert_int_equal(n_fds, n);
		for (unsigned i = 0; i < HAK_WIRE_FDS_MAX; i++) {
			struct hak_fd_id sent;

			if (i >= n) {
				assert_int_equal(fds[i], -7);
				continue;
			}
			assert_int_equal(hak_sys_fd_id(&sent, link->fds[i]), 0);
			assert_int_not_equal(fds[i], link->fds[i]);
			assert_true(hak_sys_fd_is(fds[i], &sent));
			assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
			hak_sys_close(fds[i]);
		}
	}
}

static void frames_keep_their_order_and_borders(void **state)
{
	struct link *link = *state;

	for (uint64_t i = 0; i < 10; i++) {
		struct hak_wire_frame in = hak_wire_make(HAK_WIRE_WELCOME);

		in.welcome.session_id = i;
		assert_int_equal(hak_fdpass_send(link->a, &in, link->fds, i % 3), 0);
	}
	for (uint64_t i = 0; i < 10; i++) {
		struct hak_wire_frame out;
		int fds[HAK_WIRE_FDS_MAX];
		unsigned n_fds;

		assert_int_equal(hak_fdpass_recv(link->b, &out, sizeof(out), fds, 4, &n_fds), 64);
		assert_int_equal(out.welcome.session_id, i);
		assert_int_equal(n_fds, i % 3);
		while (n_fds)
			hak_sys_close(fds[--n_fds]);
	}
}

struct flood {
	const char *name;
	unsigned first, second; /* descriptors in one and in another control message */
	unsigned max;
	int verdict; /* 0: the frame arrives with max descriptors */
};

/* The kernel merges both control messages into one and delivers at most 253. */
static const struct flood floods[] = {
	{ "none wanted, one sent", 1, 0, 0, -EBADMSG },
	{ "none wanted, 253 sent", 253, 0, 0, -EBADMSG },
	{ "three wanted, three sent", 3, 0, 3, 0 },
	{ "three wanted, three sent in pieces", 1, 2, 3, 0 },
	{ "three wanted, four sent", 4, 0, 3, -EBADMSG },
	{ "three wanted, four sent in pieces", 2, 2, 3, -EBADMSG },
	{ "four wanted, five sent", 5, 0, 4, -EBADMSG },
	{ "four wanted, 253 sent", 253, 0, 4, -EBADMSG },
	{ "four wanted, 253 sent in pieces", 250, 3, 4, -EBADMSG },
	{ "more wanted than a frame can have", 5, 0, 1000, -EBADMSG },
};

static void too_many_descriptors_are_all_closed(void **state)
{
	struct link *link = *state;
	struct hak_wire_frame in = hak_wire_make(HAK_WIRE_BYE), out;

	for (size_t i = 0; i < hak_array_size(floods); i++) {
		const struct flood *f = &floods[i];
		unsigned before = unit_count_fds(), n_fds = 99;
		int fds[HAK_WIRE_FDS_MAX] = { -7, -7, -7, -7 };
		ssize_t r;

		send_raw(link->a, &in, sizeof(in), link->fds[0], f->first, f->second);
		r = hak_fdpass_recv(link->b, &out, sizeof(out), fds, f->max, &n_fds);
		if (f->verdict) {
			assert_int_equal(r, f->verdict);
			assert_int_equal(n_fds, 99);
			assert_int_equal(fds[0], -7);
		} else {
			assert_int_equal(r, sizeof(out));
			assert_int_equal(n_fds, f->max);
			while (n_fds)
				hak_sys_close(fds[--n_fds]);
		}
		assert_int_equal(unit_count_fds(), before);
	}
}

static void descriptors_of_an_empty_packet_are_closed(void **state)
{
	struct link *link = *state;
	unsigned before = unit_count_fds(), n_fds;
	uint8_t buf[64];
	int fds[1];

	send_raw(link->a, "", 0, link->fds[0], 3, 0);
	assert_int_equal(hak_fdpass_recv(link->b, buf, sizeof(buf), fds, 0, &n_fds), -EBADMSG);
	assert_int_equal(unit_count_fds(), before);
}

/* SO_PASSCRED attaches credentials to what arrives: a control message of another kind. */
static void another_kind_of_ancillary_data_is_refused(void **state)
{
	struct link *link = *state;
	struct hak_wire_frame in = hak_wire_make(HAK_WIRE_BYE), out;
	unsigned before = unit_count_fds(), n_fds = 99;
	int fds[HAK_WIRE_FDS_MAX], one = 1;

	assert_int_equal(setsockopt(link->b, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)), 0);
	assert_int_equal(hak_fdpass_send(link->a, &in, link->fds, 2), 0);
	assert_int_equal(hak_fdpass_recv(link->b, &out, sizeof(out), fds, 4, &n_fds), -EBADMSG);
	assert_int_equal(n_fds, 99);
	assert_int_equal(unit_count_fds(), before);
}

static void a_long_packet_is_refused_whole(void **state)
{
	struct link *link = *state;
	uint8_t bytes[65536], buf[HAK_WIRE_SIZE + 1];
	static const size_t sizes[] = { HAK_WIRE_SIZE + 1, 128, 65536 };
	unsigned before = unit_count_fds(), n_fds = 99;
	int fds[HAK_WIRE_FDS_MAX];

	memset(bytes, 0x5a, sizeof(bytes));
	for (size_t i = 0; i < hak_array_size(sizes); i++) {
		buf[HAK_WIRE_SIZE] = 0x11;
		send_raw(link->a, bytes, sizes[i], link->fds[0], 2, 0);
		assert_int_equal(hak_fdpass_recv(link->b, buf, HAK_WIRE_SIZE, fds, 4, &n_fds),
				 -EMSGSIZE);
		assert_int_equal(buf[HAK_WIRE_SIZE], 0x11);
		assert_int_equal(n_fds, 99);
		assert_int_equal(unit_count_fds(), before);
	}
	/* Nothing of it is left: the next packet is the next packet. */
	send_raw(link->a, bytes, 64, -1, 0, 0);
	assert_int_equal(hak_fdpass_recv(link->b, buf, HAK_WIRE_SIZE, fds, 4, &n_fds), 64);
	assert_int_equal(n_fds, 0);
}

static void a_short_packet_arrives_as_it_is(void **state)
{
	struct link *link = *state;
	uint8_t buf[HAK_WIRE_SIZE];
	int fds[HAK_WIRE_FDS_MAX];
	unsigned n_fds;

	send_raw(link->a, "abc", 3, -1, 0, 0);
	assert_int_equal(hak_fdpass_recv(link->b, buf, sizeof(buf), fds, 4, &n_fds), 3);
	assert_memory_equal(buf, "abc", 3);
}

/* With no number free the kernel delivers fewer descriptors and says so by MSG_CTRUNC. */
static void a_full_table_is_an_error_not_a_leak(void **state)
{
	struct link *link = *state;
	struct hak_wire_frame in = hak_wire_make(HAK_WIRE_BYE), out;
	unsigned before = unit_count_fds(), n_fds = 99;
	int fds[HAK_WIRE_FDS_MAX], spare = fcntl(link->a, F_DUPFD_CLOEXEC, 0);
	struct rlimit old, tight;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(hak_fdpass_send(link->a, &in, link->fds, 3), 0);
	tight = old;
	tight.rlim_cur = (rlim_t)spare + 1; /* room for one: spare's number */
	hak_sys_close(spare);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	assert_int_equal(hak_fdpass_recv(link->b, &out, sizeof(out), fds, 4, &n_fds), -EBADMSG);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(n_fds, 99);
	assert_int_equal(unit_count_fds(), before);
}

static void nothing_there_is_eagain_and_never_blocks(void **state)
{
	struct link *link = *state;
	uint8_t buf[64];
	int fds[4];
	unsigned n_fds;

	assert_int_equal(hak_fdpass_recv(link->b, buf, sizeof(buf), fds, 4, &n_fds), -EAGAIN);
}

static void a_peer_that_does_not_read_is_eagain(void **state)
{
	struct link *link = *state;
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_BYE);
	int r = 0;

	for (unsigned i = 0; i < 1000000 && !r; i++)
		r = hak_fdpass_send(link->a, &frame, NULL, 0);
	assert_int_equal(r, -EAGAIN);
}

static void a_closed_peer_is_zero_and_epipe_without_a_signal(void **state)
{
	struct link *link = *state;
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_BYE);
	unsigned n_fds = 99;
	int fds[4];

	link->a = hak_sys_close(link->a);
	assert_int_equal(hak_fdpass_recv(link->b, &frame, sizeof(frame), fds, 4, &n_fds), 0);
	assert_int_equal(n_fds, 0);
	assert_int_equal(hak_fdpass_send(link->b, &frame, link->fds, 1), -EPIPE);
}

static void errors_are_returned_and_errno_is_left_alone(void **state)
{
	struct link *link = *state;
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_BYE);
	unsigned n_fds;
	int fds[5] = { 0 };

	errno = EDOM;
	assert_int_equal(hak_fdpass_send(link->a, &frame, fds, 5), -EINVAL);
	assert_int_equal(hak_fdpass_send(-1, &frame, NULL, 0), -EBADF);
	assert_int_equal(hak_fdpass_recv(-1, &frame, sizeof(frame), fds, 4, &n_fds), -EBADF);
	assert_int_equal(hak_fdpass_recv(link->b, &frame, sizeof(frame), fds, 4, &n_fds), -EAGAIN);
	assert_int_equal(hak_fdpass_send(link->a, &frame, link->fds, 1), 0);
	assert_int_equal(hak_fdpass_recv(link->b, &frame, sizeof(frame), fds, 4, &n_fds), 64);
	hak_sys_close(fds[0]);
	assert_int_equal(errno, EDOM);
}

#define FDPASS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FDPASS_TEST(a_frame_passes_with_its_descriptors),
		FDPASS_TEST(frames_keep_their_order_and_borders),
		FDPASS_TEST(too_many_descriptors_are_all_closed),
		FDPASS_TEST(descriptors_of_an_empty_packet_are_closed),
		FDPASS_TEST(another_kind_of_ancillary_data_is_refused),
		FDPASS_TEST(a_long_packet_is_refused_whole),
		FDPASS_TEST(a_short_packet_arrives_as_it_is),
		FDPASS_TEST(a_full_table_is_an_error_not_a_leak),
		FDPASS_TEST(nothing_there_is_eagain_and_never_blocks),
		FDPASS_TEST(a_peer_that_does_not_read_is_eagain),
		FDPASS_TEST(a_closed_peer_is_zero_and_epipe_without_a_signal),
		FDPASS_TEST(errors_are_returned_and_errno_is_left_alone),
	};

	return cmocka_run_group_tests_name("fdpass", tests, NULL, NULL);
}
