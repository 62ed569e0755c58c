/* SPDX-License-Identifier: Apache-2.0 */
/* Every rule of the sweep, one by one. Interruption is test_sweep_cut.c's, mixtures are
 * test_domain_random.c's. */
#include "tests/unit/unit.h"

#include <string.h>

#include "shared/channel.h"
#include "shared/domain.h"
#include "tests/domain_map.h"

#define DEAD   5u
#define LIVING 9u
#define HEIR   12u
#define GONE   700u /* nobody's number */
#define T(k)   (HAK_HALF_T | (k))

#define CHANNEL 200u
#define LINKED  (HAK_HALF_CHANNEL | CHANNEL)

static struct hak_domain_view view;

static int map(void **state)
{
	domain_map(&view, 3, 3);
	return 0;
}

static int unmap(void **state)
{
	domain_unmap(&view);
	return 0;
}

/* A run at `first`, EXCEPTED, as if leased long ago. */
static void lease(uint32_t holder, uint32_t first, uint32_t class, uint32_t n)
{
	view.lease[first] =
		hak_lease_make(holder, class ? HAK_LEASE_BLOCKS : HAK_LEASE_SPAN, class, 0, n) |
		HAK_LEASE_EXCEPTED;
	for (uint32_t i = 1; i < n; i++)
		view.lease[first + i] = hak_lease_make(holder, HAK_LEASE_INSIDE, 0, 0, i);
}

static struct hak_sweep sweep_with(enum hak_fate fate, uint32_t member)
{
	struct hak_sweep sweep = { .member = member, .fate = fate, .heir = HEIR };

	sweep.nobody[GONE / 64] |= UINT64_C(1) << (GONE % 64);
	hak_domain_sweep_names(&view, &sweep, 0, HAK_CHANNELS);
	hak_domain_sweep(&view, &sweep, 0, view.superslabs);
	return sweep;
}

static void assert_clean(const uint32_t *living, size_t n)
{
	uint64_t alive[HAK_MEMBERS / 64] = { 0 };
	struct hak_domain_census census;
	const char *reason = NULL;
	uint32_t slab = 0;

	for (size_t i = 0; i < n; i++)
		alive[living[i] / 64] |= UINT64_C(1) << (living[i] % 64);
	if (hak_domain_check(&view, alive, &census, &slab, &reason) < 0)
		fail_msg("slab %u: %s", slab, reason);
}

static const uint32_t others[] = { LIVING, HEIR };

struct rule {
	uint16_t half;
	uint16_t after[3]; /* by fate: FREE, PUBLISH, INHERITED */
	bool renewed[3];   /* the generation is another one */
};

/* In slabs of the dead; `other` blocks keep the slab from becoming FREE. */
static const struct rule own_rules[] = {
	{ 0, { 0, 0, 0 }, { true, true, true } },
	{ HAK_HALF_FREED, { 0, 0, 0 }, { false, false, false } },
	{ DEAD, { 0, HAK_HALF_PUBLISHED, HEIR }, { true, false, false } },
	{ T(DEAD), { 0, HAK_HALF_PUBLISHED, HEIR }, { true, false, false } },
	{ GONE, { 0, HAK_HALF_PUBLISHED, HEIR }, { true, false, false } },
	{ HAK_HALF_SWEPT, { 0, 0, 0 }, { true, true, true } },
	{ LIVING, { LIVING, LIVING, LIVING }, { false, false, false } },
	{ T(LIVING), { T(LIVING), T(LIVING), T(LIVING) }, { false, false, false } },
	{ LINKED, { LINKED, LINKED, LINKED }, { false, false, false } },
	{ HAK_HALF_PUBLISHED,
	  { HAK_HALF_PUBLISHED, HAK_HALF_PUBLISHED, HAK_HALF_PUBLISHED },
	  { false, false, false } },
};

/* In slabs of others what is freed is FREED, also in those of no one. */
static uint16_t in_slab_of_others(uint16_t before, uint16_t after)
{
	return before && !after ? HAK_HALF_FREED : after;
}

