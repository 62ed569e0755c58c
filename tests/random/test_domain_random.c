/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of a domain against a plain table of who owns what. They allocate, free, publish, claim,
 * give, send and receive, die in between and in the middle of any of it; sweeps go on meanwhile and
 * are interrupted. After every step the invariants hold, every block is whose it is to be, and no
 * block is allocated that somebody owns; in the end nothing is left.
 */
#include "tests/random/domain_member.h"

#include "tests/domain_map.h"
#include "tests/random/domain_table.h"
#include "tests/random/random.h"

int64_t domain_steps_left = -1;
jmp_buf domain_steps_end;

/* ---- what members do ---- */

static const struct {
	uint32_t class, n;
} shapes[] = { { 1, 1 }, { 20, 1 }, { 30, 2 }, { 40, 4 }, { 0, 1 }, { 0, 3 }, { 0, 40 } };

static void op_alloc(struct member *m)
{
	uint32_t s = below(hak_array_size(shapes));
	struct hak_place place;
	uint32_t class = shapes[s].class;

	if (world.blocks == BLOCKS ||
	    !member_alloc(&world.view, m, class, shapes[s].n, below(SLABS), &place))
		return;
	add(place.slab * HAK_SLAB_SIZE + (class ? place.slot * place.size : 0), m->number);
}

static void op_free(struct member *m, uint32_t b)
{
	struct hak_place place = place_of(&world.block[b]);

	member_free(&world.view, m, &place);
	forget(b);
}

static void op_ref(struct member *m, struct block *block)
{
	struct hak_place place = place_of(block);
	uint8_t generation = world.view.generation[place.index];

	member_mark(&world.view, m, &place);
	if (!generation) {
		generation = below(2) ? 1 : 255;
		atomic_store_explicit(&world.view.generation[place.index], generation,
				      memory_order_relaxed);
	}
	block->ref = hak_ref_make(DOMAIN_MAP_TAG, hak_lease_generation(place.lease), generation,
				  block->offset);
}

/* Of what a dying member was just publishing the root stays as it is: who changes it changes what
 * becomes of that. */
static bool is_free_root(uint32_t root)
{
	struct hak_place place;

	return hak_domain_place_ref(&world.view, world.view.roots[root].ref, &place) < 0 ||
	       !hak_half_is_changing(world.view.half[place.index]);
}

static void op_publish(struct member *m, struct block *block)
{
	struct hak_place place = place_of(block);
	uint32_t root = below(ROOTS);

	member_mark(&world.view, m, &place);
	if (block->ref && is_free_root(root)) {
		half_set(&world.view, place.index, (uint16_t)(HAK_HALF_T | m->number));
		atomic_store_explicit(&world.view.roots[root].ref, block->ref,
				      memory_order_release);
	}
	half_set(&world.view, place.index, HAK_HALF_PUBLISHED);
	block->owner = HAK_HALF_PUBLISHED;
}

static void op_claim(struct member *m, struct block *block)
{
	struct hak_place place = place_of(block);

	check(half_change(&world.view, place.index, HAK_HALF_PUBLISHED, (uint16_t)m->number));
	block->owner = (uint16_t)m->number;
}

/* What an owner by half-word leaves. */
static uint16_t successor(void)
{
	static const uint16_t owners[] = { 0, HAK_HALF_PUBLISHED, 1 };

	return owners[world.fate];
}

static void sweep_step(void);

/* To anybody, also to who is none, or is just being swept. */
static void op_give(struct member *m, struct block *block)
{
	struct hak_place place = place_of(block);
	uint64_t offset = block->offset;
	uint16_t to = (uint16_t)(1 + below(NUMBERS));

	member_mark(&world.view, m, &place);
	half_set(&world.view, place.index, to);
	if (world.life[to] == ALIVE) {
		block->owner = to;
		return;
	}
	/* Too late. Before it is taken back, a sweep may come by. */
	if (below(2))
		sweep_step();
	if (half_change(&world.view, place.index, to, (uint16_t)m->number))
		return;
	for (uint32_t b = 0; b < world.blocks; b++) {
		if (world.block[b].offset == offset) {
			world.block[b].owner = successor();
			if (!successor())
				forget(b);
			return;
		}
	}
}

static void op_send(struct member *m, struct block *block)
{
	struct hak_place place = place_of(block);

	if (member_send(&world.view, m, &place, block->offset, below(CAPACITY)))
		block->owner = SENT;
}

