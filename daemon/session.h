/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h - one client process: its memory, its rings, and whether it still lives.
 *
 *	HELLO             socket closed, memory there         pidfd, memory gone, BYE
 *	-----> ATTACHED <-------------------------> DETACHED -----------------------> DRAINING
 *	          |       RESUME by the same process    |                               ^   |
 *	          +------------------+------------------+                               |   |
 *	                             | a violation of the protocol                      |   v
 *	                             +------------------------> EVICTED ----------------+  freed
 *
 *	ATTACHED, DETACHED  its ring is served
 *	EVICTED             not served any more; what it has stays its own, and charged, until the
 *	                    process is gone: memory that it may be using is not taken away
 *	DRAINING            its file is closed, once nothing that names its memory is in flight; it
 *	                    is a member of no domain any more
 *
 * The pidfd is the judge of death. A closed socket alone says nothing: programs close all their
 * descriptors. Then the presence file is asked (see presence.h), at once and with every tick.
 *
 * A session is in daemon.active when its ring is to be looked at, else its bell waits for the
 * client, or its task has to come back first, or it is parked: its completion ring is full, and
 * only the tick looks whether that has changed; or it is in daemon.slowed: it asked more often than
 * the limits allow, and a timer puts it back when the next request is due.
 */
#pragma once

#include "daemon/bell.h"
#include "daemon/bucket.h"
#include "daemon/conn.h"
#include "daemon/job_domain.h"
#include "daemon/list.h"
#include "daemon/loop.h"
#include "daemon/placement.h"
#include "daemon/region.h"
#include "daemon/reserve.h"
#include "daemon/session_book.h"
#include "daemon/worker.h"
#include "shared/layout.h"
#include "shared/ring.h"
#include "shared/sys.h"
#include "shared/wire.h"

struct account;
struct daemon;

enum session_state {
	SESSION_ATTACHED = 1,
	SESSION_DETACHED,
	SESSION_EVICTED,
	SESSION_DRAINING,
};

/* A request that takes more than one step: see request.h. */
struct job {
	uint32_t op; /* 0: none */
	bool started;
	uint32_t done; /* superslabs */
	int error;     /* of a lease that is undone: why */
	struct hak_sqe sqe;
	struct hak_cqe cqe;
};

/* What the session's task, if it is in flight, is for; from FOR_GROWTH on nobody waits for it. */
enum purpose {
	FOR_LEASE,   /* the job waits for it */
	FOR_RETURN,  /* likewise */
	FOR_UNDO,    /* likewise: a lease that there was no memory for */
	FOR_DOMAIN,  /* likewise: memory of a domain */
	FOR_GROWTH,  /* the rest of a large lease */
	FOR_RESERVE, /* superslabs to be granted ahead of need */
	FOR_DECAY,   /* warm superslabs that the session did not come for */
};

struct session {
	uint64_t magic;
	struct daemon *daemon;
	struct list link;   /* daemon.sessions */
	struct list active; /* daemon.active, or daemon.slowed */
	enum session_state state;

	uint64_t id;
	uint16_t version;
	struct hak_peer peer;
	char comm[16]; /* printable; what it calls itself */
	struct account *account;
	struct conn *conn; /* NULL: no socket */
	int pidfd;
	struct loop_op death;
	struct loop_op closing;

	int segment_fd;
	int presence_fd;
	void *segment;
	struct hak_ring_end sq; /* the consumer's end */
	struct hak_ring_end cq; /* the producer's end */
	struct bell bell;
	struct region region;
	struct placed placed;
	struct reserve reserve;

	struct list members; /* of domains: member.in_session */
	uint32_t member_count;

	struct job job;
	struct grow grow;
	struct task task;
	enum purpose purpose;
	uint64_t last_seq;
	uint32_t node;         /* that it last wanted its reserve from */
	uint64_t last_work_ns; /* CLOCK_MONOTONIC */
	bool parked;

	struct bucket requests_left;
	uint64_t due_ns;  /* CLOCK_MONOTONIC; in daemon.slowed: when it is looked at again */
	uint64_t slowed;  /* times */
	uint64_t said_ns; /* CLOCK_BOOTTIME; when the log was told of it */

	uint64_t since_ns; /* CLOCK_BOOTTIME */
	uint64_t last_request_ns;
	uint64_t requests;
	uint64_t granted;
	uint64_t returned;
	uint64_t refused;
	uint64_t refused_bytes; /* of these, by session-bytes */
	uint32_t refusal;       /* the last reason: enum hak_refusal */
};

/* Its part of the book that its region's tables are in. */
static inline struct session_text *session_text(const struct session *session)
{
	return session->region.book.at;
}

/* Takes the connection's pidfd and place in the account, and attaches it. 0, a negative errno, or
 * an enum hak_refusal: its descriptors pass a limit. */
int session_new(struct session **ret_session, struct conn *conn, const struct hak_wire_hello *hello,
		uint16_t version);

/* A session without anything but the daemon, for session_new() and session_adopt(); NULL: no
 * memory. Until session_begin() it is the caller's, freed by free(). */
struct session *session_alloc(struct daemon *daemon);
/* Whole but for its connection: it is one of the daemon's sessions from here on. */
void session_begin(struct session *session);
/* Undoes what made its memory; allowed for what is not there. */
void session_drop_memory(struct session *session);
/* Its rings in the mapped segment, from the first entry on, and its reserve. */
void session_find_rings(struct session *session);

/* A new connection of the same process replaces the one it had, if any. */
void session_attach(struct session *session, struct conn *conn);
/* Its connection is going. */
void session_hung_up(struct session *session, struct conn *conn);

/* The client broke the rules: hangs up, with the reason in the log and in a last frame. */
void session_evict(struct session *session, const char *reason);
/* The process is gone, or wants to be forgotten: hangs up, gives everything back. */
void session_end(struct session *session, const char *reason);

/* What no event announces. True: look again at the next tick. */
bool session_tick(struct session *session);
/* Asks for the presence of all sessions of a process. */
void sessions_judge_pid(struct daemon *daemon, pid_t pid);

/* Puts the session among the active ones, or waits for its client. */
void session_wake(struct session *session);
void session_sleep(struct session *session);
/* It is over its rate by so much: notes it. How long it is to wait. */
uint64_t session_slowed(struct session *session, uint64_t wait_ns);
/* The same for its ring: that is not looked at for so long. */
void session_slow(struct session *session, uint64_t wait_ns);
/* Its completion ring is full. */
void session_park(struct session *session);
/* Its job goes on when its task is back. */
void session_wait_task(struct session *session);