static void apply(uint32_t holder, const struct rule *rule, enum hak_fate fate)
{
	uint64_t i = hak_domain_index(7, 1000), other = hak_domain_index(7, 4095);
	bool is_own = holder == DEAD, freed;
	uint16_t after = rule->after[fate];
	struct hak_sweep sweep;

	if (!is_own)
		after = in_slab_of_others(rule->half, after);
	freed = !is_own && after == HAK_HALF_FREED;
	lease(holder, 7, 1, 1);
	view.hint[7] = 0;
	view.half[i] = rule->half;
	view.generation[i] = 255;
	view.half[other] = HAK_HALF_PUBLISHED;
	view.channels[CHANNEL].ring = 3;
	sweep = sweep_with(fate, DEAD);
	assert_int_equal(view.half[i], after);
	assert_int_equal(view.generation[i],
			 rule->renewed[fate] && (is_own || rule->half) ? 1 : 255);
	assert_int_equal(view.half[other], HAK_HALF_PUBLISHED);
	assert_int_equal(view.hint[7], freed);
	assert_int_equal(hak_lease_holder(view.lease[7]), is_own ? HAK_HOLDER_ORPHAN : holder);
	assert_int_equal(sweep.broken, 0);
	assert_int_equal(sweep.slabs_orphaned, is_own);
	assert_int_equal(sweep.slabs_freed, 0);
	assert_clean(others, hak_array_size(others));

	/* Once more changes nothing but, as far as it cannot know, generations. */
	sweep = sweep_with(fate, DEAD);
	assert_int_equal(view.half[i], after);
	assert_int_equal(sweep.slabs_orphaned + sweep.blocks_freed + sweep.blocks_kept, 0);
}

static void blocks_follow_the_rules(void **state)
{
	static const uint32_t holders[] = { DEAD, LIVING, HAK_HOLDER_ORPHAN };

	for (size_t h = 0; h < hak_array_size(holders); h++) {
		for (size_t r = 0; r < hak_array_size(own_rules); r++) {
			for (int fate = HAK_FATE_FREE; fate <= HAK_FATE_INHERITED; fate++)
				apply(holders[h], &own_rules[r], (enum hak_fate)fate);
		}
	}
}

static void heirs_are_numbers(void **state)
{
	struct hak_sweep sweep = { .member = DEAD, .fate = HAK_FATE_INHERITED };

	for (uint32_t heir = 0; heir < 2; heir++) {
		lease(LIVING, 7, 1, 1);
		view.half[hak_domain_index(7, 3)] = DEAD;
		sweep.heir = heir ? HAK_MEMBERS : 0;
		hak_domain_sweep(&view, &sweep, 0, 3);
		assert_int_equal(view.half[hak_domain_index(7, 3)], HAK_HALF_FREED);
	}
}

/* Nothing of theirs is in use by others: leases of all shapes, whole and half made. */
static void leases_become_free(void **state)
{
	uint32_t first;
	struct hak_sweep sweep;

	lease(DEAD, 0, hak_class_of(32768), 4);
	view.generation[hak_domain_index(0, 7)] = 9;
	view.half[hak_domain_index(0, 7)] = DEAD;
	lease(DEAD, 4, 1, 1);
	view.lease[4] &= ~HAK_LEASE_EXCEPTED;
	assert_true(hak_lease_claim(&view, DEAD, 3, 5, 3, &first));
	view.lease[6] = hak_lease_make(DEAD, HAK_LEASE_INSIDE, 0, 0, 1); /* half committed */
	/* Half released: first CLAIM with its class, the last INSIDE word gone. */
	lease(DEAD, 8, hak_class_of(20000), 4);
	view.lease[8] = hak_lease_make(DEAD, HAK_LEASE_CLAIM, hak_class_of(20000), 0, 4) |
			HAK_LEASE_EXCEPTED;
	view.generation[hak_domain_index(8, 9)] = 9;
	view.lease[11] = hak_lease_make(HAK_HOLDER_NONE, HAK_LEASE_FREE, 0, 0, 0);
	/* Half adopted. */
	lease(HAK_HOLDER_ORPHAN, 12, hak_class_of(20000), 4);
	view.lease[12] = hak_lease_with_holder(view.lease[12], DEAD);
	view.lease[13] = hak_lease_with_holder(view.lease[13], DEAD);
	lease(DEAD, 32, 0, 64); /* from the second to the third superslab */
	sweep = sweep_with(HAK_FATE_PUBLISH, DEAD);
	assert_int_equal(sweep.slabs_orphaned, 4); /* of which a block was published */
	assert_int_equal(sweep.slabs_freed, 11 + 64);
	assert_int_equal(sweep.broken, 0);
	assert_clean(others, hak_array_size(others));
	for (uint32_t i = 4; i < 96; i++)
		assert_int_equal(hak_lease_kind(view.lease[i]), HAK_LEASE_FREE);
}

