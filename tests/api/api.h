/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all conformance programs of libhakmalloc.so share; for C and C++.
 *
 * The programs run unchanged on plain glibc (the oracle) and with the library preloaded. They learn
 * which it is from one exported symbol, hak_owns(), and may differ only where README.md says so.
 *
 * CHECK() is for places where CMocka's assertions must not be used: other threads, child processes,
 * constructors, programs without CMocka. It reports without allocating and ends the process.
 */
#pragma once

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define API_SKIPPED     77     /* exit status: this machine does not permit the situation */
#define API_DEADLINE_MS 60000L /* no single wait is longer; a hang becomes a failure */

#define KIB              ((size_t)1 << 10)
#define MIB              ((size_t)1 << 20)
#define API_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define CHECK(condition) ((condition) ? (void)0 : api_fail(__FILE__, __LINE__, #condition, errno))

__attribute__((noreturn)) static inline void api_fail(const char *file, int line, const char *what,
						      int error)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "# %s:%d: pid %d: failed: %s (errno %d)\n", file, line,
			 (int)getpid(), what, error);

	(void)!write(2, text, n < 0 ? 0 : (size_t)n);
	_exit(1);
}

/* Hide a pointer or size from the optimiser and from warnings about misuse that is the test. */
static inline void *api_hide(const void *p)
{
	void *q = (void *)(uintptr_t)p;

	__asm__ volatile("" : "+r"(q));
	return q;
}

static inline size_t api_hide_size(size_t n)
{
	__asm__ volatile("" : "+r"(n));
	return n;
}

/* A function that may be absent, called as `type`; NULL if nobody defines it. */
static inline void *api_symbol(const char *name)
{
	return dlsym(RTLD_DEFAULT, name);
}

static inline int api_preloaded(void)
{
	return api_symbol("hak_owns") != NULL;
}

/* 1: in a superslab of hakmem; 0: not; -1: hakmem is not in this process. */
static inline int api_owns(const void *p)
{
	int (*owns)(const void *) = (int (*)(const void *))api_symbol("hak_owns");

	return owns ? owns(p) : -1;
}

/* splitmix64: one word of state, every seed is good. */
static inline uint64_t api_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline uint64_t api_pattern_word(uint64_t seed, size_t word)
{
	return (seed + word) * UINT64_C(0x9e3779b97f4a7c15) ^ seed >> 7;
}

/* Every byte of the block depends on the seed and on its place. */
static inline void api_fill(void *p, size_t n, uint64_t seed)
{
	unsigned char *byte = (unsigned char *)p;
	size_t i;

	for (i = 0; i + 8 <= n; i += 8) {
		uint64_t word = api_pattern_word(seed, i / 8);

		memcpy(byte + i, &word, 8);
	}
	if (i < n) {
		uint64_t word = api_pattern_word(seed, i / 8);

		memcpy(byte + i, &word, n - i);
	}
}

/* Nonzero if the first n bytes are still what api_fill() wrote. */
static inline int api_filled(const void *p, size_t n, uint64_t seed)
{
	const unsigned char *byte = (const unsigned char *)p;
	uint64_t word;
	size_t i;

	for (i = 0; i + 8 <= n; i += 8) {
		memcpy(&word, byte + i, 8);
		if (word != api_pattern_word(seed, i / 8))
			return 0;
	}
	word = api_pattern_word(seed, i / 8);
	return i == n || memcmp(byte + i, &word, n - i) == 0;
}

static inline int api_all(const void *p, size_t n, unsigned char value)
{
	const unsigned char *byte = (const unsigned char *)p;

	return n == 0 || (byte[0] == value && memcmp(byte, byte + 1, n - 1) == 0);
}

/* The wait status of a child, or -1 (and the child is killed) after the deadline. */
static inline int api_wait(pid_t pid)
{
	struct pollfd poll_fd = { .fd = (int)syscall(SYS_pidfd_open, pid, 0),
				  .events = POLLIN,
				  .revents = 0 };
	int status = -1, r;

	CHECK(poll_fd.fd >= 0);
	do
		r = poll(&poll_fd, 1, (int)API_DEADLINE_MS);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		(void)kill(pid, SIGKILL);
	CHECK(waitpid(pid, &status, 0) == pid);
	(void)close(poll_fd.fd);
	return r == 0 ? -1 : status;
}

static inline int api_exited_cleanly(int status)
{
	return status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* One byte across a pipe: how parent and child take turns. */
static inline void api_tell(int fd)
{
	CHECK(write(fd, "x", 1) == 1);
}

static inline void api_await(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN, .revents = 0 };
	char byte;
	int r;

	do
		r = poll(&poll_fd, 1, (int)API_DEADLINE_MS);
	while (r < 0 && errno == EINTR);
	CHECK(r == 1);
	CHECK(read(fd, &byte, 1) == 1);
}
