/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handshake.h - what a packet on a connection means: HELLO, BYE, QUERY, or the end of it.
 *
 * A bad packet costs a connection its life, and the session behind it its rings: whoever sends
 * nonsense on one channel is not served on the other.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct conn;

/*
 * `n` bytes of a packet; or the negative errno with which it was rejected: -EBADMSG (empty, or
 * descriptors attached), -EMSGSIZE. False: the connection is closed, the object may be gone.
 */
bool handshake_packet(struct conn *conn, const void *bytes, ssize_t n);
