/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/query.h"
#include "tools/text.h"

/* A daemon that always says "more" is none of ours. */
#define ANSWERS_MAX 100000u

/* The two sides of each equation, as in report_audit.h. */
static const struct {
	const char *name, *left, *relation, *right;
} faults[HAK_AUDIT_FAULTS] = {
	[0] = { "unknown", "left", "!=", "right" },
	[HAK_AUDIT_TAKEN] = { "taken", "charged", "!=", "taken in the table" },
	[HAK_AUDIT_FROZEN] = { "frozen", "counted as frozen", "!=", "frozen in the table" },
	[HAK_AUDIT_FROZEN_FREE] = { "frozen-free", "frozen and not leased", "!=", "" },
	[HAK_AUDIT_HUGE] = { "huge", "counted as huge", "!=", "huge in the table" },
	[HAK_AUDIT_HUGE_UNBUILT] = { "huge-unbuilt", "huge and not filled", "!=", "" },
	[HAK_AUDIT_WARM] = { "warm", "counted as warm", "!=", "filled and not leased" },
	[HAK_AUDIT_RESERVE] = { "reserve", "counted as ready", "!=", "granted ahead" },
	[HAK_AUDIT_RESERVE_FREE] = { "reserve-free", "granted ahead and not leased", "!=", "" },
	[HAK_AUDIT_BUILDING_FREE] = { "building-free", "being built and not leased", "!=", "" },
	[HAK_AUDIT_STATES_OVER] = { "states", "frozen, reserve and building", ">", "taken" },
	[HAK_AUDIT_PLACED] = { "placed", "charged to nodes", "!=", "taken" },
	[HAK_AUDIT_TOUCHED_OVER] = { "unleased-touched", "bytes in the file", ">",
				     "bytes leased or filled" },
	[HAK_AUDIT_GRANTED] = { "granted", "counted as granted", "!=", "granted in the table" },
	[HAK_AUDIT_GRANTED_FREE] = { "granted-free", "granted and not taken", "!=", "" },
	[HAK_AUDIT_GRANTED_SHOWN] = { "granted-shown", "granted as members are told",
				      "!=", "granted" },
	[HAK_AUDIT_WASTE] = { "waste", "counted as waste", "!=", "waste in the table" },
	[HAK_AUDIT_WASTE_HELD] = { "waste-held", "waste and granted, or not taken", "!=", "" },
	[HAK_AUDIT_DOMAIN_TAKEN] = { "domain-taken", "taken", "!=", "granted, waste and building" },
	[HAK_AUDIT_DOMAIN_PART] = { "domain-node", "charged to a node", "!=", "meant for it" },
	[HAK_AUDIT_MEMBERS] = { "members", "counted as alive", "!=", "alive" },
	[HAK_AUDIT_NUMBERS] = { "numbers", "numbers taken", "!=", "members" },
	[HAK_AUDIT_UID_CHARGED] = { "uid-bytes", "charged", "!=", "held by sessions and domains" },
	[HAK_AUDIT_UID_SESSIONS] = { "uid-sessions", "places", "!=", "sessions and connections" },
	[HAK_AUDIT_UID_DOMAINS] = { "uid-domains", "domains counted", "!=", "domains" },
	[HAK_AUDIT_UID_ADDRESSES] = { "uid-addresses", "addresses", "!=", "of domains" },
	[HAK_AUDIT_UID_DESCRIPTORS] = { "uid-descriptors", "descriptors", "!=", "needed" },
	[HAK_AUDIT_TOTAL_CHARGED] = { "total-bytes", "charged", "!=", "charged to users" },
	[HAK_AUDIT_TOTAL_SESSIONS] = { "sessions", "places", "!=", "of users" },
	[HAK_AUDIT_TOTAL_DOMAINS] = { "domains", "domains", "!=", "of users" },
	[HAK_AUDIT_TOTAL_DESCRIPTORS] = { "descriptors", "descriptors", "!=", "of users" },
	[HAK_AUDIT_NODE_HELD] = { "node-bytes", "held", "!=", "held by sessions and domains" },
	[HAK_AUDIT_SESSION_COUNT] = { "session-count", "sessions counted", "!=", "there" },
	[HAK_AUDIT_DOMAIN_COUNT] = { "domain-count", "domains counted", "!=", "there" },
	[HAK_AUDIT_OPEN_OVER] = { "open-descriptors", "descriptors open", ">",
				  "charged and the daemon's own" },
	[HAK_AUDIT_STOCK_TAKEN] = { "stock-taken", "leased and nobody's", "!=", "" },
	[HAK_AUDIT_STOCK_COUNT] = { "stock-count", "regions counted", "!=", "there" },
};

const char *audit_fault_name(uint32_t fault)
{
	return faults[fault < HAK_AUDIT_FAULTS ? fault : 0].name;
}