static void op_receive(struct member *m)
{
	uint64_t offset;

	if (!member_receive(&world.view, m, below(CAPACITY), &offset))
		return;
	for (uint32_t b = 0; b < world.blocks; b++) {
		if (world.block[b].offset == offset) {
			check(world.block[b].owner == SENT ||
			      (is_dying(world.block[b].owner) && world.block[b].then == SENT));
			world.block[b].owner = (uint16_t)m->number;
			return;
		}
	}
	check(!"a message that nobody sent");
}

static void op(struct member *m)
{
	uint32_t own = pick((uint16_t)m->number), published = pick(HAK_HALF_PUBLISHED);
	uint32_t what = below(16);

	if (what < 5)
		op_alloc(m);
	else if (what == 5)
		op_receive(m);
	else if (what == 6)
		member_shrink(&world.view, m, below(SLABS));
	else if (what == 7 && published < BLOCKS)
		op_claim(m, &world.block[published]);
	else if (own == BLOCKS)
		return;
	else if (what < 11)
		op_free(m, own);
	else if (what == 11)
		op_publish(m, &world.block[own]);
	else if (what == 12)
		op_give(m, &world.block[own]);
	else if (what == 13)
		op_send(m, &world.block[own]);
	else
		op_ref(m, &world.block[own]);
}

/* ---- death and sweep ---- */

/* What is to become of a block that a dead member may have owned, by what it left there. */
static void foresee(struct block *block, uint16_t dead)
{
	struct hak_place place;
	uint16_t half;
	uint32_t channel;

	if (hak_domain_place(&world.view, block->offset, &place) < 0) {
		block->owner = dead; /* released just now */
		block->then = 0;
		return;
	}
	half = world.view.half[place.index];
	if (half == (HAK_HALF_T | dead)) {
		bool linked = hak_domain_is_linked(&world.view, block->offset, &channel);

		block->then =
			linked ? channel < HAK_CHANNELS ? SENT : HAK_HALF_PUBLISHED : successor();
		block->owner = dead;
	} else if (half == dead) {
		block->owner = dead;
		block->then = successor();
	} else if (block->owner == dead) {
		bool given = hak_half_is_member(half);

		check(given || !half || half == HAK_HALF_FREED || half == HAK_HALF_PUBLISHED ||
		      half == SENT);
		if (half == HAK_HALF_PUBLISHED || half == SENT ||
		    (given && world.life[half] == ALIVE))
			block->owner = half;
		else
			block->then = given ? successor() : 0;
	}
	/* It may have died while freeing it. */
	if (block->ref && hak_domain_place_ref(&world.view, block->ref, &place) < 0)
		block->ref = 0;
}

static void die(uint32_t k)
{
	world.life[k] = DYING;
	world.queue[world.queued++] = k;
	for (uint32_t b = 0; b < world.blocks; b++) {
		if (!is_dying(world.block[b].owner) || world.block[b].owner == k)
			foresee(&world.block[b], (uint16_t)k);
	}
}

static void join(uint32_t k)
{
	world.life[k] = ALIVE;
	memset(&world.member[k], 0, sizeof(world.member[k]));
	world.member[k].number = k;
	world.view.channels[CHANNEL].senders[0] |= UINT64_C(1) << k;
	/* What one that died since meant for this number's last bearer is the new one's now. */
	for (uint32_t b = 0; b < world.blocks; b++) {
		struct hak_place place;

		if (is_dying(world.block[b].owner) &&
		    hak_domain_place(&world.view, world.block[b].offset, &place) == 0 &&
		    world.view.half[place.index] == k)
			world.block[b].owner = (uint16_t)k;
	}
}

static void sweep_complete(void)
{
	uint32_t k = world.queue[0];

	check(!world.sweep.broken);
	memset(&world.sweep, 0, sizeof(world.sweep));
	world.cursor = 0;
	memmove(world.queue, world.queue + 1, sizeof(world.queue) - sizeof(world.queue[0]));
	world.queued--;
	for (uint32_t b = world.blocks; b-- > 0;) {
		if (world.block[b].owner != k)
			continue;
		world.block[b].owner = world.block[b].then;
		if (!world.block[b].then)
			forget(b);
	}
	world.life[k] = NOBODY;
}

