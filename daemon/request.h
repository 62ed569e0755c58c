/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.h - serves a session's submission ring.
 *
 * An entry is copied out of the ring once and validated on the copy; whatever is wrong with it ends
 * the session (session_evict), never the daemon. A request is answered before the next is taken,
 * and before its own entry is given back: until then it is the ring that remembers it.
 * Each is a job (job.h); while one waits for its memory work, the session's ring is not looked at.
 */
#pragma once

#include "shared/base.h"

struct session;

enum serve {
	SERVE_IDLE,   /* nothing there */
	SERVE_WORKED, /* look again */
	SERVE_FULL,   /* no room for answers: nothing was taken */
	SERVE_TASK,   /* the job waits for the session's task */
	SERVE_SLOW,   /* over its rate: session_slow() was called */
	SERVE_OVER,   /* the session was evicted */
};

/* One turn for one session. */
enum serve request_serve(struct session *session);
