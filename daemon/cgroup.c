/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/sys.h"

#define PATH_BYTES 4096u

static uint64_t limit_of(const char *root, const char *group)
{
	char path[PATH_BYTES + 64], text[32];

	if (snprintf(path, sizeof(path), "%s%s/memory.max", root, group) >= (int)sizeof(path))
		return UINT64_MAX;
	/* The root has no such file; "max" is no number. */
	if (hak_sys_read_file(path, text, sizeof(text)) <= 0 || *text < '0' || *text > '9')
		return UINT64_MAX;
	return strtoull(text, NULL, 10);
}

uint64_t cgroup_memory_max(const char *root, const char *self)
{
	char text[PATH_BYTES], *group, *slash;
	uint64_t max;

	if (hak_sys_read_file(self, text, sizeof(text)) <= 0)
		return UINT64_MAX;
	/* Lines of version 1 may come before it. */
	group = strncmp(text, "0::/", 4) ? strstr(text, "\n0::/") : text;
	if (!group)
		return UINT64_MAX;
	group = strchr(group, '/');
	group[strcspn(group, "\n")] = 0;
	max = UINT64_MAX;
	do {
		uint64_t limit = limit_of(root, group);

		max = limit < max ? limit : max;
		slash = strrchr(group, '/');
		if (slash)
			*slash = 0;
	} while (slash);
	return max;
}
