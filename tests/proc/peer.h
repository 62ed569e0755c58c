/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.h - a process that runs functions of the test: forked from it, so that an order is a pointer.
 *
 * A board of words is shared by all of them. In a peer, must() is the assertion.
 */
#pragma once

#include "libclient/include/hakmem.h"
#include "tests/must.h"
#include "tests/proc/rig.h"

#define PEER_WORDS 8192u

struct peer {
	pid_t pid;
	int sock;
};

typedef int64_t peer_fn(uint64_t arg);

struct peer_board {
	_Atomic uint64_t word[PEER_WORDS];
};
extern struct peer_board *peer_board;

/* In the peer: the domain that peer_join() opened. */
extern hak_domain *peer_domain;

/* A process that has chosen `mode` (enum hak_info_mode, 0: auto) and the rig's socket. */
struct peer peer_new(struct rig *rig, unsigned mode);
/* And is a member of the domain "test", which it makes if need be. */
struct peer peer_member(struct rig *rig, unsigned mode);
/* Runs a function there: what it returns. */
int64_t peer_do(const struct peer *peer, peer_fn *fn, uint64_t arg);
/* The same in two steps, so that several run at a time. */
void peer_begin(const struct peer *peer, peer_fn *fn, uint64_t arg);
int64_t peer_result(const struct peer *peer);
/* Ends it (it must have nothing to complain of), or kills it. */
void peer_end(struct peer *peer);
void peer_kill(struct peer *peer);

/* ---- for orders ---- */

/* Opens "test" with HAK_CREATE and the flags in arg; the attributes are the board's last words. */
int64_t peer_join(uint64_t flags);
/* Waits for an event of that type; the member. */
hak_member peer_await_event(unsigned type);
int64_t peer_await_swept(uint64_t unused);
struct hak_domain_stat peer_stat(void);
/* Its pattern, by size; and whether it is there. */
void peer_fill(void *p, size_t size, unsigned salt);
bool peer_is_filled(const void *p, size_t size, unsigned salt);

/* CMocka. */
int peer_setup(void **state);
int peer_teardown(void **state);
