/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "tools/render.h"
#include "tools/text.h"

static unsigned long long wide(uint64_t v)
{
	return v;
}

void render_status_text(const struct hak_report_status *status, const char *socket)
{
	char version[sizeof(status->version) + 1], a[TEXT_NUMBER], b[TEXT_NUMBER];

	text_copy_plain(version, status->version, sizeof(status->version));
	printf("hakmemd %s at %s, pid %llu, up %s\n\n", version, socket, wide(status->pid),
	       text_duration(a, render_since(status->now_ns, status->started_ns)));
	printf("sessions     %llu now, %llu since start, %llu evicted\n", wide(status->sessions),
	       wide(status->sessions_total), wide(status->evicted_total));
	printf("leased       %s of at most %s\n", text_bytes(a, status->leased_bytes),
	       text_bytes(b, status->limit_bytes));
	printf("             %s in 2 MiB pages, %s frozen by forks\n",
	       text_bytes(a, status->huge_bytes), text_bytes(b, status->frozen_bytes));
	printf("stock        %s filled ahead, %llu regions ready\n",
	       text_bytes(a, status->stock_bytes), wide(status->stock_regions));
	printf("superslabs   %llu granted, %llu returned, %llu reclaimed after a death\n",
	       wide(status->leases_total), wide(status->returns_total),
	       wide(status->reclaimed_total));
	printf("requests     %llu, %llu leases refused, %llu times a session slowed down\n",
	       wide(status->requests_total), wide(status->refused_total),
	       wide(status->slowed_total));
	if (status->turned_away_total)
		printf("connections  %llu turned away\n", wide(status->turned_away_total));
	if (status->refusal)
		printf("last refusal %s ago, to pid %u of uid %u: %s\n",
		       text_duration(a, render_since(status->now_ns, status->refusal_ns)),
		       status->refusal_pid, status->refusal_uid, hak_refusal_name(status->refusal));
	printf("daemon       %u NUMA node%s, rings waited for by %s, %llu descriptors\n",
	       status->nodes, status->nodes == 1 ? "" : "s",
	       status->io_uring_futex ? "io_uring" : "threads", wide(status->open_fds));
}

static void render_session(const struct hak_report_session *s, uint64_t now_ns)
{
	uint64_t last = s->last_request_ns ? s->last_request_ns : s->since_ns;
	char comm[sizeof(s->comm) + 1], held[TEXT_NUMBER], age[TEXT_NUMBER], idle[TEXT_NUMBER];

	text_copy_plain(comm, s->comm, sizeof(s->comm));
	printf("%6llu %8u %6u %c %10s %8llu %6llu %6llu %9llu %9s %9s  %-15s  %s\n", wide(s->id),
	       s->pid, s->uid,
	       s->state == HAK_SESSION_ATTACHED   ? 'A'
	       : s->state == HAK_SESSION_DETACHED ? 'D'
						  : '?',
	       text_bytes(held, s->bytes), wide(s->superslabs), wide(s->huge), wide(s->frozen),
	       wide(s->requests), text_duration(age, render_since(now_ns, s->since_ns)),
	       text_duration(idle, render_since(now_ns, last)),
	       s->refusal ? hak_refusal_name(s->refusal) : "-", comm);
}

void render_sessions_text(const struct hak_report_session *sessions, uint64_t n, uint64_t now_ns)
{
	printf("%6s %8s %6s S %10s %8s %6s %6s %9s %9s %9s  %-15s  %s\n", "ID", "PID", "UID",
	       "HELD", "SUPERSL.", "HUGE", "FROZEN", "REQUESTS", "AGE", "IDLE", "REFUSED",
	       "COMMAND");
	for (uint64_t i = 0; i < n; i++)
		render_session(&sessions[i], now_ns);
}

static const char *limit_value(char ret[TEXT_NUMBER], uint32_t unit, uint64_t value)
{
	switch (unit) {
	case HAK_UNIT_BYTES:
		return text_bytes(ret, value);
	case HAK_UNIT_NS:
		return text_duration(ret, value);
	case HAK_UNIT_PER_SECOND:
		(void)snprintf(ret, TEXT_NUMBER, "%llu /s", wide(value));
		return ret;
	default:
		(void)snprintf(ret, TEXT_NUMBER, "%llu", wide(value));
		return ret;
	}
}

void render_limits_text(const struct hak_report_limit *limits, uint64_t n)
{
	char key[sizeof(limits->key) + 1], owner[48], limit[TEXT_NUMBER], used[TEXT_NUMBER];

	printf("%-18s %-16s %12s %12s %9s\n", "LIMIT", "BINDS", "VALUE", "IN USE", "HITS");
	for (uint64_t i = 0; i < n; i++) {
		const struct hak_report_limit *l = &limits[i];

		text_copy_plain(key, l->key, sizeof(l->key));
		if (l->scope == HAK_SCOPE_DAEMON)
			(void)snprintf(owner, sizeof(owner), "all");
		else
			(void)snprintf(owner, sizeof(owner), "%s %llu",
				       l->scope == HAK_SCOPE_UID       ? "uid"
				       : l->scope == HAK_SCOPE_SESSION ? "session"
				       : l->scope == HAK_SCOPE_NODE    ? "node"
				       : l->scope == HAK_SCOPE_DOMAIN  ? "domain"
								       : "?",
				       wide(l->owner));
		printf("%-18s %-16s %12s %12s %9llu\n", key, owner,
		       l->limit ? limit_value(limit, l->unit, l->limit) : "none",
		       l->unit == HAK_UNIT_NS ? "-" : limit_value(used, l->unit, l->used),
		       wide(l->hits));
	}
}
