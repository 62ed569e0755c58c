/* SPDX-License-Identifier: Apache-2.0 */
/* What a death means in a domain, seen by those who live on: leases written by hand. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "shared/sys.h"
#include "tests/must.h"
#include "tests/proc/domains.h"

static void expect_event(const struct raw_domain *d, uint64_t n, uint32_t kind, uint64_t member)
{
	struct hak_event_entry event = domains_await(d, n);

	assert_int_equal(event.kind, kind);
	assert_int_equal(event.member, member);
}

/* The domain's books are in order, and nobody but these members is named. */
static void expect_sound(const struct raw_domain *d, struct hak_domain_census *ret)
{
	uint64_t alive[HAK_MEMBERS / 64] = { 0 };
	const char *reason = "";
	uint32_t slab = 0;

	for (uint32_t i = 1; i <= HAK_MEMBER_MAX; i++) {
		if (d->state->member[i].state == HAK_MEMBER_ALIVE)
			alive[i / 64] |= UINT64_C(1) << (i % 64);
	}
	if (hak_domain_check(&d->view, alive, ret, &slab, &reason))
		fail_msg("slab %u: %s", slab, reason);
}

static void what_the_dead_held_is_free_again(void **state)
{
	struct rig *rig = *state;
	struct raw raw = domains_connect(rig);
	struct raw_domain d = domains_open(&raw, "orders", NULL);
	struct hak_domain_census census;
	uint64_t dead;
	pid_t pid;

	pid = domains_member(rig, "orders", domains_hold);
	expect_event(&d, 2, HAK_EVENT_KIND_JOINED, (2 << 16) + 2);
	dead = (2 << 16) + 2;
	assert_int_equal(domains_await(&d, 2).pid, pid);
	assert_int_equal(domains_count(&d, HAK_LEASE_BLOCKS, 2), 3);
	domains_kill(pid);
	expect_event(&d, 3, HAK_EVENT_KIND_DIED, dead);
	expect_event(&d, 4, HAK_EVENT_KIND_SWEPT, dead);
	assert_int_equal(d.state->member[2].state, HAK_MEMBER_NONE);
	expect_sound(&d, &census);
	assert_int_equal(domains_count(&d, HAK_LEASE_BLOCKS, HAK_HOLDER_ORPHAN), 1);
	assert_int_equal(domains_count(&d, HAK_LEASE_FREE, HAK_HOLDER_NONE), 95);
	assert_int_equal(census.published, 1);
	assert_int_equal(census.adopted, 0); /* the policy is: free */
	raw_domain_drop(&d);
	raw_close(&raw);
}

/* What it held expressly goes to the heir that it named, while that one lives. */
static uint64_t heir;

static void hold_for_an_heir(struct raw *raw, struct raw_domain *d)
{
	must(raw_domain_heir(raw, d, d->member) == -ESRCH);
	must(raw_domain_heir(raw, d, 12345) == -ESRCH);
	must(!raw_domain_heir(raw, d, heir));
	domains_hold(raw, d);
}

static void an_heir_inherits(void **state)
{
	const struct hak_wire_domain_attr attr = { .max_size = 64 * HAK_SUPERSLAB_SIZE,
						   .orphan_policy = HAK_WIRE_ORPHAN_HEIR };
	struct rig *rig = *state;
	struct raw raw = domains_connect(rig);
	struct raw_domain d = domains_open(&raw, "orders", &attr);
	struct hak_domain_census census;

	heir = d.member;
	domains_kill(domains_member(rig, "orders", hold_for_an_heir));
	(void)domains_await(&d, 4);
	expect_sound(&d, &census);
	assert_int_equal(census.adopted, 1);
	assert_int_equal(census.published, 1);
	assert_int_equal(d.view.half[hak_domain_index(2, 8)], hak_member_number(d.member));
	raw_domain_drop(&d);
	raw_close(&raw);
}

