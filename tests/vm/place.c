/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place - where does memory from malloc lie? Run under hakrun.
 *
 *	place MIB SIZE[,SIZE...] NODE...   a thread pinned to each NODE (`-`: to none) gets MIB
 *	                                   of blocks of each SIZE and writes to them, all threads
 *	                                   at the same time
 *	place MIB SIZE[,SIZE...] FROM>TO   one thread, which moves from node to node after half
 *	                                   of the blocks of each size; the halves are reported
 *	                                   like threads
 *
 * Prints where they are (where.h), size by size, and in it thread by thread, numbered.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/must.h"
#include "tests/vm/where.h"

#define PAGE    4096u
#define SIZES   4
#define THREADS 16

/* What a thread got of one size. */
struct got {
	void **page; /* that its blocks lie in */
	size_t pages, moved_at;
	int error;
};

struct thread {
	pthread_t id;
	int node;    /* -1: not pinned */
	int then_to; /* -1: does not move */
	struct got got[SIZES];
};

static size_t bytes, sizes[SIZES];
static unsigned n_sizes;
static pthread_barrier_t barrier;

static void pin(int node)
{
	char path[64], line[256];
	cpu_set_t set;
	FILE *file;
	int low, high;

	if (node < 0)
		return;
	(void)snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", node);
	file = fopen(path, "re");
	must(file && fgets(line, sizeof(line), file));
	(void)fclose(file);
	if (sscanf(line, "%d-%d", &low, &high) < 2) {
		must(sscanf(line, "%d", &low) == 1);
		high = low;
	}
	CPU_ZERO(&set);
	for (int cpu = low; cpu <= high; cpu++)
		CPU_SET((unsigned)cpu, &set);
	must(!sched_setaffinity(0, sizeof(set), &set));
}

/* Notes the pages of a block; neighbours share some. */
static void note(struct got *got, char *block, size_t size)
{
	uintptr_t at = (uintptr_t)block & ~(uintptr_t)(PAGE - 1);

	for (; at < (uintptr_t)block + size; at += PAGE) {
		if (!got->pages || got->page[got->pages - 1] != (void *)at)
			got->page[got->pages++] = (void *)at;
	}
}

static void allocate(struct thread *thread, struct got *got, size_t size)
{
	size_t n = bytes / size;

	for (size_t i = 0; i < n; i++) {
		char *block;

		if (thread->then_to >= 0 && i == n / 2) {
			pin(thread->then_to);
			got->moved_at = got->pages;
		}
		block = malloc(size);
		if (!block) {
			got->error = errno;
			return;
		}
		memset(block, 1, size);
		note(got, block, size);
	}
}

static void *run(void *context)
{
	struct thread *thread = context;

	for (unsigned s = 0; s < n_sizes; s++) {
		pin(thread->node);
		(void)pthread_barrier_wait(&barrier);
		allocate(thread, &thread->got[s], sizes[s]);
	}
	return NULL;
}

static int report(int part, const struct thread *thread, struct got *got)
{
	if (thread->then_to < 0) {
		where_print(part, thread->node, got->page, got->pages, got->error);
		return 1;
	}
	where_print(part, thread->node, got->page, got->moved_at, 0);
	where_print(part + 1, thread->then_to, got->page + got->moved_at,
		    got->pages - got->moved_at, got->error);
	return 2;
}

int main(int argc, char **argv)
{
	static struct thread threads[THREADS];
	unsigned n = argc > 3 ? (unsigned)argc - 3 : 0;
	int part = 0;

	if (!n || n > THREADS) {
		(void)fputs("usage: place MIB SIZE[,SIZE...] NODE...|FROM>TO\n", stderr);
		return 2;
	}
	bytes = strtoul(argv[1], NULL, 10) << 20;
	for (char *at = strtok(argv[2], ","); at; at = strtok(NULL, ",")) {
		must(n_sizes < SIZES && (sizes[n_sizes++] = strtoul(at, NULL, 10)));
	}
	must(!pthread_barrier_init(&barrier, NULL, n));
	for (unsigned i = 0; i < n; i++) {
		const char *to = strchr(argv[i + 3], '>');

		threads[i].node = *argv[i + 3] == '-' ? -1 : atoi(argv[i + 3]);
		threads[i].then_to = to ? atoi(to + 1) : -1;
		for (unsigned s = 0; s < n_sizes; s++)
			threads[i].got[s].page = where_map((bytes / sizes[s] + 1) *
							   (sizes[s] / PAGE + 2) * sizeof(void *));
		must(!pthread_create(&threads[i].id, NULL, run, &threads[i]));
	}
	for (unsigned i = 0; i < n; i++)
		must(!pthread_join(threads[i].id, NULL));
	for (unsigned s = 0; s < n_sizes; s++) {
		for (unsigned i = 0; i < n; i++)
			part += report(part, &threads[i], &threads[i].got[s]);
	}
	return 0;
}
