/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls that a real program made, from a trace of `hakbench record`: sizes and order are its
 * own, addresses and threads are not. Each block is written to, page by page. A trace ends with
 * everything freed and begins anew; the clock stops at its high tide, when most bytes are alive, so
 * that what the process holds can be compared with what the program asked for.
 *
 * The trace: "HAKTRACE", the number of events, the number of blocks alive at most, then for each
 * event its kind, the number of its block, its size (unless it is a free) and, for memalign, the
 * binary logarithm of its alignment. Numbers are little-endian in groups of seven bits, the top bit
 * of a byte says that more follow.
 */
#include "bench/workloads/record.h"
#include "bench/workloads/work.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC     "HAKTRACE"
#define MAX_SIZE  (UINT64_C(1) << 31)
#define MAX_ALIGN 30

static const struct work_variant variants[] = {
	{ "python", "python3 that parses and compiles its own library", 20000000, 1, 1, 1, 1 },
	{ "cc1", "gcc's compiler proper at work", 10000000, 1, 1, 1, 1 },
	{ "sqlite", "sqlite3 that fills and queries a database", 20000000, 1, 1, 1, 1 },
	{ "python-threads", "the same python3 in two threads, each with blocks of its own",
	  20000000, 1, 1, 1, 2 },
	{ 0 },
};

static const struct work_info info = {
	.name = "replay",
	.group = "replay",
	.about = "the recorded calls of a real program",
	.op = "one call of the trace",
	.variants = variants,
	.takes_trace = true,
};

struct event {
	uint32_t block;
	uint32_t size;
	uint8_t kind;
	uint8_t align; /* binary logarithm */
};

struct trace {
	struct event *events;
	size_t n, blocks;
	size_t *sizes; /* by block, 0: it does not exist; those of 0 bytes count as 1 */
};

static struct trace trace;
static void **table;
static uint64_t calls; /* of each thread */

struct bytes {
	const uint8_t *at, *end;
};

static uint64_t number(struct bytes *bytes, uint64_t max)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 63 && bytes->at < bytes->end; shift += 7) {
		uint8_t byte = *bytes->at++;

		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte & 0x80)
			continue;
		if (value > max)
			break;
		return value;
	}
	work_die("the trace is damaged");
}

static struct bytes file_map(const char *path)
{
	struct bytes bytes;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *p;

	if (fd < 0 || fstat(fd, &st) || st.st_size < (off_t)strlen(MAGIC))
		work_die("cannot read the trace");
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	(void)close(fd);
	if (p == MAP_FAILED)
		work_die("cannot read the trace");
	bytes = (struct bytes){ p, (const uint8_t *)p + st.st_size };
	if (memcmp(bytes.at, MAGIC, strlen(MAGIC)) != 0)
		work_die("this is no trace of hakbench record");
	bytes.at += strlen(MAGIC);
	return bytes;
}

/* The first n events, as bytes that are then alive. Says after how many events they were most. */
static size_t walk(size_t n, size_t *ret_tide)
{
	size_t live = 0, most = 0;

	*ret_tide = n;
	memset(trace.sizes, 0, trace.blocks * sizeof(*trace.sizes));
	for (size_t i = 0; i < n; i++) {
		const struct event *e = &trace.events[i];
		size_t *size = &trace.sizes[e->block];
		bool takes = e->kind != RECORD_REALLOC && e->kind != RECORD_FREE;

		if (takes != !*size)
			work_die("the trace is damaged");
		live -= *size;
		*size = e->kind == RECORD_FREE ? 0 : e->size ? e->size : 1;
		live += *size;
		if (live > most) {
			most = live;
			*ret_tide = i + 1;
		}
	}
	return live;
}

