/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that changes while the daemon reads it: a second thread of the client writes over what
 * the first one asks by. */
#include "tests/misdeeds/foe.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

#include "shared/sys.h"

#define A_WHILE_NS UINT64_C(300000000)

struct mutator;
typedef void mutate_fn(struct mutator *m, uint64_t random);

struct mutator {
	struct raw raw;
	_Atomic bool over;
	mutate_fn *fn;
};

static void *mutate(void *arg)
{
	struct mutator *m = arg;
	uint64_t random = hak_sys_random() | 1;

	while (!m->over) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		m->fn(m, random);
	}
	return NULL;
}

static void flip_entries(struct mutator *m, uint64_t random)
{
	_Atomic uint8_t *at = hak_at(m->raw.segment, HAK_SEGMENT_SQES_OFF);

	atomic_fetch_xor(&at[random % 4096], (uint8_t)(1u << (random >> 61)));
}

static void flip_counts(struct mutator *m, uint64_t random)
{
	struct hak_sqe *sqe = hak_at(m->raw.segment, HAK_SEGMENT_SQES_OFF);

	((volatile struct hak_sqe *)sqe)[random % HAK_SQ_ENTRIES].count =
		random >> 63 ? 1 : UINT32_MAX;
}

static void flip_indices(struct mutator *m, uint64_t random)
{
	struct hak_ring *ring = random & 64 ? m->raw.sq.ring : m->raw.cq.ring;

	atomic_fetch_xor((_Atomic uint8_t *)ring + (random >> 8) % sizeof(*ring),
			 (uint8_t)(1u << (random >> 61)));
}

static void flip_sleepers(struct mutator *m, uint64_t random)
{
	atomic_store(&m->raw.sq.ring->sleeper, (uint32_t)random & 1);
	atomic_store(&m->raw.cq.ring->sleeper, (uint32_t)random & 2);
}

static void flip_reserve(struct mutator *m, uint64_t random)
{
	struct hak_reserve *reserve = hak_at(m->raw.segment, HAK_SEGMENT_RESERVE_OFF);

	atomic_fetch_xor(&reserve->slot[random % HAK_RESERVE_SLOTS], UINT64_C(1) << (random >> 58));
}

static void punch_segment(struct mutator *m, uint64_t random)
{
	must(!hak_sys_punch(m->raw.segment_fd, random % 7 * 4096, 4096));
}

static void wake_all(struct mutator *m, uint64_t random)
{
	hak_sys_futex_wake(&m->raw.sq.ring->tail, INT32_MAX);
	hak_sys_futex_wake(&m->raw.cq.ring->tail, INT32_MAX);
}

/* Asks as an honest client does, for as long as its session lasts. */
static void ask_for_a_while(struct mutator *m, uint64_t until)
{
	struct raw *raw = &m->raw;
	bool alive = true;

	while (alive && hak_sys_now_ns() < until) {
		struct hak_sqe sqe = raw_entry(raw, raw->seq % 4 ? HAK_OP_LEASE : HAK_OP_RESERVE);
		struct hak_cqe cqe;
		int sock = raw->sock;

		sqe.count = 1;
		(void)raw_push(raw, &sqe);
		hak_sys_futex_wake(&raw->sq.ring->tail, 1);
		for (int i = 0; i < 100 && hak_ring_pop(&raw->cq, &cqe); i++)
			(void)hak_sys_futex_wait(&raw->cq.ring->tail, raw->cq.mine, 100000);
		alive = recv(sock, &cqe, sizeof(cqe), MSG_DONTWAIT | MSG_PEEK) < 0;
	}
}

static void changes_what_is_being_read(const struct foe *foe, const void *arg)
{
	const uint64_t until = hak_sys_now_ns() + A_WHILE_NS;
	struct mutator m = { .fn = *(mutate_fn *const *)arg };
	pthread_t thread;

	do { /* a session that was evicted is followed by another */
		m.raw = foe_session(foe);
		m.over = false;
		must(!pthread_create(&thread, NULL, mutate, &m));
		ask_for_a_while(&m, until);
		m.over = true;
		must(!pthread_join(thread, NULL));
		raw_close(&m.raw);
	} while (hak_sys_now_ns() < until);
}

#define RACE(title, mutation)                                         \
	{                                                             \
		.name = title, .fn = changes_what_is_being_read,      \
		.arg = &(mutate_fn *const){ mutation }, .evicted = -1 \
	}

static const struct foe_case cases[] = {
	RACE("entries change while they are read", flip_entries),
	RACE("counts change between 1 and 2^32 - 1", flip_counts),
	RACE("indices change while they are read", flip_indices),
	RACE("sleepers' flags come and go", flip_sleepers),
	RACE("the reserve changes while it is read", flip_reserve),
	RACE("pages are punched while they are read", punch_segment),
	RACE("a storm of wakes", wake_all),
};

int main(void)
{
	return foe_main("races", cases, sizeof(cases) / sizeof(cases[0]));
}
