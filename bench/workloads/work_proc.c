/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/workloads/work.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_NODES 64

/* A file of /proc, line by line, without the allocator that is being measured. */
struct lines {
	int fd;
	size_t begin, end;
	char text[8192];
};

static bool lines_open(struct lines *lines, const char *path)
{
	lines->begin = lines->end = 0;
	lines->fd = open(path, O_RDONLY | O_CLOEXEC);
	return lines->fd >= 0;
}

/* The next line without its newline; a longer one comes in pieces. NULL at the end, and closed. */
static char *lines_next(struct lines *lines)
{
	for (;;) {
		char *start = lines->text + lines->begin;
		char *newline = memchr(start, '\n', lines->end - lines->begin);
		size_t room;
		ssize_t n;

		if (newline) {
			*newline = 0;
			lines->begin = (size_t)(newline + 1 - lines->text);
			return start;
		}
		memmove(lines->text, start, lines->end - lines->begin);
		lines->end -= lines->begin;
		lines->begin = 0;
		room = sizeof(lines->text) - 1 - lines->end;
		n = room ? read(lines->fd, lines->text + lines->end, room) : 0;
		if (n > 0) {
			lines->end += (size_t)n;
			continue;
		}
		lines->text[lines->end] = 0;
		if (room || !lines->end) {
			(void)close(lines->fd);
			return NULL;
		}
		lines->begin = lines->end;
		return lines->text;
	}
}

/* "Name:   123 kB" */
static void field(const char *line, const char *name, uint64_t *value)
{
	size_t n = strlen(name);

	if (!strncmp(line, name, n) && line[n] == ':')
		*value = strtoull(line + n + 1, NULL, 10);
}

void work_memory_read(struct work_memory *ret_memory)
{
	struct work_memory m = { 0 };
	struct lines lines;
	struct rusage children;
	char *line;

	/* Not ru_maxrss of this process: exec hands on the peak of whoever started it. */
	if (lines_open(&lines, "/proc/self/status")) {
		while ((line = lines_next(&lines))) {
			field(line, "VmHWM", &m.peak_kib);
			field(line, "VmRSS", &m.rss_kib);
		}
	}
	/* Exact, unlike VmRSS, whose counters are kept per CPU. */
	if (lines_open(&lines, "/proc/self/smaps_rollup")) {
		while ((line = lines_next(&lines))) {
			field(line, "Rss", &m.rss_kib);
			field(line, "Pss", &m.pss_kib);
		}
	}
	(void)getrusage(RUSAGE_CHILDREN, &children);
	if ((uint64_t)children.ru_maxrss > m.peak_kib)
		m.peak_kib = (uint64_t)children.ru_maxrss;
	if (m.rss_kib > m.peak_kib)
		m.peak_kib = m.rss_kib;
	*ret_memory = m;
}

/* "7f0000000000 default anon=3 dirty=3 N0=2 N1=1 kernelpagesize_kB=4" */
static void add_nodes(char *line, uint64_t kib[MAX_NODES])
{
	const char *page = strstr(line, "kernelpagesize_kB=");
	uint64_t page_kib = page ? strtoull(page + strlen("kernelpagesize_kB="), NULL, 10) : 4;
	char *end;

	for (char *at = strstr(line, " N"); at; at = strstr(at + 2, " N")) {
		unsigned long node = strtoul(at + 2, &end, 10);

		if (end != at + 2 && *end == '=' && node < MAX_NODES)
			kib[node] += strtoull(end + 1, NULL, 10) * page_kib;
	}
}

void work_print_nodes(void)
{
	uint64_t kib[MAX_NODES] = { 0 };
	struct lines lines;
	bool first = true;
	char *line;

	if (!lines_open(&lines, "/proc/self/numa_maps"))
		return;
	while ((line = lines_next(&lines)))
		add_nodes(line, kib);
	(void)printf(",\"node_kib\":{");
	for (unsigned node = 0; node < MAX_NODES; node++) {
		if (!kib[node])
			continue;
		(void)printf("%s\"%u\":%" PRIu64, first ? "" : ",", node, kib[node]);
		first = false;
	}
	(void)printf("}");
}
