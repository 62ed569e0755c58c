/* SPDX-License-Identifier: Apache-2.0 */
/* Leases and places; the sweep is in test_sweep.c, its interruption in test_sweep_cut.c. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "shared/channel.h"
#include "shared/domain.h"
#include "tests/domain_map.h"

#define ME    5u
#define OTHER 9u

static uint64_t free_word(uint32_t generation)
{
	return hak_lease_make(HAK_HOLDER_NONE, HAK_LEASE_FREE, 0, generation, 0);
}

/* Leased to somebody else, so that a claim must go around it. */
static void take(struct hak_domain_view *view, uint32_t slab)
{
	view->lease[slab] = hak_lease_make(OTHER, HAK_LEASE_SPAN, 0, 0, 1);
}

static void names_have_keys(void **state)
{
	static const char *const bad[] = { "",
					   ".x",
					   ".",
					   "a/b",
					   "a b",
					   "a\n",
					   "\xc3\xa4",
					   "a:b",
					   "@",
					   "[",
					   "`",
					   "{",
					   "01234567890123456789012345678901" };
	static const char *const good[] = {
		"a", "Z", "9", "_", "-", "a.", "a.b-c_D9", "0123456789012345678901234567890"
	};

	for (size_t i = 0; i < hak_array_size(bad); i++)
		assert_true(hak_name_key(bad[i]) == 0);
	for (size_t i = 0; i < hak_array_size(good); i++) {
		assert_true(hak_name_key(good[i]) != 0);
		for (size_t j = 0; j < i; j++)
			assert_true(hak_name_key(good[i]) != hak_name_key(good[j]));
	}
	/* The number is in files: FNV-1a of "a" is af63dc4c8601ec8c, folded. */
	assert_true(hak_name_key("a") == (UINT64_C(0xaf63dc4c8601ec8c) ^ 0xaf63dc4c));
}

static void claims_from_where_it_is_told(void **state)
{
	struct hak_domain_view view;
	uint32_t first;

	domain_map(&view, 3, 2);
	assert_true(hak_lease_claim(&view, ME, 2, 7, 1, &first));
	assert_int_equal(first, 7);
	assert_true(view.lease[7] == hak_lease_make(ME, HAK_LEASE_CLAIM, 0, 0, 1));
	assert_true(hak_lease_claim(&view, ME, 2, 7, 1, &first));
	assert_int_equal(first, 8);
	take(&view, 31);
	assert_true(hak_lease_claim(&view, ME, 2, 31, 2, &first));
	assert_int_equal(first, 32); /* the next superslab */
	assert_true(hak_lease_claim(&view, ME, 2, 63, 1, &first));
	assert_int_equal(first, 63);
	assert_true(hak_lease_claim(&view, ME, 2, 62, 2, &first));
	assert_int_equal(first, 0); /* around */
	/* Back to the one where it began, before the place where it began. */
	assert_true(hak_lease_claim(&view, ME, 1, 30, 5, &first));
	assert_int_equal(first, 2);
	assert_true(hak_lease_claim(&view, ME, 2, 1000, 1, &first));
	domain_unmap(&view);
}

static void claims_all_or_nothing(void **state)
{
	struct hak_domain_view view;
	uint32_t first = 12345;

	domain_map(&view, 2, 2);
	for (uint32_t i = 3; i < 64; i += 4)
		take(&view, i);
	for (uint32_t i = 0; i < 64; i += 4)
		view.lease[i] = free_word(i);
	assert_false(hak_lease_claim(&view, ME, 2, 0, 4, &first));
	assert_int_equal(first, 12345);
	for (uint32_t i = 0; i < 64; i++) {
		if (i % 4 != 3)
			assert_true(view.lease[i] == free_word(i % 4 ? 0 : i));
	}
	assert_true(hak_lease_claim(&view, ME, 2, 6, 3, &first));
	assert_int_equal(first, 8);
	assert_true(view.lease[8] == hak_lease_make(ME, HAK_LEASE_CLAIM, 0, 8, 3));
	assert_true(view.lease[9] == hak_lease_make(ME, HAK_LEASE_CLAIM, 0, 0, 0));
	assert_false(hak_lease_claim(&view, ME, 2, 0, 0, &first));
	assert_false(hak_lease_claim(&view, ME, 0, 0, 1, &first));
	assert_false(hak_lease_claim(&view, ME, 2, 0, UINT64_C(1) << 40, &first));
	domain_unmap(&view);
}

