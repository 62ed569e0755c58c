/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_misuse                        the checked path catches each of the misdeeds; TAP
 * test_misuse CASE                   does one, as the test has it done: preloaded
 * test_misuse count checked|direct|glibc
 *                                    how many are caught: ended by a signal, or prevented
 *
 * $HAKMALLOC is the library. It serves the program itself only where that was preloaded, too.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>

#include "tests/api/api.h"
#include "tests/api/misuse.h"

struct outcome {
	int status;
	void *p;           /* NULL: it printed none */
	char output[4096]; /* standard output and error */
};

void misuse_print(const void *p)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "@%p\n", p);

	CHECK(write(1, line, (size_t)n) == n);
}

void misuse_in_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, run, arg) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

void misuse_churn(void)
{
	static void *block[100];

	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < API_COUNT(block); i++)
			CHECK((block[i] = malloc(500 + 40 * i)) != NULL);
		for (size_t i = 0; i < API_COUNT(block); i++)
			free(block[i]);
		free(malloc(50000));
	}
}

/* NULL: there are not that many. */
static const struct misuse *nth(size_t n)
{
	const struct misuse *const tables[] = { misuse_frees, misuse_sizes, misuse_writes };

	for (size_t t = 0; t < API_COUNT(tables); t++) {
		for (const struct misuse *m = tables[t]; m->name; m++)
			if (n-- == 0)
				return m;
	}
	return NULL;
}

static void become(const char *mode, const char *name)
{
	const char *library = getenv("HAKMALLOC");
	int unchecked = strcmp(mode, "checked") != 0;

	CHECK(library != NULL);
	if (strcmp(mode, "glibc") == 0) {
		unsetenv("LD_PRELOAD");
	} else {
		setenv("LD_PRELOAD", library, 1);
		setenv("HAKMEM_FASTLANE_DIRECT", unchecked ? "1" : "0", 1);
	}
	execl("/proc/self/exe", "test_misuse", name, (char *)NULL);
	_exit(126);
}

static void run(struct outcome *ret, const char *mode, const char *name)
{
	size_t n = 0;
	int pipes[2];
	ssize_t got;
	char *at;
	pid_t pid;

	CHECK(pipe2(pipes, O_CLOEXEC) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		dup2(pipes[1], 1);
		dup2(pipes[1], 2);
		become(mode, name);
	}
	close(pipes[1]);
	while ((got = read(pipes[0], ret->output + n, sizeof(ret->output) - 1 - n)) > 0)
		n += (size_t)got;
	close(pipes[0]);
	ret->output[n] = 0;
	for (at = ret->output; (at = strchr(at, '\n')); at++)
		*at = '|'; /* so that it fits a TAP comment */
	ret->status = api_wait(pid);
	at = strchr(ret->output, '@');
	ret->p = NULL;
	if (at)
		(void)sscanf(at + 1, "%p", &ret->p);
}

/* The message with its addresses. */
static void expand(char *ret, const char *says, void *p)
{
	void *slab = (void *)((uintptr_t)p & ~(uintptr_t)0xffff);

	ret += sprintf(ret, "hakmem: ");
	for (; *says; says++) {
		if (says[0] == '@')
			ret += sprintf(ret, "%p", *++says == 'p' ? p : slab);
		else
			*ret++ = *says;
	}
	*ret = 0;
}

static int signal_of(int status)
{
	return status != -1 && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static int ends_as_it_should(const struct misuse *m, const struct outcome *o)
{
	char message[512];

	switch (m->end) {
	case ENDS_SAYING:
		expand(message, m->says, o->p);
		return signal_of(o->status) == SIGABRT && strstr(o->output, message) != NULL;
	case ENDS_FAULTING:
		return signal_of(o->status) == SIGSEGV;
	default:
		return api_exited_cleanly(o->status);
	}
}

static int test(void)
{
	static struct outcome o;
	const struct misuse *m;
	int n, failed = 0;

	for (n = 0; (m = nth((size_t)n)); n++) {
		int good;

		run(&o, "checked", m->name);
		good = ends_as_it_should(m, &o);
		failed += !good;
		printf("%sok %d - %s\n", good ? "" : "not ", n + 1, m->name);
		if (!good)
			printf("# wait status %x, expected: %s\n# %s\n", (unsigned)o.status,
			       m->says ? m->says : "no message", o.output);
	}
	printf("1..%d\n", n);
	return failed != 0;
}

static int count(const char *mode)
{
	static struct outcome o;
	const struct misuse *m;
	int n, caught = 0;

	for (n = 0; (m = nth((size_t)n)); n++) {
		int good;

		run(&o, mode, m->name);
		good = m->end == ENDS_WELL ? api_exited_cleanly(o.status)
					   : signal_of(o.status) != 0;
		caught += good;
		printf("%-8s %s\n", good ? "caught" : "missed", m->name);
	}
	printf("%s: %d of %d caught\n", mode, caught, n);
	return 0;
}

int main(int argc, char **argv)
{
	const struct misuse *m;

	if (argc == 1)
		return test();
	if (argc == 3 && strcmp(argv[1], "count") == 0)
		return count(argv[2]);
	CHECK(argc == 2);
	(void)alarm(60);
	for (size_t n = 0; (m = nth(n)); n++) {
		if (strcmp(m->name, argv[1]) == 0) {
			m->run();
			return 0;
		}
	}
	return 2;
}
