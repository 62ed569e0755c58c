/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/maps.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "tests/api/api.h"

#define ENTRIES_MAX 65536 /* the kernel's default vm.max_map_count is 65530 */
#define TEXT_MAX    (16 * MIB)

static void *map_anonymous(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* "start-end rwxp offset device inode   name", as proc(5) has it; names are cut to fit. */
static void parse_line(struct maps_entry *entry, const char *line)
{
	char *end, *name;

	entry->start = strtoul(line, &end, 16);
	CHECK(*end == '-');
	entry->end = strtoul(end + 1, &end, 16);
	CHECK(*end == ' ');
	entry->writable = end[2] == 'w';
	name = end + 1;
	for (int field = 0; field < 4; field++)
		name += strcspn(name, " \n") + 1;
	name += strspn(name, " ");
	(void)snprintf(entry->name, sizeof(entry->name), "%.*s", (int)strcspn(name, "\n"), name);
}

void maps_read(struct maps *maps)
{
	char *text = map_anonymous(TEXT_MAX), *line = text;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t n;

	CHECK(fd >= 0);
	maps->entry = map_anonymous(ENTRIES_MAX * sizeof(*maps->entry));
	maps->n = 0;
	while ((n = read(fd, text + length, TEXT_MAX - 1 - length)) > 0)
		length += (size_t)n;
	CHECK(n == 0 && length > 0 && length < TEXT_MAX - 1);
	(void)close(fd);
	for (; *line; line = strchr(line, '\n') + 1) {
		CHECK(maps->n < ENTRIES_MAX);
		parse_line(&maps->entry[maps->n++], line);
	}
	CHECK(munmap(text, TEXT_MAX) == 0);
}

struct maps maps_deinit(struct maps *maps)
{
	if (maps->entry)
		CHECK(munmap(maps->entry, ENTRIES_MAX * sizeof(*maps->entry)) == 0);
	return (struct maps){ .entry = NULL };
}

const struct maps_entry *maps_find(const struct maps *maps, const void *p)
{
	uintptr_t address = (uintptr_t)p;
	size_t low = 0, high = maps->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (address < maps->entry[middle].start)
			high = middle;
		else if (address >= maps->entry[middle].end)
			low = middle + 1;
		else
			return &maps->entry[middle];
	}
	return NULL;
}

bool maps_has_anonymous_names(void)
{
	void *p = map_anonymous(4096);
	const struct maps_entry *entry;
	struct maps maps;
	bool named;

	(void)prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, 4096, "named");
	maps_read(&maps);
	entry = maps_find(&maps, p);
	named = entry && strcmp(entry->name, "[anon:named]") == 0;
	maps = maps_deinit(&maps);
	CHECK(munmap(p, 4096) == 0);
	return named;
}
