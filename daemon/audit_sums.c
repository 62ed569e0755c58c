/* SPDX-License-Identifier: Apache-2.0 */
/* audit_sums.c - the part of audit.h that is about all of them together, and in which order. */
#include "daemon/audit.h"

#include "daemon/daemon.h"
#include "daemon/limits.h"
#include "daemon/os.h"
#include "daemon/session.h"

/* Faults and row of one item, at the most: those of a domain, one for each node among them. */
#define AUDIT_EACH ((uint64_t)HAK_AUDIT_FAULTS + HAK_PARTS_MAX)

/* Domains come behind sessions. */
#define AFTER_SESSIONS (UINT64_C(1) << 63)

/* ---- users ---- */

/* What an account must have been charged, by who is there. */
struct charges {
	uint64_t superslabs, sessions, domains, addresses, descriptors;
};

static void add_session(struct charges *sum, const struct session *session)
{
	sum->superslabs += session->region.runs.taken;
	sum->sessions++;
	sum->descriptors += LIMIT_SESSION_FDS + session->member_count * LIMIT_MEMBER_FDS;
}

static void add_domain(struct charges *sum, const struct domain *domain)
{
	sum->superslabs += domain->runs.taken;
	sum->domains++;
	sum->addresses += domain->attr.max_size;
	sum->descriptors += LIMIT_DOMAIN_FDS;
}

static struct charges charges_of(const struct daemon *daemon, const struct account *account)
{
	struct charges sum = { 0 };
	struct list *at, *tmp;

	list_for_each(at, tmp, &daemon->sessions)
	{
		const struct session *session = hak_container_of(at, struct session, link);

		if (session->account == account)
			add_session(&sum, session);
	}
	list_for_each(at, tmp, &daemon->domains.all)
	{
		const struct domain *domain = hak_container_of(at, struct domain, link);

		if (domain->account == account)
			add_domain(&sum, domain);
	}
	/* A connection gives its place to its session. */
	list_for_each(at, tmp, &daemon->conns)
	{
		if (hak_container_of(at, struct conn, link)->account != account)
			continue;
		sum.sessions++;
		sum.descriptors += LIMIT_CONN_FDS;
	}
	return sum;
}

static void audit_uid(struct audit *audit, const struct daemon *daemon,
		      const struct account *account)
{
	struct charges sum = charges_of(daemon, account);
	struct hak_report_audit row = {
		.scope = HAK_SCOPE_UID,
		.owner = account->uid,
		.uid = account->uid,
		.charged = account->superslabs,
		.sessions = account->sessions,
		.domains = account->domains,
		.descriptors = account->descriptors,
	};

	audit_equal(audit, &row, HAK_AUDIT_UID_CHARGED, account->superslabs, sum.superslabs);
	audit_equal(audit, &row, HAK_AUDIT_UID_SESSIONS, account->sessions, sum.sessions);
	audit_equal(audit, &row, HAK_AUDIT_UID_DOMAINS, account->domains, sum.domains);
	audit_equal(audit, &row, HAK_AUDIT_UID_ADDRESSES, account->addresses, sum.addresses);
	audit_equal(audit, &row, HAK_AUDIT_UID_DESCRIPTORS, account->descriptors, sum.descriptors);
	audit_row(audit, &row);
}

/* ---- the whole ---- */

static uint64_t length(const struct list *head)
{
	struct list *at, *tmp;
	uint64_t n = 0;

	list_for_each(at, tmp, head) n++;
	return n;
}

static void audit_total(struct audit *audit, const struct daemon *daemon)
{
	const struct accounts *accounts = &daemon->accounts;
	struct charges sum = { 0 };
	struct list *at, *tmp;
	struct hak_report_audit row = {
		.scope = HAK_SCOPE_DAEMON,
		.charged = accounts->superslabs,
		.sessions = accounts->sessions,
		.domains = accounts->domains,
		.descriptors = accounts->descriptors,
		.open_fds = os_count_fds(),
	};

	list_for_each(at, tmp, &accounts->all)
	{
		const struct account *account = hak_container_of(at, struct account, link);

		sum.superslabs += account->superslabs;
		sum.sessions += account->sessions;
		sum.domains += account->domains;
		sum.descriptors += account->descriptors;
	}
	audit_equal(audit, &row, HAK_AUDIT_TOTAL_CHARGED, accounts->superslabs, sum.superslabs);
	audit_equal(audit, &row, HAK_AUDIT_TOTAL_SESSIONS, accounts->sessions, sum.sessions);
	audit_equal(audit, &row, HAK_AUDIT_TOTAL_DOMAINS, accounts->domains, sum.domains);
	audit_equal(audit, &row, HAK_AUDIT_TOTAL_DESCRIPTORS, accounts->descriptors,
		    sum.descriptors);
	audit_equal(audit, &row, HAK_AUDIT_SESSION_COUNT, daemon->session_count,
		    length(&daemon->sessions));
	audit_equal(audit, &row, HAK_AUDIT_DOMAIN_COUNT, daemon->domains.count,
		    length(&daemon->domains.all));
	audit_within(audit, &row, HAK_AUDIT_OPEN_OVER, row.open_fds,
		     accounts->descriptors + LIMIT_SPARE_FDS +
			     daemon->config.stock_sessions * (uint64_t)daemon->numa.parts);
	audit_row(audit, &row);
}

