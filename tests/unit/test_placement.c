/* SPDX-License-Identifier: Apache-2.0 */
/* Which nodes a lease may use, and what is held of each, by policy. */
#include "daemon/placement.h"

#include <errno.h>

#include "daemon/config.h"
#include "daemon/limits.h"
#include "daemon/numa.h"
#include "daemon/region.h"
#include "shared/layout.h"
#include "tests/unit/unit.h"

/* Three nodes that this machine need not have: nothing binds. */
static struct numa three_nodes(enum config_numa_policy policy)
{
	return (struct numa){
		.parts = 3,
		.node = { 0, 2, 5 },
		.order = { { 0, 1, 2 }, { 1, 2, 0 }, { 2, 1, 0 } },
		.policy = policy,
	};
}

static struct placement with_limit(const struct numa *numa, uint64_t superslabs)
{
	const struct config config = { .node_bytes = superslabs * HAK_SUPERSLAB_SIZE,
				       .total_bytes = LIMIT_BYTES_MAX };
	struct placement placement;

	placement_init(&placement, numa, &config);
	return placement;
}

static void without_a_limit_all_nodes_are_allowed(void **state)
{
	const struct numa numa = three_nodes(NUMA_LOCAL);
	const struct placement placement = with_limit(&numa, 0);

	assert_int_equal(placement_allowed(&placement, 1, HAK_LEASE_MAX), 7);
}

static void a_node_at_its_limit_is_left_out(void **state)
{
	const struct numa numa = three_nodes(NUMA_LOCAL);
	const uint32_t part = HAK_REGION_SUPERSLABS / 3;
	struct placement placement = with_limit(&numa, 8);
	struct placed a = { 0 }, b = { 0 };

	placement_charge(&placement, &a, part, 5);
	assert_int_equal(placement_allowed(&placement, 1, 3), 7);
	assert_int_equal(placement_allowed(&placement, 1, 4), 5);
	placement_charge(&placement, &b, part + 5, 3);
	assert_int_equal(placement_allowed(&placement, 1, 1), 5);
	assert_int_equal(placement_allowed(&placement, 1, 9), 0);
	placement_release(&placement, &a, part + 1, 2);
	assert_int_equal(a.held[1], 3);
	assert_int_equal(placement.held[1], 6);
	assert_int_equal(placement_allowed(&placement, 1, 2), 7);
	placement_release_all(&placement, &b);
	placement_release_all(&placement, &a);
	assert_int_equal(placement.held[1], 0);
}

static void a_limit_that_is_lowered_takes_nothing_away(void **state)
{
	const struct numa numa = three_nodes(NUMA_LOCAL);
	const struct config lower = { .node_bytes = 2 * HAK_SUPERSLAB_SIZE };
	struct placement placement = with_limit(&numa, 8);
	struct placed placed = { 0 };

	placement_charge(&placement, &placed, 0, 5);
	placement_limit(&placement, &lower);
	assert_int_equal(placement_allowed(&placement, 0, 1), 6);
	assert_int_equal(placement_allowed(&placement, 0, UINT32_MAX), 0);
	placement_release(&placement, &placed, 0, 3);
	assert_int_equal(placement_allowed(&placement, 0, 1), 6);
	placement_release(&placement, &placed, 3, 1);
	assert_int_equal(placement_allowed(&placement, 0, 1), 7);
	placement_release_all(&placement, &placed);
}

