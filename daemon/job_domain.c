/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/job_domain.h"

#include <errno.h>

#include "daemon/account.h"
#include "daemon/daemon.h"
#include "daemon/domain.h"
#include "daemon/job.h"
#include "daemon/limits.h"
#include "daemon/log.h"
#include "daemon/member.h"
#include "daemon/os.h"
#include "daemon/session.h"
#include "daemon/shrink.h"
#include "daemon/sweep.h"

static void let_go(struct session *session)
{
	struct domain *domain = session->grow.domain;

	session->grow = (struct grow){ 0 };
	domain->growing--;
	domain_settle(domain);
}

void job_domain_abandon(struct session *session)
{
	struct grow *grow = &session->grow;

	if (!grow->domain)
		return;
	if (grow->count)
		domain_waste(grow->domain, grow->first, grow->count);
	let_go(session);
}

/* ---- answers ---- */

static void limit_of(const struct session *session, uint32_t part, uint32_t refusal,
		     uint64_t *ret_limit, uint64_t *ret_used)
{
	const struct domain *domain = session->grow.domain;
	struct daemon *daemon = session->daemon;

	*ret_limit = *ret_used = 0;
	if (refusal == HAK_REFUSAL_NODE_BYTES) {
		placement_refused(&daemon->placement, part, ret_limit, ret_used);
	} else if (refusal == HAK_REFUSAL_DOMAIN_BYTES) {
		*ret_limit = domain_max(domain) * HAK_SUPERSLAB_SIZE;
		*ret_used = domain->runs.taken * HAK_SUPERSLAB_SIZE;
	} else {
		(void)account_bytes_of(&daemon->accounts, domain->account, 0, refusal, ret_limit,
				       ret_used);
	}
}

/* `error` is what else the log says, or NULL. */
static void refuse(struct session *session, uint32_t part, uint32_t refusal, const char *error)
{
	struct domain *domain = session->grow.domain;
	struct daemon *daemon = session->daemon;
	struct hak_cqe *cqe = &session->job.cqe;

	limit_of(session, part, refusal, &cqe->limit, &cqe->used);
	cqe->refusal = refusal;
	cqe->result = refusal == HAK_REFUSAL_UID_BYTES || refusal == HAK_REFUSAL_DOMAIN_BYTES
			      ? -EDQUOT
			      : -ENOMEM;
	account_refused(&daemon->accounts, domain->account, refusal);
	domain_refused(domain, refusal);
	session->refused++;
	session->refusal = refusal;
	daemon->stats.refused++;
	daemon_note_refusal(daemon, refusal, &session->peer, session->id);
	log_limited(LOG_AT_WARNING, "grow-refused",
		    "id=%llu pid=%d uid=%u domain=%s superslabs=%u limit=%s max=%llu "
		    "used=%llu%s%s%s",
		    (unsigned long long)session->id, (int)session->peer.pid, session->peer.uid,
		    domain->name, session->job.sqe.count, hak_refusal_name(refusal),
		    (unsigned long long)(cqe->limit / HAK_SUPERSLAB_SIZE),
		    (unsigned long long)(cqe->used / HAK_SUPERSLAB_SIZE), error ? " error=\"" : "",
		    error ? error : "", error ? "\"" : "");
}

/* ---- gather ---- */

/* In the worker's thread. */
static void gather(struct task *task)
{
	struct session *session = hak_container_of(task, struct session, task);
	struct grow *grow = &session->grow;

	grow->gathered += hak_domain_gather(&grow->view, task->first, task->count, &grow->left);
}

/* Orphans are known to be no more when a whole pass saw none, and heard of none meanwhile. */
static void gather_done(struct session *session)
{
	const struct task *task = &session->task;
	struct grow *grow = &session->grow;
	struct domain *domain = grow->domain;

	grow->looked += task->done;
	domain->gathering--;
	domain->orphans_seen |= grow->left || task->done < task->count;
	if (domain->gather >= domain->high && !domain->gathering)
		domain->orphans = domain->orphans_seen;
}

static void submit_gather(struct session *session)
{
	struct domain *domain = session->grow.domain;
	struct task *task = &session->task;
	uint32_t left;

	if (domain->gather >= domain->high)
		domain->gather = 0;
	/* Another session's last step may still be under way: then this pass proves nothing. */
	if (!domain->gather)
		domain->orphans_seen = domain->gathering;
	domain->gathering++;
	session->grow.left = 0;
	left = domain->high - domain->gather;
	session->grow.view = domain_view_granted(domain);
	session->purpose = FOR_DOMAIN;
	task->op = TASK_CALL;
	task->call = gather;
	task->first = domain->gather;
	task->count = left < LIMIT_DOMAIN_STEP ? left : LIMIT_DOMAIN_STEP;
	domain->gather += task->count;
	workers_submit(session->daemon->workers, sweep_part(domain), task, true);
}

