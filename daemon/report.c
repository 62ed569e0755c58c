/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/audit.h"
#include "daemon/bell.h"
#include "daemon/daemon.h"
#include "daemon/os.h"
#include "daemon/report_limits.h"
#include "daemon/session.h"
#include "daemon/version.h"
#include "shared/report.h"
#include "shared/sys.h"

static uint64_t fill_status(void *records, const struct daemon *daemon)
{
	const struct stats *stats = &daemon->stats;
	struct hak_report_status status = {
		.pid = (uint64_t)getpid(),
		.epoch = life_epoch(&daemon->life),
		.started_ns = daemon->started_ns,
		.now_ns = hak_sys_boottime_ns(),
		.sessions = daemon->session_count,
		.sessions_total = stats->sessions,
		.leased_bytes = daemon->accounts.superslabs * HAK_SUPERSLAB_SIZE,
		.requests_total = stats->requests,
		.leases_total = stats->leases,
		.returns_total = stats->returns,
		.reclaimed_total = stats->reclaimed,
		.refused_total = stats->refused,
		.evicted_total = stats->evicted,
		.limit_bytes = daemon->accounts.max_total * HAK_SUPERSLAB_SIZE,
		.nodes = daemon->numa.parts,
		.io_uring_futex = bells_use_io_uring(daemon->bells),
		.open_fds = os_count_fds(),
		.stock_bytes = stock_superslabs(&daemon->stock) * HAK_SUPERSLAB_SIZE,
		.stock_regions = stock_regions(&daemon->stock),
		.turned_away_total = stats->turned_away,
		.slowed_total = stats->slowed,
		.refusal_ns = daemon->last_refused.at_ns,
		.refusal_session = daemon->last_refused.session,
		.refusal_pid = (uint32_t)daemon->last_refused.pid,
		.refusal_uid = daemon->last_refused.uid,
		.refusal = daemon->last_refused.reason,
	};
	struct list *at, *tmp;

	(void)snprintf(status.version, sizeof(status.version), "%s", HAKMEMD_VERSION);
	list_for_each(at, tmp, &daemon->sessions)
	{
		const struct session *session = hak_container_of(at, struct session, link);

		status.frozen_bytes += session->region.frozen_count * HAK_SUPERSLAB_SIZE;
		status.huge_bytes += session->region.huge_count * HAK_SUPERSLAB_SIZE;
		status.stock_bytes += session->region.warm * HAK_SUPERSLAB_SIZE;
	}
	memcpy(records, &status, sizeof(status));
	return 1;
}

static uint64_t one(const struct daemon *daemon)
{
	(void)daemon;
	return 1;
}

static void fill_session(struct hak_report_session *ret, const struct session *session)
{
	struct hak_report_session record = {
		.id = session->id,
		.pid = (uint32_t)session->peer.pid,
		.uid = session->peer.uid,
		.gid = session->peer.gid,
		.state = session->conn ? HAK_SESSION_ATTACHED : HAK_SESSION_DETACHED,
		.since_ns = session->since_ns,
		.superslabs = session->region.runs.taken,
		.frozen = session->region.frozen_count,
		.huge = session->region.huge_count,
		.bytes = session->region.runs.taken * HAK_SUPERSLAB_SIZE,
		.requests = session->requests,
		.granted = session->granted,
		.returned = session->returned,
		.refused = session->refused,
		.last_request_ns = session->last_request_ns,
		.reserve = session->reserve.ready,
		.slowed = session->slowed,
		.refusal = session->refusal,
	};

	memcpy(record.comm, session->comm, sizeof(record.comm));
	*ret = record;
}

/* A process that is gone is not reported, although giving back its memory may take some turns. */
static uint64_t fill_sessions(void *ret, const struct daemon *daemon)
{
	struct hak_report_session *records = ret;
	struct list *at, *tmp;
	uint64_t n = 0;

	list_for_each(at, tmp, &daemon->sessions)
	{
		const struct session *session = hak_container_of(at, struct session, link);

		if (session->state != SESSION_DRAINING)
			fill_session(&records[n++], session);
	}
	return n;
}

