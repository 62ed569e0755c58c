/* SPDX-License-Identifier: Apache-2.0 */
/*
 * foe.h - a misdeed, done by a process of its own to a real daemon, and what must hold afterwards:
 *
 *	the daemon is the same process
 *	a bystander, another process with a heap, a session and a domain of its own, has every byte,
 *	and was served meanwhile; its longest wait is printed and bounded
 *	within two seconds of the offender's end sessions, domains, memory, descriptors and the
 *	daemon's own memory are what they were
 *	all equations of hakctl audit hold
 *	the daemon's log has the reason, and it counted the eviction, where there is to be one
 *
 * Each case has a daemon and a bystander of its own. In a misdeed must() is the assertion, and what
 * it does not clean up its process's end does.
 */
#pragma once

#include "bench/raw/raw_domain.h"
#include "tests/must.h"
#include "tests/proc/rig.h"

struct foe {
	struct rig *rig;
	pid_t bystander;        /* its process */
	uint64_t bystander_id;  /* of its raw session */
	uint32_t bystander_has; /* a superslab that it leases there */
	uint64_t domain;        /* the bystander's, "bystander" */
};

typedef void foe_fn(const struct foe *foe, const void *arg);

struct foe_case {
	const char *name;
	foe_fn *fn;
	const void *arg;
	const char *log;    /* what the log has to say of it; NULL: nothing in particular */
	int evicted;        /* sessions that are ended for it, at least; 0: none may be; -1: any */
	int end;            /* of the offender: 0, or -signal */
	bool root;          /* needs another user: is skipped where the test runs as one */
	const char *config; /* more of hakmemd.conf */
};

/* CMocka: a test for each. */
int foe_main(const char *group, const struct foe_case *cases, size_t n);

/* ---- for misdeeds ---- */

struct raw foe_session(const struct foe *foe);
/* A session with something of everything: superslabs 0 to 3 are leased, 3 is frozen, 4 and 5 were
 * returned. */
struct raw foe_offender(const struct foe *foe);
/* Waits for the daemon's last words, and that they are these. */
void foe_expect_refused(int sock, int code, const char *text);
/* The same for a session that is ended for a violation. */
void foe_expect_evicted(const struct raw *raw, const char *reason);
/* Runs it in a child: its exit status, or -signal. */
int foe_in_child(const struct foe *foe, foe_fn *fn, const void *arg);
/* As another user; for good. */
void foe_become(unsigned uid);
