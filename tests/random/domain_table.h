/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_table.h - the plain table that a domain is compared with: which blocks there are, whose
 * they are, and whose those of the dying are to be.
 */
#pragma once

#include "tests/domain_map.h"
#include "tests/random/domain_member.h"
#include "tests/random/random.h"

#define MEMBERS 5u /* numbers 1 .. 5; 1 is everybody's heir and dies in the end only */
#define NUMBERS 8u /* who may be given to: 6 .. 8 never are anybody */
#define ROOTS   6u
#define BLOCKS  600u
#define STALE   32u

#define SENT (HAK_HALF_CHANNEL | CHANNEL)

enum life {
	NOBODY = 0,
	ALIVE,
	DYING
};

struct block {
	uint64_t offset, ref;
	uint16_t owner; /* member, PUBLISHED or SENT */
	uint16_t then;  /* of an owner that is dying: as owner, after its sweep; 0: free */
};

struct world {
	struct random_run *run;
	struct hak_domain_view view;
	struct member member[MEMBERS + 1];
	enum life life[NUMBERS + 1];
	enum hak_fate fate;
	struct block block[BLOCKS];
	uint32_t blocks;
	uint64_t stale[STALE];
	uint32_t stales;
	/* The sweep that goes on, and who waits for theirs. */
	struct hak_sweep sweep;
	uint32_t cursor, queue[MEMBERS], queued;
};

static struct world world;

#define check(x) random_check(world.run, x)

static inline uint32_t below(uint32_t n)
{
	return random_below(world.run, n);
}

static inline struct hak_place place_of(const struct block *block)
{
	struct hak_place place = { 0 };

	check(hak_domain_place(&world.view, block->offset, &place) == 0);
	return place;
}

static inline void forget(uint32_t b)
{
	if (world.block[b].ref)
		world.stale[world.stales++ % STALE] = world.block[b].ref;
	world.block[b] = world.block[--world.blocks];
}

static inline bool is_dying(uint16_t owner)
{
	return owner <= NUMBERS && world.life[owner] == DYING;
}

/* Newly allocated: nobody's in the table, or of a dying one, whose sweep has freed it already. */
static inline void add(uint64_t offset, uint32_t owner)
{
	for (uint32_t b = 0; b < world.blocks; b++) {
		if (world.block[b].offset == offset) {
			check(is_dying(world.block[b].owner) && !world.block[b].then);
			forget(b);
			break;
		}
	}
	world.block[world.blocks++] = (struct block){ .offset = offset, .owner = (uint16_t)owner };
}

/* A random block of an owner, or blocks. */
static inline uint32_t pick(uint16_t owner)
{
	uint32_t from = world.blocks ? below(world.blocks) : 0;

	for (uint32_t i = 0; i < world.blocks; i++) {
		uint32_t b = (from + i) % world.blocks;

		if (world.block[b].owner == owner)
			return b;
	}
	return BLOCKS;
}

static inline void verify(const struct block *block)
{
	struct hak_place place, again;
	uint16_t half;

	if (is_dying(block->owner))
		return;
	place = place_of(block);
	half = world.view.half[place.index];
	check(half == block->owner || (!half && hak_lease_holder(place.lease) == block->owner));
	if (block->ref)
		check(hak_domain_place_ref(&world.view, block->ref, &again) == 0 &&
		      again.index == place.index);
}

/* Whatever was given back to who can notice it, there is a hint of it. */
static inline void verify_hint(uint32_t slab)
{
	uint64_t word = world.view.lease[slab];

	if (!(word & HAK_LEASE_EXCEPTED) || hak_lease_holder(word) > NUMBERS ||
	    world.view.hint[slab])
		return;
	for (uint32_t slot = 0; slot < hak_lease_slots(word); slot++)
		check(world.view.half[hak_domain_index(slab, slot)] != HAK_HALF_FREED);
}

static inline void verify_all(void)
{
	uint64_t alive[HAK_MEMBERS / 64] = { 0 }, published = 0, moving = 0;
	struct hak_domain_census census;
	const char *reason = "";
	uint32_t slab = 0;

	/* While a dead one is not swept, anybody may be named whom it gave something too late. */
	for (uint32_t k = 1; k <= NUMBERS; k++)
		alive[0] |= (uint64_t)(world.life[k] != NOBODY || world.queued) << k;
	if (hak_domain_check(&world.view, alive, &census, &slab, &reason) < 0) {
		printf("# slab %u: %s\n", slab, reason);
		check(!"invariants");
	}
	for (uint32_t b = 0; b < world.blocks; b++) {
		verify(&world.block[b]);
		published += world.block[b].owner == HAK_HALF_PUBLISHED;
		moving += world.block[b].owner == SENT;
	}
	for (uint32_t i = 0; i < STALE && i < world.stales; i++) {
		struct hak_place place;

		check(hak_domain_place_ref(&world.view, world.stale[i], &place) < 0);
	}
	if (!world.queued) { /* nothing is left over that nobody knows of */
		check(census.published == published && census.moving == moving);
		check(!census.changing && !census.claimed);
		for (uint32_t i = 0; i < SLABS; i++)
			verify_hint(i);
	}
}