static void small_runs_lie_in_one_superslab(void **state)
{
	struct hak_domain_view view;
	uint32_t first;

	domain_map(&view, 3, 3);
	take(&view, 0);
	assert_true(hak_lease_claim(&view, ME, 3, 0, 32, &first));
	assert_int_equal(first, 32);
	take(&view, 95);
	assert_false(hak_lease_claim(&view, ME, 3, 0, 32, &first));
	assert_true(hak_lease_claim(&view, ME, 3, 0, 31, &first));
	assert_int_equal(first, 1);
	domain_unmap(&view);
}

static void long_runs_start_at_superslabs(void **state)
{
	struct hak_domain_view view;
	uint32_t first;

	domain_map(&view, 8, 7);
	take(&view, 32);
	assert_true(hak_lease_claim(&view, ME, 8, 0, 33, &first));
	assert_int_equal(first, 64);
	assert_int_equal(hak_lease_kind(view.lease[97]), HAK_LEASE_FREE);
	assert_false(hak_lease_claim(&view, ME, 4, 0, 33, &first)); /* superslab 3 is begun */
	assert_true(hak_lease_claim(&view, ME, 8, 128, 96, &first));
	assert_int_equal(first, 128);
	assert_false(hak_lease_claim(&view, ME, 8, 0, 33, &first)); /* ABSENT is not FREE */
	hak_lease_release(&view, 64);
	assert_true(hak_lease_claim(&view, ME, 8, 200, 64, &first)); /* around */
	assert_int_equal(first, 64);
	domain_unmap(&view);
}

static void commits_and_releases(void **state)
{
	struct hak_domain_view view;
	uint32_t class = hak_class_of(32768), first;

	domain_map(&view, 1, 1);
	for (uint32_t i = 0; i < 32; i++)
		view.lease[i] = free_word(1020 + i);
	assert_true(hak_lease_claim(&view, ME, 1, 0, 4, &first));
	hak_lease_commit(&view, ME, first, HAK_LEASE_BLOCKS, class, 4);
	assert_true(view.lease[0] == hak_lease_make(ME, HAK_LEASE_BLOCKS, class, 1020, 4));
	for (uint32_t i = 1; i < 4; i++)
		assert_true(view.lease[i] == hak_lease_make(ME, HAK_LEASE_INSIDE, 0, 1020 + i, i));
	hak_lease_except(&view, 0);
	hak_lease_except(&view, 0);
	assert_true(view.lease[0] ==
		    (hak_lease_make(ME, HAK_LEASE_BLOCKS, class, 1020, 4) | HAK_LEASE_EXCEPTED));
	for (uint32_t slot = 0; slot < hak_class[class].blocks; slot++)
		view.generation[hak_domain_index(0, slot)] = 3;
	view.half[hak_domain_index(0, 1)] = HAK_HALF_FREED;
	view.half[hak_domain_index(1, 0)] = 7; /* not of this run: none of it has any there */
	assert_int_equal(hak_lease_release(&view, 0), 4);
	for (uint32_t i = 0; i < 4; i++)
		assert_true(view.lease[i] == free_word(1021 + i));
	for (uint32_t slot = 0; slot < 1024; slot++)
		assert_true(!view.generation[slot] && !view.half[slot]);
	assert_int_equal(view.half[hak_domain_index(1, 0)], 7);
	domain_unmap(&view);
}

static void releases_what_was_claimed_only(void **state)
{
	struct hak_domain_view view;
	uint32_t first;

	domain_map(&view, 1, 1);
	assert_true(hak_lease_claim(&view, ME, 1, 0, 3, &first));
	assert_true(hak_lease_claim(&view, ME, 1, 3, 2, &first));
	assert_int_equal(hak_lease_release(&view, 0), 3);
	assert_true(view.lease[2] == free_word(1));
	assert_int_equal(hak_lease_kind(view.lease[3]), HAK_LEASE_CLAIM);
	assert_int_equal(hak_lease_kind(view.lease[4]), HAK_LEASE_CLAIM);
	domain_unmap(&view);
}

