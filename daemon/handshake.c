/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/handshake.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/domain_frames.h"
#include "daemon/member.h"
#include "daemon/os.h"
#include "daemon/report.h"
#include "daemon/session.h"
#include "shared/fdpass.h"
#include "shared/layout.h"

static bool refuse(struct conn *conn, int code, const char *text)
{
	struct session *session = conn->session;

	if (session)
		session_evict(session, text); /* hangs up */
	else
		conn_refuse(conn, code, text);
	return false;
}

/* The session that HELLO asks to have back, if it is the caller's own; NULL if not, whatever the
 * reason: a stranger learns nothing about other people's sessions. */
static struct session *resumable(const struct conn *conn, uint64_t id)
{
	struct list *at, *tmp;

	list_for_each(at, tmp, &conn->daemon->sessions)
	{
		struct session *session = hak_container_of(at, struct session, link);

		if (session->id != id)
			continue;
		/* While its bearer lives, a number can belong to no other process. */
		if (conn->peer.pid > 0 && session->peer.pid == conn->peer.pid &&
		    session->peer.uid == conn->peer.uid && !os_pidfd_dead(session->pidfd) &&
		    (session->state == SESSION_ATTACHED || session->state == SESSION_DETACHED))
			return session;
		return NULL;
	}
	return NULL;
}

static bool welcome(struct conn *conn, struct session *session)
{
	const int fds[] = { session->segment_fd, session->region.fd, session->presence_fd };
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_WELCOME);
	int r;

	frame.welcome.version = session->version;
	frame.welcome.region_superslabs = HAK_REGION_SUPERSLABS;
	frame.welcome.session_id = session->id;
	frame.welcome.epoch = life_epoch(&conn->daemon->life);
	r = hak_fdpass_send(conn->sock, &frame, fds, hak_array_size(fds));
	if (r == 0)
		return true;
	log_limited(LOG_AT_WARNING, "welcome-failed", "id=%llu pid=%d error=\"%s\"",
		    (unsigned long long)session->id, (int)conn->peer.pid, os_text(r));
	conn_close(conn);
	return false;
}

static bool on_hello(struct conn *conn, const struct hak_wire_hello *hello)
{
	uint16_t version = hak_wire_choose(hello->version_min, hello->version_max);
	struct session *session;
	char text[HAK_WIRE_TEXT];
	int r;

	if (conn->session)
		return refuse(conn, -EISCONN, "HELLO twice");
	if (!version || hello->version_min > hello->version_max) {
		(void)snprintf(text, sizeof(text), "protocol %u to %u, daemon has %u to %u",
			       hello->version_min, hello->version_max, HAK_WIRE_VERSION_MIN,
			       HAK_WIRE_VERSION_MAX);
		return refuse(conn, -EPROTONOSUPPORT, text);
	}
	if (hello->layout_version != HAK_LAYOUT_VERSION) {
		(void)snprintf(text, sizeof(text), "memory layout %u, daemon has %u",
			       hello->layout_version, HAK_LAYOUT_VERSION);
		return refuse(conn, -EPROTONOSUPPORT, text);
	}
	if (!(hello->flags & HAK_HELLO_RESUME) && hello->session_id)
		return refuse(conn, -EBADMSG, "a session id without RESUME");
	if (hello->flags & HAK_HELLO_RESUME) {
		session = resumable(conn, hello->session_id);
		if (!session)
			return refuse(conn, -ESTALE, "no such session");
		session_attach(session, conn);
		return welcome(conn, session);
	}
	/* After exec the process's number is the old one: its earlier memory may be gone. */
	sessions_judge_pid(conn->daemon, conn->peer.pid);
	r = session_new(&session, conn, hello, version);
	if (r > 0) {
		daemon_note_refusal(conn->daemon, (uint32_t)r, &conn->peer, 0);
		conn->daemon->stats.turned_away++;
		(void)snprintf(text, sizeof(text), "limit reached: %s",
			       hak_refusal_name((uint32_t)r));
		return refuse(conn, conn_refusal_code((uint32_t)r), text);
	}
	if (r < 0)
		return refuse(conn, r, os_text(r));
	return welcome(conn, session);
}

static bool on_bye(struct conn *conn)
{
	if (conn->session) {
		members_leave(conn->session, false);
		session_end(conn->session, "bye"); /* hangs up */
	} else {
		conn_close(conn);
	}
	return false;
}

static bool on_query(struct conn *conn, const struct hak_wire_query_body *query)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_REPORT);
	int fd, r;

	r = report_build(&fd, &frame.report, conn->daemon, query);
	if (r == -EINVAL)
		return refuse(conn, r, "unknown QUERY");
	if (r < 0)
		return refuse(conn, r, os_text(r));
	r = hak_fdpass_send(conn->sock, &frame, &fd, 1);
	hak_sys_close(fd);
	if (r < 0) { /* it does not read its answers */
		conn_close(conn);
		return false;
	}
	if (!conn->session)
		conn_restart_deadline(conn);
	return true;
}

bool handshake_packet(struct conn *conn, const void *bytes, ssize_t n)
{
	struct hak_wire_frame frame;

	if (n == -EMSGSIZE)
		return refuse(conn, -EBADMSG, "a packet of more than 64 bytes");
	if (n < 0)
		return refuse(conn, -EBADMSG, "an empty packet, or descriptors attached");
	if (hak_wire_decode(&frame, bytes, (size_t)n) < 0)
		return refuse(conn, -EBADMSG, "not a frame of this protocol");
	switch (frame.type) {
	case HAK_WIRE_HELLO:
		return on_hello(conn, &frame.hello);
	case HAK_WIRE_BYE:
		return on_bye(conn);
	case HAK_WIRE_QUERY:
		return on_query(conn, &frame.query);
	case HAK_WIRE_DOMAIN_ATTR:
	case HAK_WIRE_DOMAIN_OPEN:
	case HAK_WIRE_DOMAIN_CLOSE:
	case HAK_WIRE_DOMAIN_UNLINK:
	case HAK_WIRE_DOMAIN_HEIR:
		if (!conn->session)
			return refuse(conn, -EBADMSG, "a domain without a session");
		if (conn->session->version < HAK_WIRE_VERSION_DOMAINS)
			return refuse(conn, -EBADMSG, "a frame of a later protocol version");
		return domain_frame(conn, &frame);
	default:
		return refuse(conn, -EBADMSG, "a frame that only the daemon sends");
	}
}
