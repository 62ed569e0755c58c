/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>

#include "shared/ring.h"

#define SIZE     8u
#define MESSAGES 200000u

struct entry {
	uint64_t seq;
	uint64_t copy[7]; /* the number again, to see a torn entry */
};
HAK_PIN_SIZE(struct entry, 64);

/* What lies in shared memory, and both ends' private views. */
struct shared {
	struct hak_ring ring;
	HAK_ALIGNED(64) struct entry entries[SIZE];
	_Atomic uint32_t sleeps; /* how often the consumer announced sleep */
};

struct pair {
	struct shared shared;
	struct hak_ring_end producer, consumer;
};

static struct entry entry_of(uint64_t seq)
{
	return (struct entry){ seq, { seq, seq, seq, seq, seq, seq, seq } };
}

static bool entry_is(const struct entry *e, uint64_t seq)
{
	struct entry must = entry_of(seq);

	return !memcmp(e, &must, sizeof(must));
}

/* An empty ring whose indices both stand at `start`. */
static void pair_init(struct pair *p, uint32_t start)
{
	memset(p, 0, sizeof(*p));
	hak_ring_end_init(&p->producer, &p->shared.ring, p->shared.entries, SIZE);
	hak_ring_end_init(&p->consumer, &p->shared.ring, p->shared.entries, SIZE);
	p->producer.mine = p->consumer.mine = start;
	p->shared.ring.head = p->shared.ring.tail = start;
}

static int push(struct pair *p, uint64_t seq)
{
	struct entry e = entry_of(seq);

	return hak_ring_push(&p->producer, &e);
}

static void pop_gives(struct pair *p, uint64_t seq)
{
	struct entry e;

	assert_int_equal(hak_ring_pop(&p->consumer, &e), 0);
	assert_true(entry_is(&e, seq));
}

static void zeroed_memory_is_an_empty_ring(void **state)
{
	struct pair p;
	struct entry e;

	(void)state;
	pair_init(&p, 0);
	assert_int_equal(hak_ring_pop(&p.consumer, &e), HAK_RING_E_EMPTY);
	assert_int_equal(hak_ring_room(&p.producer), SIZE);
	assert_false(hak_ring_must_wake(&p.producer));
}

static void entries_come_out_in_order(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, 0);
	for (uint64_t i = 0; i < 1000; i += 3) {
		for (uint64_t k = i; k < i + 3; k++)
			assert_int_equal(push(&p, k), 0);
		for (uint64_t k = i; k < i + 3; k++)
			pop_gives(&p, k);
	}
}

static void an_empty_ring_gives_nothing(void **state)
{
	struct pair p;
	struct entry e = entry_of(77);

	(void)state;
	pair_init(&p, 0);
	assert_int_equal(push(&p, 1), 0);
	pop_gives(&p, 1);
	assert_int_equal(hak_ring_pop(&p.consumer, &e), HAK_RING_E_EMPTY);
	assert_true(entry_is(&e, 77)); /* untouched */
	assert_int_equal(p.shared.ring.head, 1);
}

static void a_full_ring_takes_nothing(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, 0);
	for (uint64_t i = 0; i < SIZE; i++) {
		assert_int_equal(hak_ring_room(&p.producer), SIZE - i);
		assert_int_equal(push(&p, i), 0);
	}
	assert_int_equal(hak_ring_room(&p.producer), 0);
	assert_int_equal(push(&p, 99), HAK_RING_E_FULL);
	assert_int_equal(p.shared.ring.tail, SIZE);
	pop_gives(&p, 0); /* not overwritten by 99 */
	assert_int_equal(push(&p, SIZE), 0);
	for (uint64_t i = 1; i <= SIZE; i++)
		pop_gives(&p, i);
}

static void survives_index_wraparound(void **state)
{
	struct pair p;

	(void)state;
	for (uint32_t start = UINT32_MAX - 2 * SIZE; start != SIZE; start++) {
		struct entry e;

		pair_init(&p, start);
		for (uint64_t i = 0; i < SIZE; i++)
			assert_int_equal(push(&p, i), 0);
		assert_int_equal(push(&p, 99), HAK_RING_E_FULL);
		assert_int_equal(hak_ring_room(&p.producer), 0);
		for (uint64_t i = 0; i < SIZE; i++)
			pop_gives(&p, i);
		assert_int_equal(hak_ring_pop(&p.consumer, &e), HAK_RING_E_EMPTY);
		assert_int_equal(p.shared.ring.tail, start + SIZE);
		assert_int_equal(p.shared.ring.head, start + SIZE);
	}
}

