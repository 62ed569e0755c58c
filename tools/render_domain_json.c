/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/render_domain.h"

#include <stdio.h>

#include "tools/json.h"
#include "tools/render.h"
#include "tools/text.h"

static int set_sum(json_t *object, const char *name, const struct walk_sum *sum)
{
	json_t *one = json_object();
	int r = set_number(one, "count", sum->n);

	r |= set_number(one, "bytes", sum->bytes);
	return r | json_object_set_new(object, name, one);
}

static int set_slabs(json_t *object, const char *name, uint64_t slabs)
{
	return set_number(object, name, slabs << HAK_SLAB_SHIFT);
}

static int set_record(json_t *one, const struct hak_report_domain *d, uint64_t now_ns)
{
	char mode[TEXT_NUMBER];
	int r = set_text(one, "name", d->name, sizeof(d->name));

	(void)snprintf(mode, sizeof(mode), "%04o", d->mode & 07777);
	r |= set_number(one, "id", d->id);
	r |= set_number(one, "members", d->members);
	r |= set_number(one, "members_dying", d->dying);
	r |= set_number(one, "members_total", d->members_total);
	r |= set_number(one, "granted_bytes", d->bytes);
	r |= set_number(one, "quota_bytes", d->quota);
	r |= set_number(one, "max_bytes", d->max_size);
	r |= set_number(one, "refused", d->refused);
	r |= json_object_set_new(one, "mode", json_string(mode));
	r |= set_number(one, "uid", d->uid);
	r |= set_number(one, "gid", d->gid);
	r |= set_number(one, "age_ns", render_since(now_ns, d->created_ns));
	r |= json_object_set_new(one, "unlinked", json_boolean(d->unlinked));
	r |= json_object_set_new(one, "lifetime", json_string(domain_lifetime_name(d->lifetime)));
	r |= json_object_set_new(one, "orphan_policy",
				 json_string(domain_policy_name(d->orphan_policy)));
	return r | set_hex(one, "base", d->base);
}

int render_domains_json(const struct hak_report_domain *domains, uint64_t n, uint64_t now_ns)
{
	json_t *root = json_object(), *list = json_array();
	int r = json_object_set_new(root, "domains", list);

	for (uint64_t i = 0; i < n && r == 0; i++) {
		json_t *one = json_object();

		r = set_record(one, &domains[i], now_ns);
		r |= json_array_append_new(list, one);
	}
	return print_json(root, r);
}

/* ---- members ---- */

static int set_member(json_t *one, const struct domain_look *look, uint32_t k)
{
	const struct hak_member_entry *entry = &look->walk->join->head.member[k];
	char comm[DOMAIN_COMM];
	int r = set_number(one, "number", k);

	(void)domain_comm(comm, look, k);
	r |= set_number(one, "pid", entry->pid);
	r |= set_number(one, "uid", entry->uid);
	r |= json_object_set_new(one, "comm", *comm ? json_string(comm) : json_null());
	r |= json_object_set_new(one, "state",
				 json_string(domain_state_name(domain_walk_state(look->walk, k))));
	return r | set_number(one, "age_ns", domain_member_age(look, k));
}

static int set_holdings(json_t *one, const struct walk_member *m)
{
	int r = set_number(one, "held_bytes", domain_walk_held(m));

	r |= set_number(one, "held_slabs", m->slabs);
	r |= set_sum(one, "runs", &m->runs);
	r |= set_number(one, "blocks", m->blocks);
	r |= set_sum(one, "spans", &m->spans);
	r |= set_sum(one, "claimed", &m->claimed);
	r |= set_sum(one, "owned", &m->owned);
	r |= set_sum(one, "adopted", &m->adopted);
	r |= set_sum(one, "changing", &m->changing);
	r |= set_sum(one, "given_back", &m->freed);
	return r | set_sum(one, "guests", &m->guests);
}

static int set_unpublished(json_t *one, const struct domain_look *look, uint32_t k)
{
	const struct walk_member *m = &look->walk->member[k];
	int r = set_number(one, "held_bytes", domain_walk_held(m));
	uint64_t oldest;

	r |= set_sum(one, "owned", &m->owned);
	if (domain_oldest(look, k, &oldest))
		return r | set_number(one, "oldest_at_most_ns", oldest);
	return r | json_object_set_new(one, "oldest_at_most_ns", json_null());
}

/* An object for each member; with what it holds, or only what may have been forgotten. */
static int set_members(json_t *root, const struct domain_look *look, bool is_for_leaks)
{
	json_t *list = json_array();
	int r = json_object_set_new(root, "members", list);

	for (uint32_t k = 1; k < HAK_MEMBERS && r == 0; k++) {
		json_t *one;

		if (!domain_walk_shows(look->walk, k))
			continue;
		one = json_object();
		r = set_member(one, look, k);
		r |= is_for_leaks ? set_unpublished(one, look, k)
				  : set_holdings(one, &look->walk->member[k]);
		r |= json_array_append_new(list, one);
	}
	return r;
}

/* ---- roots and channels ---- */

static int set_roots(json_t *object, const struct domain_walk *walk, bool with_good)
{
	json_t *list = json_array();
	int r = json_object_set_new(object, "roots", list);

	for (uint32_t i = 0; i < walk->roots && r == 0; i++) {
		const struct walk_root *root = &walk->root[i];
		bool is_good = root->kind == WALK_REF_GOOD;
		json_t *one;

		if (is_good && !with_good)
			continue;
		one = json_object();
		r = set_text(one, "name", root->name, sizeof(root->name));
		r |= set_hex(one, "ref", root->ref);
		r |= json_object_set_new(one, "state", json_string(domain_ref_name(root->kind)));
		r |= json_object_set_new(one, "offset",
					 is_good ? number_of(root->offset) : json_null());
		r |= json_object_set_new(one, "bytes",
					 is_good ? number_of(root->size) : json_null());
		r |= json_array_append_new(list, one);
	}
	return r;
}

