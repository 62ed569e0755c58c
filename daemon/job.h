/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job.h - what a request does, in steps: the memory work of one is the session's task, done by the
 * worker of its node, and the job goes on when that is back.
 *
 *	LEASE   charge, take a run near the node, fill the first LIMIT_LEASE_HEAD superslabs unless
 *	        they are warm; the rest of a larger one is filled ahead of the client
 *	RETURN  punch, free
 *	FREEZE  mark
 */
#pragma once

#include "shared/base.h"

struct session;

/* Takes the session's job, whose task is not in flight, as far as it goes. True: it can be
 * answered; false: its task comes first. */
bool job_advance(struct session *session);
/* The session's task came back: notes what it did. */
void job_task_done(struct session *session);
/* Starts to fill what a large lease left, if there is such and nothing else to do. */
void job_grow(struct session *session);
/* Gives warm superslabs back that the session did not come for. */
void job_decay(struct session *session);
