/* SPDX-License-Identifier: Apache-2.0 */
/* How the daemon starts, refuses to, and ends. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/sys.h"
#include "tests/proc/rig.h"

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* io_uring_setup() fails with EPERM from here on, as in many a container. */
static void forbid_io_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = hak_array_size(code), .filter = code };

	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(126);
}

/* Runs the program to its end: its exit status, and what it wrote to both outputs. */
static int run_after(void (*before)(void), const char *const *args, char *ret_text, size_t size)
{
	const char *argv[16] = { getenv("HAKMEMD") };
	size_t used = 0;
	int ends[2];
	ssize_t n;
	pid_t pid;

	for (unsigned i = 0; args[i] && i < 14; i++)
		argv[i + 1] = args[i];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)dup2(ends[1], STDERR_FILENO);
		if (before)
			before();
		(void)execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(ends[1]);
	while (used < size - 1 && (n = read(ends[0], ret_text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	ret_text[used] = 0;
	close(ends[0]);
	return rig_reap(pid);
}

static int run(const char *const *args, char *ret_text, size_t size)
{
	return run_after(NULL, args, ret_text, size);
}

static void without_io_uring_it_says_what_to_change(void **state)
{
	struct rig *rig = rig_new(NULL);
	const char *foreground[] = { "--foreground", "--socket", rig->socket, NULL };
	char text[4096];

	*state = rig;
	for (int i = 0; i < 2; i++) { /* in the background it says it just as well */
		assert_int_equal(run_after(forbid_io_uring, foreground + i, text, sizeof(text)), 1);
		assert_non_null(strstr(text, "io_uring is not permitted here"));
		assert_non_null(strstr(text, "kernel.io_uring_disabled"));
		assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* one line */
		assert_false(exists(rig->socket));
	}
}

static void arguments_are_checked(void **state)
{
	static const struct {
		const char *args[4];
		int status;
		const char *says;
	} cases[] = {
		{ { "--version" }, 0, "hakmemd 0." },
		{ { "--help" }, 0, "exit status: 0" },
		{ { "--nonsense" }, 2, "--nonsense" },
		{ { "--socket" }, 2, "--socket" },
		{ { "surplus" }, 2, "unexpected argument 'surplus'" },
		{ { "--check-config", "--socket", "relative" }, 2, "--socket relative: not an" },
		{ { "--check-config", "--config", "/none/x" }, 2, "/none/x: No such" },
		{ { "--check-config" }, 0, "configuration is right" },
		{ { "--print-config" }, 0, "[limits]\ntotal-bytes = " },
		{ { "--print-config", "--config", "/none/x" }, 2, "/none/x: No such" },
	};
	char text[8192];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status = run(cases[i].args, text, sizeof(text));

		if (status != cases[i].status || !strstr(text, cases[i].says))
			fail_msg("case %zu: status %d, said: %s", i, status, text);
	}
}

static void a_wrong_configuration_is_named_with_its_line(void **state)
{
	static const struct {
		const char *config;
		const char *says; /* after the path */
	} cases[] = {
		{ "[daemon]\nsokket = /x\n", ":2: unknown key 'sokket' in [daemon]\n" },
		{ "# c\n\n[demon]\nsocket = /x\n", ":4: unknown section [demon]\n" },
		{ "[limits]\nuid-bytes = 3 GB\n",
		  ":2: uid-bytes: unknown unit 'GB' (KiB, MiB, GiB, TiB)\n" },
	};
	struct rig *rig = rig_new(NULL);
	char want[256];

	*state = rig;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd = open(rig->config, O_WRONLY | O_TRUNC);

		hak_sys_write(fd, cases[i].config, strlen(cases[i].config));
		close(fd);
		rig_launch(rig, NULL);
		assert_int_equal(rig_wait_exit(rig), 2);
		(void)snprintf(want, sizeof(want), "hakmemd: %s%s", rig->config, cases[i].says);
		assert_string_equal(rig->log, want);
		assert_false(exists(rig->socket));
		(void)snprintf(want, sizeof(want), "%s.lock", rig->socket);
		assert_false(exists(want));
	}
}