/* Every distance that a peer's index can claim, around the wrap and at the signed edges. */
static const uint32_t lies[] = {
	SIZE + 1,   SIZE + 2,   2 * SIZE,       0x7ffffffe,     0x7fffffff,
	0x80000000, 0x80000001, UINT32_MAX - 7, UINT32_MAX - 1, UINT32_MAX,
};
static const uint32_t starts[] = { 0, 1, SIZE, 0x7fffffff, 0x80000000, UINT32_MAX - 3, UINT32_MAX };

static void hostile_tail_is_corrupt_not_a_crash(void **state)
{
	struct pair p;
	struct entry e = entry_of(77);

	(void)state;
	for (size_t s = 0; s < hak_array_size(starts); s++) {
		for (size_t i = 0; i < hak_array_size(lies); i++) {
			pair_init(&p, starts[s]);
			p.shared.ring.tail = starts[s] + lies[i];
			assert_int_equal(hak_ring_pop(&p.consumer, &e), HAK_RING_E_CORRUPT);
			assert_int_equal(hak_ring_pop(&p.consumer, &e), HAK_RING_E_CORRUPT);
			assert_true(entry_is(&e, 77));
			assert_int_equal(p.consumer.mine, starts[s]);
			assert_int_equal(p.shared.ring.head, starts[s]);
			/* A consumer must look at it, not sleep on it. */
			assert_false(hak_ring_may_sleep(&p.consumer));
		}
	}
}

static void hostile_head_is_corrupt_not_a_crash(void **state)
{
	struct pair p;

	(void)state;
	for (size_t s = 0; s < hak_array_size(starts); s++) {
		for (size_t i = 0; i < hak_array_size(lies); i++) {
			pair_init(&p, starts[s]);
			p.shared.ring.head = starts[s] - lies[i];
			assert_int_equal(push(&p, 5), HAK_RING_E_CORRUPT);
			assert_int_equal(hak_ring_room(&p.producer), 0);
			assert_int_equal(p.producer.mine, starts[s]);
			assert_int_equal(p.shared.ring.tail, starts[s]);
		}
	}
}

/* Each end's own index in shared memory is for the peer: what somebody writes there is not read. */
static void a_scribbled_own_index_changes_nothing(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, UINT32_MAX - 2);
	for (uint64_t i = 0; i < 4; i++) {
		p.shared.ring.tail = 0xdeadbeef;
		assert_int_equal(push(&p, i), 0); /* and writes it anew */
	}
	for (uint64_t i = 0; i < 4; i++) {
		p.shared.ring.head = 0xdeadbeef;
		pop_gives(&p, i);
	}
	assert_int_equal(p.shared.ring.tail, 1);
	assert_int_equal(p.shared.ring.head, 1);
}

static void the_sleeper_alone_sets_and_clears_its_flag(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, 0);
	assert_true(hak_ring_may_sleep(&p.consumer));
	assert_int_equal(p.shared.ring.sleeper, 1);
	assert_int_equal(push(&p, 1), 0);
	assert_true(hak_ring_must_wake(&p.producer));
	assert_true(hak_ring_must_wake(&p.producer)); /* looking clears nothing */
	hak_ring_awake(&p.consumer);
	assert_int_equal(p.shared.ring.sleeper, 0);
	assert_false(hak_ring_must_wake(&p.producer));

	assert_false(hak_ring_may_sleep(&p.consumer)); /* there is work */
	assert_int_equal(p.shared.ring.sleeper, 0);
	pop_gives(&p, 1);
	assert_true(hak_ring_may_sleep(&p.consumer));
}

/* The wait is on the tail: published between announcing and waiting, it returns at once. */
static void an_entry_before_the_wait_ends_the_wait(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, UINT32_MAX);
	assert_true(hak_ring_may_sleep(&p.consumer));
	assert_int_equal(push(&p, 1), 0);
	assert_int_equal(hak_sys_futex_wait(&p.shared.ring.tail, p.consumer.mine, UNIT_DEADLINE_NS),
			 0);
	hak_ring_awake(&p.consumer);
	pop_gives(&p, 1);
}

/* ---- two sides at once ---- */

/* Spins, for the race is lost within nanoseconds; yields where the other side has no processor. */
static bool pause_until(uint64_t limit, unsigned *spins)
{
	if (++*spins % 4096) {
		hak_cpu_relax();
		return true;
	}
	(void)sched_yield();
	return hak_sys_now_ns() < limit;
}

