/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/proc/manager.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/sys.h"

#define FIRST        3
#define MESSAGE_FDS  64
#define NOTIFY_BYTES 1024

/* ---- what it is told ---- */

static void add(struct manager *manager, const char *name, int fd)
{
	struct manager_fd *stored = &manager->fd[manager->stored];

	if (manager->stored == MANAGER_STORED) {
		hak_sys_close(fd);
		return;
	}
	manager->stored++;
	stored->fd = fd;
	(void)snprintf(stored->name, sizeof(stored->name), "%s", name);
}

static void drop(struct manager *manager, const char *name)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < manager->stored; i++) {
		if (!name || !strcmp(manager->fd[i].name, name))
			hak_sys_close(manager->fd[i].fd);
		else
			manager->fd[kept++] = manager->fd[i];
	}
	manager->stored = kept;
}

/* The rest of the line that begins so; "": there is none. */
static void value_of(const char *text, const char *key, char *ret_value, size_t size)
{
	const char *at = strstr(text, key);

	ret_value[0] = 0;
	if (at)
		(void)snprintf(ret_value, size, "%.*s", (int)strcspn(at + strlen(key), "\n"),
			       at + strlen(key));
}

/* Under the lock. False: there is nothing. */
static bool take_one(struct manager *manager)
{
	char text[NOTIFY_BYTES], name[64];
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(MESSAGE_FDS * sizeof(int))];
	} control;
	struct iovec io = { .iov_base = text, .iov_len = sizeof(text) - 1 };
	struct msghdr message = { .msg_iov = &io,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(manager->notify, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *head = n >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
	int fds[MESSAGE_FDS];
	size_t count = 0;

	if (n < 0)
		return false;
	text[n] = 0;
	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) {
		count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(head), count * sizeof(int));
	}
	manager->ready += strstr(text, "READY=1") != NULL;
	value_of(text, "FDNAME=", name, sizeof(name));
	if (strstr(text, "FDSTOREREMOVE=1"))
		drop(manager, name);
	for (size_t i = 0; i < count; i++)
		add(manager, name, fds[i]);
	return true;
}

static void take_all(struct manager *manager)
{
	while (take_one(manager))
		;
}

static void *listen_to_it(void *arg)
{
	struct manager *manager = arg;
	struct pollfd p = { .fd = manager->notify, .events = POLLIN };
	bool stop = false;

	while (!stop) {
		(void)poll(&p, 1, 100);
		(void)pthread_mutex_lock(&manager->lock);
		take_all(manager);
		stop = manager->stop;
		(void)pthread_mutex_unlock(&manager->lock);
	}
	return NULL;
}

unsigned manager_ready(struct manager *manager)
{
	unsigned n;

	(void)pthread_mutex_lock(&manager->lock);
	take_all(manager);
	n = manager->ready;
	(void)pthread_mutex_unlock(&manager->lock);
	return n;
}

unsigned manager_count(struct manager *manager)
{
	unsigned n;

	(void)pthread_mutex_lock(&manager->lock);
	take_all(manager);
	n = manager->stored;
	(void)pthread_mutex_unlock(&manager->lock);
	return n;
}

void manager_wait_count(struct manager *manager, unsigned stored)
{
	uint64_t until = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);

	while (manager_count(manager) != stored) {
		if (hak_sys_now_ns() > until)
			fail_msg("%u stored, not %u", manager_count(manager), stored);
		(void)hak_sys_poll(NULL, 0, 1);
	}
}

unsigned manager_find(struct manager *manager, const char *name, int *ret_fds, unsigned max)
{
	unsigned n = 0;

	(void)pthread_mutex_lock(&manager->lock);
	take_all(manager);
	for (unsigned i = 0; i < manager->stored; i++) {
		if (strcmp(manager->fd[i].name, name))
			continue;
		if (n < max)
			ret_fds[n] = manager->fd[i].fd;
		n++;
	}
	(void)pthread_mutex_unlock(&manager->lock);
	return n;
}

void manager_store(struct manager *manager, const char *name, int fd)
{
	assert_true(fd >= 0);
	(void)pthread_mutex_lock(&manager->lock);
	add(manager, name, fd);
	(void)pthread_mutex_unlock(&manager->lock);
}

void manager_drop(struct manager *manager, const char *name)
{
	(void)pthread_mutex_lock(&manager->lock);
	take_all(manager);
	drop(manager, name);
	(void)pthread_mutex_unlock(&manager->lock);
}

/* ---- what it starts ---- */