static void releases_no_more_than_the_run(void **state)
{
	struct hak_domain_view view;

	domain_map(&view, 1, 1);
	/* A length that was written over: the words behind do not go with it. */
	view.lease[0] = hak_lease_make(ME, HAK_LEASE_SPAN, 0, 0, (1u << 28) - 1);
	view.lease[1] = hak_lease_make(ME, HAK_LEASE_INSIDE, 0, 0, 1);
	view.lease[2] = hak_lease_make(OTHER, HAK_LEASE_INSIDE, 0, 0, 2);
	assert_int_equal(hak_lease_release(&view, 0), 2);
	assert_int_equal(hak_lease_holder(view.lease[2]), OTHER);
	domain_unmap(&view);
}

static void adopts_orphans_only(void **state)
{
	struct hak_domain_view view;
	uint32_t first, class = hak_class_of(5000);

	domain_map(&view, 1, 1);
	assert_true(hak_lease_claim(&view, OTHER, 1, 0, 2, &first));
	assert_false(hak_lease_adopt(&view, ME, 0, view.lease[0]));
	hak_lease_commit(&view, OTHER, 0, HAK_LEASE_BLOCKS, class, 2);
	assert_false(hak_lease_adopt(&view, ME, 0, view.lease[0]));
	assert_false(hak_lease_adopt(&view, ME, 5, view.lease[5]));
	view.lease[0] =
		hak_lease_with_holder(view.lease[0], HAK_HOLDER_ORPHAN) | HAK_LEASE_EXCEPTED;
	view.lease[1] = hak_lease_with_holder(view.lease[1], HAK_HOLDER_ORPHAN);
	assert_false(hak_lease_adopt(&view, ME, 1, view.lease[1]));
	assert_true(hak_lease_adopt(&view, ME, 0, view.lease[0]));
	assert_false(hak_lease_adopt(&view, OTHER, 0, view.lease[0]));
	assert_true(view.lease[0] ==
		    (hak_lease_make(ME, HAK_LEASE_BLOCKS, class, 0, 2) | HAK_LEASE_EXCEPTED));
	assert_true(view.lease[1] == hak_lease_make(ME, HAK_LEASE_INSIDE, 0, 0, 1));
	domain_unmap(&view);
}

/* Every block of every class, and no other offset in steps of 16. */
static void places_are_starts_of_blocks(void **state)
{
	struct hak_domain_view view;

	domain_map(&view, 2, 2);
	for (uint32_t class = 1; class < HAK_CLASSES; class ++) {
		const struct hak_class *c = &hak_class[class];
		uint64_t start = 36 * HAK_SLAB_SIZE;
		uint32_t first;

		assert_true(hak_lease_claim(&view, ME, 2, 36, c->slabs, &first));
		hak_lease_commit(&view, ME, first, HAK_LEASE_BLOCKS, class, c->slabs);
		assert_int_equal(first, 36);
		for (uint64_t at = 0; at < c->slabs * HAK_SLAB_SIZE; at += 16) {
			uint32_t slot = (uint32_t)(at / c->size);
			bool is_start = at % c->size == 0 && slot < c->blocks;
			struct hak_place place;

			assert_int_equal(hak_domain_place(&view, start + at, &place),
					 is_start ? 0 : -EINVAL);
			if (!is_start)
				continue;
			assert_int_equal(place.slab, first);
			assert_int_equal(place.slot, slot);
			assert_int_equal(place.size, c->size);
			assert_true(place.index == hak_domain_index(first, slot));
			assert_true(place.lease == view.lease[first]);
		}
		hak_lease_release(&view, first);
	}
	domain_unmap(&view);
}

