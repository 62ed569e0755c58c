/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect.h - from a path to a greeted connection: socket, HELLO, WELCOME with its descriptors.
 *
 * Bounded in time (HAK_GREETING_WAIT_NS): a daemon that is stopped or overrun is as good as none.
 * Whoever must not wait at all takes the two halves. Allocates nothing.
 */
#pragma once

#include "shared/wire.h"

#define HAK_GREETING_WAIT_NS UINT64_C(1000000000)

struct hak_greeting {
	int sock, segment_fd, region_fd, presence_fd; /* owned; sock and region moved up high */
	struct hak_wire_welcome welcome;
};
#define HAK_GREETING_NULL                                                         \
	{                                                                         \
		.sock = -1, .segment_fd = -1, .region_fd = -1, .presence_fd = -1, \
	}

/* `resume`: the session's id whose descriptors are wanted again, or 0 for a new session.
 * 0; -ECONNREFUSED, -ENOENT: no daemon; -ETIMEDOUT; -EPROTO: not a daemon that we understand; or
 * what the daemon refused with. */
int hak_connect(struct hak_greeting *ret_greeting, const char *path, uint64_t resume);
/* The first half: connects and sends HELLO. 0 and a socket of the caller's; -EAGAIN: an overrun
 * listener; or as above. Never waits. */
int hak_connect_begin(int *ret_sock, const char *path, uint64_t resume);
/* The second: WELCOME, waited for until deadline_ns (0: not at all). 0: the socket is the
 * greeting's now. Else it stays the caller's; -ETIMEDOUT: nothing has come yet. */
int hak_connect_end(struct hak_greeting *ret_greeting, int sock, uint64_t deadline_ns);
void hak_greeting_deinit(struct hak_greeting *greeting);
