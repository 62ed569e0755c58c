/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/sys.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "shared/sys_call.h"

/* Newer than Debian 12's headers; the value is kernel ABI. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

int hak_sys_close(int fd)
{
	if (fd >= 0)
		(void)UNCANCELLED(close(fd));
	return -1;
}

void hak_sys_closep(int *fd)
{
	*fd = hak_sys_close(*fd);
}

void hak_sys_drain(int fd)
{
	uint64_t count;

	(void)UNCANCELLED(read(fd, &count, sizeof(count)));
}

int hak_sys_move_high(int fd)
{
	struct rlimit lim;
	int floor = 1000;
	long high;

	if (SYS(getrlimit(RLIMIT_NOFILE, &lim)) < 0)
		return fd;
	if (lim.rlim_cur <= 2048) /* leave the upper part of a small table to us */
		floor = (int)(lim.rlim_cur - lim.rlim_cur / 16 - 1);
	high = SYS(fcntl(fd, F_DUPFD_CLOEXEC, floor));
	if (high < 0)
		return fd;
	hak_sys_close(fd);
	return (int)high;
}

int hak_sys_fd_id(struct hak_fd_id *ret_id, int fd)
{
	struct stat st;
	long r = SYS(fstat(fd, &st));

	if (r < 0)
		return (int)r;
	*ret_id = (struct hak_fd_id){ .dev = st.st_dev, .ino = st.st_ino };
	return 0;
}

bool hak_sys_fd_is(int fd, const struct hak_fd_id *id)
{
	struct hak_fd_id now;

	return fd >= 0 && !hak_sys_fd_id(&now, fd) && now.dev == id->dev && now.ino == id->ino;
}

int hak_sys_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
	struct timespec ts = { .tv_sec = timeout_ns / 1000000000,
			       .tv_nsec = timeout_ns % 1000000000 };
	long r = SYS(syscall(SYS_futex, word, FUTEX_WAIT, expected, timeout_ns < 0 ? NULL : &ts,
			     NULL, 0));

	return r == -ETIMEDOUT ? -ETIMEDOUT : 0;
}

void hak_sys_futex_wake(_Atomic uint32_t *word, int n)
{
	(void)SYS(syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0));
}

static uint64_t now(clockid_t clock)
{
	struct timespec ts = { 0 };

	(void)SYS(clock_gettime(clock, &ts));
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t hak_sys_now_ns(void)
{
	return now(CLOCK_MONOTONIC);
}

uint64_t hak_sys_boottime_ns(void)
{
	return now(CLOCK_BOOTTIME);
}

int hak_sys_poll(struct pollfd *fds, unsigned n, int timeout_ms)
{
	struct timespec ts = { .tv_sec = timeout_ms / 1000,
			       .tv_nsec = (timeout_ms % 1000) * 1000000L };
	long r;

	/* The bare call leaves in ts what is left of the time, and is no cancellation point. */
	do {
		r = SYS(syscall(SYS_ppoll, fds, n, timeout_ms < 0 ? NULL : &ts, NULL, 0));
	} while (r == -EINTR);
	return (int)r;
}

int hak_sys_connect(int *ret_sock, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	long sock, r;

	if (!len || len >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, len + 1);
	sock = SYS(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (sock < 0)
		return (int)sock;
	r = UNCANCELLED(connect((int)sock, (struct sockaddr *)&addr, sizeof(addr)));
	if (r < 0) {
		hak_sys_close((int)sock);
		return (int)r;
	}
	*ret_sock = (int)sock;
	return 0;
}

int hak_sys_pidfd_open(int *ret_fd, pid_t pid)
{
	long fd = SYS(syscall(SYS_pidfd_open, pid, 0));

	if (fd < 0)
		return (int)fd;
	*ret_fd = (int)fd;
	return 0;
}

int hak_sys_peer(struct hak_peer *ret_peer, int *ret_pidfd, int sock)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int fd = -1;
	long r = SYS(getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len));

	if (r < 0)
		return (int)r;
	len = sizeof(fd);
	r = SYS(getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &fd, &len));
	if (r < 0) {
		/* Before 6.5. The number could have been recycled since connect(); the caller
		 * holds a frame that the peer sent, and a peer that sent and died is found out by
		 * its closed socket. */
		r = hak_sys_pidfd_open(&fd, cred.pid);
		if (r < 0)
			return (int)r;
	}
	(void)SYS(fcntl(fd, F_SETFD, FD_CLOEXEC));
	*ret_peer = (struct hak_peer){ .pid = cred.pid, .uid = cred.uid, .gid = cred.gid };
	*ret_pidfd = fd;
	return 0;
}

void hak_sys_comm(char ret_name[16])
{
	memset(ret_name, 0, 16);
	(void)SYS(prctl(PR_GET_NAME, ret_name));
	ret_name[15] = 0;
}

bool hak_sys_filtered(void)
{
	return SYS(prctl(PR_GET_SECCOMP)) != 0;
}

int hak_sys_getcpu(unsigned *ret_cpu, unsigned *ret_node)
{
#ifdef __GLIBC__
	return (int)SYS(getcpu(ret_cpu, ret_node)); /* no system call: the vDSO answers */
#else
	return (int)SYS(syscall(SYS_getcpu, ret_cpu, ret_node, NULL));
#endif
}

const char *hak_sys_text(int error)
{
#ifdef __GLIBC__
	const char *text = strerrordesc_np(-error);

	return text ? text : "unknown error";
#else
	return strerror(-error); /* constant text, no locale of its own to load */
#endif
}

void hak_sys_write(int fd, const void *buf, size_t size)
{
	const char *p = buf;

	while (size) {
		long n = UNCANCELLED(write(fd, p, size));

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return;
		p += n;
		size -= (size_t)n;
	}
}

void hak_sys_say(const void *buf, size_t size)
{
	static const int deadly[] = { SIGPIPE, SIGXFSZ };
	const struct timespec none = { 0 };
	sigset_t ours, before, pending;

	(void)sigemptyset(&ours);
	for (size_t i = 0; i < hak_array_size(deadly); i++)
		(void)sigaddset(&ours, deadly[i]);
	(void)pthread_sigmask(SIG_BLOCK, &ours, &before);
	(void)sigpending(&pending);
	hak_sys_write(STDERR_FILENO, buf, size);
	for (size_t i = 0; i < hak_array_size(deadly); i++) {
		(void)sigemptyset(&ours);
		(void)sigaddset(&ours, deadly[i]);
		/* What was pending before is the program's own. */
		if (!sigismember(&pending, deadly[i]))
			(void)UNCANCELLED(sigtimedwait(&ours, NULL, &none));
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

ssize_t hak_sys_read_file(const char *path, char *buf, size_t size)
{
	size_t used = 0;
	long fd = UNCANCELLED(open(path, O_RDONLY | O_CLOEXEC));
	long n = 0;

	if (fd < 0)
		return fd;
	while (used < size - 1) {
		n = UNCANCELLED(read((int)fd, buf + used, size - 1 - used));
		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	hak_sys_close((int)fd);
	if (n < 0)
		return n;
	buf[used] = 0;
	return (ssize_t)used;
}

uint64_t hak_sys_random(void)
{
	uint64_t v = 0;

	if (SYS(getrandom(&v, sizeof(v), GRND_NONBLOCK)) != (long)sizeof(v))
		v = hak_sys_now_ns() * UINT64_C(0x9e3779b97f4a7c15);
	return v;
}
