/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/os.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/sys.h"

const char *os_text(int error)
{
	return strerror(-error);
}

int os_connect(int *ret_fd, const char *path, int timeout_ms)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval wait = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };
	size_t n = strlen(path);
	int fd, r;

	if (n >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, n);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* connect() waits for a place in the queue of a daemon that does not accept, as long as
	 * sending may take. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		r = errno == EAGAIN ? -ETIMEDOUT : -errno;
		hak_sys_close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int os_wait_readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int r;

	do {
		r = poll(&p, 1, timeout_ms);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	return r ? 0 : -ETIMEDOUT;
}

int os_read_at(int fd, void *buf, size_t size, uint64_t off)
{
	char *p = buf;

	while (size) {
		ssize_t n = pread(fd, p, size, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		p += n;
		off += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

int os_next_data(int fd, uint64_t off, uint64_t end, uint64_t *ret_from, uint64_t *ret_to)
{
	off_t from = lseek(fd, (off_t)off, SEEK_DATA), to;

	if (from < 0 && errno != ENXIO)
		return -errno;
	if (from < 0 || (uint64_t)from >= end) {
		*ret_from = *ret_to = end;
		return 0;
	}
	to = lseek(fd, from, SEEK_HOLE);
	if (to < 0)
		return -errno;
	*ret_from = (uint64_t)from;
	*ret_to = (uint64_t)to < end ? (uint64_t)to : end;
	return 0;
}

int os_file_size(int fd, uint64_t *ret_size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

int os_real_path(char **ret_path, const char *path)
{
	char *real = realpath(path, NULL);

	if (!real)
		return -errno;
	*ret_path = real;
	return 0;
}

int os_get_cpus(cpu_set_t *ret_cpus, size_t bytes)
{
	return sched_getaffinity(0, bytes, ret_cpus) < 0 ? -errno : 0;
}

int os_set_cpus(const cpu_set_t *cpus, size_t bytes)
{
	return sched_setaffinity(0, bytes, cpus) < 0 ? -errno : 0;
}

int os_setenv(const char *name, const char *value)
{
	return setenv(name, value, 1) < 0 ? -errno : 0;
}

int os_exec(char **argv)
{
	(void)execvp(argv[0], argv);
	return -errno;
}