const char *audit_scope_name(uint32_t scope)
{
	switch (scope) {
	case HAK_SCOPE_DAEMON:
		return "daemon";
	case HAK_SCOPE_UID:
		return "uid";
	case HAK_SCOPE_SESSION:
		return "session";
	case HAK_SCOPE_NODE:
		return "node";
	case HAK_SCOPE_DOMAIN:
		return "domain";
	case HAK_SCOPE_STOCK:
		return "stock";
	default:
		return "other";
	}
}

void audit_fault_text(char *ret, size_t size, const struct hak_report_audit *row)
{
	uint32_t fault = row->fault < HAK_AUDIT_FAULTS ? row->fault : 0;
	char name[sizeof(row->name) + 1], who[96];

	text_copy_plain(name, row->name, sizeof(row->name));
	if (row->scope == HAK_SCOPE_SESSION)
		(void)snprintf(who, sizeof(who), "session %llu (pid %u, %s)",
			       (unsigned long long)row->owner, row->pid, name);
	else if (row->scope == HAK_SCOPE_DOMAIN)
		(void)snprintf(who, sizeof(who), "domain %s", name);
	else if (row->scope == HAK_SCOPE_UID || row->scope == HAK_SCOPE_NODE)
		(void)snprintf(who, sizeof(who), "%s %llu", audit_scope_name(row->scope),
			       (unsigned long long)row->owner);
	else
		(void)snprintf(who, sizeof(who), "%s", audit_scope_name(row->scope));
	(void)snprintf(ret, size, "%s: %s %llu %s %s%s%llu", who, faults[fault].left,
		       (unsigned long long)row->left, faults[fault].relation, faults[fault].right,
		       *faults[fault].right ? " " : "", (unsigned long long)row->right);
}

/* ---- collect ---- */

static int fail(struct audit *audit, const char *why)
{
	(void)snprintf(audit->error, sizeof(audit->error), "%s", why);
	return -1;
}

/* Takes an answer's rows over; *ret_after 0: it was the last. */
static int take(struct audit *audit, const struct query *query, uint64_t *ret_after)
{
	const struct hak_report_audit *from = query->records;
	struct hak_report_audit *rows =
		realloc(audit->rows, (audit->n + query->count + 1) * sizeof(*rows));
	uint64_t before = *ret_after;

	if (!rows)
		return fail(audit, "out of memory");
	audit->rows = rows;
	*ret_after = 0;
	for (uint64_t i = 0; i < query->count; i++) {
		if (from[i].scope == HAK_SCOPE_MORE) {
			*ret_after = from[i].owner;
			continue;
		}
		audit->faults += from[i].fault != 0;
		rows[audit->n++] = from[i];
	}
	if (*ret_after && *ret_after <= before)
		return fail(audit, "report malformed: an audit that does not go on");
	return 0;
}

static int ask(struct audit *audit, const char *socket)
{
	uint64_t after = 0;
	int r;

	for (uint32_t i = 0; i < ANSWERS_MAX; i++) {
		struct query query = QUERY_NULL;

		r = query_run_from(&query, socket, HAK_QUERY_AUDIT, after,
				   sizeof(struct hak_report_audit));
		r = r < 0 ? fail(audit, query.talk.error) : take(audit, &query, &after);
		query_deinit(&query);
		if (r < 0 || !after)
			return r;
	}
	return fail(audit, "report malformed: an audit without an end");
}

static int look_at_books(struct audit *audit, const char *socket)
{
	audit->books = calloc(audit->n + 1, sizeof(*audit->books));
	if (!audit->books)
		return fail(audit, "out of memory");
	for (uint64_t i = 0; i < audit->n; i++) {
		const struct hak_report_audit *row = &audit->rows[i];
		struct audit_books *books = &audit->books[audit->n_books];

		if (row->scope != HAK_SCOPE_DOMAIN || row->fault || row->unlinked || row->ending)
			continue;
		text_copy_plain(books->name, row->name, HAK_DOMAIN_NAME);
		books->id = row->owner;
		audit_books_look(books, socket);
		audit->faults += *books->fault != '\0';
		audit->n_books++;
	}
	return 0;
}

int audit_run(struct audit *audit, const char *socket)
{
	int r;

	*audit = (struct audit){ 0 };
	r = ask(audit, socket);
	return r < 0 ? r : look_at_books(audit, socket);
}

void audit_deinit(struct audit *audit)
{
	free(audit->rows);
	free(audit->books);
	*audit = (struct audit){ 0 };
}

int audit_command(const char *socket, bool json)
{
	struct audit audit;
	int r = audit_run(&audit, socket);

	if (r < 0) {
		fprintf(stderr, "hakctl: %s\n", audit.error);
		r = EXIT_FAILURE;
	} else if (!json) {
		render_audit_text(&audit);
	} else if (render_audit_json(&audit) < 0) {
		fputs("hakctl: out of memory\n", stderr);
		r = EXIT_FAILURE;
	}
	if (r == 0 && audit.faults)
		r = EXIT_FAILURE;
	audit_deinit(&audit);
	return r;
}
