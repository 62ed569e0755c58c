/* SPDX-License-Identifier: Apache-2.0 */
/* Rings and reserve: indices that cannot be, words that change while the daemon reads them. */
#include "tests/misdeeds/foe.h"

#include <errno.h>
#include <string.h>

#include "shared/sys.h"

#define TAIL       "reason=\"the submission ring's tail cannot be"
#define A_WHILE_NS UINT64_C(300000000)

/* ---- the submission ring's tail ---- */

struct tail {
	uint32_t ahead; /* of what was published */
	bool absolute;
};

static void moves_the_tail(const struct foe *foe, const void *arg)
{
	const struct tail *tail = arg;
	struct raw raw = foe_offender(foe);

	atomic_store(&raw.sq.ring->tail, (tail->absolute ? 0 : raw.sq.mine) + tail->ahead);
	hak_sys_futex_wake(&raw.sq.ring->tail, 1);
	foe_expect_evicted(&raw, "tail cannot be");
}

static void punches_the_indices(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_offender(foe);

	must(!hak_sys_punch(raw.segment_fd, HAK_SEGMENT_SQ_OFF, 4096));
	hak_sys_futex_wake(&raw.sq.ring->tail, 1);
	foe_expect_evicted(&raw, "tail cannot be");
}

/* A tail that can be, and nothing behind it. */
static void publishes_what_it_did_not_write(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);

	atomic_store(&raw.sq.ring->tail, raw.sq.mine + 1);
	raw_wake(&raw);
	foe_expect_evicted(&raw, "unknown operation");
}

static void publishes_noise(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_offender(foe);
	uint64_t *at = hak_at(raw.segment, HAK_SEGMENT_SQES_OFF);

	for (size_t i = 0; i < 4096 / 8; i++)
		at[i] = hak_sys_random() | 8;
	atomic_store(&raw.sq.ring->tail, raw.sq.mine + HAK_SQ_ENTRIES);
	raw_wake(&raw);
	foe_expect_evicted(&raw, "unknown operation");
}

/* ---- what is the daemon's own ---- */

static void call(struct raw *raw)
{
	const struct hak_sqe sqe = raw_entry(raw, HAK_OP_NOP);
	struct hak_cqe cqe;

	must(!raw_push(raw, &sqe));
	hak_sys_futex_wake(&raw->sq.ring->tail, 1);
	must(!raw_pop(raw, &cqe) && cqe.seq == sqe.seq);
}

/* The head of submissions is the daemon's; it never reads it back. */
static void writes_the_daemons_head(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);

	for (uint32_t i = 0; i < 100; i++) {
		atomic_store(&raw.sq.ring->head, raw.sq.mine);
		call(&raw);
		atomic_store(&raw.sq.ring->head, i * 0x01234567u);
	}
}

static void writes_the_daemons_tail(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);

	for (uint32_t i = 0; i < 100; i++) {
		atomic_store(&raw.cq.ring->tail, raw.cq.mine);
		call(&raw);
		atomic_store(&raw.cq.ring->tail, i * 0x01234567u);
	}
}

static void writes_over_the_head_of_the_segment(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	uint32_t first;

	memset(raw.segment, 0xff, 4096);
	must(!raw_lease(&raw, 1, &first));
	memset(raw.segment, 0, 4096);
	must(!raw_return(&raw, first, 1) && !raw_nop(&raw));
}

static void writes_over_all_of_the_segment(const struct foe *foe, const void *arg)
{
	struct raw raw = foe_offender(foe);

	memset(raw.segment, *(const int *)arg, HAK_SEGMENT_SIZE);
	hak_sys_futex_wake(&raw.sq.ring->tail, 1);
	must(!raw_wait_hangup(raw.sock));
}

static void writes_over_answers(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);

	for (int i = 0; i < 300; i++) {
		memset(hak_at(raw.segment, HAK_SEGMENT_CQES_OFF), i, 0x2000);
		must(!raw_nop(&raw));
	}
}

/* ---- completions that nobody takes ---- */

/* It asks as long as the ring takes it: then the daemon leaves its requests where they are. */
static void never_reads(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	const uint64_t until = hak_sys_now_ns() + A_WHILE_NS;
	unsigned n = 0;

	while (hak_sys_now_ns() < until) {
		struct hak_sqe sqe = { .op = HAK_OP_NOP, .seq = raw.seq + 1 };

		if (raw_push(&raw, &sqe) == 0) {
			raw.seq++;
			n++;
		}
	}
	must(n <= HAK_CQ_ENTRIES + HAK_SQ_ENTRIES && n >= HAK_CQ_ENTRIES);
}

static void leases_and_never_reads(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	const uint64_t until = hak_sys_now_ns() + A_WHILE_NS;
	struct hak_report_session records[4];
	int n;

	while (hak_sys_now_ns() < until) {
		struct hak_sqe sqe = { .op = HAK_OP_LEASE, .seq = raw.seq + 1, .count = 1 };

		if (raw_push(&raw, &sqe) == 0)
			raw.seq++;
	}
	n = raw_sessions(foe->rig->socket, records, 4);
	for (int i = 0; i < n; i++) {
		if (records[i].id == raw.session_id)
			must(records[i].superslabs <= HAK_CQ_ENTRIES);
	}
}

