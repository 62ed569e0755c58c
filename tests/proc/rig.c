/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/proc/rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/sys.h"

#define MAX_ARGS 16

static int tell_fd = -1;

static uint64_t deadline(void)
{
	return hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	hak_sys_write(fd, text, strlen(text));
	close(fd);
}

struct rig *rig_new(const char *config)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	const char *tmp = getenv("TMPDIR");

	assert_non_null(rig);
	rig->pidfd = rig->err = -1;
	(void)snprintf(rig->dir, sizeof(rig->dir), "%s/hakrig.XXXXXX",
		       tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	assert_non_null(mkdtemp(rig->dir));
	(void)snprintf(rig->socket, sizeof(rig->socket), "%s/sock", rig->dir);
	(void)snprintf(rig->config, sizeof(rig->config), "%s/conf", rig->dir);
	write_file(rig->config, config ? config : "");
	return rig;
}

void rig_configure(struct rig *rig, const char *name, const char *text)
{
	char path[256];

	if (!name) {
		write_file(rig->config, text);
		return;
	}
	(void)snprintf(path, sizeof(path), "%s.d", rig->config);
	assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
	(void)snprintf(path, sizeof(path), "%s.d/%s", rig->config, name);
	if (text)
		write_file(path, text);
	else
		assert_int_equal(unlink(path), 0);
}

static void remove_drop_ins(struct rig *rig)
{
	char path[128 + 256];
	struct dirent *entry;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s.d", rig->config);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		(void)closedir(dir);
	(void)rmdir(path);
}

static const char *program(void)
{
	const char *path = getenv("HAKMEMD");

	if (!path)
		fail_msg("HAKMEMD is not set");
	return path;
}

void rig_launch_with(struct rig *rig, const char *const *args, void (*before)(void *), void *arg)
{
	const char *argv[MAX_ARGS] = { program(),   "--foreground", "--socket",
				       rig->socket, "--config",     rig->config };
	unsigned n = 6;
	int ends[2];

	for (; args && *args && n < MAX_ARGS - 1; args++)
		argv[n++] = *args;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	rig->pid = fork();
	assert_true(rig->pid >= 0);
	if (!rig->pid) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(ends[1], STDERR_FILENO);
		if (before)
			before(arg);
		(void)execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(ends[1]);
	hak_sys_closep(&rig->err);
	rig->err = ends[0];
	rig->log_used = 0;
	rig->log[0] = 0;
	hak_sys_closep(&rig->pidfd);
	assert_int_equal(hak_sys_pidfd_open(&rig->pidfd, rig->pid), 0);
}

void rig_launch(struct rig *rig, const char *const *args)
{
	rig_launch_with(rig, args, NULL, NULL);
}

/* Takes what the daemon has written, waiting up to timeout_ms; false: nothing, or it is gone. */
static bool read_log(struct rig *rig, int timeout_ms)
{
	struct pollfd p = { .fd = rig->err, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, timeout_ms) <= 0)
		return false;
	if (rig->log_used >= RIG_LOG_BYTES - 1) /* keep the younger half */
		memmove(rig->log, rig->log + RIG_LOG_BYTES / 2, rig->log_used -= RIG_LOG_BYTES / 2);
	n = read(rig->err, rig->log + rig->log_used, RIG_LOG_BYTES - 1 - rig->log_used);
	if (n <= 0)
		return false;
	rig->log_used += (size_t)n;
	rig->log[rig->log_used] = 0;
	return true;
}

void rig_wait_log(struct rig *rig, const char *text)
{
	uint64_t until = deadline();

	while (!strstr(rig->log, text)) {
		if (hak_sys_now_ns() > until || !read_log(rig, RIG_DEADLINE_MS))
			fail_msg("the daemon did not say '%s', but: %s", text, rig->log);
	}
}

void rig_forget_log(struct rig *rig)
{
	while (read_log(rig, 0))
		;
	rig->log_used = 0;
	rig->log[0] = 0;
}

void rig_reload(struct rig *rig, const char *text)
{
	rig_forget_log(rig);
	assert_int_equal(kill(rig->pid, SIGHUP), 0);
	rig_wait_log(rig, text);
}

void rig_wait_ready(struct rig *rig)
{
	rig_wait_log(rig, "hakmemd: ready on ");
}

struct rig *rig_start(const char *config)
{
	struct rig *rig = rig_new(config);

	rig_launch(rig, NULL);
	rig_wait_ready(rig);
	return rig;
}

static int wait_pidfd(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, RIG_DEADLINE_MS) > 0 ? 0 : -ETIMEDOUT;
}

