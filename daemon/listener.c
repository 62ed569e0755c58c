/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/limits.h"
#include "daemon/os.h"
#include "shared/fdpass.h"
#include "shared/sys.h"

#define BACKLOG         1024
#define LOCK_PATH_BYTES (CONFIG_SOCKET_BYTES + sizeof(".lock"))

static void lock_path(char *ret_path, const char *path)
{
	(void)snprintf(ret_path, LOCK_PATH_BYTES, "%s.lock", path);
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return address;
}

/* The directory of the socket, if it is missing; its parent has to be there. */
static int make_directory(const char *path)
{
	char dir[CONFIG_SOCKET_BYTES];
	char *slash;
	int r;

	(void)snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash == dir)
		return 0;
	*slash = 0;
	r = os_result(mkdir(dir, 0755));
	if (r == 0)
		return os_result(chmod(dir, 0755)); /* whatever the umask */
	return r == -EEXIST ? 0 : r;
}

static void refuse_second(const char *path, const char *who)
{
	log_plain("another hakmemd (pid %s) is listening on %s", *who ? who : "unknown", path);
}

/*
 * Takes PATH.lock. The name may have been removed by a daemon that was just leaving when we got
 * hold of it, so it is looked up again with the lock held.
 */
static int take_lock(struct listener *listener)
{
	char path[LOCK_PATH_BYTES], pid[24];
	struct hak_fd_id id;
	struct stat st;
	int r;

	lock_path(path, listener->path);
	for (;;) {
		int fd = os_result(open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));

		if (fd < 0)
			return fd;
		r = os_result(flock(fd, LOCK_EX | LOCK_NB));
		if (r < 0) {
			ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

			pid[n > 0 ? n : 0] = 0;
			pid[strcspn(pid, "\n")] = 0;
			hak_sys_close(fd);
			if (r == -EWOULDBLOCK) {
				refuse_second(listener->path, pid);
				r = -EADDRINUSE;
			}
			return r;
		}
		if (hak_sys_fd_id(&id, fd) == 0 && stat(path, &st) == 0 && st.st_dev == id.dev &&
		    st.st_ino == id.ino) {
			int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());

			(void)ftruncate(fd, 0);
			(void)os_pwrite(fd, pid, (size_t)n, 0);
			listener->lock = fd;
			return 0;
		}
		hak_sys_close(fd);
	}
}

/* The process that listens at the other end of a connection; 0: it does not live any more. */
static pid_t live_listener(int sock)
{
	struct hak_peer peer;
	int pidfd;
	bool dead;

	if (hak_sys_peer(&peer, &pidfd, sock) < 0)
		return 0;
	dead = os_pidfd_dead(pidfd);
	hak_sys_close(pidfd);
	return dead ? 0 : peer.pid;
}

/*
 * With the lock held, what is still at PATH is stale, unless somebody without a lock listens. That
 * a connection succeeds does not prove it: the kernel takes io_uring's files apart a while after
 * their process has died.
 */
