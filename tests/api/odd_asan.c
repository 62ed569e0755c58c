/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled with a sanitizer by the driver, which has a malloc of its own: it must stay in place,
 * and still find bugs, with libhakmalloc.so preloaded.
 *
 *   odd_asan [overflow]
 */
#include <pthread.h>

#include "tests/api/blocks.h"

static void *churn(void *argument)
{
	blocks_churn((uintptr_t)argument, 500);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[2];
	struct blocks set;
	char *p = malloc(10);
	pid_t pid;

	(void)argv;
	CHECK(p != NULL);
	CHECK(api_owns(p) <= 0);
	if (argc > 1)
		p[api_hide_size(10)] = 1;
	free(p);
	blocks_new(&set, 100, 1);
	for (uintptr_t i = 0; i < API_COUNT(thread); i++)
		CHECK(pthread_create(&thread[i], NULL, churn, (void *)i) == 0);
	for (size_t i = 0; i < API_COUNT(thread); i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		blocks_free(&set);
		exit(0);
	}
	CHECK(api_exited_cleanly(api_wait(pid)));
	blocks_free(&set);
	return 0;
}
