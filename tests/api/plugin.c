/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin: loaded late, allocates for itself and its host, has static data and a destructor. */
#include <stdlib.h>
#include <string.h>

#include "tests/api/plugin.h"

#define EXPORT __attribute__((visibility("default")))

static char *at_load;
static __thread char of_thread[200];

__attribute__((constructor)) static void load(void)
{
	at_load = strdup("allocated by the plugin's constructor");
}

__attribute__((destructor)) static void unload(void)
{
	free(at_load);
}

EXPORT char *plugin_make(size_t size)
{
	char *p = malloc(size);

	if (!p || strcmp(at_load, "allocated by the plugin's constructor") != 0)
		abort();
	memset(of_thread, 'p', sizeof(of_thread));
	memset(p, of_thread[size % sizeof(of_thread)], size);
	return p;
}

EXPORT void plugin_take(char *p)
{
	free(p);
}
