/* SPDX-License-Identifier: Apache-2.0 */
/* What domains hold: growth, quotas, and what goes back. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "shared/sys.h"
#include "tests/must.h"
#include "tests/proc/domains.h"

/* Killed while it grows: everything that was taken comes back. */
static void grow_and_stall(struct rig *rig, void *arg)
{
	struct raw_domain d;
	struct hak_sqe sqe;
	struct raw raw;

	(void)arg;
	must(!raw_open(&raw, rig->socket));
	must(!raw_domain_open(&raw, &d, "orders", HAK_WIRE_CREATE, NULL));
	sqe = raw_entry(&raw, HAK_OP_DOMAIN_GROW);
	sqe.count = 512;
	sqe.node = HAK_NODE_ANY;
	sqe.reserved[0] = d.id;
	must(!raw_push(&raw, &sqe));
	rig_tell();
	rig_stall();
}

static void who_dies_while_it_asks_leaves_nothing(void **state)
{
	struct rig *rig = *state;
	pid_t pid = rig_client(rig, grow_and_stall, NULL);
	struct hak_report_domain records[2];
	struct raw raw;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(rig_reap(pid), -SIGKILL);
	rig_wait_sessions(rig, 0);
	raw = domains_connect(rig);
	assert_int_equal(raw_domains(rig->socket, records, 2), 1);
	assert_int_equal(raw_domain_unlink(&raw, "orders"), 0);
	domains_wait_gone(rig, records[0].id);
	rig_wait_leased(rig, 0);
	raw_close(&raw);
}

static void grown_memory_is_free_and_zero(void **state)
{
	struct rig *rig = *state;
	struct raw raw = domains_connect(rig);
	struct raw_domain d = domains_open(&raw, "orders", NULL);
	struct hak_cqe cqe;

	assert_int_equal(raw_domain_map(&d), 0);
	assert_int_equal(raw_domain_grow(&raw, d.id, 3, &cqe), 0);
	assert_int_equal(cqe.first, 0);
	assert_int_equal(cqe.count, 3);
	assert_int_equal(d.state->granted, 3);
	assert_int_equal(d.state->high, 3);
	for (uint32_t slab = 0; slab < 4 * HAK_SLABS_PER_SUPERSLAB; slab++)
		assert_int_equal(hak_lease_kind(d.view.lease[slab]),
				 slab < 3 * HAK_SLABS_PER_SUPERSLAB ? HAK_LEASE_FREE
								    : HAK_LEASE_ABSENT);
	for (uint64_t i = 0; i < 3 * HAK_SUPERSLAB_SIZE; i += 4096)
		assert_int_equal(d.view.data[i], 0);
	assert_int_equal(raw_domain_grow(&raw, d.id + 1, 1, &cqe), -ENOENT);
	assert_int_equal(raw_domain_grow(&raw, d.id, 0, &cqe), 0);
	raw_domain_drop(&d);
	raw_close(&raw);
}

