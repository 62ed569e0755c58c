/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/session_book.h"

#include <stdio.h>
#include <string.h>

#include "daemon/daemon.h"
#include "daemon/limits.h"
#include "daemon/session.h"
#include "daemon/store.h"
#include "shared/check.h"

int session_book_write(struct session *session)
{
	struct session_text *text = session_text(session);
	int r;

	r = hak_sys_fd_id(&text->segment, session->segment_fd);
	if (r == 0)
		r = hak_sys_fd_id(&text->region, session->region.fd);
	if (r == 0)
		r = hak_sys_fd_id(&text->presence, session->presence_fd);
	if (r < 0)
		return r;
	text->version = session->version;
	text->pid = session->peer.pid;
	text->uid = session->peer.uid;
	text->gid = session->peer.gid;
	memcpy(text->comm, session->comm, sizeof(text->comm));
	text->since_ns = session->since_ns;
	text->superslabs = session->region.runs.total;
	text->parts = session->region.runs.parts;
	book_name(&session->region.book, session->id, life_number(&session->daemon->life));
	text->state = BOOK_SESSION_LIVE;
	book_seal_fixed(&session->region.book, SESSION_TEXT_FIXED);
	return 0;
}

static void name_of(const struct session *session, char ret_name[STORE_NAME])
{
	(void)snprintf(ret_name, STORE_NAME, "s%llu", (unsigned long long)session->id);
}

void session_store(const struct session *session)
{
	const int fds[] = { session->pidfd, session->segment_fd, session->presence_fd,
			    session->region.fd, session->region.book.fd };
	char name[STORE_NAME];

	name_of(session, name);
	(void)store_put(session->daemon->store, name, fds, hak_array_size(fds));
}

void session_unstore(const struct session *session)
{
	char name[STORE_NAME];

	name_of(session, name);
	store_drop(session->daemon->store, name);
}

void session_book_state(struct session *session, enum book_session_state state)
{
	book_set32(&session_text(session)->state, state);
}

void session_book_begin(struct session *session, enum session_phase phase, uint32_t first,
			uint32_t count)
{
	struct session_step *step = &session_text(session)->step;

	/* A step that follows from another has its range: they are not written under its phase. */
	hak_assert(!step->phase || (step->first == first && step->count == count));
	if (!step->phase) {
		book_set32(&step->first, first);
		book_set32(&step->count, count);
	}
	book_set32(&step->phase, phase);
}

void session_book_count(struct session *session)
{
	struct session_text *text = session_text(session);

	book_set32(&text->taken, session->region.runs.taken);
	book_set32(&text->frozen, session->region.frozen_count);
}

void session_book_end(struct session *session)
{
	session_book_count(session);
	book_set32(&session_text(session)->step.phase, PHASE_NONE);
}

void session_book_answer(struct session *session)
{
	struct session_text *text = session_text(session);
	struct session_step *step = &text->step;

	/* Nobody reads these under another phase: one store is as good as many. */
	book_begin_store();
	step->cqe = session->job.cqe;
	step->sq = session->sq.mine;
	step->cq = session->cq.mine;
	book_end_store();
	book_set32(&step->phase, PHASE_ANSWER);
}

void session_book_answered(struct session *session)
{
	struct session_text *text = session_text(session);

	book_set64(&text->last_seq, session->last_seq);
	book_set32(&text->sq, session->sq.mine);
	book_set32(&text->cq, session->cq.mine);
	text->last_request_ns = session->last_request_ns;
	text->requests = session->requests;
	text->granted = session->granted;
	text->returned = session->returned;
	text->refused = session->refused;
	session_book_end(session);
}

/* ---- is it one? ---- */

static bool is_within(const struct region *region, uint32_t first, uint32_t count)
{
	return count && first < region->runs.total && count <= region->runs.total - first;
}

static const char *step_fault(const struct session_step *step, const struct region *region)
{
	if (step->phase >= PHASES)
		return "an unknown phase";
	if (step->phase == PHASE_NONE || step->phase == PHASE_ANSWER)
		return NULL;
	if (!is_within(region, step->first, step->count))
		return "a step out of range";
	if (step->phase != PHASE_FREEZE && region_any_frozen(region, step->first, step->count))
		return "a step over frozen superslabs";
	if ((step->phase == PHASE_FREEZE && !region_leased(region, step->first, step->count)))
		return "superslabs to freeze that are not leased";
	return NULL;
}

static const char *reserve_fault(const struct reserve_text *reserve, const struct region *region)
{
	if (reserve->wanted > HAK_RESERVE_SLOTS || reserve->revoking > HAK_RESERVE_SLOTS)
		return "a reserve out of range";
	for (uint32_t i = 0; i < HAK_RESERVE_SLOTS; i++) {
		uint64_t word = reserve->granted[i];

		if (!word)
			continue;
		if (hak_reserve_state(word) != HAK_RESERVE_READY ||
		    hak_reserve_superslab(word) >= region->runs.total ||
		    region_any_frozen(region, hak_reserve_superslab(word), 1))
			return "a grant that can't be";
		for (uint32_t j = 0; j < i; j++) {
			if (reserve->granted[j] && hak_reserve_superslab(reserve->granted[j]) ==
							   hak_reserve_superslab(word))
				return "a superslab granted twice";
		}
	}
	return NULL;
}

const char *session_book_fault(const struct session_text *text, const struct region *region)
{
	struct region counted = *region;
	const char *fault;

	if (text->state < BOOK_SESSION_LIVE || text->state > BOOK_SESSION_ENDED)
		return "an unknown state";
	if (text->node != HAK_NODE_ANY && text->node >= LIMIT_NODE_NUMBERS)
		return "a node out of range";
	if (!region_tables_ok(region))
		return "tables that contradict each other";
	fault = step_fault(&text->step, region);
	if (!fault)
		fault = reserve_fault(&text->reserve, region);
	if (fault)
		return fault;
	if (text->step.phase != PHASE_NONE || text->reserve.revoking)
		return NULL;
	region_count(&counted);
	if (counted.runs.taken != text->taken || counted.frozen_count != text->frozen)
		return "tables that do not come to what was counted";
	return NULL;
}
