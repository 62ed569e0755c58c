/* SPDX-License-Identifier: Apache-2.0 */
/* SIGUSR2: the program file anew, as the same process, without any service manager. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/sys.h"
#include "tests/proc/rig.h"

static void copy_program(const char *from, const char *to)
{
	char command[512];

	/* By another name first: a file that is being executed is not written to. */
	(void)snprintf(command, sizeof(command), "cp '%s' '%s.new' && mv '%s.new' '%s'",
		       getenv(from), to, to, to);
	assert_int_equal(system(command), 0);
}

/* A daemon whose program is a copy in its own directory: ret_path. */
static struct rig *start_copy(char ret_path[128])
{
	struct rig *rig = rig_new("[stock]\nsessions = 0\n");
	const char *before = strdup(getenv("HAKMEMD"));

	assert_non_null(before);
	(void)snprintf(ret_path, 128, "%s/hakmemd", rig->dir);
	copy_program("HAKMEMD", ret_path);
	(void)setenv("HAKMEMD", ret_path, 1);
	rig_launch(rig, NULL);
	(void)setenv("HAKMEMD", before, 1);
	free((void *)(uintptr_t)before);
	rig_wait_ready(rig);
	return rig;
}

static void again(struct rig *rig, const char *says)
{
	rig_forget_log(rig);
	assert_int_equal(kill(rig->pid, SIGUSR2), 0);
	rig_wait_log(rig, says);
}

static void inode_of(const struct rig *rig, struct stat *ret)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)rig->pid);
	assert_int_equal(stat(path, ret), 0);
}

static void resumes(struct rig *rig, struct raw *raw)
{
	struct raw other;

	assert_int_equal(raw_resume(&other, rig->socket, raw->session_id), 0);
	close(raw->sock);
	raw->sock = other.sock;
	other.sock = -1;
	raw_close(&other);
	assert_int_equal(raw_nop(raw), 0);
}

static void an_upgraded_program_is_started(void **state)
{
	char path[128];
	struct rig *rig = start_copy(path);
	struct stat before, file, after;
	struct raw raw;
	pid_t pid = rig->pid;

	*state = rig;
	assert_int_equal(raw_open(&raw, rig->socket), 0);
	inode_of(rig, &before);
	copy_program("HAKMEMD", path);
	assert_int_equal(stat(path, &file), 0);
	assert_int_not_equal(file.st_ino, before.st_ino);
	again(rig, "hakmemd: ready on ");
	assert_int_equal(rig->pid, pid);
	inode_of(rig, &after);
	assert_int_equal(after.st_ino, file.st_ino);
	resumes(rig, &raw);
	assert_int_equal(unlink(path), 0);
	raw_close(&raw);
	*state = rig_stop(rig);
}

/* One that speaks a version more, and back: sessions go on in the version that they have, and one
 * that only the newer program speaks is refused by the older one, alone. */
static void another_protocol_version_is_started(void **state)
{
	char path[128];
	struct rig *rig = start_copy(path);
	struct raw old, new;

	*state = rig;
	assert_int_equal(raw_open(&old, rig->socket), 0);
	copy_program("HAKMEMD_NEXT", path);
	again(rig, "hakmemd: ready on ");
	resumes(rig, &old);
	assert_int_equal(raw_open_version(&new, rig->socket, HAK_WIRE_VERSION_MAX + 1), 0);
	assert_int_equal(raw_nop(&new), 0);
	again(rig, "hakmemd: ready on ");
	resumes(rig, &old);
	copy_program("HAKMEMD", path);
	again(rig, "hakmemd: ready on ");
	assert_non_null(strstr(rig->log, "adopt-refused what=session"));
	assert_int_equal(rig_status(rig).sessions, 1);
	resumes(rig, &old);
	raw_close(&new);
	raw_close(&old);
	*state = rig_stop(rig);
}

/* One report: a second would count the connection of the first. */
static struct hak_report_status begin_session(struct rig *rig, struct raw *ret_raw)
{
	assert_int_equal(raw_open(ret_raw, rig->socket), 0);
	assert_int_equal(raw_nop(ret_raw), 0);
	return rig_status(rig);
}

static void a_program_that_does_not_start_leaves_it_as_it_is(void **state)
{
	char path[128];
	struct rig *rig = start_copy(path);
	struct hak_report_status status;
	struct raw raw;

	*state = rig;
	status = begin_session(rig, &raw);
	assert_int_equal(chmod(path, 0600), 0);
	for (int i = 0; i < 3; i++) {
		again(rig, "reexec-failed program=");
		assert_int_equal(raw_nop(&raw), 0);
		assert_int_equal(rig_status(rig).epoch, status.epoch);
		rig_wait_fds(rig, status.open_fds);
	}
	assert_int_equal(unlink(path), 0);
	again(rig, "reexec-failed program=");
	assert_int_equal(raw_nop(&raw), 0); /* on the same connection */
	assert_int_equal(rig_status(rig).sessions, 1);
	raw_close(&raw);
	*state = rig_stop(rig);
}