static void who_closes_is_swept_as_well(void **state)
{
	struct rig *rig = *state;
	struct raw raw = domains_connect(rig), other = domains_connect(rig);
	struct raw_domain d = domains_open(&raw, "orders", NULL),
			  e = domains_open(&other, "orders", NULL);

	domains_hold(&other, &e);
	assert_int_equal(raw_domain_close(&other, &e), 0);
	expect_event(&d, 3, HAK_EVENT_KIND_LEFT, e.member);
	expect_event(&d, 4, HAK_EVENT_KIND_SWEPT, e.member);
	assert_int_equal(domains_count(&d, HAK_LEASE_BLOCKS, hak_member_number(e.member)), 0);
	/* The next one has its own id and a fresh number. */
	e = domains_open(&other, "orders", NULL);
	assert_int_equal(e.member, (3 << 16) + 3);
	raw_domain_drop(&d);
	raw_domain_drop(&e);
	raw_close(&raw);
	raw_close(&other);
}

/* 1,000 of them, then the numbers come again; ids do not. */
static void a_reused_number_has_a_new_id(void **state)
{
	struct rig *rig = *state;
	struct raw raw = domains_connect(rig), other = domains_connect(rig);
	struct raw_domain d = domains_open(&raw, "orders", NULL), e;
	uint64_t until = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);

	for (uint64_t n = 2; n <= 1100; n++) {
		int r;

		/* -EAGAIN: just now every free number is looked for by a sweep. */
		while ((r = raw_domain_open(&other, &e, "orders", 0, NULL)) == -EAGAIN)
			assert_true(hak_sys_now_ns() < until);
		assert_int_equal(r, 0);
		assert_int_equal(e.member >> 16, n);
		assert_int_equal(hak_member_number(e.member),
				 n <= HAK_MEMBER_MAX ? n : n - HAK_MEMBER_MAX + 1);
		assert_int_equal(d.state->member[hak_member_number(e.member)].id, e.member);
		assert_int_equal(raw_domain_close(&other, &e), 0);
	}
	assert_true(d.state->last_event > HAK_EVENTS);
	raw_domain_drop(&d);
	raw_close(&raw);
	raw_close(&other);
}

/* ---- garbage ---- */

static void write_garbage(struct raw *raw, struct raw_domain *d)
{
	uint64_t x = 88172645463325252, leases;
	uint64_t *words = d->meta;
	struct hak_cqe cqe;

	must(!raw_domain_grow(raw, d->id, 8, &cqe));
	leases = HAK_META_LEASES / 8 + UINT64_C(8) * HAK_SLABS_PER_SUPERSLAB;
	for (uint64_t i = 0; i < leases; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		words[i] = x;
	}
	/* Leases that look like its own, so that the sweep goes into half-words, of garbage too. */
	for (uint32_t slab = 0; slab < 4 * HAK_SLABS_PER_SUPERSLAB; slab++) {
		d->view.lease[slab] = hak_lease_make(hak_member_number(d->member), HAK_LEASE_BLOCKS,
						     slab % HAK_CLASSES, slab, 1) |
				      HAK_LEASE_EXCEPTED;
		for (uint32_t slot = 0; slot < 64; slot++)
			d->view.half[hak_domain_index(slab, slot)] =
				(uint16_t)(x >> (slot % 48) ^ slot * 977);
	}
}

