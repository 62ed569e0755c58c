/* SPDX-License-Identifier: Apache-2.0 */
/* [numa] as far as a machine of any kind can show it; the suite `vm` has the nodes. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/proc/rig.h"

static void node_bytes_are_exact_and_named(void **state)
{
	struct rig *rig = rig_start("[numa]\nnode-bytes = 8 MiB\n");
	uint64_t nodes = rig_status(rig).nodes;
	struct raw raw, other;
	uint32_t first, last = 0;

	*state = rig;
	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_open(&other, rig->socket), 0);
	assert_int_equal(raw_lease(&raw, 5, &first), -ENOMEM);
	assert_int_equal(rig_status(rig).refusal, HAK_REFUSAL_NODE_BYTES);
	rig_wait_log(rig, "superslabs=5 limit=node-bytes");
	for (uint64_t node = 0; node < nodes; node++)
		assert_int_equal(raw_lease(&raw, 4, &last), 0);
	assert_int_equal(raw_lease(&raw, 1, &first), -ENOMEM);
	assert_int_equal(raw_lease(&other, 1, &first), -ENOMEM); /* of all clients together */
	assert_int_equal(raw_return(&raw, last + 1, 2), 0);
	assert_int_equal(raw_lease(&other, 3, &first), -ENOMEM);
	assert_int_equal(raw_lease(&other, 2, &first), 0);
	/* What a session held is free again when it ends, frozen memory too. */
	assert_int_equal(raw_freeze(&raw, last, 1), 0);
	raw_close(&raw);
	rig_wait_leased(rig, 2);
	assert_int_equal(raw_lease(&other, 2, &first), 0);
	raw_close(&other);
	rig_wait_leased(rig, 0);
}

static void reports_have_a_limit_for_each_node_and_reloads_change_it(void **state)
{
	struct rig *rig = rig_start("[numa]\nnode-bytes = 8 MiB\n");
	uint64_t nodes = rig_status(rig).nodes;
	struct hak_report_limit limits[128];
	uint64_t used = 0, hits = 0, found = 0;
	struct raw raw;
	uint32_t first;
	int n;

	*state = rig;
	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_lease(&raw, 4, &first), 0);
	assert_int_equal(raw_lease(&raw, 5, &first), -ENOMEM);
	n = raw_limits(rig->socket, limits, 128);
	for (int i = 0; i < n; i++) {
		if (strcmp(limits[i].key, "node-bytes"))
			continue;
		found++;
		used += limits[i].used;
		hits += limits[i].hits;
		assert_int_equal(limits[i].scope, HAK_SCOPE_NODE);
		assert_int_equal(limits[i].unit, HAK_UNIT_BYTES);
		assert_int_equal(limits[i].limit, 4 * HAK_SUPERSLAB_SIZE);
	}
	assert_int_equal(found, nodes);
	assert_int_equal(used, 4 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(hits, 1);

	rig_configure(rig, NULL, "[numa]\nnode-bytes = 10 MiB\npolicy = strict\n");
	rig_reload(rig, "info reloaded changed=2\n");
	assert_non_null(strstr(rig->log, "key=policy from=\"local\" to=\"strict\" "
					 "effect=\"none: needs a restart\"\n"));
	for (uint64_t node = 0; node < nodes; node++)
		assert_int_equal(raw_lease(&raw, node + 1 < nodes ? 5 : 1, &first), 0);
	rig_configure(rig, NULL, "[numa]\nnode-bytes = 2 MiB\n");
	rig_reload(rig, "info reloaded changed=1\n");
	assert_int_equal(raw_lease(&raw, 1, &first), -ENOMEM);
	raw_close(&raw);
	rig_wait_leased(rig, 0);
}

/* Nothing of a lease is left to be built later. */
static void a_strict_lease_is_built_when_it_is_answered(void **state)
{
	struct rig *rig = rig_start("[daemon]\nhuge-pages = never\n[numa]\npolicy = strict\n");
	struct raw raw;
	struct stat st;
	uint32_t first;

	*state = rig;
	assert_int_equal(raw_open(&raw, rig->socket), 0);
	/* More than a worker does in one go; what was warm before is part of it. */
	assert_int_equal(raw_lease(&raw, 150, &first), 0);
	assert_true(fstat(raw.region_fd, &st) == 0);
	assert_int_equal(st.st_blocks * 512, 150 * HAK_SUPERSLAB_SIZE);
	raw_close(&raw);
}

static void a_node_without_memory_is_refused_at_start(void **state)
{
	struct rig *rig =
		rig_new("[daemon]\nring-wait = threads\n[numa]\npolicy = preferred\nnode = 1023\n");

	*state = rig;
	rig_launch(rig, NULL);
	assert_int_equal(rig_wait_exit(rig), 1);
	assert_string_equal(rig->log, "hakmemd: numa policy preferred, node 1023: the node has no "
				      "memory\n");
}

static int free_rig(void **state)
{
	*state = rig_free(*state);
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, free_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(node_bytes_are_exact_and_named),
		TEST(reports_have_a_limit_for_each_node_and_reloads_change_it),
		TEST(a_strict_lease_is_built_when_it_is_answered),
		TEST(a_node_without_memory_is_refused_at_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
