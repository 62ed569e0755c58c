/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libhakmalloc.so itself as a plugin of a program that runs on another malloc: its thread-local
 * storage must fit into what ld.so keeps for late comers, and the two allocators live together.
 *
 *   odd_late LIBHAKMALLOC
 */
#include <pthread.h>

#include "tests/api/blocks.h"

static struct {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void (*free)(void *);
	size_t (*malloc_usable_size)(void *);
	int (*owns)(const void *);
} hak;

static void *symbol(void *handle, const char *name)
{
	void *address = dlsym(handle, name);

	if (!address) {
		(void)fprintf(stderr, "# no symbol %s\n", name);
		CHECK(!"symbol");
	}
	return address;
}

static void load(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!handle) {
		(void)fprintf(stderr, "# %s\n", dlerror());
		CHECK(!"dlopen");
	}
	hak.malloc = (void *(*)(size_t))symbol(handle, "malloc");
	hak.calloc = (void *(*)(size_t, size_t))symbol(handle, "calloc");
	hak.realloc = (void *(*)(void *, size_t))symbol(handle, "realloc");
	hak.free = (void (*)(void *))symbol(handle, "free");
	hak.malloc_usable_size = (size_t(*)(void *))symbol(handle, "malloc_usable_size");
	hak.owns = (int (*)(const void *))symbol(handle, "hak_owns");
	CHECK((void *)hak.malloc != (void *)malloc);
	/* Code and threads of it may still be needed; exit must work in any case. */
	CHECK(dlclose(handle) == 0);
	CHECK(dlopen(path, RTLD_NOW | RTLD_LOCAL) == handle);
}

static void use_both(uint64_t seed)
{
	void *theirs[500], *ours[500];

	for (size_t i = 0; i < API_COUNT(ours); i++) {
		size_t size = blocks_size((i + seed) % 300);

		theirs[i] = malloc(size);
		ours[i] = i % 2 ? hak.malloc(size) : hak.calloc(1, size);
		CHECK(theirs[i] != NULL && ours[i] != NULL);
		CHECK(hak.owns(ours[i]) == 1 && hak.owns(theirs[i]) == 0);
		CHECK(hak.malloc_usable_size(ours[i]) >= size);
		api_fill(theirs[i], size, i);
		api_fill(ours[i], size, i + 1);
		ours[i] = hak.realloc(ours[i], size + 100);
		CHECK(ours[i] != NULL);
	}
	for (size_t i = 0; i < API_COUNT(ours); i++) {
		size_t size = blocks_size((i + seed) % 300);

		CHECK(api_filled(theirs[i], size, i));
		CHECK(api_filled(ours[i], size, i + 1));
		free(theirs[i]);
		hak.free(ours[i]);
	}
	blocks_churn(seed, 1000);
}

/* A block of libc's, freed by the wrong free: it goes home. */
static void mix(void)
{
	for (size_t i = 0; i < 300; i++) {
		void *p = malloc(blocks_size(i));

		CHECK(p != NULL);
		hak.free(p);
	}
	blocks_churn(1, 1000);
}

static void *thread_run(void *argument)
{
	use_both((uintptr_t)argument);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[6];
	pid_t pid;

	CHECK(argc == 2);
	blocks_churn(1, 1000);
	/* Some threads exist before: their static TLS is extended in place. */
	load(argv[1]);
	for (uintptr_t i = 0; i < API_COUNT(thread); i++)
		CHECK(pthread_create(&thread[i], NULL, thread_run, (void *)i) == 0);
	use_both(100);
	for (size_t i = 0; i < API_COUNT(thread); i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	mix();
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		use_both(7);
		exit(0);
	}
	CHECK(api_exited_cleanly(api_wait(pid)));
	use_both(8);
	return 0;
}
