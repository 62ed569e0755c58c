/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_away.c - while the daemon is away: asking the next one for the session, step by step, so
 * that nobody who wants memory waits for it.
 */
#include <errno.h>

#include "libclient/session.h"

/* Between two connections. */
#define RETRY_NS UINT64_C(100000000)
/* A listener that outlives the daemon holds a connection until the next one is there; one that does
 * not answer for so long is stopped, or not ours. */
#define HELLO_NS UINT64_C(5000000000)

static void drop_socket(struct hak_session *session)
{
	if (hak_sys_fd_is(session->sock, &session->sock_id))
		hak_sys_close(session->sock);
	session->sock = -1;
}

static void drop_hello(struct hak_session *session)
{
	if (session->hello >= 0 && hak_sys_fd_is(session->hello, &session->hello_id))
		hak_sys_close(session->hello);
	session->hello = -1;
}

void hak_session_lose(struct hak_session *session)
{
	session->state = HAK_SESSION_LOST;
	drop_socket(session);
	drop_hello(session);
	/* The region's descriptor stays: fork needs it, and giving memory back does. */
}

void hak_session_leave(struct hak_session *session)
{
	/* A sandbox that came after our first connection might kill us for a second one. */
	if (hak_sys_filtered()) {
		hak_session_lose(session);
		return;
	}
	drop_socket(session);
	session->state = HAK_SESSION_AWAY;
	session->away_ns = hak_sys_now_ns();
	session->retry_ns = 0;
}

int hak_session_adopt(struct hak_session *session, struct hak_greeting *greeting)
{
	struct hak_fd_id region, segment, sock;
	int r = hak_sys_fd_id(&region, greeting->region_fd);

	if (!r)
		r = hak_sys_fd_id(&segment, greeting->segment_fd);
	if (!r)
		r = hak_sys_fd_id(&sock, greeting->sock);
	if (r < 0)
		return r;
	/* Not our memory: never map it. */
	if (region.dev != session->region_id.dev || region.ino != session->region_id.ino ||
	    segment.dev != session->segment_id.dev || segment.ino != session->segment_id.ino ||
	    greeting->welcome.session_id != session->id ||
	    greeting->welcome.version != session->version)
		return -EPROTO;
	/* The program may have closed one of the two only, and the new one have its number. */
	if (session->region_fd != greeting->region_fd &&
	    hak_sys_fd_is(session->region_fd, &session->region_id))
		hak_sys_close(greeting->region_fd);
	else
		session->region_fd = greeting->region_fd;
	drop_socket(session);
	session->sock_id = sock;
	session->sock = greeting->sock;
	session->epoch = greeting->welcome.epoch;
	session->state = HAK_SESSION_UP;
	greeting->sock = greeting->region_fd = -1;
	return 0;
}

/* False: there is no connection to be answered on, yet. */
static bool say_hello(struct hak_session *session)
{
	uint64_t now = hak_sys_now_ns();

	if (session->hello >= 0) {
		if (now < session->hello_until_ns &&
		    hak_sys_fd_is(session->hello, &session->hello_id))
			return true;
		drop_hello(session);
	}
	if (now < session->retry_ns)
		return false;
	session->retry_ns = now + RETRY_NS;
	if (hak_connect_begin(&session->hello, session->path, session->id) < 0)
		return false;
	session->hello_until_ns = now + HELLO_NS;
	if (!hak_sys_fd_id(&session->hello_id, session->hello))
		return true;
	session->hello = hak_sys_close(session->hello);
	return false;
}

/* No later try would be answered otherwise. */
static bool is_final(int r)
{
	return r == -ESTALE || r == -EPROTO || r == -EPROTONOSUPPORT || r == -EBADMSG;
}

void hak_session_resume(struct hak_session *session)
{
	struct hak_greeting greeting = HAK_GREETING_NULL;
	int r;

	if (!say_hello(session))
		return;
	r = hak_connect_end(&greeting, session->hello, 0);
	if (r == -ETIMEDOUT)
		return;
	if (r < 0) {
		drop_hello(session);
	} else {
		session->hello = -1; /* the greeting's */
		r = hak_session_adopt(session, &greeting);
		hak_greeting_deinit(&greeting);
	}
	if (is_final(r))
		hak_session_lose(session);
}