static void name_all(const struct manager *manager, char *ret_names)
{
	char *end = ret_names;

	if (manager->listen >= 0)
		end += sprintf(end, "hakmemd.socket");
	for (unsigned i = 0; i < manager->stored; i++)
		end += sprintf(end, "%s%s", end > ret_names ? ":" : "", manager->fd[i].name);
}

/* In the new process; the lock is its own. */
static void hand_over(void *arg)
{
	static char names[MANAGER_STORED * 66];
	static int from[MANAGER_STORED + 1];
	struct manager *manager = arg;
	char path[96], number[24];
	int n = 0;

	if (manager->listen >= 0)
		from[n++] = manager->listen;
	for (unsigned i = 0; i < manager->stored; i++)
		from[n++] = manager->fd[i].fd;
	/* First out of the way of each other. */
	for (int i = 0; i < n; i++)
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, FIRST + n);
	for (int i = 0; i < n; i++)
		(void)dup2(from[i], FIRST + i);
	name_all(manager, names);
	(void)snprintf(path, sizeof(path), "%s/notify", manager->rig->dir);
	(void)setenv("NOTIFY_SOCKET", path, 1);
	(void)snprintf(number, sizeof(number), "%d", (int)getpid());
	(void)setenv("LISTEN_PID", number, 1);
	(void)snprintf(number, sizeof(number), "%d", n);
	(void)setenv("LISTEN_FDS", number, 1);
	(void)setenv("LISTEN_FDNAMES", names, 1);
	if (manager->goes_first) /* without the right to it goes as all others */
		(void)setpriority(PRIO_PROCESS, 0, -10);
	if (manager->before)
		manager->before();
}

void manager_launch(struct manager *manager)
{
	manager_launch_with(manager, NULL);
}

void manager_launch_with(struct manager *manager, void (*before)(void))
{
	static const char *const args[] = { "--fdstore", NULL };

	(void)pthread_mutex_lock(&manager->lock);
	take_all(manager);
	manager->before = before;
	rig_launch_with(manager->rig, args, hand_over, manager);
	(void)pthread_mutex_unlock(&manager->lock);
}

void manager_start(struct manager *manager)
{
	manager_launch(manager);
	rig_wait_ready(manager->rig);
}

void manager_end(struct manager *manager, enum manager_how how)
{
	assert_int_equal(kill(manager->rig->pid, how == MANAGER_KILL ? SIGKILL : SIGTERM), 0);
	assert_int_equal(rig_wait_exit(manager->rig), how == MANAGER_KILL ? -SIGKILL : 0);
}

void manager_restart(struct manager *manager, enum manager_how how)
{
	if (how == MANAGER_EXEC) {
		rig_forget_log(manager->rig);
		assert_int_equal(kill(manager->rig->pid, SIGUSR2), 0);
		rig_wait_ready(manager->rig);
		return;
	}
	manager_end(manager, how);
	manager_start(manager);
}

static int bound(const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

struct manager *manager_new(const char *config, bool listens)
{
	struct manager *manager = calloc(1, sizeof(*manager));
	struct rlimit files;
	char path[96];

	assert_non_null(manager);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	manager->rig = rig_new(config);
	manager->listen = -1;
	if (listens) {
		manager->listen = bound(manager->rig->socket, SOCK_SEQPACKET | SOCK_NONBLOCK);
		assert_int_equal(listen(manager->listen, 64), 0);
	}
	(void)snprintf(path, sizeof(path), "%s/notify", manager->rig->dir);
	manager->notify = bound(path, SOCK_DGRAM);
	(void)pthread_mutex_init(&manager->lock, NULL);
	assert_int_equal(pthread_create(&manager->thread, NULL, listen_to_it, manager), 0);
	manager_start(manager);
	return manager;
}

struct manager *manager_free(struct manager *manager)
{
	char path[96];

	if (!manager)
		return NULL;
	(void)pthread_mutex_lock(&manager->lock);
	manager->stop = true;
	(void)pthread_mutex_unlock(&manager->lock);
	(void)pthread_join(manager->thread, NULL);
	drop(manager, NULL);
	(void)snprintf(path, sizeof(path), "%s/notify", manager->rig->dir);
	(void)unlink(path);
	hak_sys_close(manager->notify);
	hak_sys_close(manager->listen);
	manager->rig = rig_free(manager->rig);
	free(manager);
	return NULL;
}

int manager_setup(void **state)
{
	*state = manager_new(NULL, true);
	return 0;
}

int manager_teardown(void **state)
{
	*state = manager_free(*state);
	return 0;
}
