/* SPDX-License-Identifier: Apache-2.0 */
/* What a death means in a domain, seen by those who live on: leases written by hand. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/raw/raw_domain.h"
#include "shared/sys.h"
#include "tests/must.h"
#include "tests/proc/rig.h"

#define CLASS_64 4u /* of 64-byte blocks, or any other that has one slab */

/* ---- what others see ---- */

static uint64_t deadline(void)
{
	return hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);
}

/* Waits for event number n and takes the sign away, as a client does: first the sign, then a look. */
static struct hak_event_entry await_event(const struct raw_domain *d, uint64_t n)
{
	struct pollfd p = { .fd = d->sign_fd, .events = POLLIN };
	const struct hak_event_entry *event = &d->state->event[n % HAK_EVENTS];
	uint64_t count;

	for (uint64_t until = deadline(); d->state->last_event < n;) {
		assert_int_equal(poll(&p, 1, RIG_DEADLINE_MS), 1);
		assert_int_equal(read(d->sign_fd, &count, sizeof(count)), sizeof(count));
		if (hak_sys_now_ns() > until)
			fail_msg("event %llu does not come", (unsigned long long)n);
	}
	assert_int_equal(event->seq, n);
	return *event;
}

static void expect_event(const struct raw_domain *d, uint64_t n, uint32_t kind, uint64_t member)
{
	struct hak_event_entry event = await_event(d, n);

	assert_int_equal(event.kind, kind);
	assert_int_equal(event.member, member);
}

static struct raw connect_to(struct rig *rig)
{
	struct raw raw;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	return raw;
}

static struct raw_domain open_ok(struct raw *raw, const char *name,
				 const struct hak_wire_domain_attr *attr)
{
	/* expect_sound() makes all pages of half-words come into being. */
	static const struct hak_wire_domain_attr small = { .max_size = 64 * HAK_SUPERSLAB_SIZE };
	struct raw_domain d;
	int r = raw_domain_open(raw, &d, name, HAK_WIRE_CREATE, attr ? attr : &small);

	if (r < 0)
		fail_msg("open %s: %d, %s", name, r, d.text);
	return d;
}

/* ---- the one that dies ---- */

/* What it does when it is a member, before the parent kills it. */
typedef void doing(struct raw *raw, struct raw_domain *d);

static struct {
	doing *fn;
	const char *name;
} part;

static void be_member(struct rig *rig, void *arg)
{
	struct raw_domain d;
	struct raw raw;

	(void)arg;
	must(!raw_open(&raw, rig->socket));
	must(!raw_domain_open(&raw, &d, part.name, 0, NULL));
	part.fn(&raw, &d);
	rig_tell();
	rig_stall();
}

static void kill_member(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(rig_reap(pid), -SIGKILL);
}

/* Four leases: two wholly its own, one with a published block, one that it was just claiming. */
static void hold_leases(struct raw *raw, struct raw_domain *d)
{
	uint32_t me = hak_member_number(d->member), first;
	const struct hak_domain_view *view = &d->view;
	struct hak_cqe cqe;

	must(!raw_domain_grow(raw, d->id, 3, &cqe) && cqe.count == 3);
	for (int i = 0; i < 3; i++) {
		must(hak_lease_claim(view, me, d->state->high, 0, 1, &first));
		hak_lease_commit(view, me, first, HAK_LEASE_BLOCKS, CLASS_64, 1);
		if (i == 2) {
			hak_lease_except(view, first);
			view->half[hak_domain_index(first, 7)] = HAK_HALF_PUBLISHED;
			view->half[hak_domain_index(first, 8)] = (uint16_t)me;
		}
	}
	must(hak_lease_claim(view, me, d->state->high, 0, 40, &first));
}

static uint64_t kinds(const struct raw_domain *d, enum hak_lease_kind kind, uint32_t holder)
{
	uint64_t n = 0;

	for (uint32_t slab = 0; slab < d->state->high * HAK_SLABS_PER_SUPERSLAB; slab++)
		n += hak_lease_kind(d->view.lease[slab]) == kind &&
		     hak_lease_holder(d->view.lease[slab]) == holder;
	return n;
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
	struct raw raw = connect_to(rig);
	struct raw_domain d = open_ok(&raw, "orders", NULL);
	struct hak_domain_census census;
	uint64_t dead;
	pid_t pid;

	part.fn = hold_leases;
	part.name = "orders";
	pid = rig_client(rig, be_member, NULL);
	expect_event(&d, 2, HAK_EVENT_KIND_JOINED, (2 << 16) + 2);
	dead = (2 << 16) + 2;
	assert_int_equal(await_event(&d, 2).pid, pid);
	assert_int_equal(kinds(&d, HAK_LEASE_BLOCKS, 2), 3);
	kill_member(pid);
	expect_event(&d, 3, HAK_EVENT_KIND_DIED, dead);
	expect_event(&d, 4, HAK_EVENT_KIND_SWEPT, dead);
	assert_int_equal(d.state->member[2].state, HAK_MEMBER_NONE);
	expect_sound(&d, &census);
	assert_int_equal(kinds(&d, HAK_LEASE_BLOCKS, HAK_HOLDER_ORPHAN), 1);
	assert_int_equal(kinds(&d, HAK_LEASE_FREE, HAK_HOLDER_NONE), 95);
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
	hold_leases(raw, d);
}

