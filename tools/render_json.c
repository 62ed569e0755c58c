/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/render.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "libclient/include/hakmem.h"
#include "shared/wire.h"
#include "tools/text.h"

/* A number of a record and its name in JSON. */
struct field {
	const char *name;
	size_t offset;
	size_t width;
};

#define STATUS(f)                                                  \
	{                                                          \
#f, offsetof(struct hak_report_status, f),         \
			sizeof(((struct hak_report_status *)0)->f) \
	}
#define SESSION(f)                                                  \
	{                                                           \
#f, offsetof(struct hak_report_session, f),         \
			sizeof(((struct hak_report_session *)0)->f) \
	}

static const struct field status_fields[] = {
	STATUS(sessions),      STATUS(sessions_total),    STATUS(leased_bytes),
	STATUS(frozen_bytes),  STATUS(huge_bytes),        STATUS(requests_total),
	STATUS(leases_total),  STATUS(returns_total),     STATUS(reclaimed_total),
	STATUS(refused_total), STATUS(evicted_total),     STATUS(limit_bytes),
	STATUS(nodes),         STATUS(open_fds),          STATUS(stock_bytes),
	STATUS(stock_regions), STATUS(turned_away_total), STATUS(slowed_total),
};

static const struct field session_fields[] = {
	SESSION(superslabs), SESSION(frozen),  SESSION(huge),     SESSION(bytes),
	SESSION(requests),   SESSION(granted), SESSION(returned), SESSION(refused),
	SESSION(reserve),    SESSION(slowed),
};

/* JSON's readers, jansson first, have no integers above this. */
static json_t *number(uint64_t v)
{
	return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

static int set_number(json_t *object, const char *name, uint64_t v)
{
	return json_object_set_new(object, name, number(v));
}

/* A field of a record; none of them is longer. */
static int set_text(json_t *object, const char *name, const char *field, size_t size)
{
	char plain[64];

	assert(size < sizeof(plain));
	text_copy_plain(plain, field, size);
	return json_object_set_new(object, name, json_string(plain));
}

static int set_fields(json_t *object, const void *record, const struct field *fields, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		const char *at = (const char *)record + fields[i].offset;
		uint32_t narrow;
		uint64_t v;

		if (fields[i].width == sizeof(narrow)) {
			memcpy(&narrow, at, sizeof(narrow));
			v = narrow;
		} else {
			memcpy(&v, at, sizeof(v));
		}
		r |= set_number(object, fields[i].name, v);
	}
	return r;
}

/* Prints it if nothing failed on the way, and frees it. */
static int print(json_t *root, int r)
{
	if (r == 0)
		r = json_dumpf(root, stdout, JSON_INDENT(2));
	if (r == 0)
		(void)putchar('\n');
	json_decref(root);
	return r ? -1 : 0;
}

static json_t *last_refusal(const struct hak_report_status *status)
{
	json_t *one;
	int r;

	if (!status->refusal)
		return json_null();
	one = json_object();
	r = json_object_set_new(one, "reason", json_string(hak_refusal_name(status->refusal)));
	r |= set_number(one, "session", status->refusal_session);
	r |= set_number(one, "pid", status->refusal_pid);
	r |= set_number(one, "uid", status->refusal_uid);
	r |= set_number(one, "age_ns", render_since(status->now_ns, status->refusal_ns));
	if (r == 0)
		return one;
	json_decref(one);
	return NULL;
}

int render_status_json(const struct hak_report_status *status)
{
	json_t *root = json_object();
	char epoch[TEXT_NUMBER];
	int r;

	/* 64 random bits, a name and no quantity: as a number, half of them would not fit. */
	(void)snprintf(epoch, sizeof(epoch), "%016llx", (unsigned long long)status->epoch);
	r = set_text(root, "version", status->version, sizeof(status->version));
	r |= set_number(root, "pid", status->pid);
	r |= json_object_set_new(root, "epoch", json_string(epoch));
	r |= set_number(root, "uptime_ns", render_since(status->now_ns, status->started_ns));
	r |= set_fields(root, status, status_fields, hak_array_size(status_fields));
	r |= json_object_set_new(root, "ring_wait",
				 json_string(status->io_uring_futex ? "io_uring" : "threads"));
	r |= json_object_set_new(root, "last_refusal", last_refusal(status));
	return print(root, r);
}

