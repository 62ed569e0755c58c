/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h - this process as the daemon knows it: a socket for hello and descriptors, two rings
 * for everything else.
 *
 *   NONE --open--> UP --socket closed--> AWAY --the daemon knows us not, or is another--> LOST
 *     |             ^                    |
 *     |             \--same session------/
 *     \--refused, no daemon--> LOST; from UP and AWAY also when a ring is corrupt
 *   and after fork, in the child, from anything to NONE again.
 *
 * AWAY: the daemon has ended, and the next one may have taken the session over. Rings and reserve
 * are used on, since nothing in them is ever said twice: whoever comes serves what lies there.
 * Every call that looks for the daemon also asks for the session again (RESUME), without waiting.
 *
 * LOST is for good in this process: its memory stays valid (the mappings hold it) and the heap goes
 * on with anonymous memory.
 *
 * Every call is made under the heap's lock; none allocates, none waits longer than told.
 */
#pragma once

#include "libclient/connect.h"
#include "shared/layout.h"
#include "shared/reserve.h"
#include "shared/ring.h"
#include "shared/sys.h"
#include "shared/wire.h"

enum hak_session_state_client {
	HAK_SESSION_NONE = 0,
	HAK_SESSION_UP,
	HAK_SESSION_LOST,
	HAK_SESSION_AWAY,
};

struct hak_session {
	enum hak_session_state_client state;
	int sock, region_fd;
	struct hak_fd_id sock_id, region_id; /* programs close and reuse our numbers */
	struct hak_fd_id segment_id;
	/* AWAY: a connection on which RESUME was said, or -1; when it is given up, or else when the
	 * next one may be tried. */
	int hello;
	struct hak_fd_id hello_id;
	uint64_t hello_until_ns, retry_ns;
	uint64_t away_ns;            /* since then */
	void *segment;               /* HAK_SEGMENT_SIZE, never inherited by a child */
	struct hak_reserve *reserve; /* in it */
	void *presence;              /* one page, never inherited */
	struct hak_ring_end sq, cq;
	uint64_t seq; /* last one posted */
	uint64_t id;
	uint64_t epoch; /* of the daemon that last welcomed us */
	uint32_t region_superslabs;
	uint32_t version; /* of the protocol */
	const char *path; /* the caller's, stays valid */
};
#define HAK_SESSION_NULL                                  \
	{                                                 \
		.sock = -1, .region_fd = -1, .hello = -1, \
	}

/* A wait while the daemon is away ends after this. */
#define HAK_AWAY_WAIT_NS UINT64_C(200000000)

/* Connects, says hello, maps the rings. 0, or a negative errno and state LOST. */
int hak_session_open(struct hak_session *session, const char *path);

/* Posts a request, for whichever daemon reads it; fills in its seq. 0, -EAGAIN (ring full),
 * -ECONNRESET (neither UP nor AWAY, or now LOST). */
int hak_session_post(struct hak_session *session, struct hak_sqe *sqe);

/* The next completion, if there is one. 0, -EAGAIN, or -ECONNRESET. */
int hak_session_reap(struct hak_session *session, struct hak_cqe *ret_cqe);

/* Waits until there is a completion to reap: until deadline_ns, or, AWAY, for HAK_AWAY_WAIT_NS if
 * that is less. 0, -ETIMEDOUT, or -ECONNRESET: LOST. */
int hak_session_wait(struct hak_session *session, uint64_t deadline_ns);

/* Asks the socket whether the daemon is still there; UP becomes AWAY if not, and AWAY goes on as
 * far as it gets without waiting. True: UP. */
bool hak_session_alive(struct hak_session *session);

/* The region's descriptor, asked for again if the program closed it; negative errno: not to be
 * had. */
int hak_session_region_fd(struct hak_session *session);

/*
 * Sends n frames and waits for the one that answers them until deadline_ns, with its descriptors
 * (up to HAK_WIRE_FDS_MAX, the caller's). 0; -EAGAIN: the daemon is away, ask again when the
 * session is UP: it may or may not have done what was asked; else a negative errno and state LOST:
 * what came later would be taken for the answer to something else.
 */
int hak_session_ask(struct hak_session *session, const struct hak_wire_frame *frames, unsigned n,
		    struct hak_wire_frame *ret, int *ret_fds, unsigned *ret_n_fds,
		    uint64_t deadline_ns);

/* True if what is posted may still be answered. */
static inline bool hak_session_lasts(const struct hak_session *session)
{
	return session->state == HAK_SESSION_UP || session->state == HAK_SESSION_AWAY;
}

/* ---- session_away.c, for session.c ---- */

/* For good. */
void hak_session_lose(struct hak_session *session);
/* UP: the daemon is not there. AWAY, or LOST where no second connection may be made. */
void hak_session_leave(struct hak_session *session);
/* AWAY: a step towards UP or LOST, without waiting. */
void hak_session_resume(struct hak_session *session);
/* What a second WELCOME brought becomes the session's own. -EPROTO: it is another's. */
int hak_session_adopt(struct hak_session *session, struct hak_greeting *greeting);

/* In a child after fork: forgets the parent's session without touching it. */
void hak_session_forget(struct hak_session *session);