static void spans_stay_as_a_whole(void **state)
{
	struct hak_sweep sweep;

	lease(DEAD, 0, 0, 70);
	view.half[0] = LIVING;
	view.generation[0] = 4;
	sweep = sweep_with(HAK_FATE_FREE, DEAD);
	assert_int_equal(sweep.slabs_orphaned, 70);
	for (uint32_t i = 0; i < 70; i++)
		assert_int_equal(hak_lease_holder(view.lease[i]), HAK_HOLDER_ORPHAN);
	assert_clean(others, hak_array_size(others));
	/* Now its owner dies, too. */
	sweep = sweep_with(HAK_FATE_FREE, LIVING);
	assert_int_equal(sweep.slabs_freed, 70);
	assert_int_equal(sweep.blocks_freed, 1);
	assert_clean(others, 0);
	assert_int_equal(hak_lease_kind(view.lease[69]), HAK_LEASE_FREE);
}

static void claims_of_others_stay(void **state)
{
	uint32_t first;

	assert_true(hak_lease_claim(&view, LIVING, 3, 0, 2, &first));
	assert_true(hak_lease_claim(&view, DEAD, 3, 2, 2, &first));
	assert_true(hak_lease_claim(&view, LIVING, 3, 4, 2, &first));
	(void)sweep_with(HAK_FATE_FREE, DEAD);
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(hak_lease_kind(view.lease[i]),
				 i / 2 == 1 ? HAK_LEASE_FREE : HAK_LEASE_CLAIM);
}

/* What a dead one freed without coming to the hint. */
static void hints_are_made_good(void **state)
{
	lease(LIVING, 40, 5, 1);
	view.half[hak_domain_index(40, 0)] = HAK_HALF_FREED;
	(void)sweep_with(HAK_FATE_FREE, DEAD);
	assert_int_equal(view.hint[40], 1);
	assert_int_equal(view.half[hak_domain_index(40, 0)], HAK_HALF_FREED);
}

static void links_decide_for_blocks_that_change(void **state)
{
	uint64_t at = 40 * HAK_SLAB_SIZE;
	struct hak_sweep sweep;

	lease(DEAD, 40, 4, 1); /* blocks of 64 bytes */
	lease(LIVING, 41, 4, 1);
	view.channels[CHANNEL].ring = 5;
	for (uint32_t slab = 40; slab <= 41; slab++, at += HAK_SLAB_SIZE) {
		for (uint32_t slot = 0; slot < 4; slot++) {
			view.half[hak_domain_index(slab, slot)] = T(DEAD);
			view.generation[hak_domain_index(slab, slot)] = 8;
		}
		/* 0: a root. 1: a root that has another life of it. 2: the ring. 3: nothing. */
		view.roots[slab].ref = hak_ref_make(DOMAIN_MAP_TAG, 0, 8, at);
		view.roots[2 * slab].ref = hak_ref_make(DOMAIN_MAP_TAG, 0, 7, at + 64);
		hak_channel_ring(&view, CHANNEL)[slab % 16] = hak_channel_word_full(3, at + 128);
	}
	sweep = sweep_with(HAK_FATE_FREE, DEAD);
	for (uint32_t slab = 40; slab <= 41; slab++) {
		uint16_t free = slab == 40 ? 0 : HAK_HALF_FREED;

		assert_int_equal(view.half[hak_domain_index(slab, 0)], HAK_HALF_PUBLISHED);
		assert_int_equal(view.half[hak_domain_index(slab, 1)], free);
		assert_int_equal(view.half[hak_domain_index(slab, 2)], LINKED);
		assert_int_equal(view.half[hak_domain_index(slab, 3)], free);
		assert_int_equal(view.generation[hak_domain_index(slab, 0)], 8);
		assert_int_equal(view.generation[hak_domain_index(slab, 3)], 9);
		assert_true(hak_channel_ring(&view, CHANNEL)[slab % 16] & HAK_CHANNEL_FULL);
	}
	assert_int_equal(sweep.blocks_kept, 4);
	assert_int_equal(sweep.blocks_freed, 4);
	assert_clean(others, hak_array_size(others));
}

