/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/report_limits.h"

#include <stdio.h>

#include "daemon/daemon.h"
#include "daemon/session.h"
#include "shared/report.h"

#define DAEMON_LIMITS  5u
#define UID_LIMITS     5u
#define SESSION_LIMITS 2u

struct writer {
	struct hak_report_limit *at;
	uint32_t scope;
	uint64_t owner;
};

static void put(struct writer *to, const char *key, enum hak_report_unit unit, uint64_t limit,
		uint64_t used, uint64_t hits)
{
	struct hak_report_limit record = { .scope = to->scope,
					   .unit = unit,
					   .owner = to->owner,
					   .limit = limit,
					   .used = used,
					   .hits = hits };

	(void)snprintf(record.key, sizeof(record.key), "%s", key);
	*to->at++ = record;
}

static void put_superslabs(struct writer *to, const char *key, uint64_t limit, uint64_t used,
			   uint64_t hits)
{
	put(to, key, HAK_UNIT_BYTES, limit * HAK_SUPERSLAB_SIZE, used * HAK_SUPERSLAB_SIZE, hits);
}

static void put_requests(struct writer *to, const char *key, uint64_t rate,
			 const struct bucket *bucket, uint64_t hits)
{
	put(to, key, HAK_UNIT_PER_SECOND, rate, bucket_used(bucket, rate, hak_sys_now_ns()), hits);
}

static void put_daemon(struct writer *to, const struct daemon *daemon)
{
	const struct accounts *all = &daemon->accounts;

	put_superslabs(to, "total-bytes", all->max_total, all->superslabs, all->hits.bytes);
	put(to, "sessions", HAK_UNIT_COUNT, all->max_sessions, all->sessions, all->hits.sessions);
	put(to, "descriptors", HAK_UNIT_COUNT, all->max_descriptors, all->descriptors,
	    all->hits.descriptors);
	put(to, "domains", HAK_UNIT_COUNT, all->max_domains, all->domains, all->hits.domains);
	put(to, "greeting-timeout", HAK_UNIT_NS, daemon->config.greeting_ms * UINT64_C(1000000), 0,
	    daemon->stats.late);
}

static void put_uid(struct writer *to, const struct accounts *all, const struct account *account)
{
	to->owner = account->uid;
	put_superslabs(to, "uid-bytes", all->max_uid, account->superslabs, account->hits.bytes);
	put(to, "uid-sessions", HAK_UNIT_COUNT, all->max_uid_sessions, account->sessions,
	    account->hits.sessions);
	put(to, "uid-descriptors", HAK_UNIT_COUNT, all->max_uid_descriptors, account->descriptors,
	    account->hits.descriptors);
	put_requests(to, "uid-requests", all->max_uid_requests, &account->requests,
		     account->hits.requests);
	put(to, "uid-domains", HAK_UNIT_COUNT, all->max_uid_domains, account->domains,
	    account->hits.domains);
}

static void put_session(struct writer *to, const struct accounts *all,
			const struct session *session)
{
	to->owner = session->id;
	put_superslabs(to, "session-bytes", all->max_session, session->region.runs.taken,
		       session->refused_bytes);
	put_requests(to, "session-requests", all->max_session_requests, &session->requests_left,
		     session->slowed);
}

/* The quota that it was made with, or what the configuration leaves of it. */
static void put_domain(struct writer *to, const struct domain *domain)
{
	to->owner = domain->id;
	put_superslabs(to, "domain-bytes", domain_max(domain), domain->runs.taken, domain->hits);
}

static void put_nodes(struct writer *to, const struct daemon *daemon)
{
	const struct placement *placement = &daemon->placement;

	for (uint32_t p = 0; p < daemon->numa.parts; p++) {
		to->owner = daemon->numa.node[p];
		put_superslabs(to, "node-bytes", placement->max_node, placement->held[p],
			       placement->hits[p]);
	}
}

uint64_t report_limits_max(const struct daemon *daemon)
{
	/* A user has one place, or a domain, at least. */
	return DAEMON_LIMITS + daemon->numa.parts + daemon->domains.count +
	       (daemon->accounts.sessions + daemon->accounts.domains) * (uint64_t)UID_LIMITS +
	       daemon->session_count * (uint64_t)SESSION_LIMITS;
}

uint64_t report_limits_fill(void *records, const struct daemon *daemon)
{
	struct writer to = { .at = records, .scope = HAK_SCOPE_DAEMON };
	struct list *at, *tmp;

	put_daemon(&to, daemon);
	to.scope = HAK_SCOPE_NODE;
	put_nodes(&to, daemon);
	to.scope = HAK_SCOPE_UID;
	list_for_each(at, tmp, &daemon->accounts.all)
		put_uid(&to, &daemon->accounts, hak_container_of(at, struct account, link));
	to.scope = HAK_SCOPE_SESSION;
	list_for_each(at, tmp, &daemon->sessions)
	{
		const struct session *session = hak_container_of(at, struct session, link);

		if (session->state != SESSION_DRAINING)
			put_session(&to, &daemon->accounts, session);
	}
	to.scope = HAK_SCOPE_DOMAIN;
	list_for_each(at, tmp, &daemon->domains.all)
		put_domain(&to, hak_container_of(at, struct domain, link));
	return (uint64_t)(to.at - (struct hak_report_limit *)records);
}
