/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manager.h - a service manager in the test's process, as small as can be: it listens on the
 * daemon's socket, keeps the descriptors that it is given by name, and hands all of it to the next
 * daemon. sd_listen_fds(3) and sd_notify(3) describe the protocol.
 *
 * What it is told it takes in a thread of its own, so that a daemon never waits for the test.
 */
#pragma once

#include <pthread.h>

#include "tests/proc/rig.h"

#define MANAGER_STORED 8192u

struct manager_fd {
	int fd;
	char name[64];
};

struct manager {
	struct rig *rig;
	int listen; /* -1: the daemon has a socket of its own */
	int notify;
	pthread_t thread;
	pthread_mutex_t lock;
	bool stop;
	bool goes_first;      /* with the priority that the service's unit gives it */
	void (*before)(void); /* see manager_launch_with() */
	unsigned ready; /* times that it was told READY=1; under the lock, likewise the next */
	unsigned stored;
	struct manager_fd fd[MANAGER_STORED];
};

/* How one daemon ends and the next begins. */
enum manager_how {
	MANAGER_KILL, /* SIGKILL */
	MANAGER_PARK, /* SIGTERM */
	MANAGER_EXEC, /* SIGUSR2 */
	MANAGER_HOWS,
};

/* With a daemon that is ready. `listens`: the manager has the socket. */
struct manager *manager_new(const char *config, bool listens);
/* Ends the daemon, with what it has; returns NULL. NULL is allowed. */
struct manager *manager_free(struct manager *manager);

/* The daemon ends, and has ended. */
void manager_end(struct manager *manager, enum manager_how how);
/* The next one, with everything that is stored; manager_start() waits until it is ready. */
void manager_launch(struct manager *manager);
void manager_start(struct manager *manager);
/* Both; how EXEC: as one. */
void manager_restart(struct manager *manager, enum manager_how how);

/* The same; `before` is called in the new process, last before exec. */
void manager_launch_with(struct manager *manager, void (*before)(void));
/* How often a daemon has said that it is ready. */
unsigned manager_ready(struct manager *manager);

/* What is stored by now. */
unsigned manager_count(struct manager *manager);
/* Waits until so many are: what a domain's end drops comes after its last member's. */
void manager_wait_count(struct manager *manager, unsigned stored);
/* How many descriptors of that name; ret_fds: they stay the manager's. */
unsigned manager_find(struct manager *manager, const char *name, int *ret_fds, unsigned max);
/* Stores a descriptor as if the daemon had; takes it over. */
void manager_store(struct manager *manager, const char *name, int fd);
/* Forgets a name; NULL: everything. */
void manager_drop(struct manager *manager, const char *name);

/* CMocka. */
int manager_setup(void **state);
int manager_teardown(void **state);