#define HANDED 8 /* socket, lock, life page, a session's five */
#define ABOVE  (3 + HANDED)
#define LATER  3 /* more than become free a little later: the last report's connection, two */

static bool has_fd(const struct rig *rig, int fd)
{
	struct stat st;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)rig->pid, fd);
	return lstat(path, &st) == 0;
}

/* The limit that leaves so many of the second numbers that it needs. */
static rlim_t limit_with_room(const struct rig *rig, unsigned room)
{
	rlim_t limit = ABOVE;

	while (room)
		room -= !has_fd(rig, (int)limit++);
	return limit;
}

/* All that is handed over has a second number for a moment. */
static void without_room_for_descriptors_it_stays_as_it_is(void **state)
{
	struct rig *rig = rig_start("[stock]\nsessions = 0\n");
	struct rlimit limit, less;
	unsigned needed = 0;
	struct hak_report_status status;
	struct raw raw;

	*state = rig;
	status = begin_session(rig, &raw);
	for (int fd = 3; fd < ABOVE; fd++)
		needed += has_fd(rig, fd);
	assert_true(needed > LATER);
	assert_int_equal(prlimit(rig->pid, RLIMIT_NOFILE, NULL, &limit), 0);
	/* None at all, and some, but not enough. */
	for (unsigned some = 0; some < 2; some++) {
		less = (struct rlimit){ limit_with_room(rig, some * (needed - LATER)),
					limit.rlim_max };
		assert_int_equal(prlimit(rig->pid, RLIMIT_NOFILE, &less, NULL), 0);
		again(rig, "reexec-failed program=");
		assert_int_equal(prlimit(rig->pid, RLIMIT_NOFILE, &limit, NULL), 0);
		assert_int_equal(raw_nop(&raw), 0); /* on the same connection */
		assert_int_equal(rig_status(rig).epoch, status.epoch);
		rig_wait_fds(rig, status.open_fds);
	}
	again(rig, "hakmemd: ready on ");
	resumes(rig, &raw);
	raw_close(&raw);
	*state = rig_stop(rig);
}

/* Its socket is its own: nobody who connects is refused meanwhile, and it is removed at the end. */
static void its_socket_and_lock_stay(void **state)
{
	struct rig *rig = rig_start(NULL);
	struct stat before, after;
	char lock[128];

	*state = rig;
	(void)snprintf(lock, sizeof(lock), "%s.lock", rig->socket);
	assert_int_equal(stat(rig->socket, &before), 0);
	for (int i = 0; i < 5; i++) {
		int sock;

		rig_forget_log(rig);
		assert_int_equal(kill(rig->pid, SIGUSR2), 0);
		sock = raw_connect(rig->socket);
		assert_true(sock >= 0);
		rig_wait_log(rig, "hakmemd: ready on ");
		close(sock);
	}
	assert_int_equal(stat(rig->socket, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	*state = rig_stop(rig);
	assert_int_equal(stat(lock, &after), -1);
}

static void many_times_leave_nothing_behind(void **state)
{
	struct rig *rig = rig_start("[stock]\nsessions = 0\n");
	uint64_t fds = 0;
	struct raw raw;

	*state = rig;
	assert_int_equal(raw_open(&raw, rig->socket), 0);
	for (int i = 0; i < 20; i++) {
		again(rig, "hakmemd: ready on ");
		resumes(rig, &raw);
		if (i == 1)
			fds = rig_status(rig).open_fds;
	}
	rig_wait_fds(rig, fds);
	raw_close(&raw);
	*state = rig_stop(rig);
}

static int drop(void **state)
{
	*state = rig_free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(its_socket_and_lock_stay, drop),
		cmocka_unit_test_teardown(a_program_that_does_not_start_leaves_it_as_it_is, drop),
		cmocka_unit_test_teardown(without_room_for_descriptors_it_stays_as_it_is, drop),
		cmocka_unit_test_teardown(an_upgraded_program_is_started, drop),
		cmocka_unit_test_teardown(another_protocol_version_is_started, drop),
		cmocka_unit_test_teardown(many_times_leave_nothing_behind, drop),
	};

	return cmocka_run_group_tests_name("reexec", tests, NULL, NULL);
}
