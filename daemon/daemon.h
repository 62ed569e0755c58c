/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.h - the object that owns everything: what it consists of, and in which order it starts and
 * stops.
 *
 *	start:  loop, bells, signals, numa, workers, accounts, stock, listener (the last: from
 *	        here on clients come)
 *	stop:   listener, connections, sessions, stock; when the last operation has come back,
 *	        bells, workers and the loop
 */
#pragma once

#include "daemon/account.h"
#include "daemon/config.h"
#include "daemon/list.h"
#include "daemon/listener.h"
#include "daemon/loop.h"
#include "daemon/numa.h"
#include "daemon/stock.h"

struct bells;
struct workers;

/* Since start; what is there now is counted where it is. */
struct stats {
	uint64_t sessions;
	uint64_t requests;
	uint64_t leases;    /* superslabs */
	uint64_t returns;   /* superslabs */
	uint64_t reclaimed; /* superslabs */
	uint64_t refused;
	uint64_t evicted;
};

struct daemon {
	struct config config;
	struct loop *loop;
	struct bells *bells;
	struct numa numa;
	struct workers *workers;
	struct stock stock;
	struct accounts accounts;
	struct listener listener;
	struct stats stats;
	uint64_t epoch;
	uint64_t started_ns;
	uint64_t last_session;
	uint32_t session_count;

	int signal_fd;
	struct loop_op signal;
	struct loop_op tick; /* armed only while there is somebody to look after: see session.h */
	bool stopping;

	/* Connections, and sessions by what they need from the next turn. */
	struct list conns;
	struct list sessions; /* all */
	struct list active;   /* their ring is looked at: session.active */
};

/* `inherited`: a listening socket, taken over only if this succeeds, or -1. Says on stderr what
 * is wrong. */
int daemon_new(struct daemon **ret_daemon, const struct config *config, int inherited);
/* Only when daemon_run() is through, or was never called. NULL is allowed; returns NULL. */
struct daemon *daemon_free(struct daemon *daemon);

/* Serves until SIGTERM or SIGINT. */
int daemon_run(struct daemon *daemon);

/* Makes sure that the tick comes. */
void daemon_want_tick(struct daemon *daemon);