static void garbage_harms_its_own_domain_only(void **state)
{
	struct rig *rig = *state;
	struct raw raw = domains_connect(rig), holder = domains_connect(rig);
	struct raw_domain spoilt = domains_open(&raw, "spoilt", NULL);
	struct raw_domain sound = domains_open(&raw, "sound", NULL);
	struct raw_domain in_sound = domains_open(&holder, "sound", NULL);
	struct hak_domain_census before, after;
	struct hak_cqe cqe;

	domains_hold(&holder, &in_sound);
	expect_sound(&sound, &before);
	for (int i = 0; i < 3; i++) {
		domains_kill(domains_member(rig, "spoilt", write_garbage));
		(void)domains_await(&spoilt, 4 + 3 * (uint64_t)i);
		assert_int_equal(spoilt.state->member[2 + i].state, HAK_MEMBER_NONE);
	}
	rig_wait_log(rig, "warning domain-broken name=spoilt");
	expect_sound(&sound, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	/* It goes on being served, for what it is worth, and it goes. */
	assert_int_equal(raw_domain_grow(&raw, spoilt.id, 1, &cqe), 0);
	assert_int_equal(raw_domain_unlink(&raw, "spoilt"), 0);
	assert_int_equal(raw_domain_close(&raw, &spoilt), 0);
	assert_int_equal(raw_domain_close(&raw, &sound), 0);
	(void)domains_await(&in_sound, 4);
	expect_sound(&in_sound, &after);
	raw_domain_drop(&in_sound);
	raw_close(&raw);
	raw_close(&holder);
}

/* ---- what outlives its members ---- */

static void leave_a_message(struct raw *raw, struct raw_domain *d)
{
	domains_hold(raw, d);
	must(!raw_domain_map(d));
	memcpy(d->view.data + 2 * HAK_SLAB_SIZE + 7 * hak_class[DOMAINS_CLASS].size, "still here",
	       11);
}

static void a_domain_outlives_its_members(void **state)
{
	struct rig *rig = *state;
	struct raw raw = domains_connect(rig);
	struct raw_domain d = domains_open(&raw, "orders", NULL);
	uint64_t id = d.id;

	domains_kill(domains_member(rig, "orders", leave_a_message));
	(void)domains_await(&d, 4);
	assert_int_equal(raw_domain_close(&raw, &d), 0);
	raw_close(&raw);
	rig_wait_sessions(rig, 0);
	raw = domains_connect(rig);
	assert_int_equal(raw_domain_open(&raw, &d, "orders", 0, NULL), 0);
	assert_int_equal(d.id, id);
	assert_int_equal(raw_domain_map(&d), 0);
	assert_string_equal(d.view.data + 2 * HAK_SLAB_SIZE + 7 * hak_class[DOMAINS_CLASS].size,
			    "still here");
	raw_domain_drop(&d);
	raw_close(&raw);
}

/* An evicted session is a member until its process is gone. */
static void who_is_evicted_stays_a_member(void **state)
{
	struct rig *rig = *state;
	struct raw raw = domains_connect(rig), bad = domains_connect(rig);
	struct raw_domain d = domains_open(&raw, "orders", NULL),
			  e = domains_open(&bad, "orders", NULL);

	assert_int_equal(raw_send(bad.sock, "junk", 4, NULL, 0), 0);
	assert_int_equal(raw_wait_hangup(bad.sock), 0);
	assert_int_equal(rig_status(rig).evicted_total, 1);
	assert_int_equal(d.state->member[2].state, HAK_MEMBER_ALIVE);
	raw_domain_drop(&e);
	raw_close(&bad); /* its memory is gone, as far as the daemon can see */
	expect_event(&d, 3, HAK_EVENT_KIND_DIED, e.member);
	expect_event(&d, 4, HAK_EVENT_KIND_SWEPT, e.member);
	raw_domain_drop(&d);
	raw_close(&raw);
}

/* The daemon ends while sweeps are under way and memory is in use. */
static void the_daemon_may_end_at_any_moment(void **state)
{
	struct rig *rig = *state;
	struct raw raw = domains_connect(rig);
	struct raw_domain d = domains_open(&raw, "orders", NULL);
	pid_t pid[8];

	for (int i = 0; i < 8; i++)
		pid[i] = domains_member(rig, "orders", domains_hold);
	for (int i = 0; i < 8; i++)
		domains_kill(pid[i]);
	*state = rig_stop(rig);
	raw_domain_drop(&d);
	raw_close(&raw);
	*state = rig_start(NULL); /* for the teardown */
}

#define WITH(setup, name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(rig_setup, what_the_dead_held_is_free_again),
		WITH(rig_setup, an_heir_inherits),
		WITH(rig_setup, who_closes_is_swept_as_well),
		WITH(rig_setup, a_reused_number_has_a_new_id),
		WITH(rig_setup, garbage_harms_its_own_domain_only),
		WITH(rig_setup, a_domain_outlives_its_members),
		WITH(rig_setup, who_is_evicted_stays_a_member),
		WITH(rig_setup, the_daemon_may_end_at_any_moment),
	};

	return cmocka_run_group_tests_name("domain_death", tests, NULL, NULL);
}
