/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h - the records that QUERY returns in a sealed memfd: a snapshot, written once.
 *
 * Fields are only ever added at the end; a reader uses the smaller of its own record size and the
 * one in the REPORT frame. Bytes are bytes, times are nanoseconds of CLOCK_BOOTTIME.
 */
#pragma once

#include "shared/base.h"

#define HAK_REPORT_VERSION_TEXT 16u

struct hak_report_status {
	char version[HAK_REPORT_VERSION_TEXT]; /* of the daemon, NUL-terminated */
	uint64_t pid;
	uint64_t epoch;
	uint64_t started_ns;
	uint64_t now_ns;
	uint64_t sessions;       /* now */
	uint64_t sessions_total; /* since start */
	uint64_t leased_bytes;   /* now, frozen ones included */
	uint64_t frozen_bytes;   /* now */
	uint64_t huge_bytes;     /* of the leased ones, built as 2 MiB pages */
	uint64_t requests_total;
	uint64_t leases_total;    /* superslabs granted */
	uint64_t returns_total;   /* superslabs returned by live clients */
	uint64_t reclaimed_total; /* superslabs taken back after a death */
	uint64_t refused_total;   /* lease requests answered with an error */
	uint64_t evicted_total;   /* sessions ended for a violation */
	uint64_t limit_bytes;     /* leased_bytes may not pass this */
	uint32_t nodes;
	uint32_t io_uring_futex; /* 1: rings are waited for in io_uring; 0: by waiter threads */
	uint64_t open_fds;
	uint64_t stock_bytes;   /* filled and nobody's: ready for the next leases */
	uint64_t stock_regions; /* ready for the next processes */
};

enum hak_report_session_state {
	HAK_SESSION_ATTACHED = 1,
	HAK_SESSION_DETACHED = 2, /* socket gone, process and memory still there */
};

struct hak_report_session {
	uint64_t id;
	uint32_t pid;
	uint32_t uid;
	uint32_t gid;
	uint32_t state;
	char comm[16];
	uint64_t since_ns;
	uint64_t superslabs; /* leased now, frozen ones included */
	uint64_t frozen;     /* of these, frozen by a fork */
	uint64_t huge;       /* of these, built as 2 MiB pages */
	uint64_t bytes;      /* superslabs * 2 MiB */
	uint64_t requests;
	uint64_t granted;  /* superslabs, total */
	uint64_t returned; /* superslabs, total */
	uint64_t refused;  /* lease requests answered with an error */
	uint64_t last_request_ns;
	uint64_t reserve; /* of the superslabs, granted ahead and not taken yet */
};

HAK_PIN_SIZE(struct hak_report_status, 176);
HAK_PIN_FIELD(struct hak_report_status, leased_bytes, 64);
HAK_PIN_FIELD(struct hak_report_status, open_fds, 152);
HAK_PIN_FIELD(struct hak_report_status, stock_bytes, 160);
HAK_PIN_SIZE(struct hak_report_session, 128);
HAK_PIN_FIELD(struct hak_report_session, reserve, 120);
HAK_PIN_FIELD(struct hak_report_session, since_ns, 40);