/* What the daemon refused last: null, or why. */
static json_t *refusal(uint32_t reason)
{
	return reason ? json_string(hak_refusal_name(reason)) : json_null();
}

static const char *state_name(uint32_t state)
{
	return state == HAK_SESSION_ATTACHED   ? "attached"
	       : state == HAK_SESSION_DETACHED ? "detached"
					       : "unknown";
}

static int add_session(json_t *list, const struct hak_report_session *s, uint64_t now_ns)
{
	json_t *one = json_object();
	uint64_t last = s->last_request_ns ? s->last_request_ns : s->since_ns;
	int r;

	r = set_number(one, "id", s->id);
	r |= set_number(one, "pid", s->pid);
	r |= set_number(one, "uid", s->uid);
	r |= set_number(one, "gid", s->gid);
	r |= json_object_set_new(one, "state", json_string(state_name(s->state)));
	r |= set_text(one, "comm", s->comm, sizeof(s->comm));
	r |= set_number(one, "age_ns", render_since(now_ns, s->since_ns));
	r |= set_fields(one, s, session_fields, hak_array_size(session_fields));
	r |= set_number(one, "idle_ns", render_since(now_ns, last));
	r |= json_object_set_new(one, "last_refusal", refusal(s->refusal));
	return r | json_array_append_new(list, one);
}

int render_sessions_json(const struct hak_report_session *sessions, uint64_t n, uint64_t now_ns)
{
	json_t *root = json_object(), *list = json_array();
	int r = json_object_set_new(root, "sessions", list);

	for (uint64_t i = 0; i < n && r == 0; i++)
		r = add_session(list, &sessions[i], now_ns);
	return print(root, r);
}

static int add_limit(json_t *list, const struct hak_report_limit *limit)
{
	static const char *const units[] = { "unknown", "bytes", "count", "per_second", "ns" };
	static const char *const scopes[] = { "unknown", "daemon", "uid",
					      "session", "node",   "domain" };
	uint32_t unit = limit->unit < hak_array_size(units) ? limit->unit : 0;
	uint32_t scope = limit->scope < hak_array_size(scopes) ? limit->scope : 0;
	json_t *one = json_object();
	int r;

	r = set_text(one, "key", limit->key, sizeof(limit->key));
	r |= json_object_set_new(one, "scope", json_string(scopes[scope]));
	if (scope >= HAK_SCOPE_UID)
		r |= set_number(one, scopes[scope], limit->owner);
	r |= json_object_set_new(one, "unit", json_string(units[unit]));
	r |= json_object_set_new(one, "limit", limit->limit ? number(limit->limit) : json_null());
	r |= json_object_set_new(one, "used",
				 unit == HAK_UNIT_NS ? json_null() : number(limit->used));
	r |= set_number(one, "hits", limit->hits);
	return r | json_array_append_new(list, one);
}

int render_limits_json(const struct hak_report_limit *limits, uint64_t n)
{
	json_t *root = json_object(), *list = json_array();
	int r = json_object_set_new(root, "limits", list);

	for (uint64_t i = 0; i < n && r == 0; i++)
		r = add_limit(list, &limits[i]);
	return print(root, r);
}

int render_version_json(void)
{
	json_t *root = json_object();
	int r = json_object_set_new(root, "version", json_string(HAKMEM_VERSION));

	r |= set_number(root, "protocol_min", HAK_WIRE_VERSION_MIN);
	r |= set_number(root, "protocol_max", HAK_WIRE_VERSION_MAX);
	return print(root, r);
}
