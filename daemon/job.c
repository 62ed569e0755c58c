/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/job.h"

#include <errno.h>

#include "daemon/account.h"
#include "daemon/daemon.h"
#include "daemon/factory.h"
#include "daemon/job_domain.h"
#include "daemon/limits.h"
#include "daemon/log.h"
#include "daemon/os.h"
#include "daemon/session.h"
#include "shared/check.h"
#include "shared/sys.h"

static void submit(struct session *session, enum purpose purpose, uint32_t first, uint32_t count)
{
	struct region *region = &session->region;
	struct task *task = &session->task;
	bool build = purpose == FOR_LEASE || purpose == FOR_GROWTH || purpose == FOR_RESERVE;

	session->purpose = purpose;
	task->op = build ? TASK_BUILD : TASK_PUNCH;
	task->fd = region->fd;
	task->first = first;
	task->count = count < TASK_MAX ? count : TASK_MAX;
	task->part = FACTORY_BY_INDEX;
	task->skip = build ? region_built(region, first, task->count) : 0;
	workers_submit(session->daemon->workers, hak_runs_part(&region->runs, first), task,
		       purpose == FOR_LEASE || purpose == FOR_UNDO);
}

static void note_built(struct session *session)
{
	const struct task *task = &session->task;

	for (uint32_t i = 0; i < task->done; i++) {
		if (!(task->skip >> i & 1))
			region_set_built(&session->region, task->first + i, task->huge >> i & 1);
	}
}

/* ---- lease ---- */

/* Takes neighbours near the part, charged, and is in that phase: 0, or the enum hak_refusal that
 * says why not. */
static uint32_t take(struct session *session, enum session_phase phase, uint32_t part,
		     uint32_t count, uint32_t *ret_first)
{
	struct daemon *daemon = session->daemon;
	struct region *region = &session->region;
	uint64_t allowed = placement_allowed(&daemon->placement, part, count);
	int r;

	r = account_charge(&daemon->accounts, session->account, region->runs.taken, count);
	if (r)
		return (uint32_t)r;
	if (!region_find(region, &daemon->numa, part, allowed, count, ret_first)) {
		account_release(&daemon->accounts, session->account, count);
		return allowed ? HAK_REFUSAL_ADDRESSES : HAK_REFUSAL_NODE_BYTES;
	}
	session_book_begin(session, phase, *ret_first, count);
	region_lease(region, *ret_first, count);
	placement_charge(&daemon->placement, &session->placed, *ret_first, count);
	return 0;
}

/* What was charged to these. */
static void release(struct session *session, uint32_t first, uint32_t count)
{
	account_release(&session->daemon->accounts, session->account, count);
	placement_release(&session->daemon->placement, &session->placed, first, count);
}

/* Answers with an error; `error` is what else the log says, or NULL. */
static void refuse_lease(struct session *session, uint32_t count, uint32_t refusal,
			 const char *error)
{
	struct daemon *daemon = session->daemon;
	struct hak_cqe *cqe = &session->job.cqe;
	uint64_t limit = 0, used = 0;

	if (refusal == HAK_REFUSAL_NODE_BYTES)
		placement_refused(&daemon->placement,
				  numa_part_of(&daemon->numa, session->job.sqe.node), &limit,
				  &used);
	else
		(void)account_bytes_of(&daemon->accounts, session->account,
				       session->region.runs.taken, refusal, &limit, &used);
	account_refused(&daemon->accounts, session->account, refusal);
	session->refused++;
	session->refused_bytes += refusal == HAK_REFUSAL_SESSION_BYTES;
	session->refusal = refusal;
	daemon->stats.refused++;
	daemon_note_refusal(daemon, refusal, &session->peer, session->id);
	log_limited(LOG_AT_WARNING, "lease-refused",
		    "id=%llu pid=%d uid=%u node=%d superslabs=%u limit=%s max=%llu used=%llu%s%s%s",
		    (unsigned long long)session->id, (int)session->peer.pid, session->peer.uid,
		    (int)cqe->node, count, hak_refusal_name(refusal),
		    (unsigned long long)(limit / HAK_SUPERSLAB_SIZE),
		    (unsigned long long)(used / HAK_SUPERSLAB_SIZE), error ? " error=\"" : "",
		    error ? error : "", error ? "\"" : "");
	cqe->result = refusal == HAK_REFUSAL_UID_BYTES || refusal == HAK_REFUSAL_SESSION_BYTES
			      ? -EDQUOT
			      : -ENOMEM;
	cqe->first = 0;
	cqe->count = 0;
	cqe->node = HAK_NODE_ANY;
	if (session->version < HAK_WIRE_VERSION_REASONS)
		return;
	cqe->refusal = refusal;
	cqe->limit = limit;
	cqe->used = used;
}