static void decode(struct work *work, const char *path)
{
	struct bytes bytes = file_map(path);
	const uint8_t *first = bytes.at;

	/* No table is larger than the file accounts for: an event has two bytes at least. */
	trace.n = number(&bytes, (uint64_t)(bytes.end - bytes.at) / 2);
	trace.blocks = number(&bytes, trace.n);
	if (!trace.n || !trace.blocks)
		work_die("the trace is empty");
	trace.events = work_table(trace.n, sizeof(*trace.events));
	trace.sizes = work_table(trace.blocks, sizeof(*trace.sizes));
	work->min = MAX_SIZE;
	work->max = 0;
	for (size_t i = 0; i < trace.n; i++) {
		struct event *e = &trace.events[i];

		e->kind = (uint8_t)number(&bytes, RECORD_FREE);
		e->block = (uint32_t)number(&bytes, trace.blocks - 1);
		if (!e->kind)
			work_die("the trace is damaged");
		if (e->kind == RECORD_FREE)
			continue;
		e->size = (uint32_t)number(&bytes, MAX_SIZE);
		if (e->kind == RECORD_MEMALIGN)
			e->align = (uint8_t)number(&bytes, MAX_ALIGN);
		work->min = e->size < work->min ? e->size : work->min;
		work->max = e->size > work->max ? e->size : work->max;
	}
	if (bytes.at != bytes.end)
		work_die("the trace is damaged");
	work->slots = trace.blocks;
	first -= strlen(MAGIC);
	(void)munmap((void *)(uintptr_t)first, (size_t)(bytes.end - first));
}

/* Whole rounds and one up to the high tide; fewer calls than that are taken as they are. */
static uint64_t rounded(uint64_t ops, size_t tide)
{
	if (ops <= tide)
		return ops;
	return (ops - tide + trace.n - 1) / trace.n * trace.n + tide;
}

static void *taken(const struct event *e, void *old)
{
	switch (e->kind) {
	case RECORD_CALLOC:
		return calloc(1, e->size);
	case RECORD_REALLOC:
		return realloc(old, e->size);
	case RECORD_MEMALIGN:
		return memalign((size_t)1 << e->align, e->size);
	default:
		return malloc(e->size);
	}
}

static void load(struct work_thread *t)
{
	void **blocks = table + t->index * trace.blocks;

	for (uint64_t left = calls; left;) {
		size_t n = left < trace.n ? left : trace.n;

		for (size_t i = 0; i < n; i++) {
			const struct event *e = &trace.events[i];
			void **block = &blocks[e->block];

			if (e->kind == RECORD_FREE) {
				free(*block);
				*block = NULL;
				continue;
			}
			*block = taken(e, *block);
			if (!*block)
				work_die("out of memory");
			work_touch(*block, e->size);
		}
		left -= n;
	}
}

/* That of the variant lies beside the program. */
static const char *trace_path(const struct work *work, char *path, size_t size)
{
	const char *name = work->variant->name;
	ssize_t n = readlink("/proc/self/exe", path, size - 1);
	char *slash;

	if (work->trace)
		return work->trace;
	path[n < 0 ? 0 : n] = 0;
	slash = strrchr(path, '/');
	if (!slash)
		work_die("cannot tell where the traces are");
	(void)snprintf(slash + 1, size - (size_t)(slash + 1 - path), "%.*s.trace",
		       (int)strcspn(name, "-"), name);
	return path;
}

int main(int argc, char **argv)
{
	char path[4096];
	struct work work;
	size_t tide, live;
	double held;

	work_init(&work, &info, argc, argv);
	decode(&work, trace_path(&work, path, sizeof(path)));
	if (walk(trace.n, &tide))
		work_die("the trace leaves blocks behind");
	calls = rounded((work.ops + work.threads - 1) / work.threads, tide);
	live = walk(calls % trace.n, &tide) * work.threads;
	work.done = calls * work.threads;
	table = work_table(trace.blocks * work.threads, sizeof(*table));
	work_start(&work);
	work_threads(&work, load);
	work_stop(&work);
	held = (double)work.live.rss_kib - (double)work.begin.rss_kib;
	work_extra(&work, "live_kib", (double)live / 1024);
	work_extra(&work, "held_kib", held);
	if (live)
		work_extra(&work, "held_per_live", held * 1024 / (double)live);
	for (size_t i = 0; i < trace.blocks * work.threads; i++)
		free(table[i]);
	return work_report(&work);
}
