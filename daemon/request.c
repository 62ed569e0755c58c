/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/request.h"

#include <limits.h>

#include "daemon/account.h"
#include "daemon/daemon.h"
#include "daemon/job.h"
#include "daemon/limits.h"
#include "daemon/session.h"
#include "shared/sys.h"

/* Which fields an operation uses; all others must be zero. */
struct rule {
	bool known;
	bool first;
	bool count;
	bool node;
	bool domain;    /* reserved[0] */
	uint16_t since; /* protocol version */
};

static const struct rule rules[] = {
	[HAK_OP_NOP] = { .known = true },
	[HAK_OP_LEASE] = { .known = true, .count = true, .node = true },
	[HAK_OP_RETURN] = { .known = true, .first = true, .count = true },
	[HAK_OP_FREEZE] = { .known = true, .first = true, .count = true },
	[HAK_OP_RESERVE] = { .known = true, .node = true },
	[HAK_OP_DOMAIN_GROW] = { .known = true,
				 .node = true,
				 .domain = true,
				 .since = HAK_WIRE_VERSION_DOMAINS },
};

/* NULL, or what is wrong with a copied entry. */
static const char *entry_fault(const struct session *session, const struct hak_sqe *sqe)
{
	const struct rule *rule;

	if (sqe->op >= hak_array_size(rules) || !rules[sqe->op].known)
		return "unknown operation";
	rule = &rules[sqe->op];
	if (session->version < rule->since)
		return "unknown operation";
	if (sqe->flags)
		return "unknown flags";
	if (sqe->reserved0 || (sqe->reserved[0] && !rule->domain) || sqe->reserved[1] ||
	    sqe->reserved[2] || sqe->reserved[3])
		return "reserved bytes are set";
	if (sqe->seq <= session->last_seq)
		return "sequence number did not increase";
	if (sqe->op == HAK_OP_RESERVE) {
		if (sqe->count > HAK_RESERVE_SLOTS)
			return "count out of range";
	} else if (sqe->op == HAK_OP_DOMAIN_GROW) {
		if (sqe->count > HAK_LEASE_MAX)
			return "count out of range";
	} else if (rule->count ? !sqe->count || sqe->count > HAK_LEASE_MAX : sqe->count) {
		return "count out of range";
	}
	if (rule->node ? sqe->node != HAK_NODE_ANY && sqe->node >= LIMIT_NODE_NUMBERS : sqe->node)
		return "node out of range";
	if (!rule->first)
		return sqe->first ? "first superslab where none is used" : NULL;
	if (!region_leased(&session->region, sqe->first, sqe->count) ||
	    reserve_has(&session->reserve, sqe->first, sqe->count) ||
	    job_holds(session, sqe->first, sqe->count))
		return "superslabs that are not leased";
	if (region_any_frozen(&session->region, sqe->first, sqe->count))
		return "superslabs that are frozen";
	return NULL;
}

/* ---- the ring ---- */

static void start(struct session *session, const struct hak_sqe *sqe)
{
	session->job =
		(struct job){ .op = sqe->op,
			      .sqe = *sqe,
			      .cqe = { .op = sqe->op, .seq = sqe->seq, .node = HAK_NODE_ANY } };
	session->last_seq = sqe->seq;
	session->last_request_ns = hak_sys_boottime_ns();
	session->requests++;
	session->daemon->stats.requests++;
}

/* There is room: it was looked for before the entry was taken, and only the client makes more. That
 * it takes room away by scribbling over its index is its loss. */
static void answer(struct session *session)
{
	session_book_answer(session);
	book_before_other();
	(void)hak_ring_push(&session->cq, &session->job.cqe);
	book_before_other();
	hak_ring_consume(&session->sq);
	session_book_answered(session);
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

/* Takes the next entry. SERVE_WORKED: there is a job now. */
static enum serve take(struct session *session)
{
	struct hak_sqe sqe;
	const char *fault;
	int r;

	if (!hak_ring_room(&session->cq))
		return SERVE_FULL;
	if (!may_ask(session))
		return SERVE_SLOW;
	r = hak_ring_peek(&session->sq, &sqe);
	if (r == HAK_RING_E_EMPTY)
		return SERVE_IDLE;
	if (r)
		fault = "the submission ring's tail cannot be";
	else if (!reserve_collect(session))
		fault = "the reserve was written over";
	else
		fault = entry_fault(session, &sqe);
	if (fault) {
		session_evict(session, fault);
		return SERVE_OVER;
	}
	start(session, &sqe);
	return SERVE_WORKED;
}

enum serve request_serve(struct session *session)
{
	enum serve verdict = SERVE_WORKED;
	bool answered = false;
	uint32_t units = LIMIT_TURN_UNITS, taken = 0;

	while (units-- && verdict == SERVE_WORKED) {
		if (!session->job.op) {
			verdict = take(session);
			if (verdict != SERVE_WORKED)
				break;
			taken++;
		}
		if (session->task.in_flight) {
			if (session->purpose >= FOR_GROWTH)
				task_cancel(&session->task); /* it can wait, we should not */
			verdict = SERVE_TASK;
		} else if (!job_advance(session)) {
			verdict = SERVE_TASK;
		} else {
			answer(session);
			answered = true;
		}
	}
	if (answered && hak_ring_must_wake(&session->cq))
		hak_sys_futex_wake(&session->cq.ring->tail, INT_MAX);
	if (verdict == SERVE_OVER || verdict == SERVE_TASK)
		return verdict;
	job_ahead(session);
	return answered || taken ? SERVE_WORKED : verdict;
}
