/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reexec.h - the daemon becomes the program that its file is by now, as the same process: an
 * upgrade. What is in the store is handed over as a service manager would, and adopted.
 */
#pragma once

#include <stdbool.h>

struct daemon;

/* True in a process that came to be by reexec_now(): it is in the background already, if it is to
 * be. Asked once, at start. */
bool reexec_happened(void);

/* Starts daemon->again. Does not return, unless the program can't be started: a negative errno, and
 * everything is as it was. No worker may be at work. */
int reexec_now(struct daemon *daemon);
