/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/request.h"

#include <errno.h>
#include <limits.h>

#include "daemon/account.h"
#include "daemon/daemon.h"
#include "daemon/limits.h"
#include "daemon/log.h"
#include "daemon/os.h"
#include "daemon/session.h"
#include "shared/sys.h"

/* Which fields an operation uses; all others must be zero. */
struct rule {
	bool known;
	bool first;
	bool count;
	bool node;
};

static const struct rule rules[] = {
	[HAK_OP_NOP] = { .known = true },
	[HAK_OP_LEASE] = { .known = true, .count = true, .node = true },
	[HAK_OP_RETURN] = { .known = true, .first = true, .count = true },
	[HAK_OP_FREEZE] = { .known = true, .first = true, .count = true },
};

/* NULL, or what is wrong with a copied entry. */
static const char *entry_fault(const struct session *session, const struct hak_sqe *sqe)
{
	const struct rule *rule;

	if (sqe->op >= hak_array_size(rules) || !rules[sqe->op].known)
		return "unknown operation";
	rule = &rules[sqe->op];
	if (sqe->flags)
		return "unknown flags";
	if (sqe->reserved0 || sqe->reserved[0] || sqe->reserved[1] || sqe->reserved[2] ||
	    sqe->reserved[3])
		return "reserved bytes are set";
	if (sqe->seq <= session->last_seq)
		return "sequence number did not increase";
	if (rule->count ? !sqe->count || sqe->count > HAK_LEASE_MAX : sqe->count)
		return "count out of range";
	if (rule->node ? sqe->node != HAK_NODE_ANY && sqe->node >= LIMIT_NODE_NUMBERS : sqe->node)
		return "node out of range";
	if (!rule->first)
		return sqe->first ? "first superslab where none is used" : NULL;
	if (!region_leased(&session->region, sqe->first, sqe->count))
		return "superslabs that are not leased";
	if (region_any_frozen(&session->region, sqe->first, sqe->count))
		return "superslabs that are frozen";
	return NULL;
}

/* ---- lease ---- */

