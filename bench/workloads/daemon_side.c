/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/workloads/daemon_side.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/sys.h"

#define LOOKS     16384 /* between two chances for others */
#define SLICE_NS  INT64_C(1000000000)
#define SETTLE_NS 200000

const char *daemon_socket(void)
{
	const char *path = getenv("HAKMEM_SOCKET");

	if (!path || !*path)
		work_die("HAKMEM_SOCKET has to name the socket of a hakmemd; "
			 "`hakbench run` with --allocator daemon starts one");
	return path;
}

void daemon_must(int r, const char *what)
{
	if (r == 0)
		return;
	(void)fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
		      r < 0 ? strerror(-r) : "the ring is full or corrupt");
	exit(1);
}

void daemon_open(struct raw *ret_raw)
{
	int r;

	/* The listener's queue is short, and we may be one of a thousand. */
	while ((r = raw_open(ret_raw, daemon_socket())) == -EAGAIN)
		(void)sched_yield();
	daemon_must(r, "no session with the daemon");
}

int daemon_watch(pid_t *ret_pid)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int sock = raw_connect(daemon_socket());

	if (sock < 0)
		daemon_must(sock, "no connection to the daemon");
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		daemon_must(-errno, "the daemon's process");
	*ret_pid = peer.pid;
	return sock;
}

struct hak_report_status daemon_status(int sock)
{
	struct hak_report_status status;
	int n = raw_ask(sock, HAK_QUERY_STATUS, &status, sizeof(status), 1);

	daemon_must(n == 1 ? 0 : n < 0 ? n : -EPROTO, "the daemon's status");
	return status;
}

static void must_be_there(const struct raw *raw)
{
	struct pollfd p = { .fd = raw->sock, .events = POLLRDHUP };

	if (poll(&p, 1, 0) > 0)
		work_die("the daemon hung up");
}

struct hak_cqe daemon_pop(struct raw *raw, uint64_t spin_ns)
{
	uint64_t begin = spin_ns && spin_ns != DAEMON_SPIN_ONLY ? hak_sys_now_ns() : 0;
	struct hak_cqe cqe;
	unsigned tries = 0;

	while (hak_ring_pop(&raw->cq, &cqe)) {
		if (spin_ns == DAEMON_SPIN_ONLY ||
		    (spin_ns && hak_sys_now_ns() - begin < spin_ns)) {
			daemon_look(&tries);
			if (tries % (64 * LOOKS) == LOOKS)
				must_be_there(raw);
		} else if (hak_ring_may_sleep(&raw->cq)) {
			int r = hak_sys_futex_wait(&raw->cq.ring->tail, raw->cq.mine, SLICE_NS);

			hak_ring_awake(&raw->cq);
			if (r == -ETIMEDOUT)
				must_be_there(raw);
		}
	}
	daemon_must(cqe.result, "a request");
	return cqe;
}

struct hak_cqe daemon_call(struct raw *raw, struct hak_sqe sqe, uint64_t spin_ns)
{
	daemon_must(raw_push(raw, &sqe), "a request");
	return daemon_pop(raw, spin_ns);
}

struct hak_sqe daemon_lease(struct raw *raw, uint32_t count)
{
	struct hak_sqe sqe = raw_entry(raw, HAK_OP_LEASE);

	sqe.count = count;
	sqe.node = HAK_NODE_ANY;
	return sqe;
}

struct hak_sqe daemon_return(struct raw *raw, uint32_t first, uint32_t count)
{
	struct hak_sqe sqe = raw_entry(raw, HAK_OP_RETURN);

	sqe.first = first;
	sqe.count = count;
	return sqe;
}

void daemon_look(unsigned *tries)
{
	if (++*tries % LOOKS == 0)
		(void)sched_yield();
}

void daemon_pause(uint64_t ns)
{
	struct timespec left = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		continue;
}

void daemon_settle(uint64_t pause_ns)
{
	uint64_t until = hak_sys_now_ns() + SETTLE_NS;

	if (pause_ns)
		daemon_pause(pause_ns);
	while (hak_sys_now_ns() < until)
		continue;
}

void *daemon_shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		work_die("no shared memory");
	return p;
}

pid_t daemon_fork(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		work_die("cannot start a process");
	if (!pid) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent) /* it was too quick for the signal */
			_exit(1);
	}
	return pid;
}

void daemon_reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
		work_die("one of its processes failed");
}

uint64_t daemon_rss_kib(pid_t pid)
{
	char path[64], text[8192];
	const char *at = NULL;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (hak_sys_read_file(path, text, sizeof(text)) > 0)
		at = strstr(text, "\nVmRSS:");
	if (!at)
		work_die("the kernel does not tell the daemon's memory");
	return strtoull(at + strlen("\nVmRSS:"), NULL, 10);
}

/* The time that a thread has run, and whether io_uring made it. False: it is gone. */
static bool thread_cpu(pid_t pid, const char *thread, uint64_t *ret_ns, bool *ret_io)
{
	char path[64], text[256];

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%.16s/comm", (int)pid, thread);
	if (hak_sys_read_file(path, text, sizeof(text)) < 0)
		return false;
	*ret_io = !strncmp(text, "iou-", strlen("iou-"));
	(void)snprintf(path, sizeof(path), "/proc/%d/task/%.16s/schedstat", (int)pid, thread);
	if (hak_sys_read_file(path, text, sizeof(text)) < 0)
		return false;
	*ret_ns = strtoull(text, NULL, 10);
	return true;
}

struct daemon_cpu daemon_cpu(pid_t pid)
{
	struct daemon_cpu cpu = { 0 };
	struct dirent *entry;
	char path[64];
	DIR *threads;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	threads = opendir(path);
	while (threads && (entry = readdir(threads))) {
		uint64_t ns;
		bool io;

		if (entry->d_name[0] == '.' || !thread_cpu(pid, entry->d_name, &ns, &io))
			continue;
		*(io ? &cpu.io_workers_ns : &cpu.own_ns) += ns;
	}
	if (threads)
		(void)closedir(threads);
	if (!cpu.own_ns)
		work_die("the kernel does not tell the daemon's CPU time");
	return cpu;
}
