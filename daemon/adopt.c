/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/adopt.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/daemon.h"
#include "daemon/domain_adopt.h"
#include "daemon/log.h"
#include "daemon/member.h"
#include "daemon/session_adopt.h"
#include "daemon/store.h"

/* What nobody took over: of no life page, or of no domain that was adopted. */
static void refuse_rest(struct store *store, const char *why)
{
	struct list *at, *tmp;

	list_for_each(at, tmp, &store->all)
	{
		struct store_set *set = hak_container_of(at, struct store_set, link);

		if (!set->kept)
			store_refuse(store, set, "descriptor", why);
	}
}

/* The book's id, by which its owner drops the name one day. */
static bool is_named_so(const struct store_set *set)
{
	uint64_t id = strtoull(set->name + 1, NULL, 10);
	struct book_head head;

	for (unsigned i = 0; i < set->n; i++) {
		if (book_look(set->fds[i], &head))
			return head.id == id;
	}
	return true; /* who looks for the book will say so */
}

static void adopt_session(struct daemon *daemon, struct store_set *set)
{
	const char *fault = "another's name";
	int r = -EINVAL;

	if (is_named_so(set)) {
		store_keep(set); /* they are consumed, whatever happens */
		r = session_adopt(daemon, set->fds, set->n, &fault);
	}
	if (r == -ESRCH)
		store_drop(daemon->store, set->name);
	else if (r < 0)
		store_refuse(daemon->store, set, "session", fault);
}

static void adopt_sessions(struct daemon *daemon)
{
	struct list *at, *tmp;

	list_for_each(at, tmp, &daemon->store->all)
	{
		struct store_set *set = hak_container_of(at, struct store_set, link);

		if (set->name[0] == 's' && !set->kept)
			adopt_session(daemon, set);
	}
}

/* ---- domains ---- */

struct signs {
	unsigned n;
	struct domain_sign *sign;
	struct store_set **set;
};

static void find_signs(struct signs *signs, const struct store *store)
{
	struct list *at, *tmp;
	char *end;

	*signs = (struct signs){ .sign = calloc(store->fds + 1, sizeof(*signs->sign)),
				 .set = calloc(store->fds + 1, sizeof(struct store_set *)) };
	list_for_each(at, tmp, &store->all)
	{
		struct store_set *set = hak_container_of(at, struct store_set, link);

		if (set->name[0] != 'm' || set->n != 1 || !signs->sign || !signs->set)
			continue;
		signs->set[signs->n] = set;
		signs->sign[signs->n].fd = set->fds[0];
		signs->sign[signs->n].domain = strtoull(set->name + 1, &end, 10);
		signs->sign[signs->n].number = (uint32_t)strtoul(end + 1, NULL, 10);
		signs->n++;
	}
}

/* Those that were taken over; a dead member's is closed already. */
static void keep_signs(struct signs *signs, struct store *store, const struct domain *domain)
{
	struct list *at, *tmp;
	unsigned kept = 0;

	list_for_each(at, tmp, &domain->members)
	{
		const struct member *member = hak_container_of(at, struct member, link);

		for (unsigned i = 0; i < signs->n; i++) {
			if (!member->dying && member->sign == signs->set[i]->fds[0])
				store_keep(signs->set[i]);
		}
		if (!member->dying)
			member_store(member);
	}
	for (unsigned i = 0; i < signs->n; i++) {
		bool taken = signs->sign[i].fd < 0;

		if (taken && !signs->set[i]->kept) {
			store_keep(signs->set[i]);
			store_drop(store, signs->set[i]->name);
		}
		if (taken)
			continue;
		signs->set[kept] = signs->set[i];
		signs->sign[kept++] = signs->sign[i];
	}
	signs->n = kept;
}

static void adopt_domain(struct daemon *daemon, struct store_set *set, struct signs *signs)
{
	struct store *store = daemon->store;
	const char *fault = "another's name";
	int r = -EINVAL;

	if (is_named_so(set))
		r = domain_adopt(daemon, set->fds, set->n, signs->sign, signs->n, &fault);
	if (r < 0) {
		store_refuse(store, set, "domain", fault);
		return;
	}
	store_keep(set);
	keep_signs(signs, store, hak_container_of(daemon->domains.all.prev, struct domain, link));
}

/* Anew from the beginning each time: with a domain signs of its dead leave the list. */
static struct store_set *next_domain(const struct store *store)
{
	struct list *at, *tmp;

	list_for_each(at, tmp, &store->all)
	{
		struct store_set *set = hak_container_of(at, struct store_set, link);

		if (set->name[0] == 'd' && !set->kept)
			return set;
	}
	return NULL;
}

static void adopt_domains(struct daemon *daemon)
{
	struct store_set *set;
	struct signs signs;

	find_signs(&signs, daemon->store);
	while ((set = next_domain(daemon->store)))
		adopt_domain(daemon, set, &signs);
	free(signs.sign);
	free(signs.set);
	domains_adopted(daemon);
}

int adopt(struct daemon *daemon)
{
	bool first;
	int r = life_open(&daemon->life, daemon->store, &first);

	if (r < 0)
		return r;
	if (first) {
		refuse_rest(daemon->store, "of an unknown line of daemons");
		return 0;
	}
	adopt_sessions(daemon);
	adopt_domains(daemon);
	refuse_rest(daemon->store, "nobody's");
	sessions_adopted(daemon);
	log_event(LOG_AT_INFO, "adopted", "sessions=%u domains=%u epoch=%llu",
		  daemon->session_count, daemon->domains.count,
		  (unsigned long long)life_epoch(&daemon->life));
	return 0;
}