static void sigterm_and_sigint_end_it_and_nothing_stays(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT };
	struct rig *rig = rig_new(NULL);
	char lock[128];

	*state = rig;
	(void)snprintf(lock, sizeof(lock), "%s.lock", rig->socket);
	for (int i = 0; i < 2; i++) {
		rig_launch(rig, NULL);
		rig_wait_ready(rig);
		assert_true(exists(rig->socket));
		assert_true(exists(lock));
		assert_int_equal(kill(rig->pid, signals[i]), 0);
		assert_int_equal(rig_wait_exit(rig), 0);
		assert_false(exists(rig->socket));
		assert_false(exists(lock));
	}
}

static void its_clients_keep_their_memory_when_it_ends(void **state)
{
	struct rig *rig = rig_start(NULL);
	struct raw raw;
	uint32_t first;
	uint8_t *at;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_lease(&raw, 30, &first), 0);
	at = raw_map(&raw, first);
	memset(at, 9, HAK_SUPERSLAB_SIZE);
	rig = rig_stop(rig);
	assert_int_equal(raw_wait_hangup(raw.sock), 0);
	assert_int_equal(at[0], 9);
	assert_int_equal(at[HAK_SUPERSLAB_SIZE - 1], 9);
	at[1] = 10;
	raw_unmap(at);
	raw_close(&raw);
	*state = NULL;
}

static void a_second_daemon_is_refused_by_name(void **state)
{
	/* With threads the failed start has more to take down again. */
	struct rig *rig = rig_start("[daemon]\nring-wait = threads\n");
	const char *args[] = { "--foreground", "--socket",  rig->socket,
			       "--config",     rig->config, NULL };
	char text[4096], want[256];

	*state = rig;
	(void)snprintf(want, sizeof(want), "hakmemd: another hakmemd (pid %d) is listening on %s\n",
		       (int)rig->pid, rig->socket);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(run(args, text, sizeof(text)), 1);
		assert_string_equal(text, want);
	}
	assert_int_equal(rig_status(rig).pid, rig->pid); /* unharmed */
	*state = rig_stop(rig);
}

static void a_stale_socket_is_replaced(void **state)
{
	struct rig *rig = rig_start(NULL);

	*state = rig;
	assert_int_equal(kill(rig->pid, SIGKILL), 0);
	assert_int_equal(rig_wait_exit(rig), -SIGKILL);
	assert_true(exists(rig->socket));
	rig_launch(rig, NULL);
	rig_wait_ready(rig);
	(void)rig_status(rig);
	*state = rig_stop(rig);
}

/* Such as a daemon of another version, or a service manager for its service. */
static void somebody_who_listens_without_the_lock_is_not_replaced(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	char want[64];

	*state = rig;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig->socket);
	assert_int_equal(bind(sock, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(sock, 5), 0);
	rig_launch(rig, NULL);
	assert_int_equal(rig_wait_exit(rig), 1);
	(void)snprintf(want, sizeof(want), "another hakmemd (pid %d)", (int)getpid());
	assert_non_null(strstr(rig->log, want));
	assert_true(exists(rig->socket));
	close(sock);
}

static void what_is_no_socket_is_left_alone(void **state)
{
	struct rig *rig = rig_new(NULL);
	int fd = open(rig->socket, O_WRONLY | O_CREAT, 0600);

	*state = rig;
	assert_true(fd >= 0);
	close(fd);
	rig_launch(rig, NULL);
	assert_int_equal(rig_wait_exit(rig), 1);
	assert_non_null(strstr(rig->log, "exists and is not a socket"));
	assert_true(exists(rig->socket));
}