static void a_refusal_is_counted_where_it_came_from(void **state)
{
	const struct numa numa = three_nodes(NUMA_LOCAL), in_turn = three_nodes(NUMA_INTERLEAVE);
	struct placement placement = with_limit(&numa, 8);
	struct placed placed = { 0 };
	uint64_t limit, used;

	placement_charge(&placement, &placed, 0, 5);
	placement_refused(&placement, 0, &limit, &used);
	assert_int_equal(limit, 8 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(used, 5 * HAK_SUPERSLAB_SIZE);
	placement_refused(&placement, 1, &limit, &used);
	assert_int_equal(used, 0);
	assert_int_equal(placement.hits[0], 1);
	assert_int_equal(placement.hits[1], 1);
	placement_release_all(&placement, &placed);

	placement = with_limit(&in_turn, 2);
	placement_charge(&placement, &placed, 2, 4); /* twice on the third */
	placement_refused(&placement, 0, &limit, &used);
	assert_int_equal(used, 2 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(placement.hits[2], 1);
	placement_release_all(&placement, &placed);
}

static void strict_allows_the_node_itself_or_nothing(void **state)
{
	const struct numa numa = three_nodes(NUMA_STRICT);
	struct placement placement = with_limit(&numa, 8);
	struct placed placed = { 0 };

	assert_int_equal(placement_allowed(&placement, 2, 8), 4);
	assert_int_equal(placement_allowed(&placement, 2, 9), 0);
	placement_charge(&placement, &placed, HAK_REGION_SUPERSLABS - 8, 8);
	assert_int_equal(placement_allowed(&placement, 2, 1), 0);
	assert_int_equal(placement_allowed(&placement, 0, 1), 1);
}

static void in_turn_every_node_takes_its_share(void **state)
{
	const struct numa numa = three_nodes(NUMA_INTERLEAVE);
	struct placement placement = with_limit(&numa, 2);
	struct placed placed = { 0 };

	assert_int_equal(placement_allowed(&placement, 0, 6), 7);
	assert_int_equal(placement_allowed(&placement, 0, 7), 0);
	placement_charge(&placement, &placed, 2, 4); /* 2, 3, 4, 5 */
	assert_int_equal(placement.held[0], 1);
	assert_int_equal(placement.held[1], 1);
	assert_int_equal(placement.held[2], 2);
	assert_int_equal(placement_allowed(&placement, 0, 1), 0); /* the third is full */
	placement_release(&placement, &placed, 5, 1);
	assert_int_equal(placement_allowed(&placement, 0, 3), 7);
	placement_release(&placement, &placed, 2, 3);
	for (uint32_t p = 0; p < 3; p++)
		assert_int_equal(placement.held[p], 0);
}

/* numa.c and runs.c cut a region in the same way. */
static void shares_are_the_parts_of_the_region(void **state)
{
	const struct numa numa = three_nodes(NUMA_LOCAL);
	struct region region;
	uint32_t all = 0;

	assert_int_equal(region_init(&region, &numa), 0);
	for (uint32_t i = 0; i < HAK_REGION_SUPERSLABS; i += 17) {
		for (uint32_t p = 0; p < 3; p++)
			assert_int_equal(numa_share(&numa, p, i, 1),
					 p == hak_runs_part(&region.runs, i));
	}
	for (uint32_t p = 0; p < 3; p++)
		all += numa_share(&numa, p, 0, HAK_REGION_SUPERSLABS);
	assert_int_equal(all, HAK_REGION_SUPERSLABS);
	region_deinit(&region);
}

static void the_policy_says_whom_a_lease_is_for(void **state)
{
	struct config config = { .numa_policy = NUMA_PREFERRED, .numa_node = 5 };
	struct numa numa = three_nodes(NUMA_LOCAL);

	numa.binds = true;
	assert_int_equal(numa_part_of(&numa, 2), 1);
	assert_int_equal(numa_node_of(&numa, 1), 2);
	assert_int_equal(numa_set_policy(&numa, &config), 0);
	assert_int_equal(numa_part_of(&numa, 2), 2);
	assert_int_equal(numa_node_of(&numa, 2), 5);
	config.numa_policy = NUMA_INTERLEAVE;
	assert_int_equal(numa_set_policy(&numa, &config), 0);
	assert_int_equal(numa_part_of(&numa, 2), 0);
	assert_int_equal(numa_node_of(&numa, 0), HAK_NODE_ANY);
}

/* Stock is kept there, and nowhere else. */
static void who_is_served_first_from_where_follows_the_policy(void **state)
{
	struct config config = { .numa_policy = NUMA_PREFERRED, .numa_node = 5 };
	struct numa numa = three_nodes(NUMA_LOCAL);

	numa.binds = true;
	assert_int_equal(numa_set_policy(&numa, &config), 0);
	assert_true(!numa.starts[0] && !numa.starts[1] && numa.starts[2]);
	config.numa_policy = NUMA_INTERLEAVE;
	numa = three_nodes(NUMA_LOCAL);
	numa.binds = true;
	assert_int_equal(numa_set_policy(&numa, &config), 0);
	assert_true(numa.starts[0] && !numa.starts[1] && !numa.starts[2]);
}

static void what_cannot_be_kept_is_refused_at_start(void **state)
{
	struct config config = { .numa_policy = NUMA_PREFERRED, .numa_node = 1 };
	struct numa numa = three_nodes(NUMA_LOCAL);

	numa.binds = true;
	assert_int_equal(numa_set_policy(&numa, &config), -EINVAL); /* no memory there */
	numa = three_nodes(NUMA_LOCAL);                             /* mbind() is forbidden */
	config.numa_policy = NUMA_STRICT;
	assert_int_equal(numa_set_policy(&numa, &config), -EINVAL);
	config.numa_policy = NUMA_LOCAL;
	assert_int_equal(numa_set_policy(&numa, &config), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_limit_all_nodes_are_allowed),
		cmocka_unit_test(a_node_at_its_limit_is_left_out),
		cmocka_unit_test(a_limit_that_is_lowered_takes_nothing_away),
		cmocka_unit_test(a_refusal_is_counted_where_it_came_from),
		cmocka_unit_test(strict_allows_the_node_itself_or_nothing),
		cmocka_unit_test(in_turn_every_node_takes_its_share),
		cmocka_unit_test(shares_are_the_parts_of_the_region),
		cmocka_unit_test(the_policy_says_whom_a_lease_is_for),
		cmocka_unit_test(who_is_served_first_from_where_follows_the_policy),
		cmocka_unit_test(what_cannot_be_kept_is_refused_at_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