static int status_of(pid_t pid)
{
	int status = 0;

	if (waitpid(pid, &status, 0) != pid)
		return -255;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int rig_wait_exit(struct rig *rig)
{
	int status;

	while (read_log(rig, RIG_DEADLINE_MS)) /* to the end of its stderr */
		;
	if (wait_pidfd(rig->pidfd) < 0)
		fail_msg("the daemon does not end; it said: %s", rig->log);
	status = status_of(rig->pid);
	rig->pid = 0;
	return status;
}

struct rig *rig_free(struct rig *rig)
{
	char path[128];

	if (!rig)
		return NULL;
	if (rig->pid > 0) {
		(void)kill(rig->pid, SIGKILL);
		(void)status_of(rig->pid);
	}
	hak_sys_close(rig->err);
	hak_sys_close(rig->pidfd);
	(void)unlink(rig->socket);
	(void)unlink(rig->config);
	remove_drop_ins(rig);
	(void)snprintf(path, sizeof(path), "%s.lock", rig->socket);
	(void)unlink(path);
	(void)rmdir(rig->dir);
	free(rig);
	return NULL;
}

struct rig *rig_stop(struct rig *rig)
{
	struct stat st;
	int status;

	assert_int_equal(kill(rig->pid, SIGTERM), 0);
	status = rig_wait_exit(rig);
	if (status)
		fail_msg("the daemon ended with %d; it said: %s", status, rig->log);
	assert_int_equal(stat(rig->socket, &st), -1);
	return rig_free(rig);
}

/* Between two looks: a moment, cut short by the daemon's death, which fails the test. */
static void moment(struct rig *rig, uint64_t until, const char *what)
{
	struct pollfd p[] = { { .fd = rig->pidfd, .events = POLLIN },
			      { .fd = rig->err, .events = POLLIN } };

	if (poll(p, 2, 5) > 0 && p[1].revents & POLLIN)
		(void)read_log(rig, 0);
	if (p[0].revents)
		fail_msg("the daemon died; it said: %s", rig->log);
	if (hak_sys_now_ns() > until)
		fail_msg("timeout: %s; the daemon said: %s", what, rig->log);
}

struct hak_report_status rig_status(struct rig *rig)
{
	struct hak_report_status status;
	int r = raw_status(rig->socket, &status);

	if (r < 0)
		fail_msg("no status: %s; the daemon said: %s", strerror(-r), rig->log);
	return status;
}

void rig_wait_sessions(struct rig *rig, uint64_t n)
{
	for (uint64_t until = deadline(); rig_status(rig).sessions != n;)
		moment(rig, until, "number of sessions");
}

void rig_wait_leased(struct rig *rig, uint64_t superslabs)
{
	for (uint64_t until = deadline();
	     rig_status(rig).leased_bytes != superslabs * HAK_SUPERSLAB_SIZE;)
		moment(rig, until, "leased bytes");
}

void rig_wait_stock(struct rig *rig, uint64_t regions, uint64_t superslabs)
{
	for (uint64_t until = deadline();; moment(rig, until, "stock")) {
		struct hak_report_status status = rig_status(rig);

		if (status.stock_regions == regions &&
		    status.stock_bytes == superslabs * HAK_SUPERSLAB_SIZE)
			return;
	}
}

void rig_wait_fds(struct rig *rig, uint64_t n)
{
	for (uint64_t until = deadline(); rig_status(rig).open_fds > n;)
		moment(rig, until, "open descriptors");
}

pid_t rig_client(struct rig *rig, rig_client_fn *fn, void *arg)
{
	int ends[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ends[0]);
		tell_fd = ends[1];
		fn(rig, arg);
		_exit(0);
	}
	close(ends[1]);
	if (read(ends[0], &byte, 1) != 1)
		fail_msg("the client did not get that far");
	close(ends[0]);
	return pid;
}

void rig_tell(void)
{
	hak_sys_write(tell_fd, "", 1);
	tell_fd = hak_sys_close(tell_fd);
}

void rig_stall(void)
{
	for (;;)
		(void)pause();
}

int rig_reap(pid_t pid)
{
	int pidfd;

	assert_int_equal(hak_sys_pidfd_open(&pidfd, pid), 0);
	if (wait_pidfd(pidfd) < 0)
		fail_msg("client %d does not end", (int)pid);
	close(pidfd);
	return status_of(pid);
}

uint64_t rig_proc_number(const struct rig *rig, const char *key)
{
	char path[64], text[8192];
	const char *at;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)rig->pid);
	assert_true(hak_sys_read_file(path, text, sizeof(text)) > 0);
	at = strstr(text, key);
	if (!at)
		fail_msg("no %s in %s", key, path);
	return strtoull(at + strlen(key), NULL, 10);
}

int rig_setup(void **state)
{
	*state = rig_start(NULL);
	return 0;
}

int rig_teardown(void **state)
{
	*state = rig_stop(*state);
	return 0;
}
