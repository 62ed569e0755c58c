/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.h - serves a session's submission ring.
 *
 * An entry is copied out of the ring once and validated on the copy; whatever is wrong with it ends
 * the session (session_evict), never the daemon. A request is answered before the next is taken.
 * LEASE and RETURN are jobs: they advance in steps within the session's budget of the turn, so that
 * a big one does not keep the others waiting.
 *
 *	LEASE   charge, take a run near the node, build up to LIMIT_LEASE_HEAD superslabs, answer;
 *	        the rest of a larger one is built later, in daemon.growing
 *	RETURN  punch and free in steps, answer when all of it is free
 *	FREEZE  mark
 */
#pragma once

#include "shared/base.h"

struct session;

enum serve {
	SERVE_IDLE,   /* nothing there */
	SERVE_WORKED, /* look again */
	SERVE_FULL,   /* no room for answers: nothing was taken */
	SERVE_SLOW,   /* over its rate: session_slow() was called */
	SERVE_OVER,   /* the session was evicted */
};

/* One turn for one session. */
enum serve request_serve(struct session *session);

/* Builds up to `max` superslabs of what a large lease left; false: all is built. */
bool request_grow(struct session *session, uint32_t max);
