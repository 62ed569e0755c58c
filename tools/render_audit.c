/* SPDX-License-Identifier: Apache-2.0 */
/* render_audit.c - the part of audit.h that people and programs read. */
#include <stdio.h>

#include "tools/audit.h"
#include "tools/json.h"
#include "tools/text.h"

static unsigned long long wide(uint64_t v)
{
	return v;
}

static uint64_t in_bytes(uint64_t superslabs)
{
	return superslabs * HAK_SUPERSLAB_SIZE;
}

/* The columns of both tables. */
static const struct {
	const char *head, *json;
	size_t offset;
	bool is_bytes;
} columns[] = {
#define COLUMN(head, json, field, is_bytes)                                    \
	{                                                                      \
		head, json, offsetof(struct hak_report_audit, field), is_bytes \
	}
	COLUMN("CHARGED", "charged_bytes", charged, false),
	COLUMN("LEASED", "leased_bytes", leased, false),
	COLUMN("FROZEN", "frozen_bytes", frozen, false),
	COLUMN("RESERVE", "reserve_bytes", reserve, false),
	COLUMN("BUILDING", "building_bytes", building, false),
	COLUMN("WARM", "warm_bytes", warm, false),
	COLUMN("WASTE", "waste_bytes", waste, false),
	COLUMN("ABSENT", "absent_bytes", absent, false),
	COLUMN("FILE", "file_bytes", file, true),
	COLUMN("UNLEASED", "unleased_touched_bytes", touched, true),
#undef COLUMN
};

static const struct {
	const char *head, *json;
	size_t offset;
} states[] = {
#define STATE(head, json, field)                                \
	{                                                       \
		head, json, offsetof(struct audit_bytes, field) \
	}
	STATE("GRANTED", "granted_bytes", granted),
	STATE("FREE", "free_bytes", free),
	STATE("CLAIMED", "claimed_bytes", claimed),
	STATE("HOLDERS'", "holders_bytes", holders),
	STATE("OWNED", "owned_bytes", owned),
	STATE("CHANGING", "changing_bytes", changing),
	STATE("PUBLISHED", "published_bytes", published),
	STATE("IN CHANNELS", "moving_bytes", moving),
	STATE("FREED", "freed_bytes", freed),
	STATE("ORPHANED", "orphaned_bytes", orphaned),
	STATE("TAILS", "tails_bytes", tails),
#undef STATE
};

static uint64_t column_of(const struct hak_report_audit *row, size_t i)
{
	uint64_t v = *(const uint64_t *)hak_at((void *)(uintptr_t)row, columns[i].offset);

	return columns[i].is_bytes ? v : in_bytes(v);
}

static uint64_t state_of(const struct audit_bytes *bytes, size_t i)
{
	return *(const uint64_t *)hak_at((void *)(uintptr_t)bytes, states[i].offset);
}

/* ---- for people ---- */

static void who_text(const struct hak_report_audit *row)
{
	char name[sizeof(row->name) + 1], who[32];

	text_copy_plain(name, row->name, sizeof(row->name));
	if (row->scope == HAK_SCOPE_DOMAIN)
		printf("%-20s", name);
	else if (row->scope == HAK_SCOPE_DAEMON || row->scope == HAK_SCOPE_STOCK)
		printf("%-20s", audit_scope_name(row->scope));
	else {
		(void)snprintf(who, sizeof(who), "%s %llu", audit_scope_name(row->scope),
			       wide(row->owner));
		printf("%-20s", who);
	}
}

static void rows_text(const struct audit *audit)
{
	printf("%-20s", "WHERE");
	for (size_t i = 0; i < hak_array_size(columns); i++)
		printf(" %10s", columns[i].head);
	(void)putchar('\n');
	for (uint64_t k = 0; k < audit->n; k++) {
		const struct hak_report_audit *row = &audit->rows[k];
		char text[TEXT_NUMBER];

		if (row->fault)
			continue;
		who_text(row);
		for (size_t i = 0; i < hak_array_size(columns); i++) {
			uint64_t v = column_of(row, i);

			printf(" %10s", v ? text_bytes(text, v) : "-");
		}
		(void)putchar('\n');
	}
}