/* False: refused. */
static bool start_lease(struct session *session)
{
	struct daemon *daemon = session->daemon;
	struct job *job = &session->job;
	const struct hak_sqe *sqe = &job->sqe;
	uint32_t part = numa_part_of(&daemon->numa, sqe->node);
	uint32_t refusal = take(session, PHASE_LEASE, part, sqe->count, &job->cqe.first);

	/* What is granted ahead and was not taken is no reason to refuse what is needed. */
	if (refusal && refusal != HAK_REFUSAL_ADDRESSES && reserves_revoke(daemon))
		refusal = take(session, PHASE_LEASE, part, sqe->count, &job->cqe.first);
	if (refusal) {
		job->cqe.node = numa_node_of(&daemon->numa, part);
		refuse_lease(session, sqe->count, refusal, NULL);
		return false;
	}
	job->cqe.count = sqe->count;
	job->cqe.node =
		numa_node_of(&daemon->numa, hak_runs_part(&session->region.runs, job->cqe.first));
	return true;
}

/* How much of it is filled before it is answered. */
static uint32_t lease_head(const struct session *session)
{
	uint32_t count = session->job.cqe.count;

	/* Under a strict policy nothing is left to the client's page faults, which know none. */
	if (session->daemon->numa.policy == NUMA_STRICT)
		return count;
	return count < LIMIT_LEASE_HEAD ? count : LIMIT_LEASE_HEAD;
}

/* There is no memory for it: as if it had not been asked for. */
static void undo_lease(struct session *session)
{
	struct job *job = &session->job;
	uint32_t count = job->cqe.count;

	region_give(&session->region, job->cqe.first, count);
	release(session, job->cqe.first, count);
	refuse_lease(session, count, HAK_REFUSAL_MEMORY, os_text(job->error));
}

/* True if all of the range, of 64 superslabs at the most, is filled. */
static bool is_built(const struct session *session, uint32_t first, uint32_t count)
{
	return !(~region_built(&session->region, first, count) << (64 - count));
}

/* True: it can be answered. */
static bool advance_lease(struct session *session)
{
	struct job *job = &session->job;
	uint32_t head, n;

	if (!job->started && !start_lease(session))
		return true;
	job->started = true;
	if (job->cqe.result < 0) /* undone */
		return true;
	head = lease_head(session);
	for (; job->done < head; job->done += n) {
		n = head - job->done < TASK_MAX ? head - job->done : TASK_MAX;
		if (!is_built(session, job->cqe.first + job->done, n)) {
			submit(session, FOR_LEASE, job->cqe.first + job->done, n);
			return false;
		}
	}
	session->granted += job->cqe.count;
	session->daemon->stats.leases += job->cqe.count;
	if (job->cqe.count > head)
		region_grow_later(&session->region, job->cqe.first + head, job->cqe.count - head);
	return true;
}
static_assert(TASK_MAX <= 64, "is_built()");

static bool grow(struct session *session)
{
	uint32_t first, n;

	n = region_grow_next(&session->region, LIMIT_GROWTH_STEP, &first);
	if (n)
		submit(session, FOR_GROWTH, first, n);
	return n;
}

/* Grants what is built of a leased run, or of its beginning; the rest is nobody's again. */
static void grant(struct session *session, uint32_t first, uint32_t count, uint32_t built)
{
	for (uint32_t i = 0; i < built; i++)
		reserve_grant(session, first + i);
	if (built < count) {
		region_unlease(&session->region, first + built, count - built);
		release(session, first + built, count - built);
	}
	session_book_end(session);
	daemon_want_tick(session->daemon);
}

static void fill_reserve(struct session *session)
{
	struct daemon *daemon = session->daemon;
	struct reserve *reserve = &session->reserve;
	uint32_t part = numa_part_of(&daemon->numa, session->node);

	while (reserve->ready < reserve->text->wanted) {
		uint32_t n = reserve->text->wanted - reserve->ready, first;

		n = n < LIMIT_GROWTH_STEP ? n : LIMIT_GROWTH_STEP;
		while (n && take(session, PHASE_FILL, part, n, &first))
			n /= 2;
		if (!n)
			return; /* a limit: the client will hear of it when it is in need */
		if (!is_built(session, first, n)) {
			submit(session, FOR_RESERVE, first, n);
			return;
		}
		grant(session, first, n, n);
	}
}

bool job_holds(const struct session *session, uint32_t first, uint32_t count)
{
	const struct task *task = &session->task;

	return task->in_flight && session->purpose == FOR_RESERVE &&
	       first < task->first + task->count && task->first < (uint64_t)first + count;
}

void job_ahead(struct session *session)
{
	if (session->task.in_flight || session->job.op)
		return;
	if (!grow(session))
		fill_reserve(session);
}