static void audit_nodes(struct audit *audit, const struct daemon *daemon)
{
	for (uint32_t p = 0; p < daemon->numa.parts; p++) {
		struct hak_report_audit row = {
			.scope = HAK_SCOPE_NODE,
			.owner = numa_node_of(&daemon->numa, p),
			.charged = daemon->placement.held[p],
		};
		struct list *at, *tmp;
		uint64_t n = 0;

		list_for_each(at, tmp, &daemon->sessions) n +=
			hak_container_of(at, struct session, link)->placed.held[p];
		list_for_each(at, tmp, &daemon->domains.all) n +=
			hak_container_of(at, struct domain, link)->placed.held[p];
		audit_equal(audit, &row, HAK_AUDIT_NODE_HELD, row.charged, n);
		audit_row(audit, &row);
	}
}

/* ---- stock ---- */

struct stocked_sum {
	struct audit *audit;
	struct hak_report_audit row;
	uint64_t ready, making;
};

static void audit_stocked(void *arg, const struct region *region, bool making)
{
	static const struct audit_building none[2];
	struct stocked_sum *sum = arg;
	struct hak_report_audit one = { .scope = HAK_SCOPE_STOCK, .ending = making };

	*(making ? &sum->making : &sum->ready) += 1;
	audit_region(sum->audit, &one, region, NULL, none, NULL);
	sum->audit->n--; /* its row is a part of the sum's; faults stay */
	audit_equal(sum->audit, &one, HAK_AUDIT_STOCK_TAKEN, one.charged, 0);
	sum->row.warm += one.warm;
	sum->row.file += one.file;
	sum->row.touched += one.touched;
}

static void audit_stock(struct audit *audit, const struct daemon *daemon)
{
	struct stocked_sum sum = { .audit = audit, .row = { .scope = HAK_SCOPE_STOCK } };
	uint64_t counted = 0;

	stock_each(&daemon->stock, audit_stocked, &sum);
	for (uint32_t p = 0; p < HAK_PARTS_MAX; p++)
		counted += daemon->stock.shelf[p].n_ready + daemon->stock.shelf[p].n_making;
	sum.row.sessions = sum.ready;
	audit_equal(audit, &sum.row, HAK_AUDIT_STOCK_COUNT, counted, sum.ready + sum.making);
	audit_row(audit, &sum.row);
}

void audit_sums(struct audit *audit, const struct daemon *daemon)
{
	struct list *at, *tmp;

	audit_total(audit, daemon);
	list_for_each(at, tmp, &daemon->accounts.all)
		audit_uid(audit, daemon, hak_container_of(at, struct account, link));
	audit_nodes(audit, daemon);
	audit_stock(audit, daemon);
}

/* ---- in which order ---- */

/* What comes next behind a key: a session, or a domain, or neither. */
struct next {
	uint64_t key; /* 0: nothing */
	const struct session *session;
	const struct domain *domain;
};

static void consider(struct next *next, uint64_t after, uint64_t key, const struct session *session,
		     const struct domain *domain)
{
	if (key > after && (!next->key || key < next->key))
		*next = (struct next){ key, session, domain };
}

static struct next find_next(const struct daemon *daemon, uint64_t after)
{
	struct next next = { 0 };
	struct list *at, *tmp;

	list_for_each(at, tmp, &daemon->sessions)
	{
		const struct session *session = hak_container_of(at, struct session, link);

		consider(&next, after, session->id, session, NULL);
	}
	list_for_each(at, tmp, &daemon->domains.all)
	{
		const struct domain *domain = hak_container_of(at, struct domain, link);

		consider(&next, after, AFTER_SESSIONS | domain->id, NULL, domain);
	}
	return next;
}

uint64_t audit_max(const struct daemon *daemon)
{
	uint64_t n = LIMIT_AUDIT_STEP + 2 + length(&daemon->accounts.all) + daemon->numa.parts;

	for (uint32_t p = 0; p < HAK_PARTS_MAX; p++)
		n += length(&daemon->stock.shelf[p].ready) + length(&daemon->stock.shelf[p].making);
	return n * AUDIT_EACH;
}

uint64_t audit_fill(struct hak_report_audit *records, const struct daemon *daemon, uint64_t after)
{
	struct audit audit = { .records = records, .max = audit_max(daemon) };
	struct hak_report_audit more = { .scope = HAK_SCOPE_MORE };
	struct next next;

	if (!after)
		audit_sums(&audit, daemon);
	for (uint32_t i = 0; i < LIMIT_AUDIT_STEP; i++) {
		next = find_next(daemon, after);
		if (!next.key)
			return audit.n;
		after = next.key;
		if (next.session)
			audit_session(&audit, next.session);
		else
			audit_domain(&audit, next.domain);
	}
	more.owner = after;
	audit_row(&audit, &more);
	return audit.n;
}
