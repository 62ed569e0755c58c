/* SPDX-License-Identifier: Apache-2.0 */
/* A region's tables against what its file really holds. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/factory.h"
#include "daemon/numa.h"
#include "daemon/presence.h"
#include "daemon/region.h"
#include "shared/layout.h"
#include "tests/unit/region_local.h"
#include "tests/unit/unit.h"

/* Three nodes that this machine need not have: nothing binds. */
static const struct numa three_nodes = {
	.parts = 3,
	.node = { 0, 2, 5 },
	.order = { { 0, 1, 2 }, { 1, 2, 0 }, { 2, 1, 0 } },
};

static uint64_t file_bytes(const struct region *region)
{
	struct stat st;

	assert_int_equal(fstat(region->fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static int build(struct factory *factory, struct region *region, uint32_t index)
{
	bool huge;
	int r = factory_build(factory, region->fd, index, &huge);

	if (r == 0)
		region_set_built(region, index, huge);
	return r;
}

static void give(struct region *region, uint32_t first, uint32_t count)
{
	assert_int_equal(factory_punch(region->fd, first, count), 0);
	region_give(region, first, count);
}

static void a_full_part_gives_way_to_the_nearest(void **state)
{
	const uint32_t part = HAK_REGION_SUPERSLABS / 3;
	struct region region;
	uint32_t first;

	assert_int_equal(region_init(&region, &three_nodes), 0);
	assert_true(region_take(&region, &three_nodes, 1, REGION_ANY_PART, part, &first));
	assert_int_equal(first, part);
	assert_true(region_take(&region, &three_nodes, 1, REGION_ANY_PART, 1, &first));
	assert_int_equal(first, 2 * part); /* its row of `order` says 2 */
	assert_true(region_take(&region, &three_nodes, 0, REGION_ANY_PART, 1, &first));
	assert_int_equal(first, 0);
	assert_false(region_take(&region, &three_nodes, 0, REGION_ANY_PART,
				 HAK_REGION_SUPERSLABS / 2, &first));
	assert_true(hak_runs_check(&region.runs));
	region_deinit(&region);
	region_deinit(&region);
	assert_int_equal(region.fd, -1);
}

static void nodes_are_found_by_number(void **state)
{
	struct numa numa;

	assert_int_equal(numa_part_of(&three_nodes, 2), 1);
	assert_int_equal(numa_part_of(&three_nodes, 5), 2);
	assert_int_equal(numa_part_of(&three_nodes, 1), 0);
	assert_int_equal(numa_part_of(&three_nodes, HAK_NODE_ANY), 0);
	numa_init(&numa);
	assert_true(numa.parts >= 1 && numa.parts <= HAK_PARTS_MAX);
	for (uint32_t p = 0; p < numa.parts; p++)
		assert_int_equal(numa.order[p][0], p);
}

static void building_fills_and_giving_empties_the_file(void **state)
{
	struct factory factory;
	struct region region;
	uint32_t first;

	for (int huge = 0; huge < 2; huge++) {
		assert_int_equal(factory_init(&factory, huge), 0);
		assert_int_equal(region_init(&region, &three_nodes), 0);
		assert_true(region_take(&region, &three_nodes, 2, REGION_ANY_PART, 4, &first));
		assert_int_equal(file_bytes(&region), 0);
		for (uint32_t i = 0; i < 4; i++) {
			assert_int_equal(build(&factory, &region, first + i), 0);
			assert_int_equal(file_bytes(&region), (i + 1) * HAK_SUPERSLAB_SIZE);
		}
		if (!huge)
			assert_int_equal(region.huge_count, 0);
		give(&region, first + 1, 2);
		assert_int_equal(file_bytes(&region), 2 * HAK_SUPERSLAB_SIZE);
		assert_true(region_leased(&region, first, 1));
		assert_false(region_leased(&region, first, 2));
		give(&region, first, 1);
		give(&region, first + 3, 1);
		assert_int_equal(file_bytes(&region), 0);
		assert_int_equal(region.huge_count, 0);
		region_deinit(&region);
		factory_deinit(&factory);
		factory_deinit(&factory);
	}
}

/* A client may already have written to what is built late. */
static void building_changes_no_byte(void **state)
{
	struct factory factory;
	struct region region;
	uint32_t first;
	void *at;
	uint64_t *words;

	assert_int_equal(factory_init(&factory, true), 0);
	assert_int_equal(region_init(&region, &three_nodes), 0);
	assert_true(region_take(&region, &three_nodes, 0, REGION_ANY_PART, 1, &first));
	assert_int_equal(hak_sys_map_shared(&at, NULL, region.fd, 0, HAK_SUPERSLAB_SIZE), 0);
	words = at;
	for (size_t page = 0; page < 512; page += 3)
		words[page * 512] = page + 1;
	assert_int_equal(build(&factory, &region, first), 0);
	for (size_t page = 0; page < 512; page++)
		assert_int_equal(words[page * 512], page % 3 ? 0 : page + 1);
	(void)hak_sys_unmap(at, HAK_SUPERSLAB_SIZE);
	region_deinit(&region);
	factory_deinit(&factory);
}

static void frozen_ones_are_told_apart(void **state)
{
	struct factory factory;
	struct region region;
	uint32_t first;

	assert_int_equal(factory_init(&factory, false), 0);
	assert_int_equal(region_init(&region, &three_nodes), 0);
	assert_true(region_take(&region, &three_nodes, 0, REGION_ANY_PART, 3, &first));
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(build(&factory, &region, first + i), 0);
	region_freeze(&region, first + 1, 1);
	assert_true(region_any_frozen(&region, first, 3));
	assert_true(region_any_frozen(&region, first + 1, 1));
	assert_false(region_any_frozen(&region, first + 2, 1));
	assert_int_equal(region.frozen_count, 1);
	give(&region, first, 1);
	give(&region, first + 2, 1);
	assert_int_equal(region.frozen_count, 1);
	assert_int_equal(file_bytes(&region), HAK_SUPERSLAB_SIZE);
	region_deinit(&region);
	factory_deinit(&factory);
}

static void expect_growth(struct region *region, uint32_t max, uint32_t first, uint32_t count)
{
	uint32_t got = 0;

	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(region_grow_next(region, max, &got), count);
		assert_int_equal(got, first);
	}
	for (uint32_t i = 0; i < count; i++)
		region_set_built(region, first + i, true);
}

static void what_waits_to_be_built_is_found_once(void **state)
{
	struct region region;
	uint32_t a, b, none = 7;

	assert_int_equal(region_init(&region, &three_nodes), 0);
	assert_int_equal(region_grow_next(&region, 8, &none), 0);
	assert_true(region_take(&region, &three_nodes, 0, REGION_ANY_PART, 200, &a));
	assert_true(region_take(&region, &three_nodes, 0, REGION_ANY_PART, 10, &b));
	assert_int_equal(b, a + 200);
	region_set_built(&region, b + 9, false);
	region_grow_later(&region, b, 10);
	region_grow_later(&region, a + 190, 10);
	region_freeze(&region, a + 191, 2);
	region_give(&region, a + 195, 1);
	expect_growth(&region, 8, a + 190, 1);
	expect_growth(&region, 1, a + 193, 1);
	expect_growth(&region, 8, a + 194, 1);
	expect_growth(&region, 8, a + 196, 8);
	expect_growth(&region, 8, a + 204, 5);
	assert_int_equal(region_grow_next(&region, 8, &none), 0);
	assert_int_equal(region_grow_next(&region, 8, &none), 0);
	assert_int_equal(none, 7);
	region_deinit(&region);
}

static void warm_ones_are_nobodys_until_leased(void **state)
{
	struct region region;
	uint32_t at, first = 99;

	assert_int_equal(region_init(&region, &three_nodes), 0);
	at = region_part_first(&region, 1);
	for (uint32_t i = 0; i < 4; i++)
		region_set_built(&region, at + i, i < 3);
	assert_int_equal(region.warm, 4);
	assert_int_equal(region.huge_count, 0);
	assert_int_equal(region.runs.taken, 0);

	/* The two that are leased count as what they are. */
	assert_true(region_take(&region, &three_nodes, 1, REGION_ANY_PART, 2, &first));
	assert_int_equal(first, at);
	assert_int_equal(region.warm, 2);
	assert_int_equal(region.huge_count, 2);
	assert_int_equal(region_built(&region, at, 6), 0xf);

	/* The others can go; what is leased stays. */
	assert_int_equal(region_find_warm(&region, 1, &first), 1);
	assert_int_equal(first, at + 2);
	assert_int_equal(region_find_warm(&region, 64, &first), 2);
	region_drop_warm(&region, first, 2);
	assert_int_equal(region.warm, 0);
	assert_int_equal(region_find_warm(&region, 64, &first), 0);
	assert_int_equal(region_built(&region, at, 6), 0x3);
	region_give(&region, at, 2);
	assert_int_equal(region.huge_count, 0);
	assert_int_equal(region_built(&region, at, 6), 0);
	region_deinit(&region);
}

static void presence_tells_a_mapping_from_none(void **state)
{
	void *at;
	int fd;

	assert_int_equal(presence_new(&fd), 0);
	assert_int_equal(hak_sys_map_shared(&at, NULL, fd, 0, 4096), 0);
	assert_int_equal(presence_test(fd), PRESENCE_THERE);
	assert_int_equal(presence_test(fd), PRESENCE_THERE);
	(void)hak_sys_unmap(at, 4096);
	assert_int_equal(presence_test(fd), PRESENCE_GONE);
	assert_int_equal(presence_test(fd), PRESENCE_GONE);
	assert_int_equal(hak_sys_map_shared(&at, NULL, fd, 0, 4096), -1 /* EPERM */);
	hak_sys_close(fd);

	assert_int_equal(presence_new(&fd), 0);
	assert_int_equal(hak_sys_map_shared(&at, NULL, fd, 0, 4096), 0);
	memset(at, 1, 1);
	assert_int_equal(presence_test(fd), PRESENCE_SPOILT);
	(void)hak_sys_unmap(at, 4096);
	hak_sys_close(fd);

	assert_int_equal(presence_new(&fd), 0);
	assert_int_equal(hak_sys_add_seals(fd, F_SEAL_SEAL), 0);
	assert_int_equal(presence_test(fd), PRESENCE_SPOILT);
	hak_sys_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_part_gives_way_to_the_nearest),
		cmocka_unit_test(nodes_are_found_by_number),
		cmocka_unit_test(building_fills_and_giving_empties_the_file),
		cmocka_unit_test(building_changes_no_byte),
		cmocka_unit_test(frozen_ones_are_told_apart),
		cmocka_unit_test(what_waits_to_be_built_is_found_once),
		cmocka_unit_test(warm_ones_are_nobodys_until_leased),
		cmocka_unit_test(presence_tells_a_mapping_from_none),
	};

	unit_watchdog();
	return cmocka_run_group_tests_name("region", tests, NULL, NULL);
}
