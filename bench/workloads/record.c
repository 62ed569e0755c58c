/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hakrecord.so, to be preloaded: notes each call of malloc and its kin in the file that
 * HAKBENCH_RECORD names. `hakbench record` makes a trace of it, which replay.c replays.
 *
 * One process is recorded, the one that HAKBENCH_RECORD_PARENT started; if it becomes another
 * program by exec, that one. A forked child finds the state wiped and notes nothing. Calls are
 * serialised, each with its record, so that an address is never seen to be handed out again before
 * it was freed.
 */
#include "bench/workloads/record.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT  __attribute__((visibility("default")))
#define RECORDS 32768 /* between two writes */

/* glibc's own, by the names under which it exports them for interposers. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *p);

struct recorder {
	atomic_flag lock;
	bool on;
	pid_t pid;
	size_t n;
	struct record records[RECORDS];
};

static struct recorder *recorder;
static bool tried;

/* When the program begins, or at the first call, whichever is earlier. */
__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("HAKBENCH_RECORD");
	const char *parent = getenv("HAKBENCH_RECORD_PARENT");
	int error = errno;
	int fd;
	void *p;

	if (tried)
		return;
	tried = true;
	if (!path || !parent || strtol(parent, NULL, 10) != getppid())
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd >= 0) {
		(void)close(fd);
		p = mmap(NULL, sizeof(*recorder), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p != MAP_FAILED && !madvise(p, sizeof(*recorder), MADV_WIPEONFORK)) {
			recorder = p;
			recorder->on = true;
			recorder->pid = getpid();
		}
	}
	errno = error;
}

/* No descriptor is kept: a program may close it and use its number for a file of its own. */
static void flush(struct recorder *r)
{
	const char *path = getenv("HAKBENCH_RECORD");
	size_t size = r->n * sizeof(r->records[0]);
	int error = errno;
	int fd = path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;

	if (fd < 0 || write(fd, r->records, size) != (ssize_t)size)
		r->on = false;
	if (fd >= 0)
		(void)close(fd);
	r->n = 0;
	errno = error;
}

/* NULL if nothing is recorded; otherwise locked until leave(). */
static struct recorder *enter(void)
{
	start();
	if (!recorder || !recorder->on)
		return NULL;
	while (atomic_flag_test_and_set_explicit(&recorder->lock, memory_order_acquire))
		(void)sched_yield();
	return recorder;
}

static void leave(struct recorder *r, struct record record)
{
	if (!r)
		return;
	if (r->on)
		r->records[r->n++] = record;
	if (r->n == RECORDS)
		flush(r);
	atomic_flag_clear_explicit(&r->lock, memory_order_release);
}

static void *note(struct recorder *r, enum record_kind kind, void *p, size_t size)
{
	leave(r, (struct record){ .kind = kind, .p = (uintptr_t)p, .size = size });
	return p;
}

EXPORT void *malloc(size_t size)
{
	struct recorder *r = enter();

	return note(r, RECORD_MALLOC, __libc_malloc(size), size);
}

EXPORT void *calloc(size_t n, size_t size)
{
	struct recorder *r = enter();

	/* A product that overflows fails, and what fails is left out. */
	return note(r, RECORD_CALLOC, __libc_calloc(n, size), n * size);
}

EXPORT void free(void *p)
{
	struct recorder *r = enter();

	__libc_free(p);
	(void)note(r, RECORD_FREE, p, 0);
}

EXPORT void *realloc(void *old, size_t size)
{
	struct recorder *r = enter();
	uintptr_t from = (uintptr_t)old;
	void *p = __libc_realloc(old, size);

	leave(r, (struct record){
			 .kind = RECORD_REALLOC, .old = from, .p = (uintptr_t)p, .size = size });
	return p;
}

EXPORT void *reallocarray(void *old, size_t n, size_t size)
{
	size_t product;

	if (__builtin_mul_overflow(n, size, &product)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(old, product);
}

EXPORT void *memalign(size_t align, size_t size)
{
	struct recorder *r = enter();
	void *p = __libc_memalign(align, size);

	leave(r, (struct record){
			 .kind = RECORD_MEMALIGN, .old = align, .p = (uintptr_t)p, .size = size });
	return p;
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	return memalign(align, size);
}

EXPORT int posix_memalign(void **ret_p, size_t align, size_t size)
{
	int error = errno;
	void *p;

	if (align % sizeof(void *) || !align || (align & (align - 1)))
		return EINVAL;
	p = memalign(align, size);
	errno = error;
	if (!p)
		return ENOMEM;
	*ret_p = p;
	return 0;
}

__attribute__((destructor)) static void finish(void)
{
	struct recorder *r = enter();

	if (!r)
		return;
	/* A child of vfork is in its parent's memory, and ends nothing. */
	if (r->pid == getpid()) {
		flush(r);
		r->on = false;
	}
	atomic_flag_clear_explicit(&r->lock, memory_order_release);
}

/* Programs that end without destructors. */
EXPORT _Noreturn void _exit(int status)
{
	finish();
	for (;;)
		(void)syscall(SYS_exit_group, status);
}

EXPORT _Noreturn void _Exit(int status)
{
	_exit(status);
}
