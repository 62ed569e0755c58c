/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job_domain.h - DOMAIN_GROW, a job of the session that asks (see job.h):
 *
 *	gather   what is there comes first: slabs that a dead member left and nothing is in use of,
 *	         a step of them, or all before it is refused. Enough: the answer is "look again"
 *	take     charge domain, account and node; take neighbours
 *	build    all of it; no page fault of a member's ends in SIGBUS
 *	grant    FREE, for whoever comes first
 *
 * Whatever ends the session meanwhile, what was taken becomes waste.
 */
#pragma once

#include "shared/domain.h"

struct domain;
struct session;

struct grow {
	struct domain *domain; /* NULL: nothing is under way */
	uint32_t looked;       /* superslabs gathered from */
	uint64_t gathered;     /* slabs, by the worker */
	uint64_t left;         /* runs in use, of the last step */
	struct hak_domain_view view;
	uint32_t first, count; /* taken; count 0: nothing yet */
	uint32_t part;
};

/* As job_advance() and job_task_done(). */
bool job_domain_advance(struct session *session);
void job_domain_task_done(struct session *session);
/* Nobody waits for it any more. Its task is not in flight. */
void job_domain_abandon(struct session *session);
