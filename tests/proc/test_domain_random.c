/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeded random runs of real processes in one domain, one step at a time. The test keeps a plain
 * model of whose each block is; after every step all members are at rest, and the domain's books
 * are to pass hak_domain_check() and to say what the model says. Some steps are deaths, at rest or
 * in the middle of an allocation, and new members.
 *
 * With a seed as its argument the program runs that one alone.
 */
#include "tests/proc/domain_model.h"

#include <sched.h>
#include <stdlib.h>

#define STEPS 250u
#define SEEDS 5u

/* ---- members ---- */

static void join(struct rig *rig, uint32_t m)
{
	struct member_model *member = &world.member[m];

	member->peer = peer_member(rig, below(2) ? HAK_INFO_EMBEDDED : HAK_INFO_DAEMON);
	member->heir = 0;
	member->id = (hak_member)peer_do(&member->peer, order_begin, 0);
}

/* Until the sweep is complete. */
static void await_swept(uint32_t number)
{
	const struct hak_domain_state *state = world.d.state;
	uint64_t until = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);
	_Atomic uint32_t *futex = (_Atomic uint32_t *)(uintptr_t)&state->event_futex;

	for (;;) {
		uint32_t seen = *futex;

		if (state->member[number].state == HAK_MEMBER_NONE)
			return;
		check(hak_sys_now_ns() < until);
		(void)hak_sys_futex_wait(futex, seen, 100000000);
	}
}

/* What it owned by a half-word goes as the policy says, all else is free. */
static void bury(uint32_t m, const bool by_name[BLOCKS])
{
	struct member_model *member = &world.member[m];
	bool has_heir = member->heir && world.member[member->heir].id;

	for (uint32_t i = 0; i < BLOCKS; i++) {
		struct block *b = &world.block[i];

		if (b->owner != m)
			continue;
		if (by_name[i] && world.policy == HAK_WIRE_ORPHAN_PUBLISH)
			b->owner = PUBLISHED;
		else if (by_name[i] && world.policy == HAK_WIRE_ORPHAN_HEIR && has_heir)
			b->owner = member->heir;
		else
			forget(b);
	}
	for (uint32_t i = 1; i <= MEMBERS; i++) {
		if (world.member[i].heir == m)
			world.member[i].heir = 0;
	}
	world.deaths++;
}

static void die(uint32_t m)
{
	struct member_model *member = &world.member[m];
	uint32_t number = number_of(m), how = below(4);
	bool by_name[BLOCKS] = { false };
	uint64_t bursts = peer_board->word[ORDER_BURST];

	/* A burst does not change it: slabs give way only where a death frees what is ours by
	 * name. */
	for (uint32_t i = 0; i < BLOCKS; i++)
		by_name[i] = world.block[i].owner == m && half_of(&world.block[i]) != 0;
	if (how == 0) { /* in the middle of something that concerns nobody else */
		peer_begin(&member->peer, order_churn, 0);
		while (peer_board->word[ORDER_BURST] == bursts)
			(void)sched_yield();
		for (uint32_t i = below(64); i; i--)
			(void)sched_yield();
	}
	if (how == 1) {
		check(peer_do(&member->peer, order_leave, 0) == 0);
		peer_end(&member->peer);
	} else {
		peer_kill(&member->peer);
	}
	await_swept(number);
	member->id = 0;
	bury(m, by_name);
}

/* ---- steps ---- */

static void step_alloc(uint32_t m)
{
	struct block *b = pick(FREE);
	struct block made;
	int64_t at;

	if (!b)
		return;
	made = (struct block){ .owner = m, .size = some_size(), .salt = below(1000) };
	at = tell(m, order_alloc, below(2), &made);
	world.refused += !at;
	if (!at)
		return;
	made.at = (uint64_t)at;
	made.ref = peer_board->word[ORDER_REF];
	*b = made;
}

static void step_free(uint32_t m)
{
	struct block *b = pick(below(4) ? m : PUBLISHED);

	if (!b)
		return;
	check(tell(m, order_free, below(2), b) == 0);
	forget(b);
}

