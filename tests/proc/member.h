/* SPDX-License-Identifier: Apache-2.0 */
/*
 * member.h - a process that uses the client library and does what the test tells it: allocate,
 * verify, free, fork, exec. Orders and answers go over a socket that is the member's stdin, so that
 * it can close all others.
 *
 * Every block is filled with a pattern made of its number; MEMBER_VERIFY looks at every byte.
 */
#pragma once

#include "libclient/include/hakmem.h"
#include "tests/proc/rig.h"

enum member_op {
	MEMBER_ALLOC = 1, /* n blocks of `size`; result: how many it got, then `error` is errno */
	MEMBER_FREE,      /* all blocks */
	MEMBER_VERIFY,    /* result: blocks that are as they should be */
	MEMBER_REFILL,    /* writes all blocks anew, with another pattern (n) */
	MEMBER_IN_REGION, /* result: blocks that lie in mappings of the region */
	MEMBER_TRIM,
	MEMBER_FILE_BYTES, /* result: memory that the region's file holds */
	MEMBER_INFO,
	MEMBER_CLOSE_ALL,   /* every descriptor but 0, 1, 2 */
	MEMBER_THREADS,     /* n threads that allocate, verify and free, until MEMBER_JOIN */
	MEMBER_JOIN,        /* result: how many rounds they made */
	MEMBER_FORK,        /* result: pid of a child that serves the orders from now on; n: it
			     * may outlive its parent */
	MEMBER_FORK_CHECKS, /* n times: a child that verifies, writes, allocates and exits */
	MEMBER_EXEC,        /* becomes cat(1); no answer */
};

struct member_answer {
	int64_t result;
	int64_t error;
	uint64_t ns;       /* that MEMBER_ALLOC spent in hak_malloc() */
	uint64_t timeouts; /* waits for the daemon in vain, so far: this machine is overrun */
	struct hak_info info;
	char detail[160]; /* hak_detail() */
};

struct member {
	pid_t pid;
	int sock;
};

/* A process that has chosen `mode` (enum hak_info_mode, 0: auto) and the rig's socket. */
struct member member_new(struct rig *rig, unsigned mode);
/* The same with a block from the daemon; where a loaded machine makes the first attempt time out,
 * there are others. */
struct member member_up(struct rig *rig, unsigned mode);
struct member_answer member_do(const struct member *m, enum member_op op, uint64_t n,
			       uint64_t size);
/* All its blocks lie in the region, but for those that came while the daemon was too slow. */
void member_expect_in_region(const struct member *m, int64_t n);
/* Lets it end; it must have nothing to complain of. */
void member_end(struct member *m);
/* SIGKILL, and waits for the end. */
void member_kill(struct member *m);

/* Waits until the daemon reports a session of that process that `fits`. */
typedef bool member_fits(const struct hak_report_session *s, uint64_t arg);
struct hak_report_session member_await(struct rig *rig, pid_t pid, member_fits *fits, uint64_t arg);
/* Trims until member and daemon agree on what is leased (answers may be under way): the bytes. */
uint64_t member_settle(struct rig *rig, const struct member *m);
bool member_any(const struct hak_report_session *s, uint64_t arg);
bool member_has_bytes(const struct hak_report_session *s, uint64_t bytes);
bool member_has_more(const struct hak_report_session *s, uint64_t bytes); /* or as many */
bool member_has_frozen(const struct hak_report_session *s, uint64_t at_least);
