/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.h - the object that owns everything: what it consists of, and in which order it starts and
 * stops.
 *
 *	start:  numa, accounts, placement, loop, bells, signals, workers, listener; then life,
 *	        sessions and domains of an earlier daemon (adopt.h); then the stock, and the
 *	        listener is listened to: from here on clients come
 *	stop:   listener, connections, sessions, domains, stock; when the last operation has come
 *	        back, bells, workers and the loop
 */
#pragma once

#include "daemon/account.h"
#include "daemon/config_load.h"
#include "daemon/domain.h"
#include "daemon/life.h"
#include "daemon/list.h"
#include "daemon/listener.h"
#include "daemon/loop.h"
#include "daemon/numa.h"
#include "daemon/placement.h"
#include "daemon/stock.h"

struct bells;
struct store;
struct workers;

/* The last time that somebody was refused memory or a connection. */
struct refused {
	uint32_t reason; /* enum hak_refusal */
	pid_t pid;
	uid_t uid;
	uint64_t session; /* 0: it had none yet */
	uint64_t at_ns;   /* CLOCK_BOOTTIME */
};

/* Since start; what is there now is counted where it is. */
struct stats {
	uint64_t sessions;
	uint64_t requests;
	uint64_t leases;    /* superslabs */
	uint64_t returns;   /* superslabs */
	uint64_t reclaimed; /* superslabs */
	uint64_t refused;
	uint64_t turned_away; /* connections */
	uint64_t late;        /* connections that said nothing in time */
	uint64_t slowed;
	uint64_t evicted;
};

struct daemon {
	struct config config;
	struct config_source source;
	uint64_t files; /* the limit of open files */
	struct store *store;
	struct life life;
	char *const *again; /* what SIGUSR2 starts; see reexec.h */
	struct loop *loop;
	struct bells *bells;
	struct numa numa;
	struct workers *workers;
	struct stock stock;
	struct accounts accounts;
	struct placement placement;
	struct domains domains;
	struct listener listener;
	struct stats stats;
	struct refused last_refused;
	uint64_t started_ns;
	uint64_t now_ns; /* of this turn, CLOCK_MONOTONIC */
	uint32_t session_count;

	int signal_fd;
	struct loop_op signal;
	struct loop_op tick; /* armed only while there is somebody to look after: see session.h */
	struct loop_op watchdog; /* armed only where the service manager wants to hear from us */
	struct loop_op thaw; /* armed while a session is slowed down, for the first that is due */
	uint64_t thaw_ns;    /* when */
	bool stopping;
	bool parked; /* it ends, and nothing with it: see daemon_run() */

	/* Connections, and sessions by what they need from the next turn. */
	struct list conns;
	struct list sessions; /* all */
	struct list active;   /* their ring is looked at: session.active */
	struct list slowed; /* over their rate, not looked at until they are due: session.active */
};

/* What a daemon is made of; all stays the caller's, and as long as the daemon. */
struct daemon_parts {
	const struct config *config;        /* copied */
	const struct config_source *source; /* where SIGHUP looks again */
	struct store *store;                /* what was found is adopted */
	char *const *again;                 /* program and arguments that SIGUSR2 starts */
	int inherited; /* a listening socket, taken over only if this succeeds, or -1 */
};

/* Says on stderr what is wrong. */
int daemon_new(struct daemon **ret_daemon, const struct daemon_parts *parts);
/* Only when daemon_run() is through, or was never called. NULL is allowed; returns NULL. */
struct daemon *daemon_free(struct daemon *daemon);

/* Serves until SIGTERM or SIGINT. With a service manager that keeps descriptors SIGTERM is no end
 * for its clients: daemon->parked says so, and there is nothing to free, but the process to end. */
int daemon_run(struct daemon *daemon);

/* Applies a configuration: all but socket, ring-wait and what the listener has of it. */
void daemon_configure(struct daemon *daemon, const struct config *config);

/* Makes sure that the tick comes. */
void daemon_want_tick(struct daemon *daemon);
/* Makes sure that what is due at that time in daemon.slowed is woken then. */
void daemon_want_thaw(struct daemon *daemon, uint64_t due_ns);

/* Notes a refusal, for reports. */
void daemon_note_refusal(struct daemon *daemon, uint32_t reason, const struct hak_peer *peer,
			 uint64_t session);