static void its_directory_and_modes_are_as_configured(void **state)
{
	struct rig *rig = rig_new("[daemon]\nsocket-mode = 0660\n");
	char dir[96], lock[128];
	struct stat st;

	*state = rig;
	(void)snprintf(dir, sizeof(dir), "%s/sub", rig->dir);
	(void)snprintf(rig->socket, sizeof(rig->socket), "%.80s/s", dir);
	(void)umask(077);
	rig_launch(rig, NULL);
	(void)umask(022);
	rig_wait_ready(rig);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(stat(rig->socket, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(kill(rig->pid, SIGTERM), 0);
	assert_int_equal(rig_wait_exit(rig), 0);
	(void)snprintf(lock, sizeof(lock), "%s.lock", rig->socket);
	assert_false(exists(lock));
	assert_int_equal(rmdir(dir), 0);
}

static void a_socket_that_replaced_ours_is_not_removed(void **state)
{
	struct rig *rig = rig_start(NULL);
	int fd;

	*state = rig;
	assert_int_equal(unlink(rig->socket), 0);
	fd = open(rig->socket, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(kill(rig->pid, SIGTERM), 0);
	assert_int_equal(rig_wait_exit(rig), 0);
	assert_true(exists(rig->socket));
}

/* As a service manager does it: the socket is 3, and LISTEN_PID names the process. */
static void a_socket_may_be_handed_over(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	char pid_text[32];
	struct stat before;
	mode_t mode;
	int ends[2];

	*state = rig;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig->socket);
	assert_int_equal(bind(sock, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(sock, 5), 0);
	assert_int_equal(stat(rig->socket, &before), 0);
	mode = before.st_mode;
	rig->pid = fork();
	assert_true(rig->pid >= 0);
	if (!rig->pid) {
		(void)dup2(ends[1], STDERR_FILENO);
		(void)snprintf(pid_text, sizeof(pid_text), "%d", (int)getpid());
		(void)setenv("LISTEN_PID", pid_text, 1);
		(void)setenv("LISTEN_FDS", "1", 1);
		(void)dup2(sock, 3);
		if (sock == 3)
			(void)fcntl(3, F_SETFD, 0);
		(void)execl(getenv("HAKMEMD"), "hakmemd", "--foreground", "--config", rig->config,
			    NULL);
		_exit(127);
	}
	assert_int_equal(hak_sys_pidfd_open(&rig->pidfd, rig->pid), 0);
	close(ends[1]);
	rig->err = ends[0];
	assert_int_equal(rig_status(rig).sessions, 0); /* waits in the backlog until it is ready */
	/* Its name and mode are the service manager's affair. */
	rig_wait_ready(rig);
	rig_configure(rig, NULL, "[daemon]\nsocket = /run/other\nsocket-mode = 0600\n");
	rig_reload(rig, "info reloaded changed=2\n");
	assert_non_null(strstr(rig->log, "key=socket from=\"/run/hakmem/hakmemd.sock\" "
					 "to=\"/run/other\" "
					 "effect=\"none: the socket was handed over\"\n"));
	assert_non_null(
		strstr(rig->log, "key=socket-mode from=\"0666\" to=\"0600\" effect=\"none"));
	assert_int_equal(stat(rig->socket, &before), 0);
	assert_int_equal(before.st_mode, mode);
	assert_int_equal(kill(rig->pid, SIGTERM), 0);
	assert_int_equal(rig_reap(rig->pid), 0);
	rig->pid = 0;
	assert_true(exists(rig->socket)); /* not its own */
	close(sock);
}

static void in_the_background_it_is_ready_when_the_command_ends(void **state)
{
	struct rig *rig = rig_new(NULL);
	const char *args[] = { "--socket", rig->socket, "--config", rig->config, NULL };
	struct hak_report_status status;
	char text[4096];
	int pidfd;

	*state = rig;
	assert_int_equal(run(args, text, sizeof(text)), 0); /* its output is let go of, too */
	assert_non_null(strstr(text, "hakmemd: ready on "));
	assert_int_equal(raw_status(rig->socket, &status), 0);
	assert_int_equal(run(args, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "another hakmemd (pid "));
	assert_int_equal(hak_sys_pidfd_open(&pidfd, (pid_t)status.pid), 0);
	assert_int_equal(kill((pid_t)status.pid, SIGTERM), 0);
	assert_int_equal(
		poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, RIG_DEADLINE_MS), 1);
	close(pidfd);
	assert_false(exists(rig->socket));
}

static int free_rig(void **state)
{
	*state = rig_free(*state);
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, free_rig)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(arguments_are_checked),
		TEST(without_io_uring_it_says_what_to_change),
		TEST(a_wrong_configuration_is_named_with_its_line),
		TEST(sigterm_and_sigint_end_it_and_nothing_stays),
		TEST(its_clients_keep_their_memory_when_it_ends),
		TEST(a_second_daemon_is_refused_by_name),
		TEST(a_stale_socket_is_replaced),
		TEST(somebody_who_listens_without_the_lock_is_not_replaced),
		TEST(what_is_no_socket_is_left_alone),
		TEST(its_directory_and_modes_are_as_configured),
		TEST(a_socket_that_replaced_ours_is_not_removed),
		TEST(a_socket_may_be_handed_over),
		TEST(in_the_background_it_is_ready_when_the_command_ends),
	};

	return cmocka_run_group_tests_name("start", tests, NULL, NULL);
}
