/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_model.h - a plain model of a domain for test_domain_random.c: whose each block is, what is
 * in it, in which order messages lie; and whether the domain's books say the same.
 */
#pragma once

#include "tests/proc/domain_orders.h"
#include "tests/proc/domains.h"

#include "shared/sys.h"

#define MEMBERS 5u
#define BLOCKS  96u
#define ROOTS   4u
#define STALES  16u
#define SUPERS  3u /* little, so that members are refused and give way */

enum owner {
	FREE = 0, /* the model's place is unused */
	/* 1 .. MEMBERS: a member */
	PUBLISHED = 100,
	SENT = 200, /* + channel */
};

static struct {
	uint64_t seed, step;
	struct raw raw;
	struct raw_domain d;
	const char *data;
	uint32_t policy;
	struct member_model {
		struct peer peer;
		hak_member id; /* 0: there is none */
		uint32_t heir;
	} member[MEMBERS + 1];
	struct block {
		uint32_t owner;
		uint64_t at, size, salt, ref;
	} block[BLOCKS];
	uint32_t queue[ORDER_CHANNELS][ORDER_CAPACITY], queued[ORDER_CHANNELS]; /* oldest first */
	uint64_t root[ROOTS];
	uint64_t stale[STALES];
	uint64_t refused, deaths;
} world;

#define check(x)                                                                               \
	do {                                                                                   \
		if (!(x))                                                                      \
			fail_msg("seed %lu, step %lu: %s is false", (unsigned long)world.seed, \
				 (unsigned long)world.step, #x);                               \
	} while (0)

static uint32_t below(uint32_t n)
{
	static uint64_t x;

	if (!n) { /* begin */
		x = world.seed;
		return 0;
	}
	x = x * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)(x >> 33) % n;
}

/* ---- the books against the model ---- */

static uint16_t half_of(const struct block *b)
{
	struct hak_place place;

	check(hak_domain_place(&world.d.view, b->at - world.d.base, &place) == 0);
	return world.d.view.half[place.index];
}

static uint32_t number_of(uint32_t member)
{
	return hak_member_number(world.member[member].id);
}

static inline void check_block(const struct block *b)
{
	const unsigned char *p = (const unsigned char *)world.data + (b->at - world.d.base);
	unsigned char value = (unsigned char)((b->size * 31 + b->salt) % 255 + 1);
	struct hak_place place;
	uint16_t half;

	check(hak_domain_place(&world.d.view, b->at - world.d.base, &place) == 0);
	check(place.size >= b->size);
	half = world.d.view.half[place.index];
	if (b->owner == PUBLISHED)
		check(half == HAK_HALF_PUBLISHED);
	else if (b->owner >= SENT)
		check(hak_half_is_channel(half));
	else
		check((half ? half : hak_lease_holder(place.lease)) == number_of(b->owner));
	check(p[0] == value && p[b->size - 1] == value);
	if (b->ref)
		check(hak_domain_place_ref(&world.d.view, b->ref, &place) == 0);
}

static inline void check_all(void)
{
	uint64_t alive[HAK_MEMBERS / 64] = { 0 }, published = 0, sent = 0;
	struct hak_domain_census census;
	const char *reason = "";
	uint32_t slab = 0, n;

	for (uint32_t i = 0; i < BLOCKS; i++) {
		const struct block *b = &world.block[i];

		if (!b->owner)
			continue;
		check_block(b);
		published += b->owner == PUBLISHED;
		sent += b->owner >= SENT;
		for (uint32_t k = 0; k < i; k++) {
			const struct block *a = &world.block[k];

			check(!a->owner || a->at + a->size <= b->at || b->at + b->size <= a->at);
		}
	}
	for (uint32_t i = 0; i < STALES; i++) {
		struct hak_place place;

		check(!world.stale[i] ||
		      hak_domain_place_ref(&world.d.view, world.stale[i], &place) == -ESTALE);
	}
	for (uint32_t i = 1; i <= MEMBERS; i++) {
		n = number_of(i);
		alive[n / 64] |= UINT64_C(1) << (n % 64);
	}
	alive[0] &= ~UINT64_C(1);
	n = hak_member_number(world.d.member);
	alive[n / 64] |= UINT64_C(1) << (n % 64);
	if (hak_domain_check(&world.d.view, alive, &census, &slab, &reason))
		fail_msg("seed %lu, step %lu: slab %u: %s", (unsigned long)world.seed,
			 (unsigned long)world.step, slab, reason);
	check(census.published == published);
	check(census.moving == sent);
	check(census.changing == 0);
}

/* ---- picking ---- */

/* A block of that owner; NULL: there is none. */
static inline struct block *pick(uint32_t owner)
{
	uint32_t from = below(BLOCKS);

	for (uint32_t i = 0; i < BLOCKS; i++) {
		struct block *b = &world.block[(from + i) % BLOCKS];

		if (b->owner == owner)
			return b;
	}
	return NULL;
}

static inline struct block *block_at(uint64_t at)
{
	for (uint32_t i = 0; i < BLOCKS; i++) {
		if (world.block[i].owner && world.block[i].at == at)
			return &world.block[i];
	}
	check(!"a block that is there");
	return NULL;
}

/* Another living member; 0: there is none. */
static uint32_t other_than(uint32_t m)
{
	uint32_t from = below(MEMBERS);

	for (uint32_t i = 0; i < MEMBERS; i++) {
		uint32_t k = 1 + (from + i) % MEMBERS;

		if (k != m && world.member[k].id)
			return k;
	}
	return 0;
}

static uint64_t some_size(void)
{
	uint32_t bits = below(16) ? 4 + below(11) : 15 + below(5);

	return 1 + below(1u << bits);
}

static int64_t tell(uint32_t m, peer_fn *fn, uint64_t arg, const struct block *b)
{
	if (b) {
		peer_board->word[ORDER_AT] = b->at;
		peer_board->word[ORDER_SIZE] = b->size;
		peer_board->word[ORDER_SALT] = b->salt;
		peer_board->word[ORDER_REF] = b->ref;
	}
	return peer_do(&world.member[m].peer, fn, arg);
}

static inline void forget(struct block *b)
{
	if (b->ref)
		world.stale[below(STALES)] = b->ref;
	b->owner = FREE;
}
