/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/conn.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "daemon/account.h"
#include "daemon/daemon.h"
#include "daemon/handshake.h"
#include "daemon/log.h"
#include "daemon/os.h"
#include "daemon/session.h"
#include "shared/check.h"
#include "shared/fdpass.h"

#define CONN_MAGIC UINT64_C(0x636f6e6e2d68616b)

static void settle(struct conn *conn)
{
	if (!conn->closing || conn->recv.in_flight || conn->deadline.in_flight)
		return;
	loop_op_deinit(&conn->recv);
	loop_op_deinit(&conn->deadline);
	os_hang_up(conn->sock);
	hak_sys_close(conn->pidfd);
	conn->account = account_close(&conn->daemon->accounts, conn->account);
	list_del(&conn->link);
	conn->magic = 0;
	free(conn);
}

void conn_close(struct conn *conn)
{
	struct session *session = conn->session;

	if (conn->closing)
		return;
	conn->closing = true;
	if (session)
		session_hung_up(session, conn);
	conn->session = NULL;
	/* Now, not when the kernel has let go of the operation: the peer is waiting for it. */
	(void)shutdown(conn->sock, SHUT_RDWR);
	loop_cancel(&conn->recv);
	loop_cancel(&conn->deadline);
	settle(conn);
}

void conn_refuse(struct conn *conn, int code, const char *text)
{
	const struct hak_wire_frame frame = hak_wire_refuse(code, text);

	log_limited(LOG_AT_WARNING, "refused", "pid=%d uid=%u code=%d reason=\"%s\"",
		    (int)conn->peer.pid, conn->peer.uid, code, text);
	(void)hak_fdpass_send(conn->sock, &frame, NULL, 0);
	conn_close(conn);
}

/* Packets of a session are requests as those in its ring. 0, or how long this one is to wait. */
static uint64_t ask(struct conn *conn)
{
	struct session *session = conn->session;
	uint64_t wait = 0;

	if (session)
		wait = account_ask(&conn->daemon->accounts, session->account,
				   &session->requests_left, hak_sys_now_ns());
	return wait ? session_slowed(session, wait) : 0;
}

/* One packet a turn, so that a chatterbox waits in line with everybody else. */
static void on_recv(struct loop_op *op, int result, bool more)
{
	struct conn *conn = hak_container_of(op, struct conn, recv);
	uint8_t buf[HAK_WIRE_SIZE];
	unsigned n_fds;
	int no_fds[1];
	uint64_t wait;
	ssize_t n;

	(void)more;
	hak_assert(conn->magic == CONN_MAGIC);
	if (conn->closing) {
		settle(conn);
		return;
	}
	if (result == -ETIME) { /* it has waited */
		loop_poll(op, conn->sock);
		return;
	}
	wait = ask(conn);
	if (wait) {
		loop_timeout(op, wait);
		return;
	}
	n = hak_fdpass_recv(conn->sock, buf, sizeof(buf), no_fds, 0, &n_fds);
	if (n == -EAGAIN && result >= 0 && !(result & (POLLHUP | POLLERR))) {
		loop_poll(op, conn->sock);
		return;
	}
	if (n == 0 && result >= 0 && !(result & (POLLRDHUP | POLLHUP)))
		n = -EBADMSG; /* an empty packet, not the end */
	if (n <= 0 && n != -EBADMSG && n != -EMSGSIZE)
		conn_close(conn);
	else if (handshake_packet(conn, buf, n))
		loop_poll(op, conn->sock);
}

static void on_deadline(struct loop_op *op, int result, bool more)
{
	struct conn *conn = hak_container_of(op, struct conn, deadline);

	(void)more;
	hak_assert(conn->magic == CONN_MAGIC);
	if (conn->closing)
		settle(conn);
	else if (conn->session) /* greeted, perhaps in this very batch */
		return;
	else if (result == -ETIME) {
		conn->daemon->stats.late++;
		conn_refuse(conn, -ETIMEDOUT, "no HELLO in time");
	} else /* cancelled to start again */
		conn_restart_deadline(conn);
}

void conn_stop_deadline(struct conn *conn)
{
	loop_cancel(&conn->deadline);
}

void conn_restart_deadline(struct conn *conn)
{
	if (conn->deadline.in_flight)
		loop_cancel(&conn->deadline); /* on_deadline() goes on */
	else
		loop_timeout(&conn->deadline, conn->daemon->config.greeting_ms * UINT64_C(1000000));
}

int conn_refusal_code(uint32_t refusal)
{
	return refusal == HAK_REFUSAL_DESCRIPTORS || refusal == HAK_REFUSAL_UID_DESCRIPTORS
		       ? -EMFILE
		       : -EDQUOT;
}

/* Before there is a connection: says why not, and hangs up. */
static void turn_away(int sock, const struct hak_peer *peer, int code, const char *text)
{
	const struct hak_wire_frame frame = hak_wire_refuse(code, text);

	log_limited(LOG_AT_WARNING, "turned-away", "pid=%d uid=%u code=%d reason=\"%s\"",
		    (int)peer->pid, peer->uid, code, text);
	(void)hak_fdpass_send(sock, &frame, NULL, 0);
	os_hang_up(sock);
}

void conn_accept(struct daemon *daemon, int sock)
{
	struct hak_peer peer = { .pid = -1, .uid = (uid_t)-1 };
	struct account *account = NULL;
	struct conn *conn;
	int pidfd = -1, r;

	/* A DOMAIN frame carries four descriptors, and what is under way is counted against all of
	 * ours: who does not read his answers is to be hung up on after a few. */
	os_sock_least_room(sock);
	r = hak_sys_peer(&peer, &pidfd, sock);
	if (r < 0) { /* gone again, or out of descriptors */
		turn_away(sock, &peer, r, "the peer cannot be identified");
		return;
	}
	r = account_open(&daemon->accounts, peer.uid, &account);
	conn = r ? NULL : calloc(1, sizeof(*conn));
	if (!conn) {
		char text[HAK_WIRE_TEXT];

		account_close(&daemon->accounts, account);
		hak_sys_close(pidfd);
		(void)snprintf(text, sizeof(text), r > 0 ? "limit reached: %s" : "no memory%s",
			       r > 0 ? hak_refusal_name((uint32_t)r) : "");
		if (r > 0)
			daemon_note_refusal(daemon, (uint32_t)r, &peer, 0);
		daemon->stats.turned_away++;
		turn_away(sock, &peer, r > 0 ? conn_refusal_code((uint32_t)r) : -ENOMEM, text);
		return;
	}
	conn->magic = CONN_MAGIC;
	conn->daemon = daemon;
	conn->sock = sock;
	conn->pidfd = pidfd;
	conn->peer = peer;
	conn->account = account;
	list_init(&conn->link);
	list_add(&daemon->conns, &conn->link);
	loop_op_init(&conn->recv, daemon->loop, on_recv);
	loop_op_init(&conn->deadline, daemon->loop, on_deadline);
	loop_poll(&conn->recv, sock);
	conn_restart_deadline(conn);
}
