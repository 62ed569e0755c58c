/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fdpass.h - one frame with its descriptors over a SOCK_SEQPACKET socket.
 *
 * Thread-safe for distinct sockets; allocates nothing; errno is left alone.
 */
#pragma once

#include <sys/types.h>

#include "shared/wire.h"

/* Sends one frame and n_fds <= HAK_WIRE_FDS_MAX descriptors (borrowed). Never blocks:
 * -EAGAIN where the peer does not read, -EPIPE where it is gone. No SIGPIPE. */
int hak_fdpass_send(int sock, const struct hak_wire_frame *frame, const int *fds, unsigned n_fds);

/*
 * Receives one packet into buf and its descriptors, close-on-exec, into ret_fds (owned by the
 * caller). More than max_fds, or of a kind that is no descriptor: all are closed, -EBADMSG.
 * The number of bytes (0: peer closed), -EAGAIN, -EMSGSIZE (packet larger than size), or another
 * error. Never blocks.
 */
ssize_t hak_fdpass_recv(int sock, void *buf, size_t size, int *ret_fds, unsigned max_fds,
			unsigned *ret_n_fds);