static void places_of_spans_and_of_nothing(void **state)
{
	struct hak_domain_view view;
	struct hak_place place;
	uint32_t first;

	domain_map(&view, 4, 3);
	assert_true(hak_lease_claim(&view, ME, 4, 0, 40, &first));
	assert_int_equal(hak_domain_place(&view, 0, &place), -ESTALE);
	hak_lease_commit(&view, ME, first, HAK_LEASE_SPAN, 0, 40);
	assert_int_equal(hak_domain_place(&view, 0, &place), 0);
	assert_int_equal(place.slot, 0);
	assert_true(place.size == 40 * HAK_SLAB_SIZE);
	assert_int_equal(hak_domain_place(&view, 16, &place), -EINVAL);
	assert_int_equal(hak_domain_place(&view, 39 * HAK_SLAB_SIZE, &place), -EINVAL);
	assert_int_equal(hak_domain_place(&view, 40 * HAK_SLAB_SIZE, &place), -ESTALE);
	assert_int_equal(hak_domain_place(&view, 3 * HAK_SUPERSLAB_SIZE, &place), -ESTALE);
	assert_int_equal(hak_domain_place(&view, 4 * HAK_SUPERSLAB_SIZE, &place), -EINVAL);
	assert_int_equal(hak_domain_place(&view, UINT64_MAX, &place), -EINVAL);
	view.lease[70] = hak_lease_make(ME, HAK_LEASE_INSIDE, 0, 0, 71);
	assert_int_equal(hak_domain_place(&view, 70 * HAK_SLAB_SIZE, &place), -ESTALE);
	view.lease[70] = hak_lease_make(ME, HAK_LEASE_BLOCKS, 63, 0, 1);
	assert_int_equal(hak_domain_place(&view, 70 * HAK_SLAB_SIZE, &place), -EINVAL);
	view.lease[70] = hak_lease_make(ME, HAK_LEASE_SPAN, 0, 0, 27); /* into the next superslab */
	assert_int_equal(hak_domain_place(&view, 70 * HAK_SLAB_SIZE, &place), -EINVAL);
	view.lease[64] = hak_lease_make(ME, HAK_LEASE_SPAN, 0, 0, 65); /* past the end */
	assert_int_equal(hak_domain_place(&view, 64 * HAK_SLAB_SIZE, &place), -EINVAL);
	domain_unmap(&view);
}

static void refs_go_stale(void **state)
{
	struct hak_domain_view view;
	struct hak_place place;
	uint32_t first;
	uint64_t ref;

	domain_map(&view, 1, 1);
	assert_true(hak_lease_claim(&view, ME, 1, 3, 1, &first));
	hak_lease_commit(&view, ME, first, HAK_LEASE_BLOCKS, 1, 1);
	hak_lease_except(&view, first);
	view.generation[hak_domain_index(3, 2000)] = 255;
	ref = hak_ref_make(DOMAIN_MAP_TAG, 0, 255, 3 * HAK_SLAB_SIZE + 2000 * 16);
	assert_int_equal(hak_domain_place_ref(&view, ref, &place), 0);
	assert_int_equal(place.slot, 2000);
	assert_int_equal(hak_domain_place_ref(&view, 0, &place), -EINVAL);
	assert_int_equal(hak_domain_place_ref(&view, ref ^ UINT64_C(1) << 60, &place), -EINVAL);
	assert_int_equal(hak_domain_place_ref(&view, ref + 1, &place), -ESTALE);
	/* Of a block that never had one. */
	assert_int_equal(hak_domain_place_ref(&view,
					      hak_ref_make(DOMAIN_MAP_TAG, 0, 0, 3 * HAK_SLAB_SIZE),
					      &place),
			 -EINVAL);
	view.generation[hak_domain_index(3, 2000)] = 1;
	assert_int_equal(hak_domain_place_ref(&view, ref, &place), -ESTALE);
	view.generation[hak_domain_index(3, 2000)] = 255;
	hak_lease_release(&view, first);
	assert_int_equal(hak_domain_place_ref(&view, ref, &place), -ESTALE);
	/* Leased again, cut alike, and with the same number: still another slab. */
	assert_true(hak_lease_claim(&view, ME, 1, 3, 1, &first));
	hak_lease_commit(&view, ME, first, HAK_LEASE_BLOCKS, 1, 1);
	hak_lease_except(&view, first);
	view.generation[hak_domain_index(3, 2000)] = 255;
	assert_int_equal(hak_domain_place_ref(&view, ref, &place), -ESTALE);
	domain_unmap(&view);
}

