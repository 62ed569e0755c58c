/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/render_domain.h"

#include <stdio.h>

#include "tools/render.h"
#include "tools/text.h"

static unsigned long long wide(uint64_t v)
{
	return v;
}

static const char *slabs_text(char ret[TEXT_NUMBER], uint64_t slabs)
{
	return text_bytes(ret, slabs << HAK_SLAB_SHIFT);
}

void render_domains_text(const struct hak_report_domain *domains, uint64_t n, uint64_t now_ns)
{
	printf("%-31s %7s %10s %10s %10s %5s %6s %9s  %s\n", "NAME", "MEMBERS", "GRANTED", "QUOTA",
	       "MAX", "MODE", "OWNER", "AGE", "LINKED");
	for (uint64_t i = 0; i < n; i++) {
		const struct hak_report_domain *d = &domains[i];
		char name[sizeof(d->name) + 1], granted[TEXT_NUMBER], quota[TEXT_NUMBER];
		char max[TEXT_NUMBER], age[TEXT_NUMBER];

		text_copy_plain(name, d->name, sizeof(d->name));
		printf("%-31s %7u %10s %10s %10s %5.4o %6u %9s  %s\n", name, d->members,
		       text_bytes(granted, d->bytes), text_bytes(quota, d->quota),
		       text_bytes(max, d->max_size), d->mode & 07777, d->uid,
		       text_duration(age, render_since(now_ns, d->created_ns)),
		       d->unlinked ? "no" : "yes");
	}
}

/* ---- one domain ---- */

static void members(const struct domain_look *look)
{
	printf("\n%6s %8s %6s %-6s %9s %10s %9s  %s\n", "MEMBER", "PID", "UID", "STATE", "AGE",
	       "HELD", "OWNED", "COMMAND");
	for (uint32_t k = 1; k < HAK_MEMBERS; k++) {
		const struct hak_member_entry *entry = &look->walk->join->head.member[k];
		enum hak_member_state state = domain_walk_state(look->walk, k);
		const struct walk_member *m = &look->walk->member[k];
		char age[TEXT_NUMBER], held[TEXT_NUMBER], owned[TEXT_NUMBER], comm[DOMAIN_COMM];

		if (!domain_walk_shows(look->walk, k))
			continue;
		(void)domain_comm(comm, look, k);
		printf("%6u %8u %6u %-6s %9s %10s %9s  %s\n", k, entry->pid, entry->uid,
		       domain_state_name(state), text_duration(age, domain_member_age(look, k)),
		       text_bytes(held, domain_walk_held(m)), text_bytes(owned, m->owned.bytes),
		       *comm ? comm : "-");
	}
}

static void sum_line(const char *name, const struct walk_sum *sum, const char *what)
{
	char bytes[TEXT_NUMBER];

	printf("%-11s %10s in %llu block%s%s\n", name, text_bytes(bytes, sum->bytes), wide(sum->n),
	       sum->n == 1 ? "" : "s", what);
}

static void states(const struct domain_walk *walk)
{
	struct walk_member total = domain_total(walk);
	char a[TEXT_NUMBER];

	printf("\nfree        %10s\n", slabs_text(a, walk->free_slabs));
	printf("held        %10s\n", slabs_text(a, total.slabs));
	printf("orphaned    %10s\n", slabs_text(a, walk->member[WALK_ORPHANS].slabs));
	if (walk->unclear_slabs)
		printf("unclear     %10s changing just now, or written over\n",
		       slabs_text(a, walk->unclear_slabs));
	printf("of these\n");
	sum_line("published", &walk->published, "");
	sum_line("under way", &walk->moving, " in channels");
	sum_line("owned", &total.owned, " expressly");
	sum_line("adopted", &total.adopted, " of these, from slabs of others");
	sum_line("given back", &total.freed, " and not noticed yet");
	if (walk->unclear.n)
		sum_line("unclear", &walk->unclear, " nobody's who is known");
}

static void classes(const struct domain_walk *walk)
{
	printf("\n%10s %10s %10s %10s\n", "BLOCKS OF", "SLABS", "BYTES", "EXCEPTED");
	for (uint32_t c = 1; c <= HAK_CLASSES; c++) {
		const struct walk_class *class = &walk->class[c % HAK_CLASSES]; /* spans last */
		char size[TEXT_NUMBER], bytes[TEXT_NUMBER];

		if (!class->slabs)
			continue;
		printf("%10s %10llu %10s %10llu\n",
		       c < HAK_CLASSES ? text_bytes(size, hak_class[c].size) : "spans",
		       wide(class->slabs), slabs_text(bytes, class->slabs), wide(class->excepted));
	}
}

static void root_head(void)
{
	printf("\n%-31s %-16s %-7s %12s %10s\n", "ROOT", "REF", "STATE", "OFFSET", "SIZE");
}

static void root_line(const struct walk_root *root)
{
	char size[TEXT_NUMBER];

	printf("%-31s %016llx %-7s", root->name, wide(root->ref), domain_ref_name(root->kind));
	if (root->kind == WALK_REF_GOOD)
		printf(" %#12llx %10s\n", wide(root->offset), text_bytes(size, root->size));
	else
		printf(" %12s %10s\n", "-", "-");
}

static void channel_head(void)
{
	printf("\n%-31s %8s %8s %10s %7s %9s\n", "CHANNEL", "CAPACITY", "MESSAGES", "BYTES",
	       "SENDERS", "RECEIVERS");
}

