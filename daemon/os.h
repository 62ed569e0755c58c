/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os.h - the daemon's own system calls, beside shared/sys.h: what only a server needs.
 *
 * os.c is the one file of daemon/ that reads errno; os_result() lets the others call libc directly:
 *
 *	fd = os_result(socket(...));
 */
#pragma once

#include <sys/types.h>

#include "shared/base.h"

/* What a call that returns -1 and sets errno returned, as 0 or more, or -errno. */
int os_result(long r);

/* A negative errno in words, for messages. */
const char *os_text(int error);

/* Raises the limit of open files to its hard limit; what it is then. */
uint64_t os_raise_nofile(void);
/* How many descriptors this process has open; 0 where /proc is not there. */
uint64_t os_count_fds(void);
/* Bytes of memory that the machine has and the control group may use. */
uint64_t os_memory_bytes(void);
/* Bytes that a file occupies now (not its size); 0 if that can't be known. */
uint64_t os_file_bytes(int fd);
/* The CPU that a process's first thread ran on last, or a negative errno. */
int os_last_cpu(pid_t pid);
/* True if a pidfd's process has exited. */
bool os_pidfd_dead(int pidfd);
/* The process of a pidfd, -1 once it is gone; 0: it is no pidfd. */
pid_t os_pidfd_pid(int fd);
/* A descriptor that becomes readable on SIGTERM, SIGINT, SIGHUP and SIGUSR2, which are blocked from
 * then on, in this thread and those that it starts. SIGPIPE is ignored. */
int os_signalfd(int *ret_fd);
/* The next signal of that descriptor, 0 if there is none. */
int os_signal_next(int fd);
/* A non-blocking eventfd. */
int os_eventfd(int *ret_fd);
void os_event_set(int fd);
void os_event_clear(int fd);
/* A non-blocking timerfd: something to wait for by which who holds it, too, can't make us
 * wait, as by a full eventfd that was made blocking. Reading 8 bytes takes the sign away, or
 * says EAGAIN: then it was just being set anew, and is readable again at once. */
int os_sign(int *ret_fd);
void os_sign_set(int fd);
/* As little room as the kernel lets a socket have for what its peer did not read yet. */
void os_sock_least_room(int sock);
/* True if it is what os_sign() made. */
bool os_is_sign(int fd);
/* The same file opened anew, for reading only. */
int os_reopen_readonly(int *ret_fd, int fd);
/*
 * Closes a connected socket for good; returns -1. What the peer had sent is taken out first, after
 * it can send no more: else the kernel would answer it with ECONNRESET instead of our last words.
 */
int os_hang_up(int sock);
int os_pwrite(int fd, const void *buf, size_t size, uint64_t off);
