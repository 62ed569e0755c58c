/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client is killed: how long until the daemon reports its superslabs reclaimed, and how long
 * until the kernel has the memory back? Both from the kill on; taking the process apart is a part
 * of it. Memory of regions is counted by the kernel as shared memory.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/workloads/daemon_side.h"
#include "shared/sys.h"

#define DEADLINE_NS  UINT64_C(60000000000)
#define FREE_PERCENT 90 /* of the bytes; other processes have shared memory, too */

static const struct work_variant variants[] = {
	{ "default", "16 MiB", 50, 16 << 20, 16 << 20, 1, 1 },
	{ "256m", "256 MiB", 20, 256 << 20, 256 << 20, 1, 1 },
	{ "1g", "1,024 MiB", 10, 1024 << 20, 1024 << 20, 1, 1 },
	{ 0 },
};

static const struct work_info info = {
	.name = "reclaim",
	.group = "daemon",
	.about = "a client is killed that has written to all of its memory",
	.op = "one client, from the kill until its memory is free",
	.variants = variants,
	.in_children = true,
	.needs_daemon = true,
};

static uint64_t shared_memory_kib(void)
{
	char text[8192];
	const char *at = NULL;

	if (hak_sys_read_file("/proc/meminfo", text, sizeof(text)) > 0)
		at = strstr(text, "\nShmem:");
	if (!at)
		work_die("the kernel does not tell the amount of shared memory");
	return strtoull(at + strlen("\nShmem:"), NULL, 10);
}

static _Noreturn void victim_main(uint32_t count, int tell)
{
	struct raw raw;
	uint64_t size = count * HAK_SUPERSLAB_SIZE;
	uint32_t first;
	void *at;

	daemon_open(&raw);
	first = daemon_call(&raw, daemon_lease(&raw, count), DAEMON_SLEEP_ONLY).first;
	daemon_must(hak_sys_map_shared(&at, NULL, raw.region_fd,
				       (uint64_t)first << HAK_SUPERSLAB_SHIFT, size),
		    "mapping what was leased");
	work_touch(at, size);
	hak_sys_write(tell, "", 1);
	for (;;)
		(void)pause();
}

static pid_t victim(uint32_t count)
{
	int ends[2];
	char byte;
	pid_t pid;

	if (pipe(ends) < 0)
		work_die("no pipe");
	pid = daemon_fork();
	if (!pid) {
		(void)close(ends[0]);
		victim_main(count, ends[1]);
	}
	(void)close(ends[1]);
	if (read(ends[0], &byte, 1) != 1)
		work_die("the client failed");
	(void)close(ends[0]);
	return pid;
}

/* Until the worker is done with what lies ahead of the client: then nothing grows any more. */
static struct hak_report_status quiet_status(int sock)
{
	struct hak_report_status before = daemon_status(sock), now;
	uint64_t shared_before = shared_memory_kib(), shared_now;

	for (;;) {
		daemon_pause(20000000);
		now = daemon_status(sock);
		shared_now = shared_memory_kib();
		if (now.stock_bytes == before.stock_bytes && shared_now == shared_before)
			return now;
		before = now;
		shared_before = shared_now;
	}
}

static void one(int sock, uint32_t count, struct hist *reclaimed, struct hist *freed)
{
	pid_t pid = victim(count);
	uint64_t total = quiet_status(sock).reclaimed_total + count;
	uint64_t kib = count * HAK_SUPERSLAB_SIZE / 1024 * FREE_PERCENT / 100;
	uint64_t shared = shared_memory_kib(), begin = hak_sys_now_ns();
	bool reported = false, is_free = false;

	(void)kill(pid, SIGKILL);
	while (!reported || !is_free) {
		if (!reported && daemon_status(sock).reclaimed_total >= total) {
			hist_add(reclaimed, hak_sys_now_ns() - begin);
			reported = true;
		}
		if (!is_free && shared_memory_kib() + kib <= shared) {
			hist_add(freed, hak_sys_now_ns() - begin);
			is_free = true;
		}
		if (hak_sys_now_ns() - begin > DEADLINE_NS)
			work_die(reported ? "the memory does not become free"
					  : "the daemon does not report the memory reclaimed");
	}
	(void)waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	struct hist *reclaimed = work_table(1, sizeof(*reclaimed));
	struct hist *freed = work_table(1, sizeof(*freed));
	struct work work;
	uint32_t count;
	pid_t daemon;
	int sock;

	work_init(&work, &info, argc, argv);
	count = (uint32_t)((work.max + HAK_SUPERSLAB_SIZE - 1) / HAK_SUPERSLAB_SIZE);
	sock = daemon_watch(&daemon);
	work_start(&work);
	for (uint64_t i = 0; i < work.ops; i++)
		one(sock, count, reclaimed, freed);
	work_stop(&work);
	work.timed_ns = freed->sum;
	(void)close(sock);
	work_quantiles(&work, "reclaimed_", reclaimed);
	work_quantiles(&work, "free_", freed);
	return work_report(&work);
}