/* Answers with an error; `error` is what else the log says, or NULL. */
static void refuse_lease(struct session *session, uint32_t count, uint32_t refusal,
			 const char *error)
{
	struct daemon *daemon = session->daemon;
	struct hak_cqe *cqe = &session->job.cqe;
	uint64_t limit = 0, used = 0;

	(void)account_bytes_of(&daemon->accounts, session->account, session->region.runs.taken,
			       refusal, &limit, &used);
	session->refused++;
	session->refused_bytes += refusal == HAK_REFUSAL_SESSION_BYTES;
	session->refusal = refusal;
	daemon->stats.refused++;
	daemon_note_refusal(daemon, refusal, &session->peer, session->id);
	log_limited(LOG_AT_WARNING, "lease-refused",
		    "id=%llu pid=%d uid=%u superslabs=%u limit=%s max=%llu used=%llu%s%s%s",
		    (unsigned long long)session->id, (int)session->peer.pid, session->peer.uid,
		    count, hak_refusal_name(refusal),
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

/* True: answered already. */
static bool start_lease(struct session *session, const struct hak_sqe *sqe)
{
	struct daemon *daemon = session->daemon;
	struct job *job = &session->job;
	uint32_t part = numa_part_of(&daemon->numa, sqe->node);
	int r;

	r = account_charge(&daemon->accounts, session->account, session->region.runs.taken,
			   sqe->count);
	if (r > 0) {
		refuse_lease(session, sqe->count, (uint32_t)r, NULL);
		return true;
	}
	if (!region_take(&session->region, &daemon->numa, part, sqe->count, &job->cqe.first)) {
		account_release(&daemon->accounts, session->account, sqe->count);
		refuse_lease(session, sqe->count, HAK_REFUSAL_ADDRESSES, NULL);
		return true;
	}
	job->cqe.count = sqe->count;
	job->cqe.node = daemon->numa.node[hak_runs_part(&session->region.runs, job->cqe.first)];
	return false;
}

/* There is no memory for it: as if it had not been asked for. */
static void undo_lease(struct session *session, int result)
{
	struct job *job = &session->job;
	uint32_t count = job->cqe.count;

	region_give(&session->region, job->cqe.first, count);
	account_release(&session->daemon->accounts, session->account, count);
	refuse_lease(session, count, HAK_REFUSAL_MEMORY, os_text(result));
}

/* Builds until the budget or the head of the lease is used up; true: it can be answered. */
static bool step_lease(struct session *session, uint32_t *units)
{
	struct daemon *daemon = session->daemon;
	struct job *job = &session->job;
	uint32_t head = job->cqe.count < LIMIT_LEASE_HEAD ? job->cqe.count : LIMIT_LEASE_HEAD;

	for (; job->done < head; job->done++) {
		int r;

		if (!*units)
			return false;
		*units -= *units < LIMIT_BUILD_UNITS ? *units : LIMIT_BUILD_UNITS;
		r = factory_build(&daemon->factory, &session->region, job->cqe.first + job->done);
		if (r < 0) {
			undo_lease(session, r);
			return true;
		}
	}
	session->granted += job->cqe.count;
	daemon->stats.leases += job->cqe.count;
	if (job->cqe.count > head) {
		region_grow_later(&session->region, job->cqe.first + head, job->cqe.count - head);
		list_add(&daemon->growing, &session->growing);
	}
	return true;
}

bool request_grow(struct session *session, uint32_t max)
{
	struct region *region = &session->region;

	while (max--) {
		uint32_t index = region_grow_next(region);
		int r;

		if (index == HAK_NO_SUPERSLAB)
			return false;
		r = factory_build(&session->daemon->factory, region, index);
		if (r < 0) { /* left to the client's own page faults */
			log_limited(LOG_AT_WARNING, "growth-stopped", "id=%llu pid=%d error=\"%s\"",
				    (unsigned long long)session->id, (int)session->peer.pid,
				    os_text(r));
			region->grow_lo = region->grow_hi = 0;
			return false;
		}
	}
	return true;
}

/* ---- return ---- */

static bool step_return(struct session *session, uint32_t *units)
{
	struct daemon *daemon = session->daemon;
	struct job *job = &session->job;

	while (job->done < job->cqe.count) {
		uint32_t left = job->cqe.count - job->done;
		uint32_t n = left < LIMIT_PUNCH_UNIT ? left : LIMIT_PUNCH_UNIT;

		if (!*units)
			return false;
		--*units;
		region_give(&session->region, job->cqe.first + job->done, n);
		account_release(&daemon->accounts, session->account, n);
		session->returned += n;
		daemon->stats.returns += n;
		job->done += n;
	}
	job->cqe.first = 0;
	job->cqe.count = 0;
	return true;
}

/* ---- the ring ---- */

/* True: answered already. */
static bool start(struct session *session, const struct hak_sqe *sqe)
{
	struct job *job = &session->job;

	*job = (struct job){ .op = sqe->op,
			     .cqe = { .op = sqe->op, .seq = sqe->seq, .node = HAK_NODE_ANY } };
	session->last_seq = sqe->seq;
	session->last_request_ns = hak_sys_boottime_ns();
	session->requests++;
	session->daemon->stats.requests++;
	switch (sqe->op) {
	case HAK_OP_LEASE:
		return start_lease(session, sqe);
	case HAK_OP_RETURN:
		job->cqe.first = sqe->first;
		job->cqe.count = sqe->count;
		return false;
	case HAK_OP_FREEZE:
		region_freeze(&session->region, sqe->first, sqe->count);
		return true;
	default:
		return true;
	}
}

static bool step(struct session *session, uint32_t *units)
{
	return session->job.op == HAK_OP_LEASE ? step_lease(session, units)
					       : step_return(session, units);
}

/* There is room: it was looked for before the entry was taken, and only the client makes more. That
 * it takes room away by scribbling over its index is its loss. */
static void answer(struct session *session)
{
	(void)hak_ring_push(&session->cq, &session->job.cqe);
	session->job.op = 0;
}

/* False: there is a request, and it has to wait. */
static bool may_ask(struct session *session)
{
	struct daemon *daemon = session->daemon;
	uint64_t wait;

	if (!hak_ring_ready(&session->sq))
		return true;
	wait = account_ask(&daemon->accounts, session->account, &session->requests_left,
			   daemon->now_ns);
	if (wait)
		session_slow(session, wait);
	return !wait;
}

enum serve request_serve(struct session *session)
{
	uint32_t units = LIMIT_TURN_UNITS;
	bool answered = false, worked = false;
	enum serve verdict = SERVE_WORKED;

	while (units && verdict == SERVE_WORKED) {
		struct hak_sqe sqe;
		const char *fault = NULL;
		bool done;
		int r;

		if (session->job.op) {
			done = step(session, &units);
		} else if (!hak_ring_room(&session->cq)) {
			verdict = SERVE_FULL;
			break;
		} else if (!may_ask(session)) {
			verdict = SERVE_SLOW;
			break;
		} else {
			r = hak_ring_pop(&session->sq, &sqe);
			if (r == HAK_RING_E_EMPTY) {
				verdict = SERVE_IDLE;
				break;
			}
			fault = r ? "the submission ring's tail cannot be"
				  : entry_fault(session, &sqe);
			if (fault) {
				session_evict(session, fault);
				return SERVE_OVER;
			}
			units--;
			done = start(session, &sqe);
		}
		worked = true;
		if (done) {
			answer(session);
			answered = true;
		}
	}
	if (answered && hak_ring_must_wake(&session->cq))
		hak_sys_futex_wake(&session->cq.ring->tail, INT_MAX);
	return worked ? SERVE_WORKED : verdict;
}
