/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all workloads have in common: arguments, random numbers, threads, and one line of JSON.
 *
 * A workload is a program that uses plain malloc and free, so that any allocator can be preloaded.
 * It is built with -fno-builtin: the compiler must not know that a block is never read. Its own
 * tables come from work_table(), that is from mmap, so that the allocator sees the load and nothing
 * else. The order of a run:
 *
 *	work_init()   arguments
 *	...           what is not measured: tables
 *	work_start()  memory of the program itself, clocks
 *	...           the load; work.done counts operations where work.ops does not
 *	work_stop()   clocks, faults, memory while the load's blocks still live
 *	...           everything is freed
 *	work_report() memory after that, memory after malloc_trim(), JSON
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define WORK_PAGE       4096
#define WORK_EXTRAS_MAX 24
#define WORK_EXTRA_NAME 32

/* The first variant is the default one; a NULL name ends the list. */
struct work_variant {
	const char *name;
	const char *about;
	uint64_t ops;
	size_t min, max; /* bytes of a block */
	size_t slots;    /* blocks alive at a time, or what the workload says */
	unsigned threads;
};

struct work_info {
	const char *name;
	const char *group; /* small, large, memory, replay, startup, daemon or shared */
	const char *about;
	const char *op; /* what one operation is */
	const struct work_variant *variants;
	bool takes_trace;  /* --trace names the file that says what to do */
	bool in_children;  /* the work is done by other processes: instructions cannot be counted */
	bool needs_daemon; /* about the daemon that HAKMEM_SOCKET names: nothing is preloaded */
	bool counted;      /* ... and calls of the library that it speaks to can be counted */
	/* Names, with commas between: NAME.PEER beside the program does the same with a peer. */
	const char *peers;
};

struct work_clock {
	uint64_t wall_ns, cpu_ns;
	uint64_t minflt, majflt; /* since the process began, with its children */
};

struct work_memory {
	uint64_t peak_kib, rss_kib, pss_kib;
};

struct work_extra {
	char name[WORK_EXTRA_NAME];
	double value;
};

struct work {
	const struct work_info *info;
	const struct work_variant *variant;
	uint64_t ops, seed;
	size_t min, max, slots;
	unsigned threads;
	const char *trace; /* NULL: the workload's own */
	bool numa;         /* say on which nodes the pages lie */
	uint64_t done;     /* operations really done; work_init() sets it to ops */
	uint64_t timed_ns; /* if set, what the operations took: the load pauses between them */
	uint64_t waits;    /* of threads for the daemon, since the process began ... */
	bool has_waits;    /* ... if hakmem is preloaded and has one */
	struct work_clock start, stop;
	struct work_memory begin, live;
	struct work_extra extras[WORK_EXTRAS_MAX];
	unsigned n_extras;
};

struct work_thread {
	struct work *work;
	unsigned index;
	uint64_t seed; /* its own, never 0 */
	uint64_t ops;  /* its share of work->ops */
};

/* Exits with 2 on a wrong argument, with 0 after --help and --list. */
void work_init(struct work *work, const struct work_info *info, int argc, char **argv);
void work_start(struct work *work);
void work_stop(struct work *work);
/* An extra field of the JSON line. */
void work_extra(struct work *work, const char *name, double value);
struct hist;
/* PREFIXp50_ns, PREFIXp99_ns and PREFIXp999_ns. */
void work_quantiles(struct work *work, const char *prefix, const struct hist *hist);
/* Prints the line. Returns the exit status of the program. */
int work_report(struct work *work);

/*
 * Runs fn in work->threads threads to their end. If that is one, work_threads() runs it in this
 * thread: allocators and libc save their atomics in a process that never had a second.
 */
void work_threads(struct work *work, void (*fn)(struct work_thread *));
void work_spawn(struct work *work, void (*fn)(struct work_thread *));

/* Zeroed, touched memory of our own, by mmap. */
void *work_table(size_t n, size_t size);

_Noreturn void work_die(const char *what);

/* work_proc.c: what the kernel knows about this process. 0 stands for "it does not say". */
void work_memory_read(struct work_memory *ret_memory);
/* Prints ,"node_kib":{"0":N,...} if the kernel has numa_maps. */
void work_print_nodes(void);

/* Marsaglia's xorshift64: *state is never 0. */
static inline uint64_t work_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

/* A number in [0, n), n < 2^32, without a division. */
static inline size_t work_below(uint64_t *state, size_t n)
{
	return (work_next(state) >> 32) * n >> 32;
}

/* A number in [min, max], max < 2^32. */
static inline size_t work_between(uint64_t *state, size_t min, size_t max)
{
	return min + work_below(state, max - min + 1);
}

/* Each block is written to once, as a program would. */
static inline void *work_written(void *p)
{
	if (!p)
		work_die("out of memory");
	*(volatile char *)p = 1;
	return p;
}

static inline void *work_malloc(size_t size)
{
	return work_written(malloc(size));
}

static inline void work_touch(void *p, size_t size)
{
	for (size_t i = 0; i < size; i += WORK_PAGE)
		((volatile char *)p)[i] = 1;
}

/* Between attempts to get on with a queue that another thread has to fill or to empty. */
void work_wait(unsigned *tries);

#endif
