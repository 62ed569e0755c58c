/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unmodified program: it allocates, has threads, forks, and only expects what any program does.
 * Run by the driver under limits and in odd surroundings. Where memory is short by intention, large
 * requests may fail with ENOMEM; small ones may not.
 *
 *   odd_work             all of it
 *   odd_work hold BYTES  and a block of that size, written to the last byte
 *   odd_work overdraw    asks until it is refused, frees, and goes on
 */
#include <pthread.h>

#include "tests/api/blocks.h"

static struct blocks set;

static void *churn(void *argument)
{
	blocks_churn((uintptr_t)argument, 2000);
	return NULL;
}

static void run_threads(void)
{
	pthread_attr_t attr;
	pthread_t thread[3];

	/* A stack that fits into any limit; the default is 8 MiB each. */
	CHECK(pthread_attr_init(&attr) == 0);
	CHECK(pthread_attr_setstacksize(&attr, 256 * KIB) == 0);
	for (uintptr_t i = 0; i < API_COUNT(thread); i++)
		CHECK(pthread_create(&thread[i], &attr, churn, (void *)i) == 0);
	for (size_t i = 0; i < API_COUNT(thread); i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	CHECK(pthread_attr_destroy(&attr) == 0);
}

static void run_fork(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		blocks_check(&set);
		blocks_write(&set, 2);
		blocks_churn(2, 1000);
		exit(0);
	}
	CHECK(api_exited_cleanly(api_wait(pid)));
	blocks_check(&set);
}

static void hold(size_t size)
{
	unsigned char *p = malloc(size);

	CHECK(p != NULL);
	memset(p, 0x77, size);
	CHECK(api_all(p, size, 0x77));
	run_fork();
	free(p);
}

/* Bounded by what the driver allows; an allocator that never refuses would not end. */
static void overdraw(void)
{
	void **list = NULL, **next;
	size_t n = 0;

	while ((next = malloc(200000)) != NULL) {
		*next = list;
		list = next;
		CHECK(++n < 100000);
	}
	CHECK(errno == ENOMEM);
	while (list) {
		next = *list;
		free(list);
		list = next;
	}
	CHECK(n > 20);
}

int main(int argc, char **argv)
{
	blocks_new(&set, 99, 1);
	run_threads();
	run_fork();
	if (argc == 3 && strcmp(argv[1], "hold") == 0)
		hold(strtoul(argv[2], NULL, 0));
	if (argc == 2 && strcmp(argv[1], "overdraw") == 0) {
		overdraw();
		overdraw();
	}
	blocks_churn(3, 5000);
	run_threads();
	blocks_free(&set);
	return 0;
}
