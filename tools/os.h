/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os.h - the tools' own system calls, beside shared/sys.h. os.c is the one file of tools/ that
 * reads errno. Functions return 0 or a negative errno unless they say otherwise.
 */
#pragma once

#include <sched.h>

#include "shared/base.h"

/* A negative errno in words, for messages. */
const char *os_text(int error);

/* Connects to a daemon's socket, close-on-exec. Does not wait longer than `timeout_ms` for a
 * daemon that does not accept (-ETIMEDOUT). */
int os_connect(int *ret_fd, const char *path, int timeout_ms);
/* Waits until fd is readable or its peer is gone; -ETIMEDOUT. */
int os_wait_readable(int fd, int timeout_ms);
/* Reads exactly `size` bytes of a file; -ENODATA where it is shorter. */
int os_read_at(int fd, void *buf, size_t size, uint64_t off);
/* The next piece of [off, end) that a file holds memory for; all of it a hole: both are `end`. */
int os_next_data(int fd, uint64_t off, uint64_t end, uint64_t *ret_from, uint64_t *ret_to);
/* Bytes of a regular file; -EINVAL for anything else. */
int os_file_size(int fd, uint64_t *ret_size);

/* Symbolic links resolved, from the root; the caller frees it. */
int os_real_path(char **ret_path, const char *path);

int os_get_cpus(cpu_set_t *ret_cpus, size_t bytes);
int os_set_cpus(const cpu_set_t *cpus, size_t bytes);
int os_setenv(const char *name, const char *value);
/* Becomes the program, found in PATH; returns only with an error. */
int os_exec(char **argv);