static void step_resize(uint32_t m)
{
	struct block *b = pick(m);
	uint64_t size = some_size();
	int64_t at;

	if (!b)
		return;
	peer_board->word[ORDER_NEW_SIZE] = size;
	at = tell(m, order_resize, 0, b);
	world.refused += !at;
	if (!at)
		return;
	if ((uint64_t)at != b->at) {
		forget(b);
		*b = (struct block){ .owner = m, .at = (uint64_t)at, .salt = b->salt };
	}
	b->size = size;
}

static void step_publish(uint32_t m)
{
	struct block *b = pick(m);

	if (!b)
		return;
	check(tell(m, order_publish, 0, b) == 0);
	b->owner = PUBLISHED;
}

static void step_claim(uint32_t m)
{
	struct block *b = pick(PUBLISHED);

	if (!b)
		return;
	check(tell(m, order_claim, b->ref && below(2), b) == 0);
	b->owner = m;
}

static void step_give(uint32_t m)
{
	struct block *b = pick(m);
	uint32_t to = other_than(m);

	if (!b || !to)
		return;
	/* Or to one who had the number before. */
	peer_board->word[ORDER_TO] = world.member[to].id + (below(4) ? 0 : UINT64_C(1) << 40);
	if (peer_board->word[ORDER_TO] != world.member[to].id) {
		check(tell(m, order_give, 0, b) == -ESRCH);
		return;
	}
	check(tell(m, order_give, 0, b) == 0);
	b->owner = to;
}

static void step_send(uint32_t m)
{
	struct block *b = pick(m);
	uint32_t c = below(ORDER_CHANNELS);
	int64_t r;

	if (!b)
		return;
	r = tell(m, order_send, c, b);
	if (world.queued[c] == ORDER_CAPACITY) {
		check(r == -EAGAIN);
		return;
	}
	check(r == 0);
	b->owner = SENT + c;
	world.queue[c][world.queued[c]++] = (uint32_t)(b - world.block);
}

static void step_receive(uint32_t m)
{
	uint32_t c = below(ORDER_CHANNELS), first = world.queue[c][0];
	int64_t r = tell(m, order_receive, c, NULL);

	if (!world.queued[c]) {
		check(r == -EAGAIN);
		return;
	}
	check((uint64_t)r == world.block[first].at);
	world.block[first].owner = m;
	for (uint32_t i = 1; i < world.queued[c]; i++)
		world.queue[c][i - 1] = world.queue[c][i];
	world.queued[c]--;
}

/* A block with a ref gets a name, or the name goes. */
static void step_root(uint32_t m)
{
	struct block *b = pick(below(4) ? m : PUBLISHED), none = { 0 };
	uint32_t root = below(ROOTS);

	if (!b || !b->ref)
		b = &none;
	if (b == &none && !world.root[root])
		return;
	peer_board->word[ORDER_EXPECTED] = world.root[root];
	check(tell(m, order_set_root, root, b) == 0);
	world.root[root] = b->ref;
	if (b->owner)
		b->owner = PUBLISHED;
}

static void step_refs(uint32_t m)
{
	struct block *b = &world.block[below(BLOCKS)];
	uint64_t stale = world.stale[below(STALES)];
	int64_t owner;

	if (b->owner && b->ref) {
		owner = tell(m, order_follow, 0, b);
		check((uint64_t)owner == (b->owner <= MEMBERS ? world.member[b->owner].id : 0));
	}
	if (!stale)
		return;
	peer_board->word[ORDER_REF] = stale;
	check(tell(m, order_follow_stale, 0, NULL) == 0);
}

static void step_meddle(uint32_t m)
{
	struct block *b = &world.block[below(BLOCKS)];

	if (!b->owner || b->owner == m)
		return;
	peer_board->word[ORDER_TO] = world.member[m].id;
	check(tell(m, order_meddle, b->owner == PUBLISHED, b) == 0);
}

static void step_heir(uint32_t m)
{
	uint32_t to = other_than(m);
	int64_t r;

	if (!to)
		return;
	peer_board->word[ORDER_TO] = world.member[to].id;
	r = tell(m, order_heir, 0, NULL);
	check(r == (world.policy == HAK_WIRE_ORPHAN_HEIR ? 0 : -EINVAL));
	if (!r)
		world.member[m].heir = to;
}

