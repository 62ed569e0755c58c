/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - descriptors that outlive the daemon, by name: all that the next one needs to go on
 * where this one ended.
 *
 *	life         the life page: life.h
 *	s<id>        a session: pidfd, segment, presence, region, book
 *	d<id>        a domain: data, meta, state, book
 *	m<id>.<n>    of a domain's member: sign
 *	socket lock  the listening socket and its lock; only from one program to the next, by exec
 *
 * A service manager with a descriptor store has a copy of each and hands them over at the next
 * start (sd_listen_fds(3)); exec (reexec.h) does the same without one. In which order the
 * descriptors of one name come is nobody's promise.
 *
 * A set is either found (handed over at start; the descriptors are the store's, and not looked at
 * yet) or kept (borrowed from who put it, or took it over, and drops it before closing them).
 *
 * The kernel bounds the environment variable that the names come in, each once for every
 * descriptor: what is beyond STORE_NAMES_BYTES is not kept, and does not outlive the daemon.
 */
#pragma once

#include "daemon/list.h"

#define STORE_NAMES_BYTES 120000u
#define STORE_NAME        48u
#define STORE_FDS         6u
#define STORE_BUCKETS     1024u

struct store_set {
	struct list link; /* store.all */
	struct list same; /* store.bucket */
	bool kept;
	unsigned n;
	int fds[STORE_FDS]; /* not in any order */
	char name[STORE_NAME];
};

struct store {
	bool manager;      /* that keeps copies */
	bool full_said;    /* names beyond the bound: that was said */
	uint32_t fds;      /* of all sets */
	uint64_t name_sum; /* bytes of their names in LISTEN_FDNAMES */
	struct list all;   /* in the order of their coming */
	struct list bucket[STORE_BUCKETS];
};

/* `manager`: the service manager has a descriptor store. */
void store_init(struct store *store, bool manager);
/* Closes what was found and nobody took; forgets the others. The manager's copies stay. */
void store_deinit(struct store *store);

/*
 * Takes what this process was started with, close-on-exec from then on: LISTEN_PID, LISTEN_FDS,
 * LISTEN_FDNAMES, which are unset. ret_sock: the listening SOCK_SEQPACKET socket among it, or -1.
 * Descriptors that are neither this nor ours by name are closed, with one log line each.
 * -EINVAL: a socket that can't be used. Before fork: the hand-over names a process.
 */
int store_inherit(struct store *store, int *ret_sock);

/* Keeps descriptors under a name that is not in use; they stay the caller's, who drops the name
 * before he closes them. 0; -ENOSPC: there are too many names (log line), or -ENOMEM. */
int store_put(struct store *store, const char *name, const int *fds, unsigned n);
/* Forgets a name, if it is there; does not close anything that is kept. */
void store_drop(struct store *store, const char *name);

/* NULL: there is none. */
struct store_set *store_find(const struct store *store, const char *name);
/* What was found belongs to the caller from here on, as if he had put it. */
void store_keep(struct store_set *set);
/* Drops a name, with a log line; closes what was found under it and is not kept. */
void store_refuse(struct store *store, struct store_set *set, const char *what, const char *why);
