/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/sweep.h"

#include "daemon/daemon.h"
#include "daemon/domain.h"
#include "daemon/limits.h"
#include "daemon/log.h"
#include "daemon/member.h"
#include "daemon/shrink.h"
#include "shared/check.h"

/* Numbers that stay free to be given out while a step is under way. */
#define NUMBERS_KEPT 32u

uint32_t sweep_part(const struct domain *domain)
{
	return numa_part_of(&domain->daemon->numa, domain->attr.node - 1);
}

/* The dying come after all others in the list, and the one that died first before them. They are
 * swept one after the other in this order, which find_nobodies() relies on: what one that is DYING
 * was just given is found by its own sweep, which comes later than that of who gave it. */
static struct member *first_dying(const struct domain *domain)
{
	struct list *at, *tmp;

	list_for_each(at, tmp, &domain->members)
	{
		struct member *member = hak_container_of(at, struct member, link);

		if (member->dying)
			return member;
	}
	return NULL;
}

static bool has_bit(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

/* In the order in which member_join() takes them, the next ones are left out. */
static void find_nobodies(const struct domain *domain, struct hak_sweep *sweep)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < HAK_MEMBERS / 64; i++)
		sweep->nobody[i] = 0;
	for (uint32_t i = 0; i < HAK_MEMBER_MAX; i++) {
		uint32_t number = (domain->last_number + i) % HAK_MEMBER_MAX + 1;

		if (has_bit(domain->numbers, number) || kept++ < NUMBERS_KEPT)
			continue;
		if (has_bit(domain->text->had, number))
			sweep->nobody[number / 64] |= UINT64_C(1) << (number % 64);
	}
}

static void set_fate(struct member *member)
{
	const struct domain *domain = member->domain;
	struct hak_sweep *sweep = &member->sweep;

	sweep->member = hak_member_number(member->id);
	sweep->heir = 0;
	sweep->fate = HAK_FATE_FREE;
	if (domain->attr.orphan_policy == HAK_WIRE_ORPHAN_PUBLISH)
		sweep->fate = HAK_FATE_PUBLISH;
	if (domain->attr.orphan_policy != HAK_WIRE_ORPHAN_HEIR ||
	    !member_alive(domain, member->heir))
		return;
	sweep->fate = HAK_FATE_INHERITED;
	sweep->heir = hak_member_number(member->heir);
}

/* In the worker's thread; the loop's leaves task, member and swept_view alone meanwhile. */
static void step(struct task *task)
{
	struct domain *domain = hak_container_of(task, struct domain, task);
	struct member *member = domain->swept;

	if (member->channels < HAK_CHANNELS)
		hak_domain_sweep_names(&domain->swept_view, &member->sweep, task->first,
				       task->count);
	else
		hak_domain_sweep(&domain->swept_view, &member->sweep, task->first, task->count);
}

bool sweep_start(struct domain *domain)
{
	struct member *member = first_dying(domain);
	struct task *task = &domain->task;
	uint32_t left, max;

	if (!member)
		return false;
	domain->swept_view = domain_view_granted(domain);
	domain->swept_broken = member->sweep.broken;
	set_fate(member);
	find_nobodies(domain, &member->sweep);
	task->first = member->channels;
	left = HAK_CHANNELS - member->channels;
	max = LIMIT_DOMAIN_CHANNELS;
	if (!left) {
		task->first = member->superslabs;
		left = domain->swept_view.superslabs - member->superslabs;
		max = LIMIT_DOMAIN_STEP;
	}
	task->count = left < max ? left : max;
	task->op = TASK_CALL;
	task->call = step;
	domain->work = DOMAIN_SWEEP;
	domain->swept = member;
	workers_submit(domain->daemon->workers, sweep_part(domain), task, false);
	return true;
}

static void say_broken(struct domain *domain, const struct hak_sweep *sweep)
{
	if (!sweep->broken || domain->broken)
		return;
	domain->broken = true;
	log_limited(LOG_AT_WARNING, "domain-broken", "name=%s id=%llu words=%llu", domain->name,
		    (unsigned long long)domain->id, (unsigned long long)sweep->broken);
}

void sweep_step_done(struct domain *domain)
{
	struct member *member = domain->swept;
	const struct task *task = &domain->task;

	domain->swept = NULL;
	if (member->sweep.slabs_orphaned)
		domain_has_orphans(domain);
	if (!task->done) /* cancelled */
		return;
	/* Granted meanwhile: a message or a run there was not known for one. Once more. */
	if (domain->high > domain->swept_view.superslabs) {
		member->sweep.broken = domain->swept_broken;
		return;
	}
	if (member->channels < HAK_CHANNELS)
		member->channels += task->done;
	else
		member->superslabs += task->done;
	if (member->channels < HAK_CHANNELS || member->superslabs < domain->high)
		return;
	say_broken(domain, &member->sweep);
	member_swept(member);
	shrink_look(domain);
}

bool sweep_avoids(const struct domain *domain, uint32_t number)
{
	return domain->swept && has_bit(domain->swept->sweep.nobody, number);
}
