/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/connect.h"

#include <errno.h>
#include <poll.h>

#include "shared/fdpass.h"
#include "shared/layout.h"
#include "shared/sys.h"

void hak_greeting_deinit(struct hak_greeting *greeting)
{
	hak_sys_close(greeting->sock);
	hak_sys_close(greeting->segment_fd);
	hak_sys_close(greeting->region_fd);
	hak_sys_close(greeting->presence_fd);
	*greeting = (struct hak_greeting)HAK_GREETING_NULL;
}

static struct hak_wire_frame make_hello(uint64_t resume)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_HELLO);

	frame.hello.version_min = HAK_WIRE_VERSION_MIN;
	frame.hello.version_max = HAK_WIRE_VERSION_MAX;
	frame.hello.layout_version = HAK_LAYOUT_VERSION;
	frame.hello.flags = resume ? HAK_HELLO_RESUME : 0;
	frame.hello.session_id = resume;
	hak_sys_comm(frame.hello.comm);
	return frame;
}

/* 0: one packet, and its descriptors. */
static int receive(struct hak_wire_frame *ret, int *ret_fds, unsigned *ret_n_fds, int sock,
		   uint64_t deadline)
{
	uint8_t buf[HAK_WIRE_SIZE];
	ssize_t n;

	for (;;) {
		struct pollfd pfd = { .fd = sock, .events = POLLIN };
		uint64_t now;

		n = hak_fdpass_recv(sock, buf, sizeof(buf), ret_fds, 3, ret_n_fds);
		if (n != -EAGAIN)
			break;
		now = deadline ? hak_sys_now_ns() : 0;
		if (now >= deadline)
			return -ETIMEDOUT;
		(void)hak_sys_poll(&pfd, 1, (int)((deadline - now) / 1000000) + 1);
	}
	if (n < 0)
		return (int)n;
	return n ? hak_wire_decode(ret, buf, (size_t)n) : -ECONNRESET;
}

int hak_connect_begin(int *ret_sock, const char *path, uint64_t resume)
{
	struct hak_wire_frame hello;
	int sock, r = hak_sys_connect(&sock, path);

	if (r < 0)
		return r;
	sock = hak_sys_move_high(sock);
	hello = make_hello(resume);
	r = hak_fdpass_send(sock, &hello, NULL, 0);
	/* A daemon that is full refuses before it has heard us. */
	if (r < 0 && r != -EPIPE && r != -ECONNRESET) {
		hak_sys_close(sock);
		return r;
	}
	*ret_sock = sock;
	return 0;
}

int hak_connect_end(struct hak_greeting *ret_greeting, int sock, uint64_t deadline_ns)
{
	struct hak_wire_frame frame;
	unsigned n_fds = 0;
	int fds[3], r = receive(&frame, fds, &n_fds, sock, deadline_ns);

	if (!r && frame.type == HAK_WIRE_REFUSED)
		r = frame.refused.code;
	else if (!r && (frame.type != HAK_WIRE_WELCOME || n_fds != 3 ||
			frame.welcome.region_superslabs > HAK_REGION_SUPERSLABS))
		r = -EPROTO;
	if (r) {
		while (n_fds)
			hak_sys_close(fds[--n_fds]);
		return r;
	}
	*ret_greeting = (struct hak_greeting){ .sock = sock,
					       .segment_fd = fds[0],
					       .region_fd = hak_sys_move_high(fds[1]),
					       .presence_fd = fds[2],
					       .welcome = frame.welcome };
	return 0;
}

int hak_connect(struct hak_greeting *ret_greeting, const char *path, uint64_t resume)
{
	uint64_t deadline = hak_sys_now_ns() + HAK_GREETING_WAIT_NS;
	int sock, r;

	/* An overrun listener says "again" at once, and there is nothing to wait on but time. */
	while ((r = hak_connect_begin(&sock, path, resume)) == -EAGAIN &&
	       hak_sys_now_ns() < deadline)
		(void)hak_sys_poll(NULL, 0, 1);
	if (r < 0)
		return r;
	r = hak_connect_end(ret_greeting, sock, hak_sys_now_ns() + HAK_GREETING_WAIT_NS);
	if (r < 0)
		hak_sys_close(sock);
	return r;
}