static int set_numbers(json_t *object, const char *name, const uint64_t members[HAK_MEMBERS / 64])
{
	json_t *list = json_array();
	int r = json_object_set_new(object, name, list);

	for (uint32_t k = 0; k < HAK_MEMBERS && r == 0; k++) {
		if (members[k / 64] >> k % 64 & 1)
			r = json_array_append_new(list, number_of(k));
	}
	return r;
}

static int set_channels(json_t *object, const struct domain_walk *walk, bool only_stuck)
{
	json_t *list = json_array();
	int r = json_object_set_new(object, "channels", list);

	for (uint32_t c = 0; c < HAK_CHANNELS && r == 0; c++) {
		const struct walk_channel *channel = &walk->channel[c];
		json_t *one;

		if (!channel->is_used || (only_stuck && !domain_is_stuck(channel)))
			continue;
		one = json_object();
		r = set_text(one, "name", channel->name, sizeof(channel->name));
		r |= set_number(one, "capacity", channel->capacity);
		r |= set_sum(one, "messages", &channel->moving);
		r |= set_numbers(one, "senders", channel->senders);
		r |= set_numbers(one, "receivers", channel->receivers);
		r |= json_array_append_new(list, one);
	}
	return r;
}

/* ---- whole reports ---- */

static int set_states(json_t *root, const struct domain_walk *walk)
{
	struct walk_member total = domain_total(walk);
	json_t *one = json_object();
	int r = set_slabs(one, "free_bytes", walk->free_slabs);

	r |= set_slabs(one, "held_bytes", total.slabs);
	r |= set_number(one, "orphaned_bytes", domain_walk_held(&walk->member[WALK_ORPHANS]));
	r |= set_slabs(one, "unclear_bytes", walk->unclear_slabs);
	r |= set_sum(one, "published", &walk->published);
	r |= set_sum(one, "moving", &walk->moving);
	r |= set_sum(one, "owned", &total.owned);
	r |= set_sum(one, "adopted", &total.adopted);
	r |= set_sum(one, "given_back", &total.freed);
	r |= set_sum(one, "unclear", &walk->unclear);
	return r | json_object_set_new(root, "states", one);
}

static int set_classes(json_t *root, const struct domain_walk *walk)
{
	json_t *list = json_array();
	int r = json_object_set_new(root, "classes", list);

	for (uint32_t c = 0; c < HAK_CLASSES && r == 0; c++) {
		json_t *one;

		if (!walk->class[c].slabs)
			continue;
		one = json_object();
		r = json_object_set_new(one, "block_bytes",
					c ? number_of(hak_class[c].size) : json_null());
		r |= set_number(one, "slabs", walk->class[c].slabs);
		r |= set_number(one, "excepted", walk->class[c].excepted);
		r |= json_array_append_new(list, one);
	}
	return r;
}

int render_domain_json(const struct domain_look *look)
{
	json_t *root = json_object(), *record = json_object();
	int r = json_object_set_new(root, "domain", record);

	r |= set_record(record, &look->record, look->now_ns);
	r |= set_members(root, look, false);
	r |= set_states(root, look->walk);
	r |= set_classes(root, look->walk);
	r |= set_roots(root, look->walk, true);
	r |= set_channels(root, look->walk, false);
	return print_json(root, r);
}

int render_who_json(const struct domain_look *look)
{
	json_t *root = json_object();
	int r = set_text(root, "domain", look->record.name, sizeof(look->record.name));

	r |= set_members(root, look, false);
	return print_json(root, r);
}

int render_leaks_json(const struct domain_look *look)
{
	const struct domain_walk *walk = look->walk;
	json_t *root = json_object();
	int r = set_text(root, "domain", look->record.name, sizeof(look->record.name));

	r |= set_sum(root, "published", &walk->published);
	r |= set_sum(root, "unnamed", &walk->unnamed);
	r |= set_channels(root, walk, true);
	r |= set_roots(root, walk, false);
	r |= set_members(root, look, true);
	r |= set_slabs(root, "unclear_bytes", walk->unclear_slabs);
	r |= set_sum(root, "unclear", &walk->unclear);
	return print_json(root, r);
}

int render_orphans_json(const struct domain_orphans *orphans, uint64_t n)
{
	json_t *root = json_object(), *list = json_array();
	int r = json_object_set_new(root, "domains", list);

	for (uint64_t i = 0; i < n && r == 0; i++) {
		const struct domain_orphans *o = &orphans[i];
		json_t *one = json_object();

		r = set_text(one, "name", o->record.name, sizeof(o->record.name));
		r |= set_number(one, "slabs", o->slabs);
		r |= set_slabs(one, "bytes", o->slabs);
		r |= set_sum(one, "outliving", &o->guests);
		r |= set_number(one, "dying_members", o->dying);
		r |= set_number(one, "dying_slabs", o->dying_slabs);
		r |= set_slabs(one, "dying_bytes", o->dying_slabs);
		r |= json_object_set_new(one, "error",
					 *o->error ? json_string(o->error) : json_null());
		r |= json_array_append_new(list, one);
	}
	return print_json(root, r);
}
