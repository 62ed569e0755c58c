/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect.h - from a path to a greeted connection: socket, HELLO, WELCOME with its descriptors.
 *
 * Bounded in time (HAK_GREETING_WAIT_NS): a daemon that is stopped or overrun is as good as none.
 * Allocates nothing.
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
void hak_greeting_deinit(struct hak_greeting *greeting);
