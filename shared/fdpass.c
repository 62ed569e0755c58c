/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/fdpass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "shared/sys.h"

/* Room for what an attacker may attach (the kernel's limit is 253), so that we see and close it. */
#define RECV_FDS_ROOM 253u

union control {
	char bytes[CMSG_SPACE(sizeof(int) * RECV_FDS_ROOM)];
	struct cmsghdr align;
};

int hak_fdpass_send(int sock, const struct hak_wire_frame *frame, const int *fds, unsigned n_fds)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)frame, .iov_len = sizeof(*frame) };
	union {
		char bytes[CMSG_SPACE(sizeof(int) * HAK_WIRE_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int saved = errno, cancel, r = 0;
	ssize_t n;

	if (n_fds > HAK_WIRE_FDS_MAX)
		return -EINVAL;
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
	cancel = hak_sys_hold_cancel();
	do {
		n = sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	hak_sys_let_cancel(cancel);
	if (n < 0)
		r = -errno;
	else if ((size_t)n != sizeof(*frame))
		r = -EIO;
	errno = saved;
	return r;
}

/* Copies out up to max descriptors and closes the rest; the number kept, or -EBADMSG. */
static int take_fds(struct msghdr *msg, int *ret_fds, unsigned max)
{
	unsigned kept = 0;
	bool bad = msg->msg_flags & MSG_CTRUNC;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			bad = true;
			continue;
		}
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (kept < max) {
				ret_fds[kept++] = fd;
			} else {
				hak_sys_close(fd);
				bad = true;
			}
		}
	}
	if (!bad)
		return (int)kept;
	while (kept)
		hak_sys_close(ret_fds[--kept]);
	return -EBADMSG;
}

ssize_t hak_fdpass_recv(int sock, void *buf, size_t size, int *ret_fds, unsigned max_fds,
			unsigned *ret_n_fds)
{
	struct iovec iov = { .iov_base = buf, .iov_len = size };
	union control control;
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	int fds[HAK_WIRE_FDS_MAX];
	int saved = errno, cancel, kept;
	ssize_t n;

	if (max_fds > HAK_WIRE_FDS_MAX)
		max_fds = HAK_WIRE_FDS_MAX;
	cancel = hak_sys_hold_cancel();
	do {
		n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	hak_sys_let_cancel(cancel);
	if (n < 0)
		n = -errno;
	errno = saved;
	if (n < 0)
		return n;

	kept = take_fds(&msg, fds, max_fds);
	if (kept < 0)
		return kept;
	/* Descriptors on an empty packet would be taken for the peer's end, and leak. */
	if (msg.msg_flags & MSG_TRUNC || (!n && kept)) {
		while (kept)
			hak_sys_close(fds[--kept]);
		return n ? -EMSGSIZE : -EBADMSG;
	}
	memcpy(ret_fds, fds, sizeof(int) * (size_t)kept);
	*ret_n_fds = (unsigned)kept;
	return n;
}