static void a_quota_is_exact(void **state)
{
	const struct hak_wire_domain_attr attr = { .max_size = 100 * HAK_SUPERSLAB_SIZE,
						   .quota = 10 * HAK_SUPERSLAB_SIZE };
	struct rig *rig = *state;
	struct raw raw = domains_connect(rig);
	struct raw_domain d = domains_open(&raw, "orders", &attr);
	struct hak_report_limit limit;
	struct hak_cqe cqe;

	assert_int_equal(raw_domain_grow(&raw, d.id, 11, &cqe), -EDQUOT);
	assert_int_equal(cqe.refusal, HAK_REFUSAL_DOMAIN_BYTES);
	assert_int_equal(cqe.limit, 10 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(cqe.used, 0);
	assert_int_equal(d.state->needs, 1);
	assert_int_equal(raw_domain_grow(&raw, d.id, 9, &cqe), 0);
	assert_int_equal(raw_domain_grow(&raw, d.id, 2, &cqe), -EDQUOT);
	assert_int_equal(cqe.used, 9 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(raw_domain_grow(&raw, d.id, 1, &cqe), 0);
	assert_int_equal(domains_report(rig, d.id).bytes, 10 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(domains_report(rig, d.id).refused, 2);
	assert_int_equal(rig_status(rig).leased_bytes, 10 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(rig_status(rig).refusal, HAK_REFUSAL_DOMAIN_BYTES);
	assert_true(raw_limit(rig->socket, "domain-bytes", d.id, &limit));
	assert_int_equal(limit.limit, 10 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(limit.used, limit.limit);
	assert_int_equal(limit.hits, 2);
	rig_wait_log(rig, "domain=orders superslabs=2 limit=domain-bytes max=10 used=9");
	raw_domain_drop(&d);
	raw_close(&raw);
}

/* In the account of who made it, also when he has gone. */
static void limits_bind_domains_too(void **state)
{
	struct rig *rig = rig_start("[limits]\nuid-bytes = 16 MiB\ndomain-bytes = 12 MiB\n"
				    "domains = 2\nuid-domains = 1\n[stock]\nsessions = 0\n");
	struct raw raw, other;
	struct raw_domain d, e;
	struct hak_cqe cqe;
	uint32_t first;

	*state = rig;
	raw = domains_connect(rig);
	d = domains_open(&raw, "orders", NULL);
	assert_int_equal(raw_domain_open(&raw, &e, "more", HAK_WIRE_CREATE, NULL), -EDQUOT);
	assert_string_equal(e.text, "limit reached: uid-domains");
	assert_int_equal(raw_domain_grow(&raw, d.id, 7, &cqe), -EDQUOT);
	assert_int_equal(cqe.refusal, HAK_REFUSAL_DOMAIN_BYTES);
	assert_int_equal(cqe.limit, 6 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(raw_domain_grow(&raw, d.id, 5, &cqe), 0);
	raw_domain_drop(&d);
	raw_close(&raw);
	rig_wait_sessions(rig, 0);
	other = domains_connect(rig);
	assert_int_equal(raw_lease(&other, 4, &first), -EDQUOT);
	assert_int_equal(raw_lease(&other, 3, &first), 0);
	d = domains_open(&other, "orders", NULL);
	assert_int_equal(raw_domain_grow(&other, d.id, 1, &cqe), -EDQUOT);
	assert_int_equal(cqe.refusal, HAK_REFUSAL_UID_BYTES);
	raw_domain_drop(&d);
	raw_close(&other);
}

/* ---- giving back ---- */

static void free_superslabs_go_back(void **state)
{
	struct rig *rig = rig_start("[stock]\ndecay = 100 ms\nsessions = 0\n");
	struct raw raw = domains_connect(rig);
	struct raw_domain d = domains_open(&raw, "orders", NULL);
	const struct hak_domain_view *view = &d.view;
	uint32_t me = hak_member_number(d.member), first;
	struct hak_cqe cqe;

	*state = rig;
	assert_int_equal(raw_domain_map(&d), 0);
	assert_int_equal(raw_domain_grow(&raw, d.id, 40, &cqe), 0);
	assert_true(hak_lease_claim(view, me, 40, 20 * HAK_SLABS_PER_SUPERSLAB, 1, &first));
	hak_lease_commit(view, me, first, HAK_LEASE_BLOCKS, DOMAINS_CLASS, 1);
	memset(view->data, 1, 40 * HAK_SUPERSLAB_SIZE);
	/* One in use; of the rest an eighth stays, counted anew as they go: two in the end. */
	domains_wait_granted(rig, &d, 3);
	rig_wait_leased(rig, 3);
	assert_int_equal(hak_lease_kind(view->lease[first]), HAK_LEASE_BLOCKS);
	assert_int_equal(view->data[first * HAK_SLAB_SIZE], 1);
	/* Granted again it is zero, and refs of its former life are stale. */
	assert_int_equal(raw_domain_grow(&raw, d.id, 37, &cqe), 0);
	for (uint32_t i = 0; i < cqe.count; i++) {
		uint32_t slab = (cqe.first + i) * HAK_SLABS_PER_SUPERSLAB;

		assert_int_equal(view->data[(uint64_t)slab * HAK_SLAB_SIZE], 0);
		assert_int_equal(hak_lease_kind(view->lease[slab]), HAK_LEASE_FREE);
	}
	raw_domain_drop(&d);
	raw_close(&raw);
}

/* Slabs said to be FREE that the daemon is filling or punching: it keeps its own books. */
static void lies_about_what_is_free_harm_nobody(void **state)
{
	struct rig *rig = rig_start("[stock]\ndecay = 100 ms\nsessions = 0\n");
	struct raw raw = domains_connect(rig), other = domains_connect(rig);
	const struct hak_wire_domain_attr attr = { .max_size = 512 * HAK_SUPERSLAB_SIZE };
	struct raw_domain d = domains_open(&raw, "orders", &attr);
	struct raw_domain e = domains_open(&other, "other", NULL);
	const uint64_t lie = hak_lease_make(HAK_HOLDER_NONE, HAK_LEASE_FREE, 0, 5, 0);
	struct hak_cqe cqe;

	*state = rig;
	for (int round = 0; round < 20; round++) {
		struct hak_sqe sqe = raw_entry(&raw, HAK_OP_DOMAIN_GROW);
		uint64_t until = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);

		sqe.count = 30;
		sqe.node = HAK_NODE_ANY;
		sqe.reserved[0] = d.id;
		assert_int_equal(raw_push(&raw, &sqe), 0);
		/* Until it is answered, and for a while until most of it is given back. */
		do {
			for (uint32_t slab = 0; slab < 96 * HAK_SLABS_PER_SUPERSLAB; slab++)
				d.view.lease[slab] = lie;
			assert_true(hak_sys_now_ns() < until);
		} while (!hak_ring_ready(&raw.cq) || d.state->granted > 16);
		assert_int_equal(raw_pop(&raw, &cqe), 0);
		assert_int_equal(cqe.result, 0);
		assert_int_equal(raw_domain_grow(&other, e.id, 0, &cqe), 0);
	}
	assert_int_equal(raw_domain_unlink(&raw, "orders"), 0);
	assert_int_equal(raw_domain_close(&raw, &d), 0);
	rig_wait_leased(rig, 0);
	raw_domain_drop(&e);
	raw_close(&raw);
	raw_close(&other);
}

/* What a dead member left is there to be had before more is granted. */
static void orphans_come_before_more(void **state)
{
	const struct hak_wire_domain_attr attr = { .quota = 3 * HAK_SUPERSLAB_SIZE };
	struct rig *rig = *state;
	struct raw raw = domains_connect(rig);
	struct raw_domain d = domains_open(&raw, "orders", &attr);
	struct hak_cqe cqe;

	domains_kill(domains_member(rig, "orders", domains_hold));
	(void)domains_await(&d, 4);
	assert_int_equal(raw_domain_grow(&raw, d.id, 1, &cqe), -EDQUOT);
	d.view.half[hak_domain_index(2, 7)] = HAK_HALF_FREED;
	assert_int_equal(raw_domain_grow(&raw, d.id, 1, &cqe), 0);
	assert_int_equal(cqe.count, 0);
	assert_int_equal(domains_count(&d, HAK_LEASE_FREE, HAK_HOLDER_NONE), 96);
	assert_int_equal(raw_domain_grow(&raw, d.id, 1, &cqe), -EDQUOT);
	raw_domain_drop(&d);
	raw_close(&raw);
}

#define WITH(setup, name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(rig_setup, who_dies_while_it_asks_leaves_nothing),
		WITH(rig_setup, grown_memory_is_free_and_zero),
		WITH(rig_setup, a_quota_is_exact),
		WITH(NULL, limits_bind_domains_too),
		WITH(NULL, free_superslabs_go_back),
		WITH(NULL, lies_about_what_is_free_harm_nobody),
		WITH(rig_setup, orphans_come_before_more),
	};

	return cmocka_run_group_tests_name("domain_grow", tests, NULL, NULL);
}