/* Claimed while a root has its ref, then sent: the ring says what it was about. */
static void rings_come_before_roots(void **state)
{
	struct hak_sweep sweep = { .member = DEAD };

	lease(LIVING, 40, 4, 1);
	view.channels[CHANNEL].ring = 5;
	view.half[hak_domain_index(40, 0)] = T(DEAD);
	view.generation[hak_domain_index(40, 0)] = 8;
	view.roots[0].ref = hak_ref_make(DOMAIN_MAP_TAG, 0, 8, 40 * HAK_SLAB_SIZE);
	hak_channel_ring(&view, CHANNEL)[0] = hak_channel_word_full(0, 40 * HAK_SLAB_SIZE);
	for (uint32_t c = 0; c < HAK_CHANNELS; c += 32)
		hak_domain_sweep_names(&view, &sweep, c, 32);
	assert_int_equal(view.half[hak_domain_index(40, 0)], LINKED);
}

static void channels_forget_the_dead(void **state)
{
	struct hak_channel_desc *desc = &view.channels[CHANNEL];
	_Atomic uint64_t *ring = hak_channel_ring(&view, CHANNEL);
	uint64_t both = UINT64_C(1) << DEAD | UINT64_C(1) << LIVING;

	lease(LIVING, 40, 4, 1);
	desc->ring = 3;
	desc->senders[0] = desc->receivers[0] = both;
	desc->receivers_wait = desc->senders_wait = 1;
	view.half[hak_domain_index(40, 0)] = DEAD; /* received, the place was not left */
	view.half[hak_domain_index(40, 1)] = LIVING;
	view.half[hak_domain_index(40, 2)] = LINKED;
	for (uint32_t i = 0; i < 3; i++)
		ring[i] = hak_channel_word_full(HAK_CHANNEL_LAPS - 1, 40 * HAK_SLAB_SIZE + i * 64);
	ring[3] = hak_channel_word_full(7, 41 * HAK_SLAB_SIZE); /* no block */
	(void)sweep_with(HAK_FATE_INHERITED, DEAD);
	assert_true(ring[0] == 0);               /* EMPTY, lap 0 */
	assert_true(ring[1] & HAK_CHANNEL_FULL); /* the living one's own business */
	assert_true(ring[2] & HAK_CHANNEL_FULL);
	assert_true(ring[3] & HAK_CHANNEL_FULL);
	assert_int_equal(view.half[hak_domain_index(40, 0)], HEIR);
	assert_true(desc->senders[0] == UINT64_C(1) << LIVING);
	assert_true(desc->receivers[0] == UINT64_C(1) << LIVING);
	assert_true(desc->sent == 1 && desc->received == 1);
	assert_true(!desc->receivers_wait && !desc->senders_wait);
	/* It has nothing to say a second time, nor of channels it was not in. */
	(void)sweep_with(HAK_FATE_INHERITED, DEAD);
	assert_true(desc->sent == 1 && desc->received == 1);
	assert_int_equal(view.channels[CHANNEL + 1].sent, 0);
	assert_clean(others, hak_array_size(others));
}

static void what_is_dropped_is_freed_with_the_last_receiver(void **state)
{
	struct hak_channel_desc *desc = &view.channels[CHANNEL];
	_Atomic uint64_t *ring = hak_channel_ring(&view, CHANNEL);

	(void)state;
	lease(LIVING, 40, 4, 1);
	desc->ring = 3 | HAK_CHANNEL_DROPS;
	desc->used = HAK_CHANNEL_SENDERS | HAK_CHANNEL_RECEIVERS;
	desc->senders[0] = UINT64_C(1) << LIVING;
	desc->receivers[0] = UINT64_C(1) << DEAD | UINT64_C(1) << HEIR;
	view.half[hak_domain_index(40, 0)] = HAK_HALF_CHANNEL | CHANNEL;
	view.generation[hak_domain_index(40, 0)] = 255;
	view.half[hak_domain_index(40, 1)] = HAK_HALF_T | LIVING; /* it will see to it */
	for (uint32_t i = 0; i < 2; i++)
		ring[i] = hak_channel_word_full(0, 40 * HAK_SLAB_SIZE + i * 64);
	(void)sweep_with(HAK_FATE_FREE, DEAD);
	assert_int_equal(view.half[hak_domain_index(40, 0)], HAK_HALF_CHANNEL | CHANNEL);
	(void)sweep_with(HAK_FATE_FREE, HEIR);
	assert_int_equal(view.half[hak_domain_index(40, 0)], HAK_HALF_FREED);
	assert_int_equal(view.generation[hak_domain_index(40, 0)], 1);
	assert_int_equal(view.hint[40], 1);
	assert_true(ring[0] == hak_channel_word_empty(1));
	assert_int_equal(view.half[hak_domain_index(40, 1)], HAK_HALF_T | LIVING);
	assert_true(ring[1] & HAK_CHANNEL_FULL);
}