static void channel_line(const struct walk_channel *c)
{
	char bytes[TEXT_NUMBER];

	printf("%-31s %8u %8llu %10s %7u %9u\n", c->name, c->capacity, wide(c->moving.n),
	       text_bytes(bytes, c->moving.bytes), domain_count(c->senders),
	       domain_count(c->receivers));
}

void render_domain_text(const struct domain_look *look)
{
	const struct domain_walk *walk = look->walk;
	const struct hak_report_domain *d = &look->record;

	render_domains_text(d, 1, look->now_ns);
	printf("\nid %llu, at %#llx in every member, orphans: %s, lifetime: %s\n", wide(d->id),
	       wide(d->base), domain_policy_name(d->orphan_policy),
	       domain_lifetime_name(d->lifetime));
	printf("%llu members since it was made, %u dying, %llu requests for memory refused\n",
	       wide(d->members_total), d->dying, wide(d->refused));
	members(look);
	states(walk);
	classes(walk);
	root_head();
	for (uint32_t i = 0; i < walk->roots; i++)
		root_line(&walk->root[i]);
	channel_head();
	for (uint32_t c = 0; c < HAK_CHANNELS; c++) {
		if (walk->channel[c].is_used)
			channel_line(&walk->channel[c]);
	}
}

/* ---- who has what ---- */

void render_who_text(const struct domain_look *look)
{
	printf("%6s %8s %-6s %10s %9s %10s %9s %10s %9s %10s  %s\n", "MEMBER", "PID", "STATE",
	       "HELD", "BLOCKS", "SPANS", "OWNED", "BYTES", "GUESTS", "BYTES", "COMMAND");
	for (uint32_t k = 1; k < HAK_MEMBERS; k++) {
		const struct walk_member *m = &look->walk->member[k];
		enum hak_member_state state = domain_walk_state(look->walk, k);
		char held[TEXT_NUMBER], spans[TEXT_NUMBER], owned[TEXT_NUMBER];
		char guests[TEXT_NUMBER], comm[DOMAIN_COMM];

		if (!domain_walk_shows(look->walk, k))
			continue;
		(void)domain_comm(comm, look, k);
		printf("%6u %8u %-6s %10s %9llu %10s %9llu %10s %9llu %10s  %s\n", k,
		       look->walk->join->head.member[k].pid, domain_state_name(state),
		       text_bytes(held, domain_walk_held(m)), wide(m->blocks),
		       text_bytes(spans, m->spans.bytes), wide(m->owned.n),
		       text_bytes(owned, m->owned.bytes), wide(m->guests.n),
		       text_bytes(guests, m->guests.bytes), *comm ? comm : "-");
	}
}

/* ---- what may have been forgotten ---- */

static void unpublished(const struct domain_look *look)
{
	printf("\n%6s %8s %9s %10s %10s %9s  %s\n", "MEMBER", "PID", "OWNED", "BYTES", "HELD",
	       "OLDEST <=", "COMMAND");
	for (uint32_t k = 1; k < HAK_MEMBERS; k++) {
		const struct walk_member *m = &look->walk->member[k];
		char owned[TEXT_NUMBER], held[TEXT_NUMBER], age[TEXT_NUMBER], comm[DOMAIN_COMM];
		uint64_t oldest;

		if (!domain_walk_shows(look->walk, k))
			continue;
		(void)domain_comm(comm, look, k);
		printf("%6u %8u %9llu %10s %10s %9s  %s\n", k, look->walk->join->head.member[k].pid,
		       wide(m->owned.n), text_bytes(owned, m->owned.bytes),
		       text_bytes(held, domain_walk_held(m)),
		       domain_oldest(look, k, &oldest) ? text_duration(age, oldest) : "-",
		       *comm ? comm : "-");
	}
	puts("A time is kept for a slab, not for a block: no unpublished block of the member is "
	     "in use for\nlonger than OLDEST.");
}

void render_leaks_text(const struct domain_look *look)
{
	const struct domain_walk *walk = look->walk;

	sum_line("published", &walk->published, "");
	sum_line("unnamed", &walk->unnamed, " of these: no root names them");
	root_head();
	for (uint32_t i = 0; i < walk->roots; i++) {
		if (walk->root[i].kind != WALK_REF_GOOD)
			root_line(&walk->root[i]);
	}
	channel_head();
	for (uint32_t c = 0; c < HAK_CHANNELS; c++) {
		if (domain_is_stuck(&walk->channel[c]))
			channel_line(&walk->channel[c]);
	}
	unpublished(look);
}

void render_orphans_text(const struct domain_orphans *orphans, uint64_t n)
{
	printf("%-31s %8s %10s %9s %10s %6s %10s\n", "NAME", "SLABS", "BYTES", "OUTLIVING", "BYTES",
	       "DYING", "BYTES");
	for (uint64_t i = 0; i < n; i++) {
		const struct domain_orphans *o = &orphans[i];
		char name[sizeof(o->record.name) + 1];
		char bytes[TEXT_NUMBER], outliving[TEXT_NUMBER], dying[TEXT_NUMBER];

		text_copy_plain(name, o->record.name, sizeof(o->record.name));
		if (*o->error)
			printf("%-31s %s\n", name, o->error);
		else
			printf("%-31s %8llu %10s %9llu %10s %6llu %10s\n", name, wide(o->slabs),
			       slabs_text(bytes, o->slabs), wide(o->guests.n),
			       text_bytes(outliving, o->guests.bytes), wide(o->dying),
			       slabs_text(dying, o->dying_slabs));
	}
}
