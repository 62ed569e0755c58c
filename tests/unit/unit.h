/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unit.h - what the unit tests share: CMocka with the headers that it wants first, a deadline for
 * everything that waits, and a count of open descriptors.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "shared/sys.h"

#include <cmocka.h>

/* Longer than any healthy run on a loaded machine; a hang becomes a failure. */
#define UNIT_DEADLINE_NS INT64_C(60000000000)

/* A process that outlives all deadlines dies by SIGALRM, and so its parent hears of it. */
static inline void unit_watchdog(void)
{
	(void)alarm(2 * (unsigned)(UNIT_DEADLINE_NS / 1000000000));
}

/* Open descriptors of this process, among the first 1024 numbers. */
static inline unsigned unit_count_fds(void)
{
	struct hak_fd_id id;
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += hak_sys_fd_id(&id, fd) == 0;
	return n;
}
