/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/torture/stepper.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/must.h"

/* What a child's exit status says. */
#define EXIT_AGAIN    76
#define EXIT_UNTRACED 77
#define EXIT_MUST     99

/* Markers: instructions are counted from one to the other. */
static void __attribute__((noinline)) stepper_begin(void)
{
	__asm__ volatile("" ::: "memory");
}

static void __attribute__((noinline)) stepper_end(void)
{
	__asm__ volatile("" ::: "memory");
}

static uintptr_t pc_of(pid_t pid)
{
	struct user_regs_struct regs;
	struct iovec io = { &regs, sizeof(regs) };

	must(ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &io) == 0);
#if defined(__x86_64__)
	return regs.rip;
#else
	return regs.pc;
#endif
}

/* Waits for the next stop; false: the child has ended. */
static bool await(struct stepper *stepper, int *ret_signal)
{
	int status;
	pid_t r;

	do
		r = waitpid(stepper->pid, &status, 0);
	while (r < 0 && errno == EINTR);
	must(r == stepper->pid);
	if (WIFSTOPPED(status)) {
		*ret_signal = WSTOPSIG(status);
		return true;
	}
	must(!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_MUST);
	must(!WIFSIGNALED(status));
	stepper->where = STEPPER_EXITED;
	if (WEXITSTATUS(status) == EXIT_AGAIN)
		stepper->where = STEPPER_NEVER;
	if (WEXITSTATUS(status) == EXIT_UNTRACED)
		stepper->where = STEPPER_DENIED;
	stepper->pid = -1;
	return false;
}

void stepper_again(void)
{
	_exit(EXIT_AGAIN);
}

static void go(const struct stepper *stepper, int how)
{
	must(ptrace((enum __ptrace_request)how, stepper->pid, NULL, NULL) == 0);
}

static void __attribute__((noreturn)) run(const struct stepper_path *path, void (*begin)(void))
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(EXIT_UNTRACED);
	begin();
	path->prepare();
	(void)raise(SIGSTOP);
	stepper_begin();
	path->act();
	stepper_end();
	(void)raise(SIGSTOP);
	_exit(98); /* it is killed before */
}

void stepper_start(struct stepper *stepper, const struct stepper_path *path, void (*begin)(void))
{
	int signal = 0;

	(void)fflush(NULL);
	*stepper = (struct stepper){ .pid = fork(), .where = STEPPER_INSIDE };
	must(stepper->pid >= 0);
	if (!stepper->pid)
		run(path, begin);
	if (!await(stepper, &signal))
		return;
	if (signal != SIGSTOP)
		(void)fprintf(stderr, "victim stopped by signal %d at +%lx\n", signal,
			      (unsigned long)(pc_of(stepper->pid) - (uintptr_t)stepper_begin));
	must(signal == SIGSTOP);
	must(ptrace(PTRACE_SETOPTIONS, stepper->pid, NULL,
		    (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) == 0);
	if (!path->is_short)
		return;
	while (pc_of(stepper->pid) != (uintptr_t)stepper_begin) {
		go(stepper, PTRACE_SINGLESTEP);
		must(await(stepper, &signal));
	}
}

void stepper_step(struct stepper *stepper)
{
	int signal;

	if (stepper->where != STEPPER_INSIDE)
		return;
	go(stepper, PTRACE_SINGLESTEP);
	if (await(stepper, &signal) &&
	    (signal == SIGSTOP || pc_of(stepper->pid) == (uintptr_t)stepper_end))
		stepper->where = STEPPER_OVER;
}

void stepper_to_syscall(struct stepper *stepper)
{
	int signal;

	if (stepper->where != STEPPER_INSIDE)
		return;
	do
		go(stepper, PTRACE_SYSCALL);
	while (await(stepper, &signal) && signal != SIGSTOP && signal != (SIGTRAP | 0x80));
	if (stepper->where == STEPPER_INSIDE && signal == SIGSTOP)
		stepper->where = STEPPER_OVER;
}

void stepper_kill(struct stepper *stepper)
{
	int status;

	if (stepper->pid < 0)
		return;
	must(kill(stepper->pid, SIGKILL) == 0);
	do
		must(waitpid(stepper->pid, &status, 0) == stepper->pid);
	while (WIFSTOPPED(status));
	stepper->pid = -1;
}
