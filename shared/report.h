/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h - the records that QUERY returns in a sealed memfd: a snapshot, written once.
 *
 * Fields are only ever added at the end; a reader uses the smaller of its own record size and the
 * one in the REPORT frame. Bytes are bytes, times are nanoseconds of CLOCK_BOOTTIME.
 */
#pragma once

#include "shared/base.h"
#include "shared/refusal.h"

#define HAK_REPORT_VERSION_TEXT 16u

struct hak_report_status {
	char version[HAK_REPORT_VERSION_TEXT]; /* of the daemon, NUL-terminated */
	uint64_t pid;
	uint64_t epoch;
	uint64_t started_ns;
	uint64_t now_ns;
	uint64_t sessions;       /* now */
	uint64_t sessions_total; /* since start */
	uint64_t leased_bytes;   /* now, frozen ones and domains included */
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
	uint64_t stock_bytes;       /* filled and nobody's: ready for the next leases */
	uint64_t stock_regions;     /* ready for the next processes */
	uint64_t turned_away_total; /* connections refused: a limit, or no memory */
	uint64_t slowed_total;      /* times that a session was over its rate of requests */
	uint64_t refusal_ns;        /* the last refusal of memory or a connection: when, */
	uint64_t refusal_session;   /* whose (0: it had none), */
	uint32_t refusal_pid;
	uint32_t refusal_uid;
	uint32_t refusal; /* and why: enum hak_refusal, 0: there was none */
	uint32_t reserved0;
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
	uint64_t slowed;  /* times that it was over its rate of requests */
	uint32_t refusal; /* why the last lease was refused: enum hak_refusal, 0: none was */
	uint32_t reserved0;
};

enum hak_report_scope {
	HAK_SCOPE_DAEMON = 1,
	HAK_SCOPE_UID = 2,
	HAK_SCOPE_SESSION = 3,
	HAK_SCOPE_NODE = 4,
	HAK_SCOPE_DOMAIN = 5,
};

enum hak_report_unit {
	HAK_UNIT_BYTES = 1,
	HAK_UNIT_COUNT = 2,
	HAK_UNIT_PER_SECOND = 3, /* in use: taken within the last second */
	HAK_UNIT_NS = 4,         /* in use: 0 */
};

struct hak_report_limit {
	char key[24]; /* as in hakmemd.conf, NUL-terminated */
	uint32_t scope;
	uint32_t unit;
	uint64_t owner; /* UID: the user; SESSION, DOMAIN: its id; NODE: its number; else 0 */
	uint64_t limit; /* 0: there is none */
	uint64_t used;  /* now; may be above a limit that was lowered */
	uint64_t hits;  /* times that it refused something, or slowed a session down */
};

/* Quota and sizes as it was made; what binds it may be less: domain-bytes. */
struct hak_report_domain {
	char name[32]; /* NUL-terminated; "" can't be */
	uint64_t id;
	uint32_t uid; /* of who made it */
	uint32_t gid;
	uint32_t mode;
	uint32_t unlinked; /* 1: it has no name any more, and lives as long as its members */
	uint32_t lifetime; /* enum hak_domain_lifetime of hakmem.h */
	uint32_t orphan_policy;
	uint32_t members; /* alive */
	uint32_t dying;   /* their sweep is not complete */
	uint64_t members_total;
	uint64_t bytes; /* granted, or just being granted or given back */
	uint64_t quota;
	uint64_t max_size;
	uint64_t base;       /* address in every member */
	uint64_t refused;    /* requests for more */
	uint64_t created_ns; /* CLOCK_BOOTTIME */
	uint64_t last_event;
};

HAK_PIN_SIZE(struct hak_report_domain, 136);
HAK_PIN_FIELD(struct hak_report_domain, members, 64);
HAK_PIN_FIELD(struct hak_report_domain, bytes, 80);
HAK_PIN_SIZE(struct hak_report_status, 224);
HAK_PIN_FIELD(struct hak_report_status, leased_bytes, 64);
HAK_PIN_FIELD(struct hak_report_status, open_fds, 152);
HAK_PIN_FIELD(struct hak_report_status, stock_bytes, 160);
HAK_PIN_FIELD(struct hak_report_status, refusal, 216);
HAK_PIN_SIZE(struct hak_report_session, 144);
HAK_PIN_FIELD(struct hak_report_session, reserve, 120);
HAK_PIN_FIELD(struct hak_report_session, since_ns, 40);
HAK_PIN_FIELD(struct hak_report_session, refusal, 136);
HAK_PIN_SIZE(struct hak_report_limit, 64);
HAK_PIN_FIELD(struct hak_report_limit, owner, 32);
