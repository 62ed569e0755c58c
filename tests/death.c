/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/death.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/sys.h"

#include <cmocka.h>

#define DEADLINE_S 60

static void __attribute__((noreturn)) die_here(hak_death_fn *fn, void *arg, int err)
{
	static const struct rlimit no_core = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &no_core);
	/* CMocka turns signals into failures of the test, and would do so in this process. */
	(void)signal(SIGABRT, SIG_DFL);
	(void)signal(SIGSEGV, SIG_DFL);
	(void)alarm(DEADLINE_S);
	(void)dup2(err, STDERR_FILENO);
	fn(arg);
	_exit(0);
}

/* All that comes, cut to fit; the end of it is what counts, and the child ends by itself. */
static void read_all(int fd, char *text, size_t size)
{
	size_t used = 0;
	ssize_t n;

	while ((n = read(fd, text + used, size - 1 - used)) > 0 || (n < 0 && errno == EINTR)) {
		used += n > 0 ? (size_t)n : 0;
		if (used > size / 2)
			memmove(text, text + size / 4, used -= size / 4);
	}
	text[used] = 0;
}

static const char *last_line(char *text)
{
	size_t n = strlen(text);
	char *at;

	if (n && text[n - 1] == '\n')
		text[n - 1] = 0;
	at = strrchr(text, '\n');
	return at ? at + 1 : text;
}

void hak_expect_death(hak_death_fn *fn, void *arg, const char *words)
{
	char text[4096], expected[512];
	int ends[2], status;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		die_here(fn, arg, ends[1]);
	close(ends[1]);
	read_all(ends[0], text, sizeof(text));
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
		fail_msg("status 0x%x instead of SIGABRT; stderr: %s", (unsigned)status, text);
	(void)snprintf(expected, sizeof(expected), "hakmem: %s", words);
	assert_string_equal(last_line(text), expected);
}

void hak_expect_death_f(hak_death_fn *fn, void *arg, const char *format, ...)
{
	char words[400];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	hak_expect_death(fn, arg, words);
}
