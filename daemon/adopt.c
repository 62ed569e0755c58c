/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/adopt.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/daemon.h"
#include "daemon/log.h"
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
	refuse_rest(daemon->store, "nobody's");
	sessions_adopted(daemon);
	log_event(LOG_AT_INFO, "adopted", "sessions=%u domains=%u epoch=%llu",
		  daemon->session_count, daemon->domains.count,
		  (unsigned long long)life_epoch(&daemon->life));
	return 0;
}