static void links_are_found(void **state)
{
	struct hak_domain_view view;
	uint64_t offset = 3 * HAK_SLAB_SIZE + 64;
	uint32_t channel = 12345;

	domain_map(&view, 1, 1);
	view.lease[3] = hak_lease_make(ME, HAK_LEASE_BLOCKS, 4, 0, 1) | HAK_LEASE_EXCEPTED;
	assert_false(hak_domain_is_linked(&view, offset, &channel));
	view.roots[1023].ref = hak_ref_make(DOMAIN_MAP_TAG, 0, 2, offset);
	assert_false(hak_domain_is_linked(&view, offset, &channel)); /* stale */
	hak_channel_ring(&view, 255)[15] = hak_channel_word_full(3, offset);
	assert_false(hak_domain_is_linked(&view, offset, &channel)); /* not set up */
	view.channels[255].ring = 1 + 3;
	assert_false(hak_domain_is_linked(&view, offset, &channel)); /* past its capacity */
	view.channels[255].ring = 1 + 4;
	assert_true(hak_domain_is_linked(&view, offset, &channel));
	assert_int_equal(channel, 255);
	view.channels[255].ring = 18; /* no capacity there is */
	assert_false(hak_domain_is_linked(&view, offset, &channel));
	view.generation[hak_domain_index(3, 1)] = 2;
	assert_true(hak_domain_is_linked(&view, offset, &channel));
	assert_int_equal(channel, HAK_CHANNELS);
	domain_unmap(&view);
}

/* Written by hand a second time: daemon and members of different builds meet in these bytes. */
static void bytes_are_where_they_were(void **state)
{
	assert_int_equal(HAK_DOMAIN_VERSION, 2);
	assert_int_equal(hak_meta_hints(3), 0x40000 + 3 * 256);
	assert_int_equal(hak_meta_since(3), 0x40000 + 3 * 256 + 3 * 32);
	assert_int_equal(hak_meta_generations(3), 0x41000);
	assert_int_equal(hak_meta_generations(100), 0x4b000);
	assert_int_equal(hak_meta_halves(3), 0x41000 + 3 * 0x20000);
	assert_int_equal(hak_meta_rings(3), 0x41000 + 3 * 0x60000);
	assert_int_equal(hak_meta_size(3), 0x41000 + 3 * 0x60000 + (UINT64_C(1) << 27));
	assert_int_equal(hak_domain_index(0, 1023), 1023);
	assert_int_equal(hak_domain_index(1, 0), 1024);
	assert_int_equal(hak_domain_index(0, 1024), 32768);
	assert_int_equal(hak_domain_index(33, 4095), 131072 + 3 * 32768 + 1024 + 1023);
	assert_true(hak_lease_make(0xffff, HAK_LEASE_SPAN, 63, 1023, 1) == UINT64_C(0x1ffff5ffff));
	assert_true(hak_ref_make(511, 1, 1, 32) ==
		    (UINT64_C(511) << 55 | UINT64_C(1) << 45 | UINT64_C(1) << 37 | 2));
	assert_int_equal(HAK_HALF_SWEPT, 0x4002);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_have_keys),
		cmocka_unit_test(claims_from_where_it_is_told),
		cmocka_unit_test(claims_all_or_nothing),
		cmocka_unit_test(small_runs_lie_in_one_superslab),
		cmocka_unit_test(long_runs_start_at_superslabs),
		cmocka_unit_test(commits_and_releases),
		cmocka_unit_test(releases_what_was_claimed_only),
		cmocka_unit_test(releases_no_more_than_the_run),
		cmocka_unit_test(adopts_orphans_only),
		cmocka_unit_test(places_are_starts_of_blocks),
		cmocka_unit_test(places_of_spans_and_of_nothing),
		cmocka_unit_test(refs_go_stale),
		cmocka_unit_test(links_are_found),
		cmocka_unit_test(bytes_are_where_they_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