/* A member may be giving way just now, whatever is known: before a refusal, all of it. */
static bool may_gather(const struct grow *grow)
{
	return grow->looked < grow->domain->high;
}

/* ---- build ---- */

static uint32_t wanted_part(const struct session *session)
{
	const struct domain *domain = session->grow.domain;

	return numa_part_of(&session->daemon->numa,
			    domain->attr.node ? domain->attr.node - 1 : session->job.sqe.node);
}

static void submit_build(struct session *session)
{
	const struct grow *grow = &session->grow;
	struct task *task = &session->task;
	uint32_t left = grow->count - session->job.done;

	session->purpose = FOR_DOMAIN;
	task->op = TASK_BUILD;
	task->fd = grow->domain->data_fd;
	task->first = grow->first + session->job.done;
	task->count = left < TASK_MAX ? left : TASK_MAX;
	task->skip = 0;
	task->part = grow->part;
	workers_submit(session->daemon->workers, grow->part, task, true);
}

void job_domain_task_done(struct session *session)
{
	const struct task *task = &session->task;
	struct grow *grow = &session->grow;

	if (task->op == TASK_CALL) {
		gather_done(session);
		return;
	}
	session->job.done += task->done;
	if (task->result == 0)
		return;
	domain_waste(grow->domain, grow->first, grow->count);
	grow->count = 0;
	refuse(session, grow->part, HAK_REFUSAL_MEMORY, os_text(task->result));
}

/* ---- the job ---- */

/* False: it can be answered. */
static bool start(struct session *session)
{
	struct job *job = &session->job;
	struct member *member = member_by_id(session, job->sqe.reserved[0]);

	job->started = true;
	if (!member || member->read_only) {
		job->cqe.result = member ? -EACCES : -ENOENT;
		return false;
	}
	if (!job->sqe.count) {
		shrink_look(member->domain);
		return false;
	}
	session->grow = (struct grow){ .domain = member->domain };
	member->domain->growing++;
	return true;
}

/* Takes what is asked for. False: it can't; if no task is under way, that is the answer. */
static bool take(struct session *session)
{
	struct grow *grow = &session->grow;
	uint32_t part = wanted_part(session), count = session->job.sqe.count, refusal;

	refusal = domain_take(grow->domain, part, count, &grow->first, &grow->part);
	/* What is granted ahead and was not taken is no reason to refuse what is needed, if that
	 * is the reason: the domain's own limit may be hidden behind a wider one. */
	if (refusal && refusal != HAK_REFUSAL_ADDRESSES &&
	    grow->domain->runs.taken + (uint64_t)count <= domain_max(grow->domain) &&
	    reserves_revoke(session->daemon))
		refusal = domain_take(grow->domain, part, count, &grow->first, &grow->part);
	if (!refusal)
		grow->count = count;
	else if (!grow->gathered && may_gather(grow))
		submit_gather(session);
	else if (!grow->gathered)
		refuse(session, part, refusal, NULL);
	return !refusal;
}

static void grant(struct session *session)
{
	struct grow *grow = &session->grow;
	struct hak_cqe *cqe = &session->job.cqe;

	domain_grant(grow->domain, grow->first, grow->count);
	cqe->first = grow->first;
	cqe->count = grow->count;
	cqe->node = numa_node_of(&session->daemon->numa, grow->part);
	session->daemon->stats.leases += grow->count;
}

/* True: it can be answered. */
static bool advance(struct session *session)
{
	struct job *job = &session->job;
	struct grow *grow = &session->grow;

	if (job->cqe.result < 0)
		return true;
	if (!grow->count) {
		if (!grow->looked && grow->domain->orphans && may_gather(grow)) {
			submit_gather(session);
			return false;
		}
		if (grow->gathered >= job->sqe.count * (uint64_t)HAK_SLABS_PER_SUPERSLAB)
			return true; /* with count 0 */
		if (!take(session))
			return !session->task.in_flight;
	}
	if (job->done < grow->count) {
		submit_build(session);
		return false;
	}
	grant(session);
	return true;
}

bool job_domain_advance(struct session *session)
{
	if (!session->job.started && !start(session))
		return true;
	if (!advance(session))
		return false;
	let_go(session);
	return true;
}
