/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stepper.h - a child that is led through a path one instruction, or one system call, at a time,
 * and killed there. ptrace(2); x86-64 and arm64.
 *
 *	prepare()        runs freely
 *	stepper_begin()  the path begins here: step 0
 *	act()            step by step
 *	stepper_end()    the path is over
 *
 * The child is forked from the test without exec, so functions have the same addresses in both. It
 * is one thread; what it forks in its turn is not traced.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct stepper_path {
	const char *name;
	void (*prepare)(void);
	void (*act)(void);
	/* Instructions, of what is too long to be stepped through from its beginning for each kill:
	 * false. Then system calls are counted, and instructions from one of them. */
	bool is_short;
};

enum stepper_where {
	STEPPER_INSIDE,
	STEPPER_OVER,   /* of the path: the child stands behind it */
	STEPPER_EXITED, /* the child ended by itself, as it was to */
	STEPPER_NEVER,  /* it did not come to its path: see stepper_again() */
	STEPPER_DENIED, /* this machine does not let us trace */
};

struct stepper {
	pid_t pid;
	enum stepper_where where;
};

/* A child at the beginning of its path, or NEVER, or DENIED. `begin` is called in it before all
 * else. */
void stepper_start(struct stepper *stepper, const struct stepper_path *path, void (*begin)(void));
/* In the child: this machine is overrun, another one may have more luck. */
void stepper_again(void) __attribute__((noreturn));
/* One instruction on; a system call is one. */
void stepper_step(struct stepper *stepper);
/* To the next beginning or end of a system call. */
void stepper_to_syscall(struct stepper *stepper);
/* SIGKILL, and its end is awaited. */
void stepper_kill(struct stepper *stepper);
