/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.h - one connection: a socket, and who is at its other end according to the kernel.
 *
 *	accept             HELLO                 hang-up, BYE, a bad frame
 *	-------> GREETING -------> of a session ---------------------------> closing --> freed when
 *	           | bad frame, BYE, hang-up, deadline                 ^              nothing is in
 *	           +---------------------------------------------------+              flight
 *
 * A QUERY is answered in any state and starts the deadline anew. A connection is the session's
 * voice, not its life: a process that closes all descriptors keeps its session (see session.h).
 * Packets of a session count as requests: over its rate the socket is not read until one is due.
 */
#pragma once

#include "daemon/list.h"
#include "daemon/loop.h"
#include "shared/sys.h"
#include "shared/wire.h"

struct account;
struct daemon;
struct session;

struct conn {
	uint64_t magic;
	struct daemon *daemon;
	struct list link; /* daemon.conns */
	int sock;
	int pidfd; /* until a session takes it */
	struct hak_peer peer;
	struct account *account;                 /* one place in it */
	struct session *session;                 /* NULL: GREETING */
	struct hak_wire_domain_attr domain_attr; /* of the next domain that is made */
	bool closing;
	struct loop_op recv;
	struct loop_op deadline;
};

/* `sock` is consumed, always; refusals are answered. */
void conn_accept(struct daemon *daemon, int sock);

/* Hangs up. The connection leaves its session; its memory goes when nothing is in flight. */
void conn_close(struct conn *conn);
/* The same with a last word. */
void conn_refuse(struct conn *conn, int code, const char *text);

/* The code of a REFUSED for this reason. */
int conn_refusal_code(uint32_t refusal);

/* The greeting is over, or starts again. */
void conn_stop_deadline(struct conn *conn);
void conn_restart_deadline(struct conn *conn);
