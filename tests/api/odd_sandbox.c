/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that lock themselves in after their start, and programs that are started locked in.
 * The allocator must go on with what it has and never make a system call that kills.
 *
 *   odd_sandbox seccomp-eperm    socket, connect and memfd_create answer EPERM, from the start
 *   odd_sandbox seccomp-kill     they kill, from the first allocation on
 *   odd_sandbox seccomp-fork     the same; then the process forks
 *   odd_sandbox chroot DIR       an empty root directory
 *   odd_sandbox unshare          new user, mount and network namespaces
 *   odd_sandbox setuid           root no more
 *   odd_sandbox clearenv         no environment, then exec
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#include "tests/api/blocks.h"

static struct blocks set;

static void *churn(void *argument)
{
	for (uint64_t i = 0; i < 4; i++)
		blocks_churn((uintptr_t)argument + i, 2000);
	return NULL;
}

/* More than any stock that was laid in before: what must be asked for now is asked for. */
static void use_memory(void)
{
	pthread_t thread[3];
	void *p = malloc(64 * MIB);

	CHECK(p != NULL);
	memset(p, 0x55, 64 * MIB);
	for (uintptr_t i = 0; i < API_COUNT(thread); i++)
		CHECK(pthread_create(&thread[i], NULL, churn, (void *)(i * 10)) == 0);
	(void)churn((void *)100);
	for (size_t i = 0; i < API_COUNT(thread); i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	CHECK(api_all(p, 64 * MIB, 0x55));
	free(p);
	blocks_check(&set);
}

static void use_memory_and_fork(void)
{
	pid_t pid;

	use_memory();
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		use_memory();
		blocks_free(&set);
		exit(0);
	}
	CHECK(api_exited_cleanly(api_wait(pid)));
	use_memory();
}

/* The same system call table for the two calls that all our machines have under these names. */
static void filter(uint32_t verdict)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, verdict),
	};
	struct sock_fprog program = { .len = API_COUNT(code), .filter = code };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
}

/* The same program again, locked in before its first instruction. */
static void execute_again(char **argv, char **environment)
{
	char *again[] = { argv[0], (char[]){ "locked-in" }, NULL };

	(void)execve("/proc/self/exe", again, environment);
	CHECK(!"exec");
}

static void lock_in(char **argv)
{
	const char *how = argv[1];
	char *nothing[] = { NULL };
	extern char **environ;

	if (strcmp(how, "seccomp-eperm") == 0) {
		filter(SECCOMP_RET_ERRNO | EPERM);
		execute_again(argv, environ);
	} else if (strncmp(how, "seccomp-", 8) == 0) {
		filter(SECCOMP_RET_KILL_PROCESS);
	} else if (strcmp(how, "chroot") == 0) {
		CHECK(argv[2] != NULL && chdir(argv[2]) == 0);
		if (chroot(".") < 0)
			_exit(API_SKIPPED);
	} else if (strcmp(how, "unshare") == 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) < 0)
			_exit(API_SKIPPED);
	} else if (strcmp(how, "setuid") == 0) {
		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
			_exit(API_SKIPPED);
	} else if (strcmp(how, "clearenv") == 0) {
		CHECK(clearenv() == 0);
		use_memory();
		execute_again(argv, nothing);
	} else {
		CHECK(strcmp(how, "locked-in") == 0);
	}
}

int main(int argc, char **argv)
{
	CHECK(argc >= 2);
	blocks_new(&set, BLOCKS_MAX, 1);
	lock_in(argv);
	if (strcmp(argv[1], "seccomp-kill") == 0)
		use_memory();
	else
		use_memory_and_fork();
	blocks_free(&set);
	return 0;
}