static void books_text(const struct audit *audit)
{
	if (!audit->n_books)
		return;
	printf("\n%-20s", "DOMAIN");
	for (size_t i = 0; i < hak_array_size(states); i++)
		printf(" %11s", states[i].head);
	(void)putchar('\n');
	for (uint64_t k = 0; k < audit->n_books; k++) {
		const struct audit_books *books = &audit->books[k];
		char text[TEXT_NUMBER];

		printf("%-20s", books->name);
		if (*books->error) {
			printf(" not looked at: %s\n", books->error);
			continue;
		}
		for (size_t i = 0; i < hak_array_size(states); i++) {
			uint64_t v = state_of(&books->bytes, i);

			printf(" %11s", v ? text_bytes(text, v) : "-");
		}
		(void)putchar('\n');
	}
}

void render_audit_text(const struct audit *audit)
{
	char text[256];

	rows_text(audit);
	books_text(audit);
	(void)putchar('\n');
	for (uint64_t k = 0; k < audit->n; k++) {
		if (!audit->rows[k].fault)
			continue;
		audit_fault_text(text, sizeof(text), &audit->rows[k]);
		printf("fault: %s\n", text);
	}
	for (uint64_t k = 0; k < audit->n_books; k++) {
		if (*audit->books[k].fault)
			printf("fault: domain %s: %s\n", audit->books[k].name,
			       audit->books[k].fault);
	}
	if (audit->faults)
		printf("%llu equations do not hold\n", wide(audit->faults));
	else
		puts("all equations hold");
}

/* ---- for programs ---- */

static int set_row(json_t *one, const struct hak_report_audit *row)
{
	int r = json_object_set_new(one, "scope", json_string(audit_scope_name(row->scope)));

	r |= set_number(one, "id", row->owner);
	r |= set_number(one, "pid", row->pid);
	r |= set_number(one, "uid", row->uid);
	r |= set_text(one, "name", row->name, sizeof(row->name));
	for (size_t i = 0; i < hak_array_size(columns); i++)
		r |= set_number(one, columns[i].json, column_of(row, i));
	r |= set_number(one, "sessions", row->sessions);
	r |= set_number(one, "domains", row->domains);
	r |= set_number(one, "descriptors", row->descriptors);
	r |= set_number(one, "open_fds", row->open_fds);
	return r | json_object_set_new(one, "ending", json_boolean(row->ending));
}

static int set_fault(json_t *one, const struct hak_report_audit *row)
{
	char text[256];
	int r = json_object_set_new(one, "scope", json_string(audit_scope_name(row->scope)));

	audit_fault_text(text, sizeof(text), row);
	r |= set_number(one, "id", row->owner);
	r |= json_object_set_new(one, "equation", json_string(audit_fault_name(row->fault)));
	r |= set_number(one, "left", row->left);
	r |= set_number(one, "right", row->right);
	return r | json_object_set_new(one, "text", json_string(text));
}

static int set_books(json_t *one, const struct audit_books *books)
{
	int r = json_object_set_new(one, "name", json_string(books->name));

	r |= set_number(one, "id", books->id);
	r |= json_object_set_new(one, "error",
				 *books->error ? json_string(books->error) : json_null());
	for (size_t i = 0; i < hak_array_size(states) && !*books->error; i++)
		r |= set_number(one, states[i].json, state_of(&books->bytes, i));
	return r;
}

static int add_book_fault(json_t *list, const struct audit_books *books)
{
	json_t *one = json_object();
	int r = json_object_set_new(one, "scope", json_string("domain"));

	r |= set_number(one, "id", books->id);
	r |= json_object_set_new(one, "equation", json_string("books"));
	r |= json_object_set_new(one, "text", json_string(books->fault));
	return r | json_array_append_new(list, one);
}

int render_audit_json(const struct audit *audit)
{
	json_t *root = json_object(), *rows = json_array(), *domains = json_array();
	json_t *faults = json_array();
	int r = json_object_set_new(root, "clean", json_boolean(!audit->faults));

	r |= json_object_set_new(root, "accounts", rows);
	r |= json_object_set_new(root, "domains", domains);
	r |= json_object_set_new(root, "faults", faults);
	for (uint64_t i = 0; i < audit->n && r == 0; i++) {
		const struct hak_report_audit *row = &audit->rows[i];
		json_t *one = json_object();

		r = row->fault ? set_fault(one, row) : set_row(one, row);
		r |= json_array_append_new(row->fault ? faults : rows, one);
	}
	for (uint64_t i = 0; i < audit->n_books && r == 0; i++) {
		json_t *one = json_object();

		r = set_books(one, &audit->books[i]);
		r |= json_array_append_new(domains, one);
		if (*audit->books[i].fault)
			r |= add_book_fault(faults, &audit->books[i]);
	}
	return print_json(root, r);
}