static void step(struct rig *rig)
{
	static void (*const all[])(uint32_t) = {
		step_alloc,  step_alloc, step_alloc, step_alloc,   step_free,   step_free,
		step_resize, step_give,  step_give,  step_publish, step_claim,  step_send,
		step_send,   step_root,  step_refs,  step_receive, step_meddle, step_heir,
	};
	uint32_t m = 1 + below(MEMBERS), what = below(24);

	if (!world.member[m].id) {
		join(rig, m);
	} else if (what == 23) {
		if (other_than(m)) /* somebody stays, to act */
			die(m);
	} else if (what == 22 || what == 21) {
		peer_board->word[ORDER_SALT] = below(1000);
		check(peer_do(&world.member[m].peer, order_churn, 200) == 0);
	} else if (what >= 18) {
		check(peer_do(&world.member[m].peer, order_tidy, below(2)) == 0);
	} else {
		all[what](m);
	}
}

/* Nobody is left, and what outlived them is freed: the domain is empty. */
static void end(struct rig *rig)
{
	uint64_t used = 0;
	uint32_t m = 1;

	if (!world.member[m].id)
		join(rig, m);
	for (uint32_t k = 2; k <= MEMBERS; k++) {
		if (world.member[k].id)
			die(k);
	}
	for (uint32_t c = 0; c < ORDER_CHANNELS; c++) {
		for (; world.queued[c]; world.queued[c]--) {
			struct block *b = block_at(
				(uint64_t)peer_do(&world.member[m].peer, order_receive, c));

			check(b->owner == SENT + c);
			b->owner = m;
		}
	}
	for (uint32_t i = 0; i < BLOCKS; i++) {
		if (!world.block[i].owner)
			continue;
		check(tell(m, order_free, 0, &world.block[i]) == 0);
		world.block[i].owner = FREE;
	}
	check_all();
	world.member[m].heir = 0;
	die(m);
	check_all();
	for (uint32_t i = 0; i < SUPERS * HAK_SLABS_PER_SUPERSLAB; i++)
		used += hak_lease_kind(world.d.view.lease[i]) > HAK_LEASE_FREE;
	check(!used);
}

static void run(struct rig *rig, uint64_t seed)
{
	struct hak_wire_domain_attr attr = { .max_size = SUPERS * HAK_SUPERSLAB_SIZE,
					     .quota = SUPERS * HAK_SUPERSLAB_SIZE };
	void *data;

	memset(&world, 0, sizeof(world));
	memset(peer_board, 0, sizeof(*peer_board));
	world.seed = seed;
	(void)below(0);
	world.policy = attr.orphan_policy = HAK_WIRE_ORPHAN_FREE + (uint32_t)(seed % 3);
	world.raw = domains_connect(rig);
	world.d = domains_open(&world.raw, "test", &attr);
	assert_int_equal(hak_sys_map_shared(&data, NULL, world.d.data_fd, 0, attr.max_size), 0);
	world.data = data;
	for (uint32_t m = 1; m <= MEMBERS; m++)
		join(rig, m);
	for (; world.step < STEPS; world.step++) {
		step(rig);
		check_all();
	}
	end(rig);
	print_message("# seed %lu: %lu deaths, %lu allocations refused\n", (unsigned long)seed,
		      (unsigned long)world.deaths, (unsigned long)world.refused);
	(void)hak_sys_unmap(data, attr.max_size);
	assert_int_equal(raw_domain_unlink(&world.raw, "test"), 0);
	assert_int_equal(raw_domain_close(&world.raw, &world.d), 0);
	raw_close(&world.raw);
}

static uint64_t first_seed;
static uint32_t seeds = SEEDS;

static void the_books_say_what_the_model_says(void **state)
{
	print_message("# first seed %lu\n", (unsigned long)first_seed);
	for (uint32_t i = 0; i < seeds; i++)
		run(*state, first_seed + i);
}

/* [SEED]: that one alone. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_books_say_what_the_model_says, peer_setup,
						peer_teardown),
	};

	first_seed = hak_sys_random() >> 32;
	if (argc > 1) {
		first_seed = strtoull(argv[1], NULL, 10);
		seeds = 1;
	}
	return cmocka_run_group_tests_name("domain_random", tests, NULL, NULL);
}