static void empty_orphans_are_gathered(void **state)
{
	uint64_t left;

	(void)state;
	lease(HAK_HOLDER_ORPHAN, 0, hak_class_of(20000), 4);
	view.half[hak_domain_index(0, 2)] = HAK_HALF_FREED;
	view.generation[hak_domain_index(0, 3)] = 3;
	lease(HAK_HOLDER_ORPHAN, 4, 1, 1);
	view.half[hak_domain_index(4, 4095)] = LIVING;
	lease(LIVING, 5, 1, 1);
	lease(HAK_HOLDER_ORPHAN, 6, 0, 2);
	view.half[hak_domain_index(6, 0)] = HAK_HALF_SWEPT;
	lease(HAK_HOLDER_ORPHAN, 32, 0, 2);
	view.lease[32] &= ~HAK_LEASE_EXCEPTED;
	assert_int_equal(hak_domain_gather(&view, 1, 1, &left), 2);
	assert_int_equal(left, 0);
	assert_int_equal(hak_domain_gather(&view, 0, 1, &left), 4);
	assert_int_equal(left, 2); /* slabs 4 and 6 */
	assert_int_equal(hak_domain_gather(&view, 0, 100, &left), 0);
	assert_int_equal(hak_domain_gather(&view, 100, 100, &left), 0);
	assert_int_equal(hak_lease_holder(view.lease[4]), HAK_HOLDER_ORPHAN);
	assert_int_equal(hak_lease_holder(view.lease[5]), LIVING);
	assert_int_equal(hak_lease_holder(view.lease[7]), HAK_HOLDER_ORPHAN);
	view.half[hak_domain_index(6, 0)] = 0;
	assert_clean(others, hak_array_size(others));
}

/* What a daemon that was killed left: a superslab about to be ABSENT, an orphan being freed. */
static void the_daemon_is_swept_too(void **state)
{
	struct hak_sweep sweep;
	uint32_t first;

	assert_true(hak_lease_claim(&view, HAK_HOLDER_DAEMON, 3, 0, 32, &first));
	lease(HAK_HOLDER_ORPHAN, 32, hak_class_of(20000), 4);
	view.half[hak_domain_index(32, 0)] = HAK_HALF_FREED;
	view.lease[32] = hak_lease_with_holder(view.lease[32], HAK_HOLDER_DAEMON);
	lease(LIVING, 40, 1, 1);
	view.half[hak_domain_index(40, 0)] = 0xfffe;
	sweep = sweep_with(HAK_FATE_FREE, HAK_HOLDER_DAEMON);
	assert_int_equal(sweep.slabs_freed, 36);
	assert_int_equal(sweep.broken, 1);
	assert_int_equal(view.half[hak_domain_index(40, 0)], 0xfffe);
	view.half[hak_domain_index(40, 0)] = 0;
	assert_clean(others, hak_array_size(others));
}

/* Superslab by superslab, forwards, backwards, and some of them twice. */
static void steps_go_in_any_order(void **state)
{
	static const uint32_t orders[][4] = { { 0, 1, 2, 2 }, { 2, 1, 0, 0 }, { 1, 2, 1, 0 } };

	for (size_t o = 0; o < hak_array_size(orders); o++) {
		struct hak_sweep sweep = { .member = DEAD };

		for (uint32_t i = 0; i < 96; i++)
			view.lease[i] = hak_lease_make(HAK_HOLDER_NONE, HAK_LEASE_FREE, 0, 0, 0);
		lease(DEAD, 0, 0, 70);
		lease(DEAD, 70, hak_class_of(20000), 4);
		view.half[hak_domain_index(70, 1)] = LIVING;
		lease(LIVING, 74, 1, 1);
		view.half[hak_domain_index(74, 1)] = DEAD;
		for (uint32_t i = 0; i < 4; i++)
			hak_domain_sweep(&view, &sweep, orders[o][i], 1);
		assert_int_equal(sweep.slabs_freed, 70);
		assert_int_equal(sweep.slabs_orphaned, 4);
		assert_int_equal(sweep.blocks_freed, 1);
		assert_int_equal(sweep.broken, 0);
		assert_clean(others, hak_array_size(others));
	}
}