void job_decay(struct session *session)
{
	uint64_t since = session->last_request_ns ? session->last_request_ns : session->since_ns;
	uint64_t idle_ns = hak_sys_boottime_ns() - since;
	uint32_t first, n;

	if (session->task.in_flight || session->job.op ||
	    idle_ns < session->daemon->config.stock_decay_ms * UINT64_C(1000000))
		return;
	if (!reserve_collect(session)) {
		session_evict(session, "the reserve was written over");
		return;
	}
	(void)reserve_revoke(session);
	n = region_find_warm(&session->region, TASK_MAX, &first);
	if (!n)
		return;
	session_book_begin(session, PHASE_DECAY, first, n);
	submit(session, FOR_DECAY, first, n);
}

/* ---- return ---- */

/* True: it can be answered. */
static bool advance_return(struct session *session)
{
	struct job *job = &session->job;

	if (!job->started) {
		job->cqe.first = job->sqe.first;
		job->cqe.count = job->sqe.count;
		job->started = true;
		session_book_begin(session, PHASE_RETURN, job->cqe.first, job->cqe.count);
	}
	if (job->done < job->cqe.count) {
		submit(session, FOR_RETURN, job->cqe.first + job->done, job->cqe.count - job->done);
		return false;
	}
	job->cqe.first = 0;
	job->cqe.count = 0;
	return true;
}

static void note_returned(struct session *session)
{
	const struct task *task = &session->task;
	struct daemon *daemon = session->daemon;

	region_give(&session->region, task->first, task->done);
	release(session, task->first, task->done);
	session->returned += task->done;
	daemon->stats.returns += task->done;
	session->job.done += task->done;
}

/* ---- what the task did ---- */

static void lease_task_done(struct session *session)
{
	const struct task *task = &session->task;
	struct job *job = &session->job;

	note_built(session);
	job->done += task->done;
	if (task->result == 0)
		return;
	job->error = task->result;
	job->done = 0;
	session_book_begin(session, PHASE_UNDO, job->cqe.first, job->cqe.count);
	submit(session, FOR_UNDO, job->cqe.first, lease_head(session));
}

static void undo_task_done(struct session *session)
{
	struct job *job = &session->job;
	uint32_t head = lease_head(session);

	job->done += session->task.done;
	if (job->done < head)
		submit(session, FOR_UNDO, job->cqe.first + job->done, head - job->done);
	else
		undo_lease(session);
}

static void reserve_task_done(struct session *session)
{
	const struct task *task = &session->task;

	note_built(session);
	if (task->result < 0) {
		reserve_want(&session->reserve, 0); /* until it is asked for again */
		/* Some of its pages may be there. It is a hole again, and small. */
		(void)factory_punch(task->fd, task->first + task->done, 1);
	}
	grant(session, task->first, task->count, task->done);
}

/* It can't fail on a memfd of ours; were it to, the next lease would not be zeroed. */
static void assert_punched(const struct task *task)
{
	if (task->result < 0)
		log_event(LOG_AT_ERROR, "punch-failed", "first=%u count=%u error=\"%s\"",
			  task->first, task->count, os_text(task->result));
	hak_assert(task->result == 0);
}

void job_task_done(struct session *session)
{
	const struct task *task = &session->task;

	if (task->op == TASK_PUNCH) {
		assert_punched(task);
		if (!task->done) { /* cancelled: all is as it was */
			if (session->purpose == FOR_DECAY)
				session_book_end(session);
			return;
		}
	}
	switch (session->purpose) {
	case FOR_LEASE:
		lease_task_done(session);
		break;
	case FOR_RETURN:
		note_returned(session);
		break;
	case FOR_UNDO:
		undo_task_done(session);
		break;
	case FOR_DOMAIN:
		job_domain_task_done(session);
		break;
	case FOR_GROWTH:
		note_built(session);
		if (task->result < 0) { /* left to the client's own page faults */
			log_limited(LOG_AT_WARNING, "growth-stopped", "id=%llu pid=%d error=\"%s\"",
				    (unsigned long long)session->id, (int)session->peer.pid,
				    os_text(task->result));
			session->region.grow_lo = session->region.grow_hi = 0;
		}
		break;
	case FOR_RESERVE:
		reserve_task_done(session);
		break;
	case FOR_DECAY:
		region_drop_warm(&session->region, task->first, task->done);
		session_book_end(session);
		break;
	}
}

/* ---- the job ---- */

bool job_advance(struct session *session)
{
	const struct hak_sqe *sqe = &session->job.sqe;

	switch (sqe->op) {
	case HAK_OP_LEASE:
		return advance_lease(session);
	case HAK_OP_RETURN:
		return advance_return(session);
	case HAK_OP_FREEZE:
		session_book_begin(session, PHASE_FREEZE, sqe->first, sqe->count);
		region_freeze(&session->region, sqe->first, sqe->count);
		return true;
	case HAK_OP_RESERVE:
		if (sqe->count < session->reserve.ready)
			(void)reserve_revoke(session);
		reserve_want(&session->reserve, sqe->count);
		session->node = sqe->node;
		book_set32(&session_text(session)->node, sqe->node);
		return true;
	case HAK_OP_DOMAIN_GROW:
		return job_domain_advance(session);
	default:
		return true;
	}
}
