/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin that is loaded, used, unloaded and loaded again; blocks cross its border in both
 * directions and outlive it.
 *
 *   odd_plugin PLUGIN
 */
#include <pthread.h>

#include "tests/api/blocks.h"
#include "tests/api/plugin.h"

#define ROUNDS 30

static struct {
	void *handle;
	char *(*make)(size_t size);
	void (*take)(char *p);
} plugin;

static void *use(void *argument)
{
	(void)argument;
	for (size_t size = 1; size < 200000; size += size / 3 + 1) {
		char *p = plugin.make(size), *q = malloc(size);

		CHECK(q != NULL);
		CHECK(api_all(p, size, 'p'));
		free(p);
		plugin.take(q);
	}
	return NULL;
}

static void load(const char *path)
{
	plugin.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	CHECK(plugin.handle != NULL);
	plugin.make = (char *(*)(size_t))dlsym(plugin.handle, "plugin_make");
	plugin.take = (void (*)(char *))dlsym(plugin.handle, "plugin_take");
	CHECK(plugin.make != NULL && plugin.take != NULL);
}

int main(int argc, char **argv)
{
	char *kept[ROUNDS];

	CHECK(argc == 2);
	for (size_t i = 0; i < ROUNDS; i++) {
		pthread_t thread;

		load(argv[1]);
		CHECK(pthread_create(&thread, NULL, use, NULL) == 0);
		(void)use(NULL);
		CHECK(pthread_join(thread, NULL) == 0);
		kept[i] = plugin.make(1000 * i + 1);
		CHECK(dlclose(plugin.handle) == 0);
		blocks_churn(i, 300);
	}
	for (size_t i = 0; i < ROUNDS; i++) {
		CHECK(api_all(kept[i], 1000 * i + 1, 'p'));
		free(kept[i]);
	}
	return 0;
}
