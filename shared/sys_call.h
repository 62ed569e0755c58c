/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys_call.h - system calls as results: for sys.c and sys_memory.c, the readers of errno.
 */
#pragma once

#include <errno.h>

#include "shared/sys.h"

/* Turns a -1/errno result into 0 or more, or -errno, and restores errno. */
static inline long hak_sys_done(long r, int saved)
{
	if (r == -1)
		r = -errno;
	errno = saved;
	return r;
}
/* The comma keeps errno's value from before the call. */
#define SYS(call)                                        \
	({                                               \
		int saved_errno = errno;                 \
		hak_sys_done((long)(call), saved_errno); \
	})

/*
 * For calls that are cancellation points: malloc is none, and a thread cancelled in here would
 * leave with the heap's lock. (Not bare system calls: ThreadSanitizer has to see descriptors come
 * and go.)
 */
#define UNCANCELLED(call)                                \
	({                                               \
		int saved_state = hak_sys_hold_cancel(); \
		long uncancelled = SYS(call);            \
		hak_sys_let_cancel(saved_state);         \
		uncancelled;                             \
	})
