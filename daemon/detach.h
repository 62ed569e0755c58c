/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detach.h - leaves the terminal, the way of daemons: the program that was started ends when the
 * service is ready, with 0, or when it failed to become so, with what the child exits with.
 */
#pragma once

#include "shared/base.h"

/*
 * Forks twice; returns in the service only, 0 and its end of the pipe, or a negative errno in the
 * caller. The first process exits by itself. Before threads and io_uring.
 */
int detach_begin(int *ret_pipe);
/* Ready: the first process exits 0; messages go to syslog from now on. Consumes the pipe. */
void detach_ready(int pipe);
