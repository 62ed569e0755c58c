/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environment, read in a fresh process for each row: this program, started again as
 * "PROGRAM --child HOW", says what it understood.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "libclient/config.h"
#include "shared/layout.h"
#include "shared/wire.h"

#define MAX_ENV 8

static const char *self;

struct answer {
	char out[1024], err[1024];
	int status;
};

static int child(const char *how)
{
	static const char *const modes[] = { "auto", "daemon", "embedded", "libc" };
	struct hak_config config;

	/* As before libc's own constructors, when only the initial stack has the environment. */
	if (strstr(how, "early"))
		environ = NULL;
	hak_config_read(&config, strstr(how, "preload") != NULL);
	printf("%s%s socket=%s stats=%d node=%d secure=%lu", modes[config.mode],
	       config.checked ? " checked" : "", config.socket, config.stats, (int)config.node,
	       getauxval(AT_SECURE));
	(void)fflush(stdout);
	_exit(0);
}

static void read_end(int fd, char *text, size_t size)
{
	size_t used = 0;
	ssize_t n;

	while (used < size - 1 && (n = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = 0;
	close(fd);
}

static void ask(struct answer *ret, const char *program, const char *how, const char *const *env)
{
	const char *argv[] = { program, "--child", how, NULL };
	int out[2], err[2];
	pid_t pid;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		(void)dup2(out[1], STDOUT_FILENO);
		(void)dup2(err[1], STDERR_FILENO);
		(void)execve(program, (char *const *)(uintptr_t)argv,
			     (char *const *)(uintptr_t)env);
		_exit(127);
	}
	close(out[1]);
	close(err[1]);
	/* Both are short: neither fills its pipe. */
	read_end(out[0], ret->out, sizeof(ret->out));
	read_end(err[0], ret->err, sizeof(ret->err));
	assert_int_equal(waitpid(pid, &ret->status, 0), pid);
}

#define DEFAULT "socket=" HAK_DEFAULT_SOCKET " stats=0 node=-1 secure=0"
#define SOCKET  "HAKMEM_SOCKET=/a/b"

/* The longest path that a socket can have has 107 bytes. */
#define TEN      "/abcdefghi"
#define PATH_107 TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "/abcdef"
#define PATH_108 PATH_107 "g"

struct row {
	const char *how;
	const char *env[MAX_ENV];
	const char *out;
	const char *err;
};

static const struct row rows[] = {
	{ "client", { 0 }, "auto " DEFAULT, "" },
	{ "preload", { 0 }, "embedded " DEFAULT, "" },
	{ "client", { "HAKMEM_MODE=" }, "auto " DEFAULT, "" },
	{ "preload", { "HAKMEM_MODE=" }, "embedded " DEFAULT, "" },
	{ "client", { "HAKMEM_MODE=auto" }, "auto " DEFAULT, "" },
	{ "preload", { "HAKMEM_MODE=auto" }, "auto " DEFAULT, "" },
	{ "client", { "HAKMEM_MODE=daemon" }, "daemon " DEFAULT, "" },
	{ "preload", { "HAKMEM_MODE=daemon" }, "daemon " DEFAULT, "" },
	{ "client", { "HAKMEM_MODE=embedded" }, "embedded " DEFAULT, "" },
	{ "preload", { "HAKMEM_MODE=embedded" }, "embedded " DEFAULT, "" },
	{ "client", { "HAKMEM_MODE=libc" }, "libc " DEFAULT, "" },
	{ "preload", { "HAKMEM_MODE=libc" }, "libc " DEFAULT, "" },
	/* A socket is a wish for a daemon. */
	{ "client", { SOCKET }, "auto socket=/a/b stats=0 node=-1 secure=0", "" },
	{ "preload", { SOCKET }, "auto socket=/a/b stats=0 node=-1 secure=0", "" },
	{ "preload", { "HAKMEM_SOCKET=" }, "embedded " DEFAULT, "" },
	{ "preload",
	  { SOCKET, "HAKMEM_MODE=embedded" },
	  "embedded socket=/a/b stats=0 node=-1 secure=0",
	  "" },
	{ "client",
	  { "HAKMEM_SOCKET=" PATH_107 },
	  "auto socket=" PATH_107 " stats=0 node=-1 secure=0",
	  "" },
	{ "client",
	  { "HAKMEM_SOCKET=" PATH_108 },
	  "auto " DEFAULT,
	  "hakmem: HAKMEM_SOCKET=" PATH_108
	  ": longer than a socket's path may be; using " HAK_DEFAULT_SOCKET "\n" },
	{ "preload", { "HAKMEM_FASTLANE_DIRECT=0" }, "embedded checked " DEFAULT, "" },
	{ "client", { "HAKMEM_FASTLANE_DIRECT=1" }, "auto " DEFAULT, "" },
	{ "client", { "HAKMEM_FASTLANE_DIRECT=" }, "auto " DEFAULT, "" },
	{ "client",
	  { "HAKMEM_FASTLANE_DIRECT=off" },
	  "auto " DEFAULT,
	  "hakmem: HAKMEM_FASTLANE_DIRECT=off: neither 0 nor 1; using 1\n" },
	/* Forced is forced, whatever else is said. */
	{ "client", { "HAKMEM_FORCE_LIBC_ALLOC=1" }, "libc " DEFAULT, "" },
	{ "preload",
	  { "HAKMEM_MODE=daemon", "HAKMEM_FORCE_LIBC_ALLOC=1", SOCKET },
	  "libc socket=/a/b stats=0 node=-1 secure=0",
	  "" },
	{ "preload", { "HAKMEM_FORCE_LIBC_ALLOC=0" }, "embedded " DEFAULT, "" },
	{ "client", { "HAKMEM_FORCE_LIBC_ALLOC=" }, "auto " DEFAULT, "" },
	{ "client",
	  { "HAKMEM_FORCE_LIBC_ALLOC=yes" },
	  "auto " DEFAULT,
	  "hakmem: HAKMEM_FORCE_LIBC_ALLOC=yes: neither 0 nor 1; using 0\n" },
	{ "client",
	  { "HAKMEM_MODE=demon" },
	  "auto " DEFAULT,
	  "hakmem: HAKMEM_MODE=demon: not one of auto, daemon, embedded, libc; using auto\n" },
	{ "preload",
	  { "HAKMEM_MODE=Libc" },
	  "embedded " DEFAULT,
	  "hakmem: HAKMEM_MODE=Libc: not one of auto, daemon, embedded, libc; using embedded\n" },
	{ "client",
	  { "HAKMEM_STATS=1", "HAKMEM_NODE=3" },
	  "auto socket=" HAK_DEFAULT_SOCKET " stats=1 node=3 secure=0",
	  "" },
	{ "client", { "HAKMEM_STATS=0", "HAKMEM_NODE=" }, "auto " DEFAULT, "" },
	{ "client",
	  { "HAKMEM_STATS=2" },
	  "auto " DEFAULT,
	  "hakmem: HAKMEM_STATS=2: neither 0 nor 1; using 0\n" },
	{ "client",
	  { "HAKMEM_NODE=1023" },
	  "auto socket=" HAK_DEFAULT_SOCKET " stats=0 node=1023 secure=0",
	  "" },
	{ "client",
	  { "HAKMEM_NODE=1024" },
	  "auto " DEFAULT,
	  "hakmem: HAKMEM_NODE=1024: not a node number; using any node\n" },
	{ "client",
	  { "HAKMEM_NODE=-1" },
	  "auto " DEFAULT,
	  "hakmem: HAKMEM_NODE=-1: not a node number; using any node\n" },
	{ "client",
	  { "HAKMEM_NODE=4294967296" },
	  "auto " DEFAULT,
	  "hakmem: HAKMEM_NODE=4294967296: not a node number; using any node\n" },
	{ "client",
	  { "HAKMEM_NODE=2x" },
	  "auto " DEFAULT,
	  "hakmem: HAKMEM_NODE=2x: not a node number; using any node\n" },
	/* Only the whole name counts, and the first of two, as with getenv(). */
	{ "client", { "HAKMEM_MODES=libc", "XHAKMEM_MODE=libc" }, "auto " DEFAULT, "" },
	{ "client", { "HAKMEM_MODE=libc", "HAKMEM_MODE=daemon" }, "libc " DEFAULT, "" },
	/* Before libc has set `environ`. */
	{ "client early", { "A=b", "HAKMEM_MODE=libc" }, "libc " DEFAULT, "" },
	{ "preload early",
	  { "HAKMEM_FORCE_LIBC_ALLOC=1", SOCKET },
	  "libc socket=/a/b stats=0 node=-1 secure=0",
	  "" },
	{ "preload early", { 0 }, "embedded " DEFAULT, "" },
};

static void every_environment_gives_its_mode(void **state)
{
	for (size_t i = 0; i < hak_array_size(rows); i++) {
		struct answer a;

		ask(&a, self, rows[i].how, rows[i].env);
		if (a.status || strcmp(a.out, rows[i].out) || strcmp(a.err, rows[i].err))
			fail_msg("row %zu (%s, %s): status %d, out '%s', err '%s'", i, rows[i].how,
				 rows[i].env[0] ? rows[i].env[0] : "", a.status, a.out, a.err);
	}
}

static void copy(const char *from, const char *to)
{
	static char buf[1 << 16];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		assert_int_equal(write(out, buf, (size_t)n), n);
	assert_int_equal(n, 0);
	close(in);
	close(out);
}

static void set_user_id_programs_ignore_it(void **state)
{
	const char *const env[] = { "HAKMEM_MODE=libc",     SOCKET,           "HAKMEM_STATS=1",
				    "HAKMEM_NODE=nonsense", "HAKMEM_STATS=7", NULL };
	const char *tmp = getenv("TMPDIR");
	char dir[PATH_MAX], path[PATH_MAX + 8];
	struct answer a;

	if (geteuid()) {
		print_message("# only root can make a program that runs as somebody else\n");
		return;
	}
	(void)snprintf(dir, sizeof(dir), "%s/hakconfig.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/suid", dir);
	copy(self, path);
	assert_int_equal(chown(path, 65534, 65534), 0);
	assert_int_equal(chmod(path, 04755), 0);
	ask(&a, path, "client", env);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	if (!strstr(a.out, "secure=1")) {
		print_message("# %s is mounted nosuid\n", dir);
		return;
	}
	assert_string_equal(a.out, "auto socket=" HAK_DEFAULT_SOCKET " stats=0 node=-1 secure=1");
	assert_string_equal(a.err, "");
}

/* Servers write their title over argv and the environment behind it. */
static void what_was_read_stays_when_the_environment_is_overwritten(void **state)
{
	static char entry[] = "HAKMEM_SOCKET=/tmp/somewhere";
	struct hak_config config;

	assert_int_equal(putenv(entry), 0);
	hak_config_read(&config, true);
	memset(entry + strlen("HAKMEM_SOCKET="), 0, sizeof(entry) - strlen("HAKMEM_SOCKET="));
	assert_string_equal(config.socket, "/tmp/somewhere");
	assert_int_equal(config.mode, HAK_MODE_AUTO);
	assert_int_equal(unsetenv("HAKMEM_SOCKET"), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_environment_gives_its_mode),
		cmocka_unit_test(set_user_id_programs_ignore_it),
		cmocka_unit_test(what_was_read_stays_when_the_environment_is_overwritten),
	};

	static char path[PATH_MAX];

	if (argc == 3 && !strcmp(argv[1], "--child"))
		return child(argv[2]);
	unit_watchdog();
	if (!realpath("/proc/self/exe", path))
		return 99;
	self = path;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
