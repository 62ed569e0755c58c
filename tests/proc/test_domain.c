/* SPDX-License-Identifier: Apache-2.0 */
/* Domains by frames alone: who may open what, how they end, and what they may hold. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/raw/raw_domain.h"
#include "shared/sys.h"
#include "tests/proc/rig.h"

#define MIB (UINT64_C(1) << 20)

static void a_domain_is_made_once_and_joined(void **state)
{
	struct rig *rig = *state;
	struct raw_domain a, b;
	struct raw raws[2];

	assert_int_equal(raw_open(&raws[0], rig->socket), 0);
	assert_int_equal(raw_open(&raws[1], rig->socket), 0);
	assert_int_equal(raw_domain_open(&raws[0], &a, "orders", 0, NULL), -ENOENT);
	assert_int_equal(raw_domain_open(&raws[0], &a, "orders", HAK_WIRE_CREATE, NULL), 0);
	assert_true(a.created);
	assert_int_equal(raw_domain_open(&raws[1], &b, "orders", HAK_WIRE_CREATE, NULL), 0);
	assert_false(b.created);
	assert_int_equal(a.id, b.id);
	assert_int_equal(a.base, b.base);
	assert_int_not_equal(a.member, b.member);
	assert_int_equal(raw_domain_map(&a), 0);
	raw_domain_drop(&a);
	raw_domain_drop(&b);
	raw_close(&raws[0]);
	raw_close(&raws[1]);
}

static void grown_memory_is_free_and_zero(void **state)
{
	struct rig *rig = *state;
	struct raw_domain a;
	struct hak_cqe cqe;
	struct raw raw;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_domain_open(&raw, &a, "orders", HAK_WIRE_CREATE, NULL), 0);
	assert_int_equal(raw_domain_map(&a), 0);
	assert_int_equal(raw_domain_grow(&raw, a.id, 3, &cqe), 0);
	assert_int_equal(cqe.first, 0);
	assert_int_equal(cqe.count, 3);
	assert_int_equal(a.state->granted, 3);
	assert_int_equal(a.state->high, 3);
	for (uint32_t slab = 0; slab < 4 * HAK_SLABS_PER_SUPERSLAB; slab++)
		assert_int_equal(hak_lease_kind(a.view.lease[slab]),
				 slab < 3 * HAK_SLABS_PER_SUPERSLAB ? HAK_LEASE_FREE
								    : HAK_LEASE_ABSENT);
	for (uint64_t i = 0; i < 3 * HAK_SUPERSLAB_SIZE; i += 4096)
		assert_int_equal(a.view.data[i], 0);
	raw_domain_drop(&a);
	raw_close(&raw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_domain_is_made_once_and_joined, rig_setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(grown_memory_is_free_and_zero, rig_setup,
						rig_teardown),
	};

	return cmocka_run_group_tests_name("domain", tests, NULL, NULL);
}