static int remove_stale(const char *path)
{
	struct sockaddr_un address = address_of(path);
	char pid_text[24];
	struct stat st;
	pid_t pid = 0;
	int fd, r;

	r = os_result(lstat(path, &st));
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (!S_ISSOCK(st.st_mode)) {
		log_plain("%s: exists and is not a socket", path);
		return -EEXIST;
	}
	fd = os_result(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (fd < 0)
		return fd;
	r = os_result(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	if (r == 0)
		pid = live_listener(fd);
	hak_sys_close(fd);
	if (pid > 0) {
		(void)snprintf(pid_text, sizeof(pid_text), "%d", (int)pid);
		refuse_second(path, pid_text);
		return -EADDRINUSE;
	}
	return os_result(unlink(path));
}

/* The umask is the mode, so that there is no moment at which the socket has another one. */
static int bind_socket(struct listener *listener, unsigned mode)
{
	struct sockaddr_un address = address_of(listener->path);
	struct stat st;
	mode_t umask_before = umask((mode_t)(0777u & ~mode));
	int r = os_result(bind(listener->sock, (struct sockaddr *)&address, sizeof(address)));

	(void)umask(umask_before);
	if (r < 0)
		return r;
	r = os_result(lstat(listener->path, &st));
	if (r < 0)
		return r;
	listener->id = (struct hak_fd_id){ .dev = st.st_dev, .ino = st.st_ino };
	listener->owns_path = true;
	return os_result(listen(listener->sock, BACKLOG));
}

static int open_own(struct listener *listener, const struct config *config)
{
	int r = make_directory(listener->path);

	if (r < 0)
		return r;
	r = take_lock(listener);
	if (r < 0)
		return r;
	r = remove_stale(listener->path);
	if (r < 0)
		return r;
	r = os_result(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (r < 0)
		return r;
	listener->sock = r;
	return bind_socket(listener, config->socket_mode);
}

static void name_of(int sock, char *ret_path)
{
	struct sockaddr_un address = { 0 };
	socklen_t len = sizeof(address) - 1;

	(void)getsockname(sock, (struct sockaddr *)&address, &len);
	(void)snprintf(ret_path, CONFIG_SOCKET_BYTES, "%s",
		       address.sun_path[0] ? address.sun_path : "inherited socket");
}

static int open_reserve(void)
{
	return os_result(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

/* After exec it is ours as before, if the name still leads to a socket: with the lock held nobody
 * else puts one there. */
static void own_again(struct listener *listener, int lock)
{
	struct stat st;

	listener->lock = lock;
	if (lstat(listener->path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	listener->id = (struct hak_fd_id){ .dev = st.st_dev, .ino = st.st_ino };
	listener->owns_path = true;
}

int listener_open(struct listener *listener, const struct config *config, int inherited, int lock)
{
	struct listener new = LISTENER_NULL;
	int r = 0;

	if (inherited >= 0) {
		name_of(inherited, new.path);
	} else {
		(void)snprintf(new.path, sizeof(new.path), "%s", config->socket);
		r = open_own(&new, config);
	}
	if (r == 0)
		r = new.reserve = open_reserve();
	if (r < 0) {
		if (r != -EADDRINUSE && r != -EEXIST)
			log_plain("cannot listen on %s: %s", new.path, os_text(r));
		listener_close(&new);
		return r;
	}
	if (inherited >= 0)
		new.sock = inherited;
	if (inherited >= 0 && lock >= 0)
		own_again(&new, lock);
	*listener = new;
	return 0;
}

/* With the lock held nobody of ours replaces the name between the look and what follows it. */
static bool is_ours(const struct listener *listener)
{
	struct stat st;

	return listener->owns_path && lstat(listener->path, &st) == 0 &&
	       st.st_dev == listener->id.dev && st.st_ino == listener->id.ino;
}

static void remove_path(struct listener *listener)
{
	if (is_ours(listener))
		(void)unlink(listener->path);
	listener->owns_path = false;
}

void listener_set_mode(const struct listener *listener, unsigned mode)
{
	int r = is_ours(listener) ? os_result(chmod(listener->path, (mode_t)mode)) : -ENOENT;

	if (r < 0)
		log_event(LOG_AT_WARNING, "socket-mode-failed", "error=\"%s\"", os_text(r));
}

void listener_close(struct listener *listener)
{
	char path[LOCK_PATH_BYTES];

	remove_path(listener);
	hak_sys_close(listener->sock);
	hak_sys_close(listener->reserve);
	if (listener->lock >= 0) {
		lock_path(path, listener->path);
		(void)unlink(path);
		hak_sys_close(listener->lock);
	}
	*listener = (struct listener)LISTENER_NULL;
}

/* Descriptors ran out: the reserve takes the next connection, to tell it so. */
static void refuse_one(struct listener *listener)
{
	const struct hak_wire_frame frame =
		hak_wire_refuse(-EMFILE, "the daemon is out of descriptors");
	int sock;

	listener->reserve = hak_sys_close(listener->reserve);
	sock = os_result(accept4(listener->sock, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
	if (sock >= 0)
		(void)hak_fdpass_send(sock, &frame, NULL, 0);
	os_hang_up(sock);
	listener->reserve = open_reserve();
}

static void on_accept(struct loop_op *op, int result, bool more)
{
	struct listener *listener = hak_container_of(op, struct listener, accept);

	if (result >= 0 && listener->stopping)
		hak_sys_close(result);
	else if (result >= 0)
		listener->fn(listener, result);
	if (more || listener->stopping)
		return;
	if (result >= 0 || result == -ECONNABORTED || result == -EINTR) {
		loop_accept(op, listener->sock);
		return;
	}
	log_limited(LOG_AT_WARNING, "accept-failed", "error=\"%s\"", os_text(result));
	if (result == -EMFILE || result == -ENFILE)
		refuse_one(listener);
	loop_timeout(&listener->pause, LIMIT_ACCEPT_PAUSE_MS * UINT64_C(1000000));
}

static void on_pause(struct loop_op *op, int result, bool more)
{
	struct listener *listener = hak_container_of(op, struct listener, pause);

	(void)result;
	(void)more;
	if (!listener->stopping)
		loop_accept(&listener->accept, listener->sock);
}

void listener_start(struct listener *listener, struct loop *loop, listener_fn *fn)
{
	listener->loop = loop;
	listener->fn = fn;
	loop_op_init(&listener->accept, loop, on_accept);
	loop_op_init(&listener->pause, loop, on_pause);
	loop_accept(&listener->accept, listener->sock);
}

void listener_stop(struct listener *listener)
{
	listener->stopping = true;
	remove_path(listener);
	loop_cancel(&listener->accept);
	loop_cancel(&listener->pause);
}

bool listener_in_flight(const struct listener *listener)
{
	return listener->accept.in_flight || listener->pause.in_flight;
}
