/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job.h - what a request does, in steps: the memory work of one is the session's task, done by the
 * worker of its node, and the job goes on when that is back.
 *
 *	LEASE   charge, take a run near the node, fill the first LIMIT_LEASE_HEAD superslabs unless
 *	        they are warm; the rest of a larger one is filled ahead of the client
 *	RETURN  punch, free
 *	FREEZE  mark
 *	DOMAIN_GROW  see job_domain.h
 *	RESERVE note how many superslabs the client wants to find ready; they are filled and
 *	        granted ahead of need
 */
#pragma once

#include "shared/base.h"

struct session;

/* Takes the session's job, whose task is not in flight, as far as it goes. True: it can be
 * answered; false: its task comes first. */
bool job_advance(struct session *session);
/* The session's task came back: notes what it did. */
void job_task_done(struct session *session);
/* True if one of them is on its way into the reserve: the client does not know of it yet. */
bool job_holds(const struct session *session, uint32_t first, uint32_t count);
/* Starts what is done ahead of need, if the session has nothing else to do: to fill what a large
 * lease left, then the reserve. */
void job_ahead(struct session *session);
/* Takes back what the session did not come for: its reserve, then warm superslabs. */
void job_decay(struct session *session);
