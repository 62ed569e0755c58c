/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_book.h - what a session must not forget when the daemon's process ends, and what of it is
 * half done: see book.h.
 *
 * The tables of the region follow in the same book (region.h). Of a request the book has one STEP:
 * what is being done, begun before the first of its stores and ended after the last. The step's
 * phase decides; it is stored last when a step begins, and first of all 0 when it is through:
 *
 *	NONE    the tables are whole, and the counts say so
 *	LEASE   [first, first + count) was free and is being leased, and filled
 *	UNDO    the same, and there was no memory for it: being punched
 *	RETURN  the range was leased and is being punched, freed
 *	FREEZE  the range was leased, not frozen, and is being frozen
 *	FILL    the range was free and is being leased, filled, granted ahead of need
 *	DECAY   the range is warm and is being punched
 *	ANSWER  all is done: the completion goes to `cq` in its ring, the entry at `sq` is consumed
 *
 * A request is ANSWERED BEFORE IT IS CONSUMED. Who finds any phase but ANSWER takes the step back:
 * the entry is still in the ring, and served as if for the first time. Who finds ANSWER puts the
 * same bytes in the same place again and consumes the entry: its client sees one answer.
 *
 * A revoke can come in the middle of a step and has a word of its own, `revoking`.
 *
 * Counters are for reports; they are as old as the last answer.
 */
#pragma once

#include "daemon/book.h"
#include "daemon/region.h"
#include "daemon/reserve.h"
#include "shared/layout.h"
#include "shared/sys.h"

struct session;

enum book_session_state {
	BOOK_SESSION_LIVE = 1,
	BOOK_SESSION_EVICTED,
	BOOK_SESSION_ENDED,
};

enum session_phase {
	PHASE_NONE,
	PHASE_ANSWER,
	PHASE_LEASE,
	PHASE_UNDO,
	PHASE_RETURN,
	PHASE_FREEZE,
	PHASE_FILL,
	PHASE_DECAY,
	PHASES,
};

struct session_step {
	uint32_t phase; /* enum session_phase */
	uint32_t first, count;
	uint32_t sq, cq; /* ANSWER: our indices before it */
	uint32_t pad;
	struct hak_cqe cqe; /* ANSWER */
};

struct session_text {
	struct book_head head;
	/* fixed */
	uint32_t version; /* of the protocol */
	int32_t pid;
	uint32_t uid, gid;
	char comm[16];
	uint64_t since_ns; /* CLOCK_BOOTTIME */
	uint32_t superslabs, parts;
	struct hak_fd_id segment, region, presence;
	/* variable */
	HAK_ALIGNED(HAK_LINE) uint32_t state; /* enum book_session_state */
	uint32_t node;                        /* that it last wanted its reserve from */
	uint32_t sq, cq;                      /* our indices of the rings */
	uint64_t last_seq;
	uint32_t taken, frozen; /* counted */
	uint64_t last_request_ns, requests, granted, returned, refused;
	struct session_step step;
	struct reserve_text reserve;
};
#define SESSION_TEXT_FIXED offsetof(struct session_text, state)
static_assert(sizeof(struct session_text) <= REGION_TEXT_BYTES, "runs into the tables");

/* Writes the fixed part into the book of the session's region, which is valid from then on. 0 or a
 * negative errno. */
int session_book_write(struct session *session);

/* All that it consists of outlives the daemon, from here on; not any more, before it is closed. */
void session_store(const struct session *session);
void session_unstore(const struct session *session);

void session_book_state(struct session *session, enum book_session_state state);
/* Begins a step; there is none, or this one follows from the one that there is. */
void session_book_begin(struct session *session, enum session_phase phase, uint32_t first,
			uint32_t count);
/* The job's answer is known. What begins here ends with session_book_answered(). */
void session_book_answer(struct session *session);
/* It was pushed, and the entry consumed. */
void session_book_answered(struct session *session);
/* Ends a step that is no request's. */
void session_book_end(struct session *session);
/* The tables are whole: what they come to is noted. */
void session_book_count(struct session *session);

/* NULL, or what is wrong with the variable part and tables of a book that was opened; nothing of
 * that is trusted before. `region` has its tables. */
const char *session_book_fault(const struct session_text *text, const struct region *region);
