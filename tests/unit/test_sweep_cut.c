/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Death before every write. A member dies at each write of what it does to leases; the sweep is
 * interrupted at each of its writes, begins again, and comes to the same end.
 */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "shared/channel.h"
#include "shared/domain.h"
#include "tests/domain_map.h"
#include "tests/domain_steps.h"

#define DEAD   5u
#define LIVING 9u
#define HEIR   12u
#define T(k)   (HAK_HALF_T | (k))

#define CHANNEL 7u
#define PLACES  8u
#define NEVER   (-1)
#define SUPERS  2u
#define SLABS   (SUPERS * HAK_SLABS_PER_SUPERSLAB)

int64_t domain_steps_left = NEVER;
jmp_buf domain_steps_end;

static struct hak_domain_view view;

/* ---- the memory, to be put back ---- */

struct copy {
	char *bytes;
	uint64_t ring[PLACES];
};

static struct copy copy_new(void)
{
	size_t size = hak_meta_rings(SUPERS);
	struct copy copy = { .bytes = malloc(size) };

	must(copy.bytes);
	memcpy(copy.bytes, view.roots, size);
	memcpy(copy.ring, (void *)hak_channel_ring(&view, CHANNEL), sizeof(copy.ring));
	return copy;
}

static void copy_back(const struct copy *copy)
{
	memcpy(view.roots, copy->bytes, hak_meta_rings(SUPERS));
	memcpy((void *)hak_channel_ring(&view, CHANNEL), copy->ring, sizeof(copy->ring));
}

/* The same but for generations, and hints that are set without need. */
static void assert_same(const struct copy *want)
{
	struct hak_domain_view other;

	hak_domain_view_init(&other, want->bytes, NULL, SUPERS, DOMAIN_MAP_TAG);
	for (uint32_t i = 0; i < SLABS; i++) {
		uint64_t generation = UINT64_C(1023) << 26;

		assert_true((view.lease[i] | generation) == (other.lease[i] | generation));
		assert_true(view.hint[i] >= other.hint[i]);
	}
	assert_memory_equal((void *)view.half, (void *)other.half,
			    SUPERS * HAK_SUPERSLAB_BLOCKS * 2);
	assert_memory_equal((void *)hak_channel_ring(&view, CHANNEL), want->ring,
			    sizeof(want->ring));
	assert_memory_equal((void *)view.channels[CHANNEL].senders,
			    (void *)other.channels[CHANNEL].senders, HAK_MEMBERS / 8);
}

static void sweep(enum hak_fate fate)
{
	struct hak_sweep sweep = { .member = DEAD, .fate = fate, .heir = HEIR };

	hak_domain_sweep_names(&view, &sweep, 0, HAK_CHANNELS);
	hak_domain_sweep(&view, &sweep, 0, SUPERS);
	must(sweep.broken == 0);
}

/* As a daemon that comes after one that was killed. */
static void sweep_daemon(void)
{
	struct hak_sweep sweep = { .member = HAK_HOLDER_DAEMON };

	hak_domain_sweep(&view, &sweep, 0, SUPERS);
	must(sweep.broken == 0);
}

static void assert_clean(void)
{
	uint64_t alive[HAK_MEMBERS / 64] = { UINT64_C(1) << LIVING | UINT64_C(1) << HEIR };
	struct hak_domain_census census;
	const char *reason = NULL;
	uint32_t slab = 0;

	if (hak_domain_check(&view, alive, &census, &slab, &reason) < 0)
		fail_msg("slab %u: %s", slab, reason);
	assert_int_equal(census.claimed, 0);
}

/* Stopped before write n; false: it has no more than n. */
static bool stop(void (*something)(void), int64_t n)
{
	bool stopped = true;

	if (!domain_stopped(n)) {
		something();
		stopped = false;
	}
	domain_steps_left = NEVER;
	return stopped;
}

/* ---- a member dies ---- */

