/* SPDX-License-Identifier: Apache-2.0 */
/* hak_domain_check() finds each violation, and counts. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "shared/domain.h"
#include "tests/domain_map.h"

#define LIVING 9u
#define OTHER  64u
#define DEAD   5u

static struct hak_domain_view view;

static void lease(uint32_t holder, uint32_t first, uint32_t class, uint32_t n)
{
	uint32_t at;

	must(hak_lease_claim(&view, holder, view.superslabs, first, n, &at) && at == first);
	hak_lease_commit(&view, holder, first, class ? HAK_LEASE_BLOCKS : HAK_LEASE_SPAN, class, n);
}

/* Slabs 0 .. 3 a run of blocks, 4 and 5 a span of an orphan's, 6 a claim, 7 blocks without
 * exceptions, the rest FREE; superslab 1 ABSENT. */
static int map(void **state)
{
	uint32_t first;

	domain_map(&view, 2, 1);
	lease(LIVING, 0, hak_class_of(32768), 4);
	hak_lease_except(&view, 0);
	view.half[hak_domain_index(0, 0)] = HAK_HALF_PUBLISHED;
	view.half[hak_domain_index(0, 1)] = OTHER;
	view.half[hak_domain_index(0, 2)] = HAK_HALF_T | LIVING;
	view.half[hak_domain_index(0, 3)] = HAK_HALF_CHANNEL | 200;
	view.half[hak_domain_index(0, 4)] = HAK_HALF_FREED;
	view.generation[hak_domain_index(0, 5)] = 1;
	view.channels[200].ring = 1;
	view.channels[3].senders[1] = 1;
	lease(HAK_HOLDER_ORPHAN, 4, 0, 2);
	hak_lease_except(&view, 4);
	view.half[hak_domain_index(4, 0)] = OTHER;
	must(hak_lease_claim(&view, OTHER, 1, 6, 1, &first));
	lease(OTHER, 7, 2, 1);
	return 0;
}

static int unmap(void **state)
{
	domain_unmap(&view);
	return 0;
}

static int check(struct hak_domain_census *census, uint32_t *slab, const char **reason)
{
	uint64_t alive[HAK_MEMBERS / 64] = { 0 };

	alive[LIVING / 64] |= UINT64_C(1) << (LIVING % 64);
	alive[OTHER / 64] |= UINT64_C(1) << (OTHER % 64);
	return hak_domain_check(&view, alive, census, slab, reason);
}

static void counts_what_there_is(void **state)
{
	struct hak_domain_census census, again;
	const char *reason;
	uint32_t slab;

	assert_int_equal(check(&census, &slab, &reason), 0);
	assert_int_equal(census.absent, 32);
	assert_int_equal(census.free, 24);
	assert_int_equal(census.claimed, 1);
	assert_int_equal(census.blocks, 5);
	assert_int_equal(census.spans, 2);
	assert_int_equal(census.orphaned, 2);
	assert_int_equal(census.published, 1);
	assert_int_equal(census.published_bytes, 32768);
	assert_int_equal(census.moving, 1);
	assert_int_equal(census.moving_bytes, 32768);
	assert_int_equal(census.adopted, 2);
	assert_int_equal(census.adopted_bytes, 32768 + 2 * HAK_SLAB_SIZE);
	assert_int_equal(census.freed, 1);
	assert_int_equal(census.changing, 1);
	hak_domain_count(&view, &again);
	assert_memory_equal(&census, &again, sizeof(census));
}

struct violation {
	const char *reason;
	uint32_t slab;
	uint32_t at; /* slab of the word, or slot of slab 0 for a half-word */
	uint64_t lease;
	uint16_t half;
};

#define WORD(holder, kind, class, length) hak_lease_make(holder, HAK_LEASE_##kind, class, 0, length)

