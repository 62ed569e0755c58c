/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sweep beside living members, in many rounds: one gives blocks to who is just dying and takes
 * them back, one adopts what the dead one held. Whoever is first, each block has one owner in the
 * end, and what is free is known to whoever may use it.
 */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <string.h>

#include "shared/domain.h"
#include "shared/sys.h"
#include "tests/domain_map.h"

#define DEAD    5u
#define GIVER   9u
#define ADOPTER 12u

/* Where three threads have less than two processors each round may cost a time slice. */
#define ROUNDS       4000u
#define ROUNDS_LEAST 10u
#define LONG_NS      UINT64_C(30000000000)
#define CLASS        20u /* 64 blocks of 1,024 bytes */
#define BLOCKS       64u
#define TRIES        16u /* to give a block that is taken back each time */

/* Slab 0 is the giver's, slab 1 that of the dead one. */
static struct hak_domain_view view;
static _Atomic uint32_t life;     /* of the dead one: enum hak_member_state */
static _Atomic uint32_t progress; /* of the giver: blocks */
static pthread_barrier_t barrier;
static bool over; /* written before a round begins */
static bool taken_back[2][BLOCKS], adopted, adopted_free[BLOCKS];

static void lease(uint32_t holder, uint32_t slab)
{
	uint32_t first;

	must(hak_lease_claim(&view, holder, 1, slab, 1, &first) && first == slab);
	hak_lease_commit(&view, holder, slab, HAK_LEASE_BLOCKS, CLASS, 1);
	hak_lease_except(&view, slab);
}

static bool give(uint64_t i)
{
	uint16_t half = DEAD;

	/* Release: as of every change of owner. */
	atomic_store_explicit(&view.half[i], DEAD, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst); /* pairs with the daemon's */
	if (life == HAK_MEMBER_ALIVE)
		return true;
	if (!atomic_compare_exchange_strong(&view.half[i], &half, GIVER))
		return true;
	for (uint32_t n = 0; n < 20; n++)
		must(view.half[i] == GIVER); /* taken back, so nobody else's to write */
	return false;
}

/* Again and again, so that the sweep comes by in the middle of it. */
static bool insist(uint64_t i)
{
	for (uint32_t n = 0; n < TRIES; n++) {
		if (give(i))
			return true;
	}
	return false;
}

static bool begins(void)
{
	pthread_barrier_wait(&barrier);
	return !over;
}

static void *giver(void *arg)
{
	while (begins()) {
		for (uint32_t slot = 0; slot < BLOCKS; slot++) {
			for (uint32_t slab = 0; slab < 2; slab++)
				taken_back[slab][slot] = !insist(hak_domain_index(slab, slot));
			progress = slot + 1;
		}
		pthread_barrier_wait(&barrier);
	}
	return arg;
}

static void adopt(void)
{
	adopted = true;
	view.hint[1] = 0;
	atomic_thread_fence(memory_order_seq_cst); /* pairs with who sets the hint */
	for (uint32_t slot = 0; slot < BLOCKS; slot++) {
		uint16_t half = view.half[hak_domain_index(1, slot)];

		adopted_free[slot] = !half || half == HAK_HALF_FREED;
	}
}

static void *adopter(void *arg)
{
	while (begins()) {
		for (uint32_t i = 0; i < 50 && !adopted; i++) {
			if (hak_lease_adopt(&view, ADOPTER, 1, view.lease[1]))
				adopt();
			else
				(void)sched_yield();
		}
		pthread_barrier_wait(&barrier);
	}
	return arg;
}

static void prepare(void)
{
	life = HAK_MEMBER_ALIVE;
	progress = 0;
	adopted = false;
	lease(GIVER, 0);
	lease(DEAD, 1);
	for (uint32_t slab = 0; slab < 2; slab++) {
		for (uint32_t slot = 0; slot < BLOCKS; slot++) {
			view.half[hak_domain_index(slab, slot)] = GIVER;
			view.generation[hak_domain_index(slab, slot)] = 7;
		}
	}
}

