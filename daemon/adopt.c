/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/adopt.h"

#include "daemon/daemon.h"
#include "daemon/log.h"
#include "daemon/session.h"
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
	refuse_rest(daemon->store, "nobody's");
	log_event(LOG_AT_INFO, "adopted", "sessions=%u domains=%u epoch=%llu",
		  daemon->session_count, daemon->domains.count,
		  (unsigned long long)life_epoch(&daemon->life));
	return 0;
}
