/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/proc/domains.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "shared/sys.h"
#include "tests/must.h"

static uint64_t deadline(void)
{
	return hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);
}

struct raw domains_connect(struct rig *rig)
{
	struct raw raw;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	return raw;
}

struct raw_domain domains_open(struct raw *raw, const char *name,
			       const struct hak_wire_domain_attr *attr)
{
	static const struct hak_wire_domain_attr small = { .max_size = 64 * HAK_SUPERSLAB_SIZE };
	struct raw_domain d;
	int r = raw_domain_open(raw, &d, name, HAK_WIRE_CREATE, attr ? attr : &small);

	if (r < 0)
		fail_msg("open %s: %d, %s", name, r, d.text);
	return d;
}

struct hak_report_domain domains_report(struct rig *rig, uint64_t id)
{
	struct hak_report_domain records[128];
	int n = raw_domains(rig->socket, records, hak_array_size(records));

	for (int i = 0; i < n; i++) {
		if (records[i].id == id)
			return records[i];
	}
	return (struct hak_report_domain){ .bytes = UINT64_MAX };
}

void domains_wait_gone(struct rig *rig, uint64_t id)
{
	for (uint64_t until = deadline(); domains_report(rig, id).bytes != UINT64_MAX;) {
		if (hak_sys_now_ns() > until)
			fail_msg("domain %llu stays", (unsigned long long)id);
	}
}

void domains_wait_granted(struct rig *rig, const struct raw_domain *d, uint64_t superslabs)
{
	for (uint64_t until = deadline(); d->state->granted != superslabs;) {
		if (hak_sys_now_ns() > until)
			fail_msg("%llu superslabs are granted; the daemon said: %s",
				 (unsigned long long)d->state->granted, rig->log);
	}
}

struct hak_event_entry domains_await(const struct raw_domain *d, uint64_t n)
{
	struct pollfd p = { .fd = d->sign_fd, .events = POLLIN };
	const struct hak_event_entry *event = &d->state->event[n % HAK_EVENTS];
	uint64_t count;

	while (d->state->last_event < n) {
		if (poll(&p, 1, RIG_DEADLINE_MS) != 1)
			fail_msg("event %llu does not come", (unsigned long long)n);
		/* -EAGAIN: it is just being set anew. */
		if (read(d->sign_fd, &count, sizeof(count)) < 0)
			assert_int_equal(errno, EAGAIN);
	}
	assert_int_equal(event->seq, n);
	return *event;
}

/* ---- the one that dies ---- */

struct part {
	const char *name;
	domains_doing *fn;
};

static void be_member(struct rig *rig, void *arg)
{
	const struct part *part = arg;
	struct raw_domain d;
	struct raw raw;

	must(!raw_open(&raw, rig->socket));
	must(!raw_domain_open(&raw, &d, part->name, 0, NULL));
	part->fn(&raw, &d);
	rig_tell();
	rig_stall();
}

pid_t domains_member(struct rig *rig, const char *name, domains_doing *fn)
{
	struct part part = { .name = name, .fn = fn };

	return rig_client(rig, be_member, &part);
}

void domains_kill(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(rig_reap(pid), -SIGKILL);
}

void domains_hold(struct raw *raw, struct raw_domain *d)
{
	uint32_t me = hak_member_number(d->member), first;
	const struct hak_domain_view *view = &d->view;
	struct hak_cqe cqe;

	must(!raw_domain_grow(raw, d->id, 3, &cqe) && cqe.count == 3);
	for (int i = 0; i < 3; i++) {
		must(hak_lease_claim(view, me, d->state->high, 0, 1, &first));
		hak_lease_commit(view, me, first, HAK_LEASE_BLOCKS, DOMAINS_CLASS, 1);
		if (i == 2) {
			hak_lease_except(view, first);
			view->half[hak_domain_index(first, 7)] = HAK_HALF_PUBLISHED;
			view->half[hak_domain_index(first, 8)] = (uint16_t)me;
		}
	}
	must(hak_lease_claim(view, me, d->state->high, 0, 40, &first));
}

uint64_t domains_count(const struct raw_domain *d, enum hak_lease_kind kind, uint32_t holder)
{
	uint64_t n = 0;

	for (uint32_t slab = 0; slab < d->state->high * HAK_SLABS_PER_SUPERSLAB; slab++)
		n += hak_lease_kind(d->view.lease[slab]) == kind &&
		     hak_lease_holder(d->view.lease[slab]) == holder;
	return n;
}