static void verify(void)
{
	bool any = false;

	for (uint32_t slot = 0; slot < BLOCKS; slot++) {
		uint64_t mine = hak_domain_index(0, slot), theirs = hak_domain_index(1, slot);

		assert_int_equal(view.half[mine], taken_back[0][slot] ? GIVER : HAK_HALF_FREED);
		assert_int_equal(view.generation[mine], taken_back[0][slot] ? 7 : 8);
		assert_true(taken_back[0][slot] || view.hint[0]);
		any |= taken_back[1][slot];
		if (taken_back[1][slot]) {
			assert_int_equal(view.half[theirs], GIVER);
			assert_false(adopted && adopted_free[slot]);
		} else {
			assert_true(!view.half[theirs] || view.half[theirs] == HAK_HALF_FREED);
			assert_true(!adopted || adopted_free[slot] || view.hint[1]);
		}
	}
	if (adopted)
		assert_int_equal(hak_lease_holder(view.lease[1]), ADOPTER);
	else
		assert_int_equal(hak_lease_holder(view.lease[1]),
				 any ? HAK_HOLDER_ORPHAN : HAK_HOLDER_NONE);
}

/* Back to FREE, with what was left. */
static void clean_up(void)
{
	hak_lease_release(&view, 0);
	if (hak_lease_kind(view.lease[1]) == HAK_LEASE_BLOCKS)
		hak_lease_release(&view, 1);
	view.hint[0] = view.hint[1] = 0;
}

static _Atomic bool gathered;

/* Adopts slab 1 when it is an orphan's, uses its first block, and gives way: a word as before. */
static void *give_way(void *arg)
{
	uint64_t i = hak_domain_index(1, 0);

	while (!gathered) {
		uint64_t word = view.lease[1];

		if (hak_lease_kind(word) == HAK_LEASE_FREE) {
			lease(ADOPTER, 1);
			hak_lease_orphan(&view, 1);
			progress++;
		} else if (hak_lease_adopt(&view, ADOPTER, 1, word)) {
			view.half[i] = ADOPTER;
			hak_lease_orphan(&view, 1);
			for (uint32_t n = 0; n < 20; n++)
				must(view.half[i] == ADOPTER);
			view.half[i] = HAK_HALF_FREED;
		}
	}
	return arg;
}

/* Between the look at an orphan's half-words and its end its word may have become the same
 * again. */
static void what_gave_way_in_between_is_not_taken_apart(void **state)
{
	uint64_t left, until = hak_sys_now_ns() + LONG_NS;
	pthread_t thread;

	(void)state;
	domain_map(&view, 1, 1);
	progress = 0;
	gathered = false;
	assert_int_equal(pthread_create(&thread, NULL, give_way, NULL), 0);
	while (progress < 20000 && hak_sys_now_ns() < until)
		(void)hak_domain_gather(&view, 0, 1, &left);
	gathered = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(progress >= ROUNDS_LEAST);
	domain_unmap(&view);
}

static void each_block_has_one_owner(void **state)
{
	uint64_t left, until = hak_sys_now_ns() + LONG_NS;
	uint32_t rounds = 0;
	pthread_t threads[2];

	unit_watchdog();
	domain_map(&view, 1, 1);
	assert_int_equal(pthread_barrier_init(&barrier, NULL, 3), 0);
	prepare();
	assert_int_equal(pthread_create(&threads[0], NULL, giver, NULL), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, adopter, NULL), 0);
	over = false;
	for (; rounds < ROUNDS && hak_sys_now_ns() < until; rounds++) {
		struct hak_sweep sweep = { .member = DEAD };

		pthread_barrier_wait(&barrier);
		while (progress < rounds % BLOCKS)
			(void)sched_yield();
		life = HAK_MEMBER_DYING;
		atomic_thread_fence(memory_order_seq_cst); /* pairs with the giver's */
		while (progress < BLOCKS)
			hak_domain_sweep(&view, &sweep, 0, 1);
		hak_domain_sweep(&view, &sweep, 0, 1);
		(void)hak_domain_gather(&view, 0, 1, &left);
		pthread_barrier_wait(&barrier);
		/* A block that was taken back while it was seen as the dead one's kept the slab. */
		(void)hak_domain_gather(&view, 0, 1, &left);
		assert_int_equal(sweep.broken, 0);
		verify();
		clean_up();
		prepare();
	}
	over = true;
	pthread_barrier_wait(&barrier);
	assert_int_equal(pthread_join(threads[0], NULL), 0);
	assert_int_equal(pthread_join(threads[1], NULL), 0);
	assert_true(rounds >= ROUNDS_LEAST);
	assert_int_equal(pthread_barrier_destroy(&barrier), 0);
	domain_unmap(&view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_block_has_one_owner),
		cmocka_unit_test(what_gave_way_in_between_is_not_taken_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
