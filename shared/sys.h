/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys.h - system calls as functions that return 0 or a negative errno. With sys.c's sibling
 * fdpass.c the only readers of `errno` on either side, and they leave it as they found it: this
 * code runs inside other people's malloc.
 *
 * All functions are thread-safe, async-signal-safe, no cancellation points, and allocate nothing.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "shared/base.h"

/* The calling thread can't be cancelled between the two. */
static inline int hak_sys_hold_cancel(void)
{
	int state = PTHREAD_CANCEL_ENABLE;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	return state;
}

static inline void hak_sys_let_cancel(int state)
{
	(void)pthread_setcancelstate(state, NULL);
}

/* ---- memory ---- */

/*
 * A memfd of `size` bytes, close-on-exec, not executable where the kernel can seal that, mode
 * 0600, sealed against shrinking, growing and, with `seal_all`, against further seals.
 */
int hak_sys_memfd(int *ret_fd, const char *name, uint64_t size, bool seal_all);

/* Address space without memory, page-aligned; at `hint` if that is free, else where the kernel
 * likes. `align` (a power of two, or 0) rounds the start up. */
int hak_sys_reserve(void **ret_base, void *hint, uint64_t size, uint64_t align);

/* Fresh zeroed private memory at a place of the kernel's choice. */
int hak_sys_map_anon(void **ret_base, uint64_t size);
/* Memory that reads as zero until it is made writable; costs nothing until then. */
int hak_sys_map_zero(void **ret_base, uint64_t size);
/* The same at a place where nothing is; -EEXIST: something is. */
int hak_sys_map_zero_at(void *at, uint64_t size);
/* Replaces [at, at + size) by fresh zeroed private memory. */
int hak_sys_map_anon_at(void *at, uint64_t size);
/* Replaces [at, at + size) by inaccessible address space; its memory is given up. */
int hak_sys_map_none_at(void *at, uint64_t size);
/* Maps a file shared and writable; `at` NULL: anywhere, else over what is there. */
int hak_sys_map_shared(void **ret_base, void *at, int fd, uint64_t off, uint64_t size);
/* Maps a file, from its beginning, shared at a place where nothing is; -EEXIST: something is. */
int hak_sys_map_shared_at(void *at, int fd, uint64_t size, bool writable);
/* Replaces [at, at + size) by a copy-on-write view of the file. */
int hak_sys_map_private_at(void *at, int fd, uint64_t off, uint64_t size);
/* Moves the pages at `from` over [at, at + size) in one step. */
int hak_sys_move_over(void *from, void *at, uint64_t size);
/* The same, and leaves fresh zeroed private memory at `from`; both are private and anonymous. */
int hak_sys_move_pages(void *from, void *at, uint64_t size);
int hak_sys_map_readonly(void **ret_base, int fd, uint64_t size);
int hak_sys_unmap(void *at, uint64_t size);
int hak_sys_protect_rw(void *at, uint64_t size);
/* Inaccessible; its contents stay. */
int hak_sys_protect_none(void *at, uint64_t size);
int hak_sys_advise(void *at, uint64_t size, int advice);
/* Counts the 4 KiB pages of [at, at + size) that are in memory; 2 MiB at the most. */
int hak_sys_resident(const void *at, uint64_t size, uint32_t *ret_pages);
/* Names a private mapping in /proc/self/maps where the kernel can; failure is of no account. */
void hak_sys_name(void *at, uint64_t size, const char *name);

int hak_sys_punch(int fd, uint64_t off, uint64_t size);
int hak_sys_fallocate(int fd, uint64_t off, uint64_t size);
int hak_sys_add_seals(int fd, int seals);

/* ---- descriptors ---- */

/* Closes fd if it is one; returns -1, so that `fd = hak_sys_close(fd)`. */
int hak_sys_close(int fd);
void hak_sys_closep(int *fd);
/* Moves fd out of the way of programs that reuse low numbers; keeps it where it is on failure. */
int hak_sys_move_high(int fd);

/* What a descriptor number refers to, to be compared later: programs close and reuse numbers. */
struct hak_fd_id {
	uint64_t dev, ino;
};
int hak_sys_fd_id(struct hak_fd_id *ret_id, int fd);
bool hak_sys_fd_is(int fd, const struct hak_fd_id *id);

/* Makes an eventfd's count 0. */
void hak_sys_drain(int fd);

/* ---- waiting ---- */

/* Waits while *word == expected, on a futex that processes share. 0: woken or changed (or a
 * signal); -ETIMEDOUT. `timeout_ns` < 0 waits for ever. */
int hak_sys_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns);
void hak_sys_futex_wake(_Atomic uint32_t *word, int n);
uint64_t hak_sys_now_ns(void);      /* CLOCK_MONOTONIC */
uint64_t hak_sys_boottime_ns(void); /* CLOCK_BOOTTIME */

struct pollfd;
/* poll(2), restarted on signals with what is left: how many are ready, or a negative errno. */
int hak_sys_poll(struct pollfd *fds, unsigned n, int timeout_ms);

/* A close-on-exec SOCK_SEQPACKET socket connected to `path`; never blocks (-EAGAIN: the listener is
 * overrun). */
int hak_sys_connect(int *ret_sock, const char *path);

/* ---- processes ---- */

int hak_sys_pidfd_open(int *ret_fd, pid_t pid);
/* The process behind a connected Unix socket, as the kernel recorded it at connect(). */
struct hak_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};
/* ret_pidfd refers to exactly the peer process (never to a recycled number); -ESRCH: gone. */
int hak_sys_peer(struct hak_peer *ret_peer, int *ret_pidfd, int sock);
/* The calling thread's name, NUL-terminated. */
void hak_sys_comm(char ret_name[16]);
/* True if a seccomp filter watches this thread: a new system call might kill it. */
bool hak_sys_filtered(void);
int hak_sys_getcpu(unsigned *ret_cpu, unsigned *ret_node);
/* What a negative errno means, in English; never NULL. Constant text: allocates nothing. */
const char *hak_sys_text(int error);

/* Writes all of it to a descriptor, as far as that can be done; for messages. */
void hak_sys_write(int fd, const void *buf, size_t size);
/* The same to standard error, for words in somebody else's process: where that is a pipe without
 * a reader, or a file that may not grow, nothing happens, not a signal that ends the program. */
void hak_sys_say(const void *buf, size_t size);
/* Reads at most size - 1 bytes of a small file and ends them with NUL; the length or an error. */
ssize_t hak_sys_read_file(const char *path, char *buf, size_t size);
uint64_t hak_sys_random(void);
