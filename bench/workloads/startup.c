/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short-lived programs: what does the allocator cost those that hardly use it? The preload library
 * goes to the children through the environment. Faults and CPU time include theirs.
 */
#include "bench/workloads/work.h"

#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEED      "--need-20-mib" /* what the program tells itself when it is the child */
#define NEED_KIB  (20 * 1024)
#define BLOCK_KIB 16

static const struct work_variant variants[] = {
	{ "default", "/bin/true", 300, 1, 1, 1, 1 },
	{ "mib20", "a program that writes to 20 MiB and exits", 20, 16384, 16384, 1, 1 },
	{ 0 },
};

static const struct work_info info = {
	.name = "startup",
	.group = "startup",
	.about = "start and exit of short programs",
	.op = "one program, from its start until it is gone",
	.variants = variants,
	.in_children = true,
};

static int need_memory(void)
{
	for (size_t kib = 0; kib < NEED_KIB; kib += BLOCK_KIB) {
		char *p = malloc(BLOCK_KIB * 1024);

		if (!p)
			work_die("out of memory");
		work_touch(p, BLOCK_KIB * 1024);
	}
	_exit(0);
}

static void run(const char *path, char *const argv[])
{
	int status;
	pid_t pid;

	if (posix_spawn(&pid, path, NULL, NULL, argv, environ))
		work_die("cannot start a program");
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
		work_die("a program that was started failed");
}

int main(int argc, char **argv)
{
	static char need[] = NEED, true_name[] = "true", self_name[] = "startup";
	char *const true_argv[] = { true_name, NULL };
	char *const need_argv[] = { self_name, need, NULL };
	struct work work;
	bool needs;

	if (argc == 2 && !strcmp(argv[1], NEED))
		return need_memory();
	work_init(&work, &info, argc, argv);
	needs = !strcmp(work.variant->name, "mib20");
	work_start(&work);
	for (uint64_t i = 0; i < work.ops; i++) {
		if (needs)
			run("/proc/self/exe", need_argv);
		else
			run("/bin/true", true_argv);
	}
	work_stop(&work);
	return work_report(&work);
}