static void what_no_member_writes_is_left(void **state)
{
	static const struct {
		uint64_t word;
		uint16_t half;
	} cases[] = {
		{ UINT64_MAX, 0 },
		{ 0xffff, 0 },
		{ HAK_LEASE_EXCEPTED, 0 },
		{ (uint64_t)HAK_LEASE_FREE << 16 | DEAD, 0 },
		{ (uint64_t)6 << 16 | DEAD, 0 },
		{ (uint64_t)HAK_LEASE_BLOCKS << 16 | (uint64_t)63 << 20 | DEAD, 0 },
		{ (uint64_t)HAK_LEASE_BLOCKS << 16 | DEAD, 0 },
		{ (uint64_t)HAK_LEASE_BLOCKS << 16 | (uint64_t)1 << 20 | HAK_LEASE_LENGTH(2) | DEAD,
		  0 },
		{ (uint64_t)HAK_LEASE_SPAN << 16 | DEAD, 0 },
		{ (uint64_t)HAK_LEASE_SPAN << 16 | HAK_LEASE_LENGTH(29) | DEAD, 0 },
		{ (uint64_t)HAK_LEASE_CLAIM << 16 | (uint64_t)41 << 20 | DEAD, 0 },
		{ (uint64_t)HAK_LEASE_INSIDE << 16 | HAK_LEASE_LENGTH(4) | DEAD, 0 },
		{ (uint64_t)HAK_LEASE_INSIDE << 16 | HAK_LEASE_LENGTH(5) | DEAD, 0 },
		{ (uint64_t)HAK_LEASE_SPAN << 16 | HAK_LEASE_EXCEPTED | HAK_LEASE_LENGTH(1) |
			  LIVING,
		  0x2100 },
		{ (uint64_t)HAK_LEASE_SPAN << 16 | HAK_LEASE_EXCEPTED | HAK_LEASE_LENGTH(1) |
			  LIVING,
		  HAK_HALF_T },
		{ (uint64_t)HAK_LEASE_SPAN << 16 | HAK_LEASE_EXCEPTED | HAK_LEASE_LENGTH(1) |
			  HAK_HOLDER_ORPHAN,
		  0x0400 },
	};

	for (size_t i = 0; i < hak_array_size(cases); i++) {
		struct hak_sweep sweep;

		view.lease[4] = cases[i].word;
		view.half[hak_domain_index(4, 0)] = cases[i].half;
		sweep = sweep_with(HAK_FATE_FREE, DEAD);
		if (sweep.broken != 1)
			fail_msg("case %zu", i);
		assert_true(view.lease[4] == cases[i].word);
		assert_int_equal(view.half[hak_domain_index(4, 0)], cases[i].half);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(blocks_follow_the_rules, map, unmap),
		cmocka_unit_test_setup_teardown(heirs_are_numbers, map, unmap),
		cmocka_unit_test_setup_teardown(leases_become_free, map, unmap),
		cmocka_unit_test_setup_teardown(spans_stay_as_a_whole, map, unmap),
		cmocka_unit_test_setup_teardown(claims_of_others_stay, map, unmap),
		cmocka_unit_test_setup_teardown(hints_are_made_good, map, unmap),
		cmocka_unit_test_setup_teardown(links_decide_for_blocks_that_change, map, unmap),
		cmocka_unit_test_setup_teardown(rings_come_before_roots, map, unmap),
		cmocka_unit_test_setup_teardown(channels_forget_the_dead, map, unmap),
		cmocka_unit_test_setup_teardown(what_is_dropped_is_freed_with_the_last_receiver,
						map, unmap),
		cmocka_unit_test_setup_teardown(empty_orphans_are_gathered, map, unmap),
		cmocka_unit_test_setup_teardown(the_daemon_is_swept_too, map, unmap),
		cmocka_unit_test_setup_teardown(steps_go_in_any_order, map, unmap),
		cmocka_unit_test_setup_teardown(what_no_member_writes_is_left, map, unmap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