static void lease(uint32_t holder, uint32_t first, uint32_t class, uint32_t n)
{
	uint32_t at;

	must(hak_lease_claim(&view, holder, SUPERS, first, n, &at) && at == first);
	hak_lease_commit(&view, holder, first, class ? HAK_LEASE_BLOCKS : HAK_LEASE_SPAN, class, n);
}

static void except(uint32_t first, uint32_t slot, uint16_t half)
{
	hak_lease_except(&view, first);
	view.half[hak_domain_index(first, slot)] = half;
	view.generation[hak_domain_index(first, slot)] = 200;
}

static void nothing(void)
{
}

static void lease_blocks(void)
{
	lease(DEAD, 8, hak_class_of(20000), 4);
}

static void lease_span(void)
{
	lease(DEAD, 0, 0, 40);
}

static void claim_in_vain(void)
{
	uint32_t first;

	must(!hak_lease_claim(&view, DEAD, SUPERS, 0, 33, &first));
}

static void one_of_another(void)
{
	lease(LIVING, 20, 1, 1);
}

static void blocks_with_exceptions(void)
{
	lease(DEAD, 8, hak_class_of(20000), 4);
	except(8, 0, HAK_HALF_FREED);
	except(8, 11, 0);
}

static void long_span(void)
{
	lease(DEAD, 0, 0, 40);
	except(0, 0, 0);
}

static void orphan(void)
{
	uint32_t n = 4;

	lease(LIVING, 8, hak_class_of(20000), n);
	except(8, 3, LIVING);
	except(8, 4, HAK_HALF_FREED);
	for (uint32_t i = 0; i < n; i++)
		view.lease[8 + i] = hak_lease_with_holder(view.lease[8 + i], HAK_HOLDER_ORPHAN);
}

static void adopt(void)
{
	must(hak_lease_adopt(&view, DEAD, 8, view.lease[8]));
}

static void release_8(void)
{
	hak_lease_release(&view, 8);
}

static void release_0(void)
{
	hak_lease_release(&view, 0);
}

static void except_8(void)
{
	hak_lease_except(&view, 8);
}

/* Whatever it had done: the sweep leaves nothing of it. `held`: slabs that others keep. */
static void member_dies_in(void (*before)(void), void (*op)(void), uint64_t held)
{
	struct copy start;
	int64_t n = 0;
	bool more;

	domain_map(&view, SUPERS, SUPERS);
	before();
	start = copy_new();
	do {
		copy_back(&start);
		more = stop(op, n++);
		sweep(HAK_FATE_FREE);
		assert_clean();
		for (uint32_t i = 0; i < SLABS; i++) {
			uint32_t holder = hak_lease_holder(view.lease[i]);

			assert_true(holder != DEAD);
			held -= holder != HAK_HOLDER_NONE;
		}
		assert_int_equal(held, 0);
		for (uint32_t i = 0; i < SLABS; i++)
			held += hak_lease_holder(view.lease[i]) != HAK_HOLDER_NONE;
	} while (more);
	assert_true(n > 1 || op == nothing);
	free(start.bytes);
	domain_unmap(&view);
}

static void members_die_at_every_write(void **state)
{
	member_dies_in(nothing, lease_blocks, 0);
	member_dies_in(nothing, lease_span, 0);
	member_dies_in(one_of_another, claim_in_vain, 1);
	member_dies_in(blocks_with_exceptions, release_8, 0);
	member_dies_in(lease_blocks, release_8, 0);
	member_dies_in(lease_blocks, except_8, 0);
	member_dies_in(long_span, release_0, 0);
	member_dies_in(orphan, adopt, 4);
}

/* ---- the sweep is interrupted ---- */

