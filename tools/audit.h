/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit.h - where every byte is that the daemon holds, and what does not add up: the daemon's
 * answers to HAK_QUERY_AUDIT, and the books of the domains that can be read.
 */
#pragma once

#include "shared/report_audit.h"
#include "tools/audit_books.h"

struct audit {
	struct hak_report_audit *rows; /* faults among them */
	uint64_t n;
	struct audit_books *books; /* of domains with a name */
	uint64_t n_books;
	uint64_t faults;
	char error[192];
};

/* 0, or -1 and audit->error. audit_deinit() in either case. */
int audit_run(struct audit *audit, const char *socket);
void audit_deinit(struct audit *audit);

/* "session 12 (pid 7 \"cat\"): leased 40 != 41 counted"; cut to `size`. */
void audit_fault_text(char *ret, size_t size, const struct hak_report_audit *row);
/* One word for the equation. */
const char *audit_fault_name(uint32_t fault);
const char *audit_scope_name(uint32_t scope);

void render_audit_text(const struct audit *audit);
/* 0, or -1: no memory. */
int render_audit_json(const struct audit *audit);

/* hakctl's command: its exit status. */
int audit_command(const char *socket, bool json);
