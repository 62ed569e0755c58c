/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay DIRECTORY [MUTATIONS]: feeds every file of a corpus to the fuzz entry, then seeded
 * mutations of each, as a test in TAP. Each file is one test; a finding aborts and names no
 * further one.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define MAX_BYTES 65536u

static unsigned long mutations = 2000; /* of each file */
static uint64_t seed = 20240607;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Flips, cuts, copies: what finds shallow faults without an engine. */
static size_t mutate(uint8_t *bytes, size_t size)
{
	for (uint64_t n = next_random() % 4 + 1; n && size; n--) {
		size_t at = next_random() % size, from = next_random() % size;

		switch (next_random() % 5) {
		case 0:
			bytes[at] ^= (uint8_t)(1u << (next_random() % 8));
			break;
		case 1:
			bytes[at] = (uint8_t)next_random();
			break;
		case 2:
			size = at;
			break;
		case 3:
			bytes[at] = bytes[from];
			break;
		default:
			if (size < MAX_BYTES)
				bytes[size++] = bytes[from];
		}
	}
	return size;
}

static int replay(const char *dir, const char *name)
{
	static uint8_t original[MAX_BYTES], bytes[MAX_BYTES];
	char path[4096];
	size_t size;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "rb");
	if (!file)
		return -1;
	size = fread(original, 1, sizeof(original), file);
	(void)fclose(file);
	(void)LLVMFuzzerTestOneInput(original, size);
	for (unsigned long i = 0; i < mutations; i++) {
		memcpy(bytes, original, size);
		(void)LLVMFuzzerTestOneInput(bytes, mutate(bytes, size));
	}
	return 0;
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	struct dirent **entries;
	int n, failed = 0;

	if (argc < 2 || argc > 3) {
		fputs("usage: replay DIRECTORY [MUTATIONS]\n", stderr);
		return 2;
	}
	if (argc == 3)
		mutations = strtoul(argv[2], NULL, 10);
	n = scandir(argv[1], &entries, visible, alphasort);
	if (n <= 0) {
		printf("Bail out! no corpus in %s\n", argv[1]);
		return 1;
	}
	printf("1..%d\n", n);
	for (int i = 0; i < n; i++) {
		int bad = replay(argv[1], entries[i]->d_name) < 0;

		printf("%s %d - %s\n", bad ? "not ok" : "ok", i + 1, entries[i]->d_name);
		(void)fflush(stdout);
		failed += bad;
		free(entries[i]);
	}
	free(entries);
	return failed != 0;
}