static void an_heir_inherits(void **state)
{
	const struct hak_wire_domain_attr attr = { .max_size = 64 * HAK_SUPERSLAB_SIZE,
						   .orphan_policy = HAK_WIRE_ORPHAN_HEIR };
	struct rig *rig = *state;
	struct raw raw = connect_to(rig);
	struct raw_domain d = open_ok(&raw, "orders", &attr);
	struct hak_domain_census census;

	part.fn = hold_for_an_heir;
	part.name = "orders";
	heir = d.member;
	kill_member(rig_client(rig, be_member, NULL));
	(void)await_event(&d, 4);
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
	struct raw raw = connect_to(rig), other = connect_to(rig);
	struct raw_domain d = open_ok(&raw, "orders", NULL), e = open_ok(&other, "orders", NULL);

	hold_leases(&other, &e);
	assert_int_equal(raw_domain_close(&other, &e), 0);
	expect_event(&d, 3, HAK_EVENT_KIND_LEFT, e.member);
	expect_event(&d, 4, HAK_EVENT_KIND_SWEPT, e.member);
	assert_int_equal(kinds(&d, HAK_LEASE_BLOCKS, hak_member_number(e.member)), 0);
	/* The next one has its own id and a fresh number. */
	e = open_ok(&other, "orders", NULL);
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
	struct raw raw = connect_to(rig), other = connect_to(rig);
	struct raw_domain d = open_ok(&raw, "orders", NULL), e;
	uint64_t until = deadline();

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
	struct raw raw = connect_to(rig), holder = connect_to(rig);
	struct raw_domain spoilt = open_ok(&raw, "spoilt", NULL);
	struct raw_domain sound = open_ok(&raw, "sound", NULL);
	struct raw_domain in_sound = open_ok(&holder, "sound", NULL);
	struct hak_domain_census before, after;
	struct hak_cqe cqe;

	hold_leases(&holder, &in_sound);
	expect_sound(&sound, &before);
	part.fn = write_garbage;
	part.name = "spoilt";
	for (int i = 0; i < 3; i++) {
		kill_member(rig_client(rig, be_member, NULL));
		(void)await_event(&spoilt, 4 + 3 * (uint64_t)i);
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
	(void)await_event(&in_sound, 4);
	expect_sound(&in_sound, &after);
	raw_domain_drop(&in_sound);
	raw_close(&raw);
	raw_close(&holder);
}

/* ---- what outlives its members ---- */

static void leave_a_message(struct raw *raw, struct raw_domain *d)
{
	hold_leases(raw, d);
	must(!raw_domain_map(d));
	memcpy(d->view.data + 2 * HAK_SLAB_SIZE + 7 * hak_class[CLASS_64].size, "still here", 11);
}

static void a_domain_outlives_its_members(void **state)
{
	struct rig *rig = *state;
	struct raw raw = connect_to(rig);
	struct raw_domain d = open_ok(&raw, "orders", NULL);
	uint64_t id = d.id;

	part.fn = leave_a_message;
	part.name = "orders";
	kill_member(rig_client(rig, be_member, NULL));
	(void)await_event(&d, 4);
	assert_int_equal(raw_domain_close(&raw, &d), 0);
	raw_close(&raw);
	rig_wait_sessions(rig, 0);
	raw = connect_to(rig);
	assert_int_equal(raw_domain_open(&raw, &d, "orders", 0, NULL), 0);
	assert_int_equal(d.id, id);
	assert_int_equal(raw_domain_map(&d), 0);
	assert_string_equal(d.view.data + 2 * HAK_SLAB_SIZE + 7 * hak_class[CLASS_64].size,
			    "still here");
	raw_domain_drop(&d);
	raw_close(&raw);
}

/* ---- giving back ---- */

static void wait_granted(struct rig *rig, const struct raw_domain *d, uint64_t n)
{
	for (uint64_t until = deadline(); d->state->granted != n;) {
		if (hak_sys_now_ns() > until)
			fail_msg("%llu superslabs are granted; the daemon said: %s",
				 (unsigned long long)d->state->granted, rig->log);
	}
}

static void free_superslabs_go_back(void **state)
{
	struct rig *rig = rig_start("[stock]\ndecay = 100 ms\nsessions = 0\n");
	struct raw raw = connect_to(rig);
	struct raw_domain d = open_ok(&raw, "orders", NULL);
	const struct hak_domain_view *view = &d.view;
	uint32_t me = hak_member_number(d.member), first;
	struct hak_cqe cqe;

	*state = rig;
	assert_int_equal(raw_domain_map(&d), 0);
	assert_int_equal(raw_domain_grow(&raw, d.id, 40, &cqe), 0);
	assert_true(hak_lease_claim(view, me, 40, 20 * HAK_SLABS_PER_SUPERSLAB, 1, &first));
	hak_lease_commit(view, me, first, HAK_LEASE_BLOCKS, CLASS_64, 1);
	memset(view->data, 1, 40 * HAK_SUPERSLAB_SIZE);
	/* One in use; of the rest the eighth part stays, counted anew as they go: two in the end. */
	wait_granted(rig, &d, 3);
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

/* Slabs said to be FREE that the daemon is just filling or punching: it keeps its own books. */
static void lies_about_what_is_free_harm_nobody(void **state)
{
	struct rig *rig = rig_start("[stock]\ndecay = 100 ms\nsessions = 0\n");
	struct raw raw = connect_to(rig), other = connect_to(rig);
	struct raw_domain d = open_ok(&raw, "orders", NULL), e = open_ok(&other, "other", NULL);
	const uint64_t lie = hak_lease_make(HAK_HOLDER_NONE, HAK_LEASE_FREE, 0, 5, 0);
	struct hak_cqe cqe;

	*state = rig;
	for (int round = 0; round < 20; round++) {
		struct hak_sqe sqe = raw_entry(&raw, HAK_OP_DOMAIN_GROW);
		uint64_t until = deadline();

		sqe.count = 30;
		sqe.node = HAK_NODE_ANY;
		sqe.reserved[0] = d.id;
		assert_int_equal(raw_push(&raw, &sqe), 0);
		/* Until it is answered, and for a while until most of it is given back. */
		do {
			for (uint32_t slab = 0; slab < 64 * HAK_SLABS_PER_SUPERSLAB; slab++)
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
	struct raw raw = connect_to(rig);
	struct raw_domain d = open_ok(&raw, "orders", &attr);
	struct hak_cqe cqe;

	part.fn = hold_leases;
	part.name = "orders";
	kill_member(rig_client(rig, be_member, NULL));
	(void)await_event(&d, 4);
	assert_int_equal(raw_domain_grow(&raw, d.id, 1, &cqe), -EDQUOT);
	d.view.half[hak_domain_index(2, 7)] = HAK_HALF_FREED;
	assert_int_equal(raw_domain_grow(&raw, d.id, 1, &cqe), 0);
	assert_int_equal(cqe.count, 0);
	assert_int_equal(kinds(&d, HAK_LEASE_FREE, HAK_HOLDER_NONE), 96);
	assert_int_equal(raw_domain_grow(&raw, d.id, 1, &cqe), -EDQUOT);
	raw_domain_drop(&d);
	raw_close(&raw);
}

/* An evicted session is a member until its process is gone. */
static void who_is_evicted_stays_a_member(void **state)
{
	struct rig *rig = *state;
	struct raw raw = connect_to(rig), bad = connect_to(rig);
	struct raw_domain d = open_ok(&raw, "orders", NULL), e = open_ok(&bad, "orders", NULL);

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
	struct raw raw = connect_to(rig);
	struct raw_domain d = open_ok(&raw, "orders", NULL);
	pid_t pid[8];

	part.fn = hold_leases;
	part.name = "orders";
	for (int i = 0; i < 8; i++)
		pid[i] = rig_client(rig, be_member, NULL);
	for (int i = 0; i < 8; i++)
		kill_member(pid[i]);
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
		WITH(NULL, free_superslabs_go_back),
		WITH(NULL, lies_about_what_is_free_harm_nobody),
		WITH(rig_setup, orphans_come_before_more),
		WITH(rig_setup, who_is_evicted_stays_a_member),
		WITH(rig_setup, the_daemon_may_end_at_any_moment),
	};

	return cmocka_run_group_tests_name("domain_death", tests, NULL, NULL);
}
