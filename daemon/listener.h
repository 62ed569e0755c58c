/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener.h - the socket that clients connect to.
 *
 * PATH.lock is held (flock) as long as a daemon lives, so that two that start at once can't both
 * take a stale socket for theirs. A socket handed over by a service manager (LISTEN_FDS) needs
 * neither lock nor removal: it is not ours.
 *
 * Out of descriptors, one is held in reserve: it takes the waiting connection, which is refused,
 * and accepting pauses.
 */
#pragma once

#include "daemon/config.h"
#include "daemon/loop.h"
#include "shared/sys.h"

struct listener;

/* `sock` is consumed, always. */
typedef void listener_fn(struct listener *listener, int sock);

struct listener {
	struct loop *loop;
	listener_fn *fn;
	int sock;
	int lock;
	int reserve;
	bool owns_path; /* and id says which file that is */
	struct hak_fd_id id;
	bool stopping;
	char path[CONFIG_SOCKET_BYTES];
	struct loop_op accept;
	struct loop_op pause;
};
#define LISTENER_NULL                                 \
	{                                             \
		.sock = -1, .lock = -1, .reserve = -1 \
	}

/* Listens on config->socket, or on `inherited` (taken over only if this succeeds) if it is not -1;
 * `lock` is then -1, or that of a socket which was ours before exec, and is again.
 * Failures are logged; -EADDRINUSE: another daemon has it. */
int listener_open(struct listener *listener, const struct config *config, int inherited, int lock);
/* Allowed on LISTENER_NULL and twice; nothing may be in flight. */
void listener_close(struct listener *listener);

/* Changes the file mode of a socket that is ours. */
void listener_set_mode(const struct listener *listener, unsigned mode);

void listener_start(struct listener *listener, struct loop *loop, listener_fn *fn);
/* Accepts no more and removes the socket's name, if it is still ours; then close when idle. */
void listener_stop(struct listener *listener);
bool listener_in_flight(const struct listener *listener);