/* A bit of everything: see test_sweep.c for each. */
static void mixture(void)
{
	static const uint16_t halves[] = { 0,         HAK_HALF_FREED,     DEAD, T(DEAD), LIVING,
					   T(LIVING), HAK_HALF_PUBLISHED, 0,    T(DEAD), T(DEAD),
					   DEAD };
	uint32_t class = hak_class_of(20000), at;

	lease(DEAD, 0, class, 4); /* stays, for others have blocks of it */
	lease(LIVING, 4, class, 4);
	lease(DEAD, 8, class, 4);               /* goes */
	lease(DEAD, 12, 1, 1);                  /* goes, no exceptions */
	lease(LIVING, 13, 0, 2);                /* the dead one's by a half-word */
	lease(DEAD, 15, 0, 2);                  /* the living one's */
	lease(HAK_HOLDER_ORPHAN, 20, class, 4); /* goes, for the last block in use is the dead's */
	lease(DEAD, 32, 0, 5);
	must(hak_lease_claim(&view, DEAD, SUPERS, 40, 3, &at));
	for (uint32_t slot = 0; slot < hak_array_size(halves); slot++) {
		except(0, slot, halves[slot]);
		except(4, slot, halves[slot]);
	}
	except(8, 5, DEAD);
	except(13, 0, DEAD);
	except(15, 0, LIVING);
	except(20, 1, DEAD);
	except(20, 2, HAK_HALF_FREED);
	view.channels[CHANNEL].ring = 4;
	view.channels[CHANNEL].senders[0] = UINT64_C(1) << DEAD | UINT64_C(1) << LIVING;
	view.channels[CHANNEL].receivers[0] = UINT64_C(1) << DEAD;
	for (uint32_t slab = 0; slab <= 4; slab += 4) {
		uint64_t start = slab * HAK_SLAB_SIZE, size = hak_class[class].size;

		view.roots[slab].ref = hak_ref_make(DOMAIN_MAP_TAG, 0, 200, start + 8 * size);
		hak_channel_ring(&view, CHANNEL)[slab] = hak_channel_word_full(1, start + 9 * size);
		hak_channel_ring(&view, CHANNEL)[slab + 1] =
			hak_channel_word_full(1, start + 10 * size);
	}
}

static enum hak_fate fate_now;

static void sweep_now(void)
{
	sweep(fate_now);
}

/* The sweep is stopped at every write n, and the one after it at every write m of a few. */
static void sweeps_are_interrupted(void **state)
{
	for (int fate = HAK_FATE_FREE; fate <= HAK_FATE_INHERITED; fate++) {
		struct copy start, end;
		int64_t n = 0;

		fate_now = (enum hak_fate)fate;
		domain_map(&view, SUPERS, SUPERS);
		mixture();
		start = copy_new();
		sweep_now();
		assert_clean();
		end = copy_new();
		for (bool more = true; more; n++) {
			for (int64_t m = 0; m < 40; m += 13) {
				copy_back(&start);
				more = stop(sweep_now, n);
				(void)stop(sweep_now, m);
				sweep_daemon();
				sweep_now();
				assert_same(&end);
			}
		}
		assert_true(n > 40);
		free(start.bytes);
		free(end.bytes);
		domain_unmap(&view);
	}
}

/* A block that the sweep of the dead was freeing, when the daemon was killed: whoever dies next. */
static void half_freed_blocks_are_found_by_any_sweep(void **state)
{
	struct hak_sweep next = { .member = HEIR };
	int64_t n = 0;
	bool more;

	domain_map(&view, SUPERS, SUPERS);
	lease(LIVING, 0, 1, 1);
	do {
		except(0, 7, DEAD);
		view.hint[0] = 0;
		fate_now = HAK_FATE_FREE;
		more = stop(sweep_now, n++);
		if (view.half[hak_domain_index(0, 7)] == DEAD)
			continue;
		hak_domain_sweep(&view, &next, 0, SUPERS);
		assert_int_equal(view.half[hak_domain_index(0, 7)], HAK_HALF_FREED);
		assert_true(view.generation[hak_domain_index(0, 7)] != 200);
		assert_int_equal(view.hint[0], 1);
	} while (more);
	assert_true(n > 4);
	domain_unmap(&view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_die_at_every_write),
		cmocka_unit_test(sweeps_are_interrupted),
		cmocka_unit_test(half_freed_blocks_are_found_by_any_sweep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
