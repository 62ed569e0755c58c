/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the workloads that are about the daemon have in common. They are clients of shared/ alone,
 * on the socket that HAKMEM_SOCKET names, and end the program with a reason where something fails.
 */
#ifndef BENCH_DAEMON_SIDE_H
#define BENCH_DAEMON_SIDE_H

#include <sys/types.h>

#include "bench/raw/raw_client.h"
#include "bench/workloads/hist.h"
#include "bench/workloads/work.h"

/* As libclient does: a look for so long, then a sleep. */
#define DAEMON_SPIN_NS    20000
#define DAEMON_SPIN_ONLY  UINT64_MAX
#define DAEMON_SLEEP_ONLY 0

const char *daemon_socket(void);
/* A session, or the end of the program. */
void daemon_open(struct raw *ret_raw);
/* A connection for daemon_status(), and the process at its other end. */
int daemon_watch(pid_t *ret_pid);
struct hak_report_status daemon_status(int sock);

/* Ends the program unless r is 0. */
void daemon_must(int r, const char *what);
/* The next completion, which has to be a success. */
struct hak_cqe daemon_pop(struct raw *raw, uint64_t spin_ns);
/* Publishes one entry and waits for its completion. */
struct hak_cqe daemon_call(struct raw *raw, struct hak_sqe sqe, uint64_t spin_ns);
struct hak_sqe daemon_lease(struct raw *raw, uint32_t count);
struct hak_sqe daemon_return(struct raw *raw, uint32_t first, uint32_t count);

/* Called in loops that wait for another process's store: lets others run now and then. */
void daemon_look(unsigned *tries);
void daemon_pause(uint64_t ns);
/* After another process has said that it goes to sleep: until it surely does, looking at the clock,
 * so that this processor does not; or, if there is a pause, through that, asleep. */
void daemon_settle(uint64_t pause_ns);

/* Memory that forked children share, zeroed. */
void *daemon_shared(size_t size);
/* A child that dies with this process. Returns its pid, or 0 in the child. */
pid_t daemon_fork(void);
void daemon_reap(pid_t pid);

/* Of a process, from /proc. */
uint64_t daemon_rss_kib(pid_t pid);
/* In nanoseconds; the process's times are in ticks of ten milliseconds. */
struct daemon_cpu {
	uint64_t own_ns;        /* of the threads that the daemon made */
	uint64_t io_workers_ns; /* of those that io_uring made in it: the kernel's code */
};
struct daemon_cpu daemon_cpu(pid_t pid);

#endif