/* Its head of completions says that there is no room, or cannot be. */
static void says_that_there_is_no_room(const struct foe *foe, const void *arg)
{
	struct raw raw = foe_session(foe);
	struct hak_sqe sqe;
	struct hak_cqe cqe;

	must(!raw_nop(&raw));
	atomic_store(&raw.cq.ring->head, raw.cq.mine - *(const uint32_t *)arg);
	sqe = raw_entry(&raw, HAK_OP_NOP);
	must(!raw_push(&raw, &sqe));
	must(hak_ring_pop(&raw.cq, &cqe) == HAK_RING_E_EMPTY);
	atomic_store(&raw.cq.ring->head, raw.cq.mine); /* and takes it back */
	must(!raw_pop(&raw, &cqe) && cqe.seq == sqe.seq && !raw_nop(&raw));
}

/* ---- the reserve ---- */

/* Waits until something is ready in it. */
static void fill_reserve(struct raw *raw, struct hak_reserve *reserve)
{
	struct hak_sqe sqe = raw_entry(raw, HAK_OP_RESERVE);
	const uint64_t until = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);
	struct hak_cqe cqe;

	sqe.count = 4;
	sqe.node = HAK_NODE_ANY;
	must(!raw_call(raw, &sqe, &cqe));
	while (hak_reserve_state(hak_reserve_look(reserve, 0)) != HAK_RESERVE_READY)
		must(hak_sys_now_ns() < until);
}

static void writes_over_the_reserve(const struct foe *foe, const void *arg)
{
	const uint64_t *flip = arg;
	struct raw raw = foe_session(foe);
	struct hak_reserve *reserve = hak_at(raw.segment, HAK_SEGMENT_RESERVE_OFF);
	struct hak_sqe sqe;

	fill_reserve(&raw, reserve);
	atomic_fetch_xor(&reserve->slot[0], *flip);
	sqe = raw_entry(&raw, HAK_OP_NOP);
	must(!raw_push(&raw, &sqe));
	foe_expect_evicted(&raw, "the reserve was written over");
}

static void gives_back_what_it_did_not_take(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	struct hak_reserve *reserve = hak_at(raw.segment, HAK_SEGMENT_RESERVE_OFF);
	struct hak_sqe sqe;

	fill_reserve(&raw, reserve);
	sqe = raw_entry(&raw, HAK_OP_RETURN);
	sqe.first = hak_reserve_superslab(hak_reserve_look(reserve, 0));
	sqe.count = 1;
	must(!raw_push(&raw, &sqe));
	foe_expect_evicted(&raw, "not leased");
}

#define MOVED(title, ...)                                                                        \
	{                                                                                        \
		.name = title, .fn = moves_the_tail, .arg = &(const struct tail){ __VA_ARGS__ }, \
		.log = TAIL, .evicted = 1                                                        \
	}
#define NO_ROOM(title, behind)                                                            \
	{                                                                                 \
		.name = title, .fn = says_that_there_is_no_room, .arg = &(const uint32_t) \
		{                                                                         \
			behind                                                            \
		}                                                                         \
	}
#define RESERVE(title, flip)                                                                    \
	{                                                                                       \
		.name = title, .fn = writes_over_the_reserve, .arg = &(const uint64_t){ flip }, \
		.log = "reason=\"the reserve was written over", .evicted = 1                    \
	}

static const struct foe_case cases[] = {
	MOVED("a tail one too far ahead", .ahead = HAK_SQ_ENTRIES + 1),
	MOVED("a tail 2^31 ahead", .ahead = 1u << 31),
	MOVED("a tail one behind", .ahead = UINT32_MAX),
	MOVED("a tail of 0", .absolute = true),
	MOVED("a tail of 2^32 - 1", .absolute = true, .ahead = UINT32_MAX),
	{ .name = "the page of indices punched",
	  .fn = punches_the_indices,
	  .log = TAIL,
	  .evicted = 1 },
	{ .name = "a tail over an empty entry",
	  .fn = publishes_what_it_did_not_write,
	  .log = "reason=\"unknown operation",
	  .evicted = 1 },
	{ .name = "a full ring of noise",
	  .fn = publishes_noise,
	  .log = "reason=\"unknown operation",
	  .evicted = 1 },
	{ .name = "the daemon's head written over", .fn = writes_the_daemons_head },
	{ .name = "the daemon's tail written over", .fn = writes_the_daemons_tail },
	{ .name = "the segment's head written over", .fn = writes_over_the_head_of_the_segment },
	{ .name = "the segment all zero",
	  .fn = writes_over_all_of_the_segment,
	  .arg = &(const int){ 0 },
	  .log = TAIL,
	  .evicted = 1 },
	{ .name = "the segment all ones",
	  .fn = writes_over_all_of_the_segment,
	  .arg = &(const int){ 0xff },
	  .log = TAIL,
	  .evicted = 1 },
	{ .name = "answers written over", .fn = writes_over_answers },
	{ .name = "a client that never reads", .fn = never_reads },
	{ .name = "leases that are never read", .fn = leases_and_never_reads },
	NO_ROOM("a ring said to be full", HAK_CQ_ENTRIES),
	NO_ROOM("a head of completions that cannot be", HAK_CQ_ENTRIES + 1),
	NO_ROOM("a head of completions 2^31 behind", 1u << 31),
	RESERVE("a grant in the reserve that names another", 1),
	RESERVE("a grant of another generation", UINT64_C(1) << 32),
	RESERVE("a grant in a state that is none", UINT64_C(2) << 62),
	RESERVE("a grant wiped out", UINT64_C(1) << 62),
	{ .name = "a return of what is ready in the reserve",
	  .fn = gives_back_what_it_did_not_take,
	  .log = "reason=\"superslabs that are not leased",
	  .evicted = 1 },
};

int main(void)
{
	return foe_main("rings", cases, sizeof(cases) / sizeof(cases[0]));
}
