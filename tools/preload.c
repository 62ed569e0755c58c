/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/preload.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/os.h"
#include "tools/program.h"

#define NAME "libhakmalloc.so"

/* The first file that matches and is for this machine (there may be others beside it). */
static int find_by(char **ret_path, const char *pattern)
{
	glob_t found = { 0 };
	int r = -ENOENT;

	if (glob(pattern, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc && r < 0; i++) {
			if (program_is_ours(found.gl_pathv[i]))
				r = os_real_path(ret_path, found.gl_pathv[i]);
		}
	}
	globfree(&found);
	return r;
}

int preload_find(char **ret_path)
{
	/* lib* is lib, lib64 and the build tree's libclient. */
	static const char *const beside[] = { "/../lib*/" NAME, "/../lib/*/" NAME };
	char *self, *slash, pattern[4096 + 64];
	int r = os_real_path(&self, "/proc/self/exe");

	if (r == 0) {
		slash = strrchr(self, '/');
		*slash = 0;
		r = -ENOENT;
		for (size_t i = 0; i < hak_array_size(beside) && r < 0; i++) {
			(void)snprintf(pattern, sizeof(pattern), "%s%s", self, beside[i]);
			r = find_by(ret_path, pattern);
		}
		free(self);
	}
#ifdef HAK_LIBDIR
	if (r < 0)
		r = find_by(ret_path, HAK_LIBDIR "/" NAME);
#endif
	return r;
}

int preload_set(const char *library)
{
	const char *old = getenv("LD_PRELOAD");
	size_t n = strlen(library);
	char *list;
	int r;

	if (strpbrk(library, " :$"))
		return -EINVAL;
	if (!old || !*old)
		return os_setenv("LD_PRELOAD", library);
	/* Already first: a hakrun inside a hakrun. */
	if (!strncmp(old, library, n) && (!old[n] || old[n] == ':' || old[n] == ' '))
		return 0;
	if (asprintf(&list, "%s:%s", library, old) < 0)
		return -ENOMEM;
	r = os_setenv("LD_PRELOAD", list);
	free(list);
	return r;
}
