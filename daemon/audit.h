/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit.h - the equations of region.h, reserve.h, placement.h, account.h, domain.h and stock.h,
 * computed anew from the tables, bit by bit, and compared with what is counted along.
 *
 * The loop's thread does it between two frames, so nothing changes meanwhile but what workers do to
 * files. One answer looks at LIMIT_AUDIT_STEP sessions and domains: each has three or four bitmaps
 * of 2^18 bits and more, 60 us if all of them are in use (tests/unit/test_audit.c measures); the
 * sums take a look at each session for each user. No call here waits for a client: of files, only
 * their size in memory is asked, for which the kernel takes no lock of theirs.
 */
#pragma once

#include "shared/report_audit.h"

struct daemon;
struct domain;
struct placed;
struct region;
struct reserve;
struct session;

/* Where records go. There is room for every fault of what is looked at: audit_max(). */
struct audit {
	struct hak_report_audit *records;
	uint64_t n, max;
};

/* The most records of one answer. */
uint64_t audit_max(const struct daemon *daemon);
/* An answer, from what comes behind `after` on (0: the sums, then the first), into audit_max()
 * records; how many were written. */
uint64_t audit_fill(struct hak_report_audit *records, const struct daemon *daemon, uint64_t after);

/* ---- its parts, for tests ---- */

/* What is charged to a session and not its client's yet. */
struct audit_building {
	uint32_t first, count;
};

/* A row with its owner filled in is completed, and put behind its faults. `reserve` and `placed`
 * may be NULL: it has none. */
void audit_region(struct audit *audit, struct hak_report_audit *row, const struct region *region,
		  const struct reserve *reserve, const struct audit_building building[2],
		  const struct placed *placed);
void audit_session(struct audit *audit, const struct session *session);
void audit_domain(struct audit *audit, const struct domain *domain);
/* Users, nodes, stock and the whole. */
void audit_sums(struct audit *audit, const struct daemon *daemon);

void audit_row(struct audit *audit, const struct hak_report_audit *row);
/* Says so, with the row's owner, unless left == right, or left <= right. */
void audit_equal(struct audit *audit, const struct hak_report_audit *row,
		 enum hak_audit_fault fault, uint64_t left, uint64_t right);
void audit_within(struct audit *audit, const struct hak_report_audit *row,
		  enum hak_audit_fault fault, uint64_t left, uint64_t right);
