/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vm/where.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/must.h"

#define NODES 8

void *where_map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	must(p != MAP_FAILED);
	return p;
}

static int by_address(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return (*x > *y) - (*x < *y);
}

static size_t unique(void **page, size_t n)
{
	size_t kept = 0;

	qsort(page, n, sizeof(*page), by_address);
	for (size_t i = 0; i < n; i++) {
		if (!kept || page[kept - 1] != page[i])
			page[kept++] = page[i];
	}
	return kept;
}

/*
 * A page that the daemon makes part of a larger one meanwhile is there, but has to be looked at
 * once more to be in this process's page table.
 */
static int node_of(void *page)
{
	int node = -1;

	for (int tries = 0; node < 0 && tries < 1000; tries++) {
		(void)*(volatile char *)page;
		must(!syscall(SYS_move_pages, 0, 1ul, &page, NULL, &node, 0));
	}
	must(node >= 0 && node < NODES);
	return node;
}

void where_print(int part, int node, void **page, size_t n, int error)
{
	size_t on[NODES] = { 0 };

	n = unique(page, n);
	for (size_t i = 0; i < n; i++)
		on[node_of(page[i])]++;
	printf("part=%d node=%d pages=%zu on=", part, node, n);
	for (int i = 0; i < NODES; i++)
		printf("%s%zu", i ? "," : "", on[i]);
	if (error)
		printf(" errno=%d", error);
	putchar('\n');
}
