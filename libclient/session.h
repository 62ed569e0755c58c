/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h - this process as the daemon knows it: a socket for hello and descriptors, two rings
 * for everything else.
 *
 *   NONE --open--> UP --daemon gone, ring corrupt--> LOST
 *     \--refused, no daemon--> LOST
 *   and after fork, in the child, from anything to NONE again.
 *
 * LOST is for good in this process: its memory stays valid (the mappings hold it) and the heap goes
 * on with anonymous memory.
 *
 * Every call is made under the heap's lock; none allocates, none waits longer than told.
 */
#pragma once

#include "shared/layout.h"
#include "shared/reserve.h"
#include "shared/ring.h"
#include "shared/sys.h"
#include "shared/wire.h"

enum hak_session_state_client {
	HAK_SESSION_NONE = 0,
	HAK_SESSION_UP,
	HAK_SESSION_LOST,
};

struct hak_session {
	enum hak_session_state_client state;
	int sock, region_fd;
	struct hak_fd_id sock_id, region_id; /* programs close and reuse our numbers */
	void *segment;                       /* HAK_SEGMENT_SIZE, never inherited by a child */
	struct hak_reserve *reserve;         /* in it */
	void *presence;                      /* one page, never inherited */
	struct hak_ring_end sq, cq;
	uint64_t seq; /* last one posted */
	uint64_t id;
	uint64_t epoch;
	uint32_t region_superslabs;
	uint32_t version; /* of the protocol */
	const char *path; /* the caller's, stays valid */
};
#define HAK_SESSION_NULL                     \
	{                                    \
		.sock = -1, .region_fd = -1, \
	}

/* Connects, says hello, maps the rings. 0, or a negative errno and state LOST. */
int hak_session_open(struct hak_session *session, const char *path);

/* Posts a request; fills in its seq. 0, -EAGAIN (ring full), -ECONNRESET (not UP, or now LOST). */
int hak_session_post(struct hak_session *session, struct hak_sqe *sqe);

/* The next completion, if there is one. 0, -EAGAIN, or -ECONNRESET. */
int hak_session_reap(struct hak_session *session, struct hak_cqe *ret_cqe);

/* Waits until there is a completion to reap. 0, -ETIMEDOUT, or -ECONNRESET: the daemon is gone. */
int hak_session_wait(struct hak_session *session, uint64_t deadline_ns);

/* Asks the socket whether the daemon is still there; UP becomes LOST if not. True: UP. */
bool hak_session_alive(struct hak_session *session);

/* The region's descriptor, asked for again if the program closed it; negative errno: not to be
 * had. */
int hak_session_region_fd(struct hak_session *session);

/*
 * Sends n frames and waits for the one that answers them, with its descriptors (up to
 * HAK_WIRE_FDS_MAX, the caller's). 0, or a negative errno and state LOST: what came later would be
 * taken for the answer to something else.
 */
int hak_session_ask(struct hak_session *session, const struct hak_wire_frame *frames, unsigned n,
		    struct hak_wire_frame *ret, int *ret_fds, unsigned *ret_n_fds);

/* In a child after fork: forgets the parent's session without touching it. */
void hak_session_forget(struct hak_session *session);
