/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config_load.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config_keys.h"
#include "daemon/limits.h"
#include "daemon/os.h"
#include "shared/sys.h"

#define PATH_BYTES 4096u
#define SUFFIX     ".conf"

struct load {
	struct config *config;
	config_file_fn *fn;
	void *context;
	char *reason;
	char *text; /* LIMIT_CONFIG_BYTES + 2 */
};

static int fail(struct load *load, int r, const char *fmt, ...) HAK_PRINTF(3, 4);

static int fail(struct load *load, int r, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(load->reason, CONFIG_REASON_BYTES, fmt, args);
	va_end(args);
	return r;
}

static int read_file(struct load *load, const char *path)
{
	char error[CONFIG_ERROR_BYTES];
	unsigned line;
	ssize_t n = hak_sys_read_file(path, load->text, LIMIT_CONFIG_BYTES + 2);

	if (n > (ssize_t)LIMIT_CONFIG_BYTES)
		n = -EFBIG;
	if (n < 0)
		return fail(load, (int)n, "%.300s: %s", path, os_text((int)n));
	line = config_parse(load->config, load->text, (size_t)n, error);
	if (line)
		return fail(load, -EINVAL, "%.300s:%u: %s", path, line, error);
	if (load->fn)
		load->fn(load->context, path);
	return 0;
}

static int is_drop_in(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name), suffix = sizeof(SUFFIX) - 1;

	return n > suffix && entry->d_name[0] != '.' && !strcmp(entry->d_name + n - suffix, SUFFIX);
}

/* By bytes: the order is not to depend on somebody's language. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* What would make a reload wait, a FIFO, is no configuration. */
static int read_drop_in(struct load *load, const char *path)
{
	struct stat st;
	int r = os_result(stat(path, &st));

	if (r < 0)
		return fail(load, r, "%.300s: %s", path, os_text(r));
	if (!S_ISREG(st.st_mode))
		return fail(load, -EINVAL, "%.300s: not a regular file", path);
	return read_file(load, path);
}

static int read_drop_ins(struct load *load, const char *path)
{
	char dir[PATH_BYTES], file[PATH_BYTES + NAME_MAX + 2];
	struct dirent **names;
	int n, r = 0;

	if (snprintf(dir, sizeof(dir), "%s.d", path) >= (int)sizeof(dir))
		return fail(load, -ENAMETOOLONG, "%.300s.d: %s", path, os_text(-ENAMETOOLONG));
	n = os_result(scandir(dir, &names, is_drop_in, by_name));
	if (n == -ENOENT)
		return 0;
	if (n < 0)
		return fail(load, n, "%.300s: %s", dir, os_text(n));
	if (n > (int)LIMIT_CONFIG_FILES)
		r = fail(load, -EFBIG, "%.300s: more than %u files", dir, LIMIT_CONFIG_FILES);
	for (int i = 0; i < n; i++) {
		if (r == 0) {
			(void)snprintf(file, sizeof(file), "%s/%s", dir, names[i]->d_name);
			r = read_drop_in(load, file);
		}
		free(names[i]);
	}
	free(names);
	return r;
}

static int read_files(struct load *load, const struct config_source *source)
{
	const char *path = source->path ? source->path : CONFIG_DEFAULT_PATH;
	int r = 0;

	if (source->path || os_result(access(path, F_OK)) != -ENOENT)
		r = read_file(load, path);
	if (r == 0)
		r = read_drop_ins(load, path);
	if (r == 0 && source->socket) {
		r = config_set_socket(load->config, source->socket);
		if (r < 0)
			return fail(load, r, "--socket %.200s: " CONFIG_SOCKET_RULE, source->socket,
				    CONFIG_SOCKET_BYTES - 1);
	}
	return r;
}

int config_load(struct config *ret_config, const struct config_source *source, config_file_fn *fn,
		void *context, char ret_reason[CONFIG_REASON_BYTES])
{
	struct config config;
	struct load load = { .config = &config, .fn = fn, .context = context };
	int r;

	load.reason = ret_reason;
	load.text = malloc(LIMIT_CONFIG_BYTES + 2);
	if (!load.text)
		return fail(&load, -ENOMEM, "%s", os_text(-ENOMEM));
	config_init(&config, os_memory_bytes());
	r = read_files(&load, source);
	free(load.text);
	if (r < 0)
		return r;
	*ret_config = config;
	return 0;
}

static void print_file(void *context, const char *path)
{
	(void)context;
	printf("# %s\n", path);
}

int config_print(const struct config_source *source, char ret_reason[CONFIG_REASON_BYTES])
{
	char value[CONFIG_VALUE_BYTES];
	const char *section = "";
	struct config config;
	int r;

	puts("# In effect, from the defaults and, the later over the earlier:");
	r = config_load(&config, source, print_file, NULL, ret_reason);
	if (r < 0)
		return r;
	if (source->socket)
		puts("# --socket");
	for (unsigned i = 0; i < CONFIG_KEYS; i++) {
		const struct config_key *key = &config_keys[i];

		if (strcmp(section, key->section))
			printf("\n[%s]\n", key->section);
		section = key->section;
		printf("%s = %s\n", key->name, config_format(value, &config, key));
	}
	return 0;
}