static uint64_t max_sessions(const struct daemon *daemon)
{
	return daemon->session_count;
}

static void fill_domain(struct hak_report_domain *ret, const struct domain *domain)
{
	struct hak_report_domain record = {
		.id = domain->id,
		.uid = domain->uid,
		.gid = domain->gid,
		.mode = domain->attr.mode,
		.unlinked = domain->unlinked,
		.lifetime = domain->attr.lifetime,
		.orphan_policy = domain->attr.orphan_policy,
		.members = domain->alive,
		.members_total = domain->members_total,
		.bytes = domain->runs.taken * HAK_SUPERSLAB_SIZE,
		.quota = domain->attr.quota,
		.max_size = domain->attr.max_size,
		.base = domain->base,
		.refused = domain->needs,
		.created_ns = domain->created_ns,
		.last_event = domain->last_event,
	};
	struct list *at, *tmp;

	memcpy(record.name, domain->name, sizeof(record.name));
	list_for_each(at, tmp, &domain->members) record.dying++;
	record.dying -= record.members;
	*ret = record;
}

static uint64_t fill_domains(void *ret, const struct daemon *daemon)
{
	struct hak_report_domain *records = ret;
	struct list *at, *tmp;
	uint64_t n = 0;

	list_for_each(at, tmp, &daemon->domains.all)
	{
		const struct domain *domain = hak_container_of(at, struct domain, link);

		if (!domain->closing)
			fill_domain(&records[n++], domain);
	}
	return n;
}

static uint64_t max_domains(const struct daemon *daemon)
{
	return daemon->domains.count;
}

/* Written before it is sealed; never mapped, so that the seal against writing holds at once. */
static int sealed_file(int *ret_fd, const void *bytes, size_t size)
{
	int fd, r;

	r = hak_sys_memfd(&fd, "hakmem-report", size, false);
	if (r < 0)
		return r;
	r = os_pwrite(fd, bytes, size, 0);
	if (r == 0)
		r = hak_sys_add_seals(fd, F_SEAL_WRITE | F_SEAL_SEAL);
	if (r < 0) {
		hak_sys_close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* What is asked for, how large a record is, how many there are at the most, and who writes them. */
static const struct answer {
	uint32_t what;
	uint32_t record_size;
	uint64_t (*max)(const struct daemon *daemon);
	uint64_t (*fill)(void *records, const struct daemon *daemon); /* NULL: audit_fill() */
} answers[] = {
	{ HAK_QUERY_STATUS, sizeof(struct hak_report_status), one, fill_status },
	{ HAK_QUERY_SESSIONS, sizeof(struct hak_report_session), max_sessions, fill_sessions },
	{ HAK_QUERY_LIMITS, sizeof(struct hak_report_limit), report_limits_max,
	  report_limits_fill },
	{ HAK_QUERY_DOMAINS, sizeof(struct hak_report_domain), max_domains, fill_domains },
	{ HAK_QUERY_AUDIT, sizeof(struct hak_report_audit), audit_max, NULL },
};

int report_build(int *ret_fd, struct hak_wire_report *ret_body, const struct daemon *daemon,
		 const struct hak_wire_query_body *query)
{
	struct hak_wire_report body = { .what = query->what };
	const struct answer *answer = NULL;
	void *records;
	size_t size;
	int r;

	for (size_t i = 0; i < hak_array_size(answers); i++) {
		if (answers[i].what == query->what)
			answer = &answers[i];
	}
	if (!answer)
		return -EINVAL;
	records = calloc(answer->max(daemon) + 1, answer->record_size);
	if (!records)
		return -ENOMEM;
	body.record_size = answer->record_size;
	body.count = answer->fill ? answer->fill(records, daemon)
				  : audit_fill(records, daemon, query->after);
	/* One record at least: an empty file can't be mapped. */
	size = (body.count + 1) * answer->record_size;
	r = sealed_file(ret_fd, records, size);
	free(records);
	if (r == 0)
		*ret_body = body;
	return r;
}