#define PARTS (2 + SUPERS)

static void sweep_part(uint32_t part)
{
	struct hak_sweep *sweep = &world.sweep;

	sweep->member = world.queue[0];
	sweep->fate = world.fate;
	sweep->heir = 1;
	sweep->nobody[0] = 0;
	for (uint32_t k = 1; k <= NUMBERS; k++)
		sweep->nobody[0] |= (uint64_t)(world.life[k] == NOBODY) << k;
	if (part < 2)
		hak_domain_sweep_names(&world.view, sweep, part * 128, 128);
	else
		hak_domain_sweep(&world.view, sweep, (part + sweep->member) % SUPERS, 1);
}

static void sweep_step(void)
{
	int64_t left = domain_steps_left;

	if (!world.queued)
		return;
	domain_steps_left = -1; /* whatever its caller's are */
	sweep_part(world.cursor++);
	domain_steps_left = left;
	if (world.cursor == PARTS)
		sweep_complete();
}

static void gather(uint32_t first, uint32_t count)
{
	uint64_t left;

	(void)hak_domain_gather(&world.view, first, count, &left);
}

/* The daemon is killed in the middle, and begins again. */
static void sweep_cut(void)
{
	struct hak_sweep daemon = { .member = HAK_HOLDER_DAEMON };

	if (!world.queued)
		return;
	if (!domain_stopped(below(16))) {
		if (below(4))
			sweep_part(world.cursor);
		else
			gather(0, SUPERS);
	}
	domain_steps_left = -1;
	hak_domain_sweep(&world.view, &daemon, 0, SUPERS);
	check(!daemon.broken);
	for (uint32_t part = 0; part <= world.cursor; part++)
		sweep_part(part);
}

/* ---- runs ---- */

/* True: it was stopped in the middle of it. */
static bool op_cut(struct member *m, int64_t n)
{
	bool stopped = true;

	if (!domain_stopped(n)) {
		op(m);
		stopped = false;
	}
	domain_steps_left = -1;
	return stopped;
}

static void step(void)
{
	uint32_t k = 1 + below(MEMBERS), what = below(32);

	if (what < 6) {
		sweep_step();
	} else if (what == 6) {
		sweep_cut();
	} else if (what == 7) {
		gather(below(SUPERS), 1);
	} else if (world.life[k] == NOBODY) {
		if (what < 12)
			join(k);
	} else if (world.life[k] == ALIVE) {
		if (k > 1 && !below(64))
			die(k);
		else if (op_cut(&world.member[k], k > 1 && !below(16) ? (int64_t)below(12) : -1))
			die(k);
	}
}

/* Everything is given back, everybody goes. */
static void drain(void)
{
	uint32_t b;

	while (world.queued)
		sweep_step();
	while ((b = pick(HAK_HALF_PUBLISHED)) < BLOCKS)
		op_claim(&world.member[1], &world.block[b]);
	while (pick(SENT) < BLOCKS)
		op_receive(&world.member[1]);
	while ((b = pick(1)) < BLOCKS)
		op_free(&world.member[1], b);
	world.fate = HAK_FATE_FREE;
	for (uint32_t k = 1; k <= MEMBERS; k++) {
		if (world.life[k] == ALIVE)
			die(k);
	}
	while (world.queued)
		sweep_step();
	gather(0, SUPERS);
	check(!world.blocks);
	verify_all();
	for (uint32_t i = 0; i < SLABS; i++)
		check(hak_lease_kind(world.view.lease[i]) == HAK_LEASE_FREE);
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "what the dead own is freed",
					     "what the dead own is published",
					     "what the dead own is inherited" };
	struct random_run run = random_start(argc, argv, 30000, hak_array_size(names));
	uint64_t each = run.steps / hak_array_size(names) + 1;

	for (size_t f = 0; f < hak_array_size(names); f++) {
		memset(&world, 0, sizeof(world));
		world.run = &run;
		world.fate = (enum hak_fate)f;
		domain_map(&world.view, SUPERS, SUPERS);
		world.view.channels[CHANNEL].ring = 4;
		join(1);
		for (uint64_t i = 0; i < each; i++, run.step++) {
			step();
			if (i % 4 == 0)
				verify_all();
		}
		drain();
		domain_unmap(&world.view);
		random_ok(&run, names[f]);
	}
	return 0;
}
