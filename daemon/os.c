/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "daemon/cgroup.h"
#include "shared/sys.h"

int os_result(long r)
{
	return r == -1 ? -errno : (int)r;
}

const char *os_text(int error)
{
	return strerror(error < 0 ? -error : error);
}

uint64_t os_raise_nofile(void)
{
	struct rlimit lim;

	if (os_result(getrlimit(RLIMIT_NOFILE, &lim)) < 0)
		return 0;
	lim.rlim_cur = lim.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &lim);
	(void)getrlimit(RLIMIT_NOFILE, &lim);
	return lim.rlim_cur;
}

uint64_t os_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	uint64_t n = 0;

	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	(void)closedir(dir);
	return n - 1; /* the directory itself */
}

uint64_t os_memory_bytes(void)
{
	uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t group = cgroup_memory_max(CGROUP_ROOT, CGROUP_SELF);

	return group < machine ? group : machine;
}

uint64_t os_file_bytes(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

bool os_pidfd_dead(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

pid_t os_pidfd_pid(int fd)
{
	static const char key[] = "\nPid:\t";
	char path[40], text[512], *at;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	n = hak_sys_read_file(path, text, sizeof(text));
	at = n > 0 ? strstr(text, key) : NULL;
	return at ? atoi(at + sizeof(key) - 1) : 0;
}

int os_signalfd(int *ret_fd)
{
	sigset_t set;
	int fd;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGUSR2);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	fd = os_result(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

int os_signal_next(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

int os_eventfd(int *ret_fd)
{
	int fd = os_result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));

	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

void os_event_set(int fd)
{
	(void)eventfd_write(fd, 1);
}

int os_last_cpu(pid_t pid)
{
	char path[32], text[512], *at;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	n = hak_sys_read_file(path, text, sizeof(text) - 1);
	if (n < 0)
		return (int)n;
	text[n] = 0;
	/* The name in parentheses may hold anything; the state, which follows it, is the 3rd field
	 * and "processor" the 39th. */
	at = strrchr(text, ')');
	for (int field = 2; at && field < 39; field++)
		at = strchr(at + 1, ' ');
	return at ? atoi(at + 1) : -EINVAL;
}

void os_event_clear(int fd)
{
	eventfd_t value;

	(void)eventfd_read(fd, &value);
}

int os_hang_up(int sock)
{
	char byte;

	if (sock < 0)
		return -1;
	(void)shutdown(sock, SHUT_RDWR);
	/* Bounded by the socket's buffer; descriptors in it are dropped. */
	while (recv(sock, &byte, 1, MSG_DONTWAIT) > 0)
		;
	(void)close(sock);
	return -1;
}

int os_pwrite(int fd, const void *buf, size_t size, uint64_t off)
{
	const char *p = buf;

	while (size) {
		ssize_t n = pwrite(fd, p, size, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		off += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

int os_sign(int *ret_fd)
{
	int fd = os_result(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));

	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

void os_sign_set(int fd)
{
	/* Long past: at once. */
	const struct itimerspec past = { .it_value = { .tv_nsec = 1 } };

	(void)timerfd_settime(fd, TFD_TIMER_ABSTIME, &past, NULL);
}

void os_sock_least_room(int sock)
{
	const int least = 0; /* the kernel makes it its minimum */

	(void)setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
}

bool os_is_sign(int fd)
{
	struct itimerspec left;

	return os_result(timerfd_gettime(fd, &left)) == 0;
}

int os_reopen_readonly(int *ret_fd, int fd)
{
	char path[32];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = os_result(open(path, O_RDONLY | O_CLOEXEC));
	if (r < 0)
		return r;
	*ret_fd = r;
	return 0;
}
