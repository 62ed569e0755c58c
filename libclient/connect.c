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

static int receive(struct hak_greeting *greeting, int sock)
{
	uint64_t deadline = hak_sys_now_ns() + HAK_GREETING_WAIT_NS;
	struct hak_wire_frame frame;
	uint8_t buf[HAK_WIRE_SIZE];
	int fds[3];
	unsigned n_fds = 0;
	ssize_t n;
	int r;

	for (;;) {
		struct pollfd pfd = { .fd = sock, .events = POLLIN };
		uint64_t now = hak_sys_now_ns();

		n = hak_fdpass_recv(sock, buf, sizeof(buf), fds, 3, &n_fds);
		if (n != -EAGAIN)
			break;
		if (now >= deadline)
			return -ETIMEDOUT;
		(void)hak_sys_poll(&pfd, 1, (int)((deadline - now) / 1000000) + 1);
	}
	if (n < 0)
		return (int)n;
	if (!n)
		return -ECONNRESET;
	r = hak_wire_decode(&frame, buf, (size_t)n);
	if (!r && frame.type == HAK_WIRE_REFUSED)
		r = frame.refused.code;
	else if (!r && (frame.type != HAK_WIRE_WELCOME || n_fds != 3))
		r = -EPROTO;
	if (r) {
		while (n_fds)
			hak_sys_close(fds[--n_fds]);
		return r;
	}
	greeting->segment_fd = fds[0];
	greeting->region_fd = hak_sys_move_high(fds[1]);
	greeting->presence_fd = fds[2];
	greeting->welcome = frame.welcome;
	return 0;
}

int hak_connect(struct hak_greeting *ret_greeting, const char *path, uint64_t resume)
{
	struct hak_greeting greeting = HAK_GREETING_NULL;
	struct hak_wire_frame hello;
	uint64_t deadline = hak_sys_now_ns() + HAK_GREETING_WAIT_NS;
	int r;

	/* An overrun listener says "again" at once, and there is nothing to wait on but time. */
	while ((r = hak_sys_connect(&greeting.sock, path)) == -EAGAIN &&
	       hak_sys_now_ns() < deadline)
		(void)hak_sys_poll(NULL, 0, 1);
	if (r < 0)
		return r;
	greeting.sock = hak_sys_move_high(greeting.sock);
	hello = make_hello(resume);
	r = hak_fdpass_send(greeting.sock, &hello, NULL, 0);
	/* A daemon that is full refuses before it has heard us. */
	if (!r || r == -EPIPE || r == -ECONNRESET)
		r = receive(&greeting, greeting.sock);
	if (!r && greeting.welcome.region_superslabs > HAK_REGION_SUPERSLABS)
		r = -EPROTO;
	if (r < 0) {
		hak_greeting_deinit(&greeting);
		return r;
	}
	*ret_greeting = greeting;
	return 0;
}
