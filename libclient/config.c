/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "shared/check.h"
#include "shared/layout.h"

/* glibc's loader: the stack as the kernel laid it out, from argc upwards. Absent elsewhere. */
extern void *__libc_stack_end __attribute__((weak));

static char **environment(void)
{
	char **at;
	intptr_t argc;

	if (environ || !&__libc_stack_end || !__libc_stack_end)
		return environ;
	argc = *(intptr_t *)__libc_stack_end;
	if (argc < 0 || argc > (1 << 24))
		return NULL;
	at = (char **)__libc_stack_end + 1 + argc;
	return *at ? NULL : at + 1; /* argv ends with a NULL */
}

/* What follows `prefix` in `text`, or NULL. By hand: libc's functions for it lie on pages that
 * nothing else may have touched, and a fault there costs more than all comparisons. */
static const char *after(const char *text, const char *prefix)
{
	while (*prefix && *text == *prefix) {
		text++;
		prefix++;
	}
	return *prefix ? NULL : text;
}

static const char *value_of(char **env, const char *name)
{
	for (; env && *env; env++) {
		const char *value = after(*env, name);

		if (value && *value == '=')
			return value + 1;
	}
	return NULL;
}

static bool flag(char **env, const char *name, bool fallback)
{
	const char *v = value_of(env, name);

	if (!v || !*v)
		return fallback;
	if (strcmp(v, "0") && strcmp(v, "1")) {
		hak_warn("%s=%s: neither 0 nor 1; using %d", name, v, fallback);
		return fallback;
	}
	return *v == '1';
}

static enum hak_mode mode(char **env, enum hak_mode fallback)
{
	static const char *const names[] = { "auto", "daemon", "embedded", "libc" };
	const char *v = value_of(env, "HAKMEM_MODE");

	if (!v || !*v)
		return fallback;
	for (size_t i = 0; i < hak_array_size(names); i++) {
		if (!strcmp(v, names[i]))
			return (enum hak_mode)i;
	}
	hak_warn("HAKMEM_MODE=%s: not one of auto, daemon, embedded, libc; using %s", v,
		 names[fallback]);
	return fallback;
}

static uint32_t node(char **env)
{
	const char *v = value_of(env, "HAKMEM_NODE");
	uint32_t n = 0;

	if (!v || !*v)
		return HAK_NODE_ANY;
	for (const char *p = v; *p; p++) {
		if (*p < '0' || *p > '9' || (n = n * 10 + (uint32_t)(*p - '0')) > 1023) {
			hak_warn("HAKMEM_NODE=%s: not a node number; using any node", v);
			return HAK_NODE_ANY;
		}
	}
	return n;
}

void hak_config_read(struct hak_config *ret_config, bool preloaded)
{
	char **env = getauxval(AT_SECURE) ? NULL : environment();
	const char *path = value_of(env, "HAKMEM_SOCKET");
	bool has_path = path && *path;

	*ret_config =
		(struct hak_config){ .stats = flag(env, "HAKMEM_STATS", false), .node = node(env) };
	ret_config->checked = !flag(env, "HAKMEM_FASTLANE_DIRECT", true);
	if (has_path && strlen(path) >= HAK_SOCKET_PATH_MAX) {
		hak_warn("HAKMEM_SOCKET=%s: longer than a socket's path may be; using %s", path,
			 HAK_DEFAULT_SOCKET);
		path = NULL;
	}
	path = path && *path ? path : HAK_DEFAULT_SOCKET;
	memcpy(ret_config->socket, path, strlen(path) + 1);
	ret_config->mode = mode(env, preloaded && !has_path ? HAK_MODE_EMBEDDED : HAK_MODE_AUTO);
	if (flag(env, "HAKMEM_FORCE_LIBC_ALLOC", false))
		ret_config->mode = HAK_MODE_LIBC;
}
