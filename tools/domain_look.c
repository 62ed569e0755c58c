/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/domain_look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/sys.h"
#include "tools/query.h"
#include "tools/render_domain.h"
#include "tools/text.h"

static int report_failure(const char *why)
{
	fprintf(stderr, "hakctl: %s\n", why);
	return EXIT_FAILURE;
}

static int ask(struct query *query, const char *socket)
{
	return query_run(query, socket, HAK_QUERY_DOMAINS, sizeof(struct hak_report_domain));
}

int domain_list(const char *socket, bool json)
{
	struct query query = QUERY_NULL;
	int r = ask(&query, socket);
	uint64_t now = hak_sys_boottime_ns();

	if (r < 0)
		r = report_failure(query.talk.error);
	else if (!json)
		render_domains_text(query.records, query.count, now);
	else if (render_domains_json(query.records, query.count, now) < 0)
		r = report_failure("out of memory");
	query_deinit(&query);
	return r;
}

/* The record is asked for before this reader joins, and is found by the id: a name may go to
 * another domain meanwhile. */
static int find_record(struct domain_look *look, struct domain_join *join,
		       const struct query *query)
{
	const struct hak_report_domain *d = query->records;

	for (uint64_t i = 0; i < query->count; i++) {
		if (d[i].id == join->head.id) {
			look->record = d[i];
			return 0;
		}
	}
	return talk_fail(&join->talk, "the domain was made just now: try again");
}

/* Asks, joins and walks; the reason of a failure is in join->talk.error. */
static int look_at(struct domain_look *look, struct domain_join *join, struct domain_walk **ret,
		   const char *socket, const char *name)
{
	struct query query = QUERY_NULL;
	int asked = ask(&query, socket);
	int r = domain_join(join, socket, name);

	if (r == 0 && asked < 0)
		r = talk_fail(&join->talk, "%s", query.talk.error);
	if (r == 0)
		r = find_record(look, join, &query);
	query_deinit(&query);
	if (r == 0)
		r = domain_walk_new(ret, join);
	look->walk = *ret;
	look->now_ns = hak_sys_boottime_ns();
	return r;
}

static const struct {
	const char *name;
	void (*text)(const struct domain_look *look);
	int (*json)(const struct domain_look *look);
} renderers[] = {
	{ "domain", render_domain_text, render_domain_json },
	{ "who", render_who_text, render_who_json },
	{ "leaks", render_leaks_text, render_leaks_json },
};

int domain_one(const char *socket, bool json, const char *command, const char *name)
{
	struct domain_look look = { 0 };
	struct domain_join join;
	struct domain_walk *walk = NULL;
	int r = look_at(&look, &join, &walk, socket, name);

	if (r < 0)
		r = report_failure(join.talk.error);
	for (size_t i = 0; i < hak_array_size(renderers) && r == 0; i++) {
		if (strcmp(renderers[i].name, command))
			continue;
		if (!json)
			renderers[i].text(&look);
		else if (renderers[i].json(&look) < 0)
			r = report_failure("out of memory");
	}
	domain_walk_free(walk);
	domain_leave(&join);
	return r;
}

static int count_orphans(struct domain_orphans *orphans, const char *socket, const char *name)
{
	struct domain_look look = { 0 };
	struct domain_join join;
	struct domain_walk *walk = NULL;
	int r = look_at(&look, &join, &walk, socket, name);

	if (r < 0) {
		memcpy(orphans->error, join.talk.error, sizeof(orphans->error));
	} else {
		orphans->record = look.record;
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): there is one, on 0. */
		orphans->slabs = walk->member[WALK_ORPHANS].slabs;
		orphans->guests = walk->member[WALK_ORPHANS].guests;
	}
	for (uint32_t k = 1; k < HAK_MEMBERS && r == 0; k++) {
		if (domain_walk_state(walk, k) != HAK_MEMBER_DYING || !domain_walk_shows(walk, k))
			continue;
		orphans->dying++;
		orphans->dying_slabs += walk->member[k].slabs;
	}
	domain_walk_free(walk);
	domain_leave(&join);
	return r;
}

static int show_orphans(const struct domain_orphans *orphans, uint64_t n, bool json)
{
	if (!json)
		render_orphans_text(orphans, n);
	else if (render_orphans_json(orphans, n) < 0)
		return report_failure("out of memory");
	return EXIT_SUCCESS;
}

/* Those that have a name; what may not be read is listed with the reason. */
static int list_all(const struct query *query, const char *socket, bool json)
{
	const struct hak_report_domain *d = query->records;
	struct domain_orphans *all = calloc(query->count + 1, sizeof(*all));
	uint64_t n = 0;
	int r;

	if (!all)
		return report_failure("out of memory");
	for (uint64_t i = 0; i < query->count; i++) {
		if (d[i].unlinked)
			continue;
		all[n].record = d[i];
		text_make_plain(all[n].record.name, sizeof(d[i].name));
		(void)count_orphans(&all[n], socket, all[n].record.name);
		n++;
	}
	r = show_orphans(all, n, json);
	free(all);
	return r;
}

int domain_list_orphans(const char *socket, bool json, const char *name)
{
	struct domain_orphans one = { 0 };
	struct query query = QUERY_NULL;
	int r;

	if (name) {
		r = count_orphans(&one, socket, name);
		return r < 0 ? report_failure(one.error) : show_orphans(&one, 1, json);
	}
	r = ask(&query, socket);
	r = r < 0 ? report_failure(query.talk.error) : list_all(&query, socket, json);
	query_deinit(&query);
	return r;
}