static void finds_wrong_leases(void **state)
{
	const struct violation violations[] = {
		{ "absent, and something else", 40, 40, .lease = LIVING },
		{ "free, and something else", 9, 9, .lease = WORD(LIVING, FREE, 0, 0) },
		{ "free, and something else", 9, 9, .lease = WORD(0, FREE, 1, 0) },
		{ "free, and something else", 9, 9, .lease = WORD(0, FREE, 0, 1) },
		{ "free, and something else", 9, 9,
		  .lease = WORD(0, FREE, 0, 0) | HAK_LEASE_EXCEPTED },
		{ "no known kind of lease", 9, 9, .lease = (uint64_t)6 << 16 },
		{ "no known kind of lease", 9, 9, .lease = (uint64_t)7 << 16 },
		{ "claim of no living member", 9, 9, .lease = WORD(DEAD, CLAIM, 0, 1) },
		{ "claim of no living member", 9, 9, .lease = WORD(0, CLAIM, 0, 1) },
		{ "claim of a wrong class or length", 9, 9, .lease = WORD(LIVING, CLAIM, 41, 1) },
		{ "claim of a wrong class or length", 9, 9, .lease = WORD(LIVING, CLAIM, 0, 99) },
		{ "run of no living member", 9, 9, .lease = WORD(DEAD, BLOCKS, 1, 1) },
		{ "run of no living member", 9, 9, .lease = WORD(0, SPAN, 0, 1) },
		{ "run of no living member", 9, 9, .lease = WORD(0xfffe, SPAN, 0, 1) },
		{ "run of a wrong class or length", 9, 9, .lease = WORD(LIVING, BLOCKS, 0, 1) },
		{ "run of a wrong class or length", 9, 9, .lease = WORD(LIVING, BLOCKS, 41, 4) },
		{ "run of a wrong class or length", 9, 9, .lease = WORD(LIVING, BLOCKS, 1, 2) },
		{ "run of a wrong class or length", 9, 9, .lease = WORD(LIVING, SPAN, 1, 1) },
		{ "run of a wrong class or length", 9, 9, .lease = WORD(LIVING, SPAN, 0, 0) },
		{ "run of a wrong class or length", 31, 31, .lease = WORD(LIVING, SPAN, 0, 2) },
		{ "run with another slab inside", 9, 9, .lease = WORD(LIVING, SPAN, 0, 2) },
		{ "run with another slab inside", 0, 2, .lease = WORD(LIVING, INSIDE, 0, 1) },
		{ "run of several holders", 0, 3, .lease = WORD(OTHER, INSIDE, 0, 3) },
		{ "run of several holders", 4, 5, .lease = WORD(OTHER, INSIDE, 0, 1) },
		{ "inside of no run", 9, 9, .lease = WORD(LIVING, INSIDE, 0, 0) },
		{ "inside of no run", 9, 9, .lease = WORD(LIVING, INSIDE, 0, 10) },
		{ "inside of no run", 9, 9, .lease = WORD(OTHER, INSIDE, 0, 2) },
		{ "inside of no run", 9, 9, .lease = WORD(OTHER, INSIDE, 0, 6) },
		{ "inside with a class or flag", 3, 3,
		  .lease = WORD(LIVING, INSIDE, 0, 3) | HAK_LEASE_EXCEPTED },
		{ "inside with a class or flag", 3, 3, .lease = WORD(LIVING, INSIDE, 1, 3) },
		/* With its flag gone, its exceptions are violations. */
		{ "exceptions of blocks that have none", 0, 0,
		  .lease = WORD(LIVING, BLOCKS, 40, 4) },
		{ "exceptions of blocks that have none", 4, 4,
		  .lease = WORD(HAK_HOLDER_ORPHAN, SPAN, 0, 2) },
	};
	struct hak_domain_census census;

	for (size_t i = 0; i < hak_array_size(violations); i++) {
		const struct violation *v = &violations[i];
		const char *reason = "none";
		uint32_t slab = 12345;
		uint64_t was = view.lease[v->at];

		view.lease[v->at] = v->lease;
		assert_int_equal(check(&census, &slab, &reason), -EUCLEAN);
		if (slab != v->slab || strcmp(reason, v->reason) != 0)
			fail_msg("case %zu: slab %u: %s", i, slab, reason);
		view.lease[v->at] = was;
	}
	assert_int_equal(check(&census, &(uint32_t){ 0 }, &(const char *){ "" }), 0);
}

static void finds_wrong_half_words(void **state)
{
	const struct violation violations[] = {
		{ "half-word of no living member", 0, 6, .half = DEAD },
		{ "half-word of no living member", 0, 6, .half = HAK_HALF_T | DEAD },
		{ "half-word of a channel that is not set up", 0, 6,
		  .half = HAK_HALF_CHANNEL | 199 },
		{ "half-word of no known form", 0, 6, .half = HAK_HALF_CHANNEL | 256 },
		{ "half-word of no known form", 0, 7, .half = HAK_HALF_T },
		{ "half-word of no known form", 0, 7, .half = HAK_HALF_SWEPT },
		{ "half-word of no known form", 0, 7, .half = 1024 },
		{ "half-word of no known form", 0, 7, .half = 0xffff },
		{ "exceptions of blocks that have none", 0, 8, .half = OTHER },
		{ "exceptions of blocks that have none", 0, 4095, .half = OTHER },
		{ "exceptions inside of a run", 1, 1024, .half = OTHER },
		{ "exceptions of a slab that is not EXCEPTED", 6, 6 * 1024,
		  .half = HAK_HALF_FREED },
		{ "exceptions of blocks that have none", 7, 7 * 1024, .half = OTHER },
		{ "exceptions of a slab that is nobody's", 31, 31 * 1024 + 3, .half = OTHER },
		{ "exceptions of a slab that is nobody's", 32, HAK_SUPERSLAB_BLOCKS,
		  .half = OTHER },
	};
	struct hak_domain_census census;

	for (size_t i = 0; i < hak_array_size(violations); i++) {
		const struct violation *v = &violations[i];
		/* Of slab 0 by its slot, of others by what hak_domain_index() makes of slot 0. */
		uint64_t at = v->slab ? v->at : hak_domain_index(0, v->at);
		const char *reason = "none";
		uint32_t slab = 12345;

		view.half[at] = v->half;
		assert_int_equal(check(&census, &slab, &reason), -EUCLEAN);
		if (slab != v->slab || strcmp(reason, v->reason) != 0)
			fail_msg("case %zu: slab %u: %s", i, slab, reason);
		view.half[at] = 0;
	}
	view.generation[hak_domain_index(7, 4095)] = 1;
	assert_int_equal(check(&census, &(uint32_t){ 0 }, &(const char *){ "" }), -EUCLEAN);
}

static void finds_the_dead_in_channels(void **state)
{
	struct hak_domain_census census;
	const char *reason = "none";
	uint32_t slab = 12345;

	view.channels[255].receivers[0] = UINT64_C(1) << DEAD;
	assert_int_equal(check(&census, &slab, &reason), -EUCLEAN);
	assert_int_equal(slab, 0);
	assert_string_equal(reason, "channel of no living member");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(counts_what_there_is, map, unmap),
		cmocka_unit_test_setup_teardown(finds_wrong_leases, map, unmap),
		cmocka_unit_test_setup_teardown(finds_wrong_half_words, map, unmap),
		cmocka_unit_test_setup_teardown(finds_the_dead_in_channels, map, unmap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