/*
 * Sends the numbers from 0 in bursts, each only when the one before is consumed: then the
 * consumer is on its way to sleep, which is the race, and nothing that follows can make up for a
 * wake-up that was lost. Every 64th waits until the sleep is announced, so that some do sleep.
 */
static int produce(struct shared *shared, uint32_t n)
{
	uint64_t limit = hak_sys_now_ns() + UNIT_DEADLINE_NS;
	struct hak_ring_end end;
	unsigned spins = 0;

	hak_ring_end_init(&end, &shared->ring, shared->entries, SIZE);
	for (uint64_t i = 0; i < n; i++) {
		struct entry e = entry_of(i);

		while (i % 3 == 0 && i % 5 && hak_ring_room(&end) < SIZE) {
			if (!pause_until(limit, &spins))
				return -ETIMEDOUT;
		}
		while (i % 64 == 63 && !atomic_load(&shared->ring.sleeper)) {
			if (!pause_until(limit, &spins))
				return -ETIMEDOUT;
		}
		while (!hak_ring_room(&end)) {
			if (!pause_until(limit, &spins))
				return -ETIMEDOUT;
		}
		if (hak_ring_push(&end, &e))
			return -EPROTO;
		if (hak_ring_must_wake(&end))
			hak_sys_futex_wake(&shared->ring.tail, INT_MAX);
	}
	return 0;
}

/* Expects the numbers from 0 and sleeps when there are none. A lost wake-up is a time-out. */
static int consume(struct shared *shared, uint32_t n)
{
	struct hak_ring_end end;

	hak_ring_end_init(&end, &shared->ring, shared->entries, SIZE);
	for (uint64_t i = 0; i < n;) {
		struct entry e;
		int r = hak_ring_pop(&end, &e);

		if (r == 0) {
			if (!entry_is(&e, i++))
				return -EBADMSG;
			continue;
		}
		if (r != HAK_RING_E_EMPTY)
			return -EPROTO;
		if (!hak_ring_may_sleep(&end))
			continue;
		atomic_fetch_add(&shared->sleeps, 1);
		r = hak_sys_futex_wait(&shared->ring.tail, end.mine, UNIT_DEADLINE_NS / 4);
		hak_ring_awake(&end);
		if (r)
			return r;
	}
	return 0;
}

static void *produce_in_thread(void *arg)
{
	return (void *)(intptr_t)produce(arg, MESSAGES);
}

static void two_threads_lose_no_wakeup(void **state)
{
	struct pair p;
	pthread_t thread;
	void *result;
	int r;

	(void)state;
	pair_init(&p, 0);
	assert_int_equal(pthread_create(&thread, NULL, produce_in_thread, &p.shared), 0);
	r = consume(&p.shared, MESSAGES);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_int_equal(r, 0);
	assert_int_equal((intptr_t)result, 0);
	assert_true(p.shared.sleeps >= MESSAGES / 64);
}

static void two_processes_lose_no_wakeup(void **state)
{
	struct shared *mine;
	void *map;
	int fd, status;
	pid_t pid;

	(void)state;
	assert_int_equal(hak_sys_memfd(&fd, "test-ring", 4096, true), 0);
	assert_int_equal(hak_sys_map_shared(&map, NULL, fd, 0, 4096), 0);
	mine = map;
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		/* A mapping of its own, at another address. */
		unit_watchdog();
		if (hak_sys_map_shared(&map, NULL, fd, 0, 4096))
			_exit(2);
		_exit(produce(map, MESSAGES) ? 1 : 0);
	}
	assert_int_equal(consume(mine, MESSAGES), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(mine->sleeps >= MESSAGES / 64);
	assert_int_equal(hak_sys_unmap(map, 4096), 0);
	hak_sys_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeroed_memory_is_an_empty_ring),
		cmocka_unit_test(entries_come_out_in_order),
		cmocka_unit_test(an_empty_ring_gives_nothing),
		cmocka_unit_test(a_full_ring_takes_nothing),
		cmocka_unit_test(survives_index_wraparound),
		cmocka_unit_test(hostile_tail_is_corrupt_not_a_crash),
		cmocka_unit_test(hostile_head_is_corrupt_not_a_crash),
		cmocka_unit_test(a_scribbled_own_index_changes_nothing),
		cmocka_unit_test(the_sleeper_alone_sets_and_clears_its_flag),
		cmocka_unit_test(an_entry_before_the_wait_ends_the_wait),
		cmocka_unit_test(two_threads_lose_no_wakeup),
		cmocka_unit_test(two_processes_lose_no_wakeup),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
