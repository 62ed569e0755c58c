/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hog NODE MIB - takes memory of a node until no more than MIB of it are free, says "NODE is full",
 * and holds it until it is killed.
 */
#include <linux/mempolicy.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/must.h"

#define STEP (UINT64_C(1) << 20)

static unsigned long free_kib(int node)
{
	unsigned long kib = 0;
	char path[64], line[256];
	FILE *file;

	(void)snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", node);
	file = fopen(path, "re");
	must(file);
	while (fgets(line, sizeof(line), file)) {
		const char *at = strstr(line, "MemFree:");

		if (at)
			kib = strtoul(at + strlen("MemFree:"), NULL, 10);
	}
	(void)fclose(file);
	return kib;
}

int main(int argc, char **argv)
{
	unsigned long mask, leave;
	int node;

	must(argc == 3);
	node = atoi(argv[1]);
	leave = strtoul(argv[2], NULL, 10) << 10;
	mask = 1ul << node;
	while (free_kib(node) > leave) {
		char *p = mmap(NULL, STEP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);

		must(p != MAP_FAILED);
		/* A page on another node, or none, and the loop would not end. */
		must(!syscall(SYS_mbind, p, STEP, MPOL_BIND, &mask, 64ul, 0ul));
		memset(p, 1, STEP);
	}
	printf("%d is full\n", node);
	(void)fflush(stdout);
	for (;;)
		(void)pause();
}
