/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rig.h - a real daemon on a private socket: start, look, stop.
 *
 * The program is $HAKMEMD. Everything that waits has a deadline, fails the test when it passes, and
 * notices the daemon's death at once. Nothing sleeps blindly.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/raw/raw_client.h"

#include <cmocka.h>

#define RIG_DEADLINE_MS 30000
#define RIG_LOG_BYTES   65536u

struct rig {
	char dir[64];
	char socket[96];
	char config[96];
	pid_t pid; /* 0: not running */
	int pidfd;
	int err; /* the daemon's stderr */
	size_t log_used;
	char log[RIG_LOG_BYTES]; /* what it said so far, NUL-terminated */
};

/* A private directory and a configuration with this text; no daemon yet. */
struct rig *rig_new(const char *config);
/* Writes the configuration anew, or, with a name, that file of its drop-ins; NULL removes it. */
void rig_configure(struct rig *rig, const char *name, const char *text);
/* SIGHUP, and waits until the log has this text, said after it. */
void rig_reload(struct rig *rig, const char *text);
/* Starts the daemon and waits until it is ready. `args`: NULL-terminated, or NULL. */
struct rig *rig_start(const char *config);
void rig_launch(struct rig *rig, const char *const *args);
/* The same; `before` is called in the new process, last before exec. */
void rig_launch_with(struct rig *rig, const char *const *args, void (*before)(void *), void *arg);
/* What it said so far is of no interest any more. */
void rig_forget_log(struct rig *rig);
void rig_wait_ready(struct rig *rig);
/* Waits until the daemon has said something; the log up to its death counts. */
void rig_wait_log(struct rig *rig, const char *text);
/* Waits for its end: the exit status, or -signal. */
int rig_wait_exit(struct rig *rig);
/* SIGTERM; the daemon must end with 0 and leave no socket behind. Frees the rig; returns NULL. */
struct rig *rig_stop(struct rig *rig);
/* Kills what runs and removes the directory. NULL is allowed; returns NULL. */
struct rig *rig_free(struct rig *rig);

struct hak_report_status rig_status(struct rig *rig);
/* Waits until so many sessions, or leased superslabs, are reported. */
void rig_wait_sessions(struct rig *rig, uint64_t n);
void rig_wait_leased(struct rig *rig, uint64_t superslabs);
/* Waits until so many regions, and superslabs in them and in sessions, are ready. */
void rig_wait_stock(struct rig *rig, uint64_t regions, uint64_t superslabs);
/* Waits until the daemon has no more descriptors open than in an earlier status, which may have
 * counted a connection that was just closing. */
void rig_wait_fds(struct rig *rig, uint64_t n);

/* A client of its own process: runs `fn` there, which may not return before it has told the parent
 * through rig_tell(). Returns when it has. */
typedef void rig_client_fn(struct rig *rig, void *arg);
pid_t rig_client(struct rig *rig, rig_client_fn *fn, void *arg);
void rig_tell(void);
/* Blocks until killed. */
void rig_stall(void) __attribute__((noreturn));
/* Waits for a client's end: the exit status, or -signal. */
int rig_reap(pid_t pid);

/* A number from /proc/PID/status of the daemon. */
uint64_t rig_proc_number(const struct rig *rig, const char *key);

/* CMocka: a rig with the default configuration, and its end. */
int rig_setup(void **state);
int rig_teardown(void **state);
