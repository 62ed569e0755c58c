/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One daemon, many processes: each leases a superslab and returns it, again and again, until all
 * together have done the operations. What does that cost each, and is anybody left behind? Then all
 * fall idle: what does the daemon need for them?
 *
 *	fairness                  operations of the slowest client, as a part of the mean
 *	idle_kib_per_client       the daemon's resident memory over the number of clients
 *	grown_kib_per_client      the same, without what it had before they came
 *	idle_cpu_ns               its CPU time in a second in which nobody asks for anything
 *	idle_io_workers_ns        beside it, that of io_uring's threads: the kernel wakes them
 *	                          every five seconds to see whether they are still wanted
 */
#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/workloads/daemon_side.h"
#include "shared/sys.h"

#define SECOND_NS UINT64_C(1000000000)
#define SETTLE_S  15 /* its stock shrinks after two seconds without use */

static const struct work_variant variants[] = {
	{ "default", "10 clients", 20000, 1, 1, 10, 1 },
	{ "1", "1 client", 20000, 1, 1, 1, 1 },
	{ "100", "100 clients", 50000, 1, 1, 100, 1 },
	{ "1000", "1,000 clients", 100000, 1, 1, 1000, 1 },
	{ 0 },
};

static const struct work_info info = {
	.name = "many_clients",
	.group = "daemon",
	.about = "processes that lease and return, and then do nothing",
	.op = "one superslab leased and returned, all clients taken together",
	.variants = variants,
	.in_children = true,
	.needs_daemon = true,
};

enum {
	CONNECTING,
	WORKING,
	LEAVING
};

struct shared {
	_Atomic uint32_t phase;
	_Atomic uint32_t ready, idle; /* clients that are so far */
	_Atomic uint64_t done;
};

struct client {
	pid_t pid;
	struct hist hist;
};

static void wait_phase(struct shared *shared, uint32_t phase)
{
	uint32_t seen;

	while ((seen = atomic_load(&shared->phase)) < phase)
		(void)hak_sys_futex_wait(&shared->phase, seen, -1);
}

static void set_phase(struct shared *shared, uint32_t phase)
{
	atomic_store(&shared->phase, phase);
	hak_sys_futex_wake(&shared->phase, INT_MAX);
}

static void count_one(_Atomic uint32_t *count)
{
	atomic_fetch_add(count, 1);
	hak_sys_futex_wake(count, 1);
}

static void wait_count(struct client *clients, uint32_t n, _Atomic uint32_t *count)
{
	uint32_t seen;

	while ((seen = atomic_load(count)) < n) {
		int r = hak_sys_futex_wait(count, seen, SECOND_NS);

		/* Who has failed has said why, and is never counted. */
		for (uint32_t i = 0; r < 0 && i < n; i++) {
			siginfo_t gone = { 0 };

			if (waitid(P_PID, (id_t)clients[i].pid, &gone,
				   WEXITED | WNOHANG | WNOWAIT) == 0 &&
			    gone.si_pid)
				work_die("a client failed");
		}
	}
}

static _Noreturn void client_main(struct shared *shared, struct client *client, uint64_t ops)
{
	struct raw raw;

	daemon_open(&raw);
	count_one(&shared->ready);
	wait_phase(shared, WORKING);
	while (atomic_fetch_add(&shared->done, 1) < ops) {
		uint64_t begin = hak_sys_now_ns();
		uint32_t first = daemon_call(&raw, daemon_lease(&raw, 1), DAEMON_SLEEP_ONLY).first;

		(void)daemon_call(&raw, daemon_return(&raw, first, 1), DAEMON_SLEEP_ONLY);
		hist_add(&client->hist, hak_sys_now_ns() - begin);
	}
	count_one(&shared->idle);
	wait_phase(shared, LEAVING);
	raw_close(&raw);
	_exit(0);
}

static void start_clients(const struct work *work, struct shared *shared, struct client *clients)
{
	uint32_t n = (uint32_t)work->slots;

	for (uint32_t i = 0; i < n; i++) {
		pid_t pid = daemon_fork();

		if (!pid)
			client_main(shared, &clients[i], work->ops);
		clients[i].pid = pid;
		wait_count(clients, i + 1, &shared->ready);
	}
}

/* What the daemon needs in a second from now on. */
static struct daemon_cpu cpu_of_a_second(pid_t daemon)
{
	struct daemon_cpu before = daemon_cpu(daemon), after;

	daemon_pause(SECOND_NS);
	after = daemon_cpu(daemon);
	return (struct daemon_cpu){ after.own_ns - before.own_ns,
				    after.io_workers_ns > before.io_workers_ns
					    ? after.io_workers_ns - before.io_workers_ns
					    : 0 /* one of them has left */ };
}

/* In the second after the first one without any. */
static void idle_cpu(struct work *work, pid_t daemon)
{
	struct daemon_cpu used;
	double settled = 1;

	while (cpu_of_a_second(daemon).own_ns && settled < SETTLE_S)
		settled++;
	used = cpu_of_a_second(daemon);
	work_extra(work, "idle_cpu_ns", (double)used.own_ns);
	work_extra(work, "idle_io_workers_ns", (double)used.io_workers_ns);
	work_extra(work, "idle_after_s", settled);
}

static void told(struct work *work, const struct client *clients, uint64_t rss_before, pid_t daemon)
{
	struct hist *all = work_table(1, sizeof(*all));
	uint64_t slowest = UINT64_MAX, rss = daemon_rss_kib(daemon);
	double n = (double)work->slots;

	for (size_t i = 0; i < work->slots; i++) {
		hist_merge(all, &clients[i].hist);
		if (clients[i].hist.n < slowest)
			slowest = clients[i].hist.n;
	}
	work_quantiles(work, "", all);
	work_extra(work, "fairness", (double)slowest * n / (double)all->n);
	work_extra(work, "daemon_rss_kib", (double)rss);
	work_extra(work, "idle_kib_per_client", (double)rss / n);
	work_extra(work, "grown_kib_per_client", ((double)rss - (double)rss_before) / n);
	idle_cpu(work, daemon);
}

int main(int argc, char **argv)
{
	struct shared *shared = daemon_shared(sizeof(*shared));
	struct client *clients;
	struct work work;
	uint64_t rss_before;
	pid_t daemon;

	work_init(&work, &info, argc, argv);
	clients = daemon_shared(work.slots * sizeof(*clients));
	(void)close(daemon_watch(&daemon));
	rss_before = daemon_rss_kib(daemon);
	start_clients(&work, shared, clients);
	work_start(&work);
	set_phase(shared, WORKING);
	wait_count(clients, (uint32_t)work.slots, &shared->idle);
	work_stop(&work);
	told(&work, clients, rss_before, daemon);
	set_phase(shared, LEAVING);
	for (size_t i = 0; i < work.slots; i++)
		daemon_reap(clients[i].pid);
	return work_report(&work);
}
