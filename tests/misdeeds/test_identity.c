/* SPDX-License-Identifier: Apache-2.0 */
/* Who is it? Identities that are not the sender's, sessions of others, sockets that others hold. */
#include "tests/misdeeds/foe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/sys.h"

static int connected(const struct foe *foe)
{
	int sock = raw_connect(foe->rig->socket);

	must(sock >= 0);
	return sock;
}

/* Credentials of another user in the message: the kernel passes root's lie on, the daemon asks
 * the socket. */
static void claims_to_be_another(const struct foe *foe, const void *unused)
{
	struct hak_wire_frame hello = raw_hello();
	struct ucred cred = { .pid = getppid(), .uid = getuid(), .gid = getgid() };
	union {
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec iov = { &hello, sizeof(hello) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	struct hak_report_session records[8];
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int sock = connected(foe), n;

	if (geteuid() == 0)
		cred.uid = 12345;
	else
		cred.pid = getpid();
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof(cred));
	memcpy(CMSG_DATA(c), &cred, sizeof(cred));
	must(sendmsg(sock, &msg, MSG_NOSIGNAL) == sizeof(hello));
	must(!raw_recv(sock, &hello, NULL, NULL));
	must(hello.type == HAK_WIRE_WELCOME);
	n = raw_sessions(foe->rig->socket, records, 8);
	for (int i = 0; i < n; i++)
		must(records[i].uid == getuid() && records[i].pid != (uint32_t)getppid());
}

/* ---- sessions of others ---- */

static void resumes(const struct foe *foe, uint64_t id)
{
	struct raw raw;

	must(raw_resume(&raw, foe->rig->socket, id) == -ESTALE);
}

static void resumes_the_bystanders(const struct foe *foe, const void *unused)
{
	resumes(foe, foe->bystander_id);
}

static void resumes_all_that_there_may_be(const struct foe *foe, const void *unused)
{
	for (uint64_t id = 0; id < 64; id++)
		resumes(foe, id);
	resumes(foe, UINT64_MAX);
}

static void resumes_arg(const struct foe *foe, const void *arg)
{
	resumes(foe, *(const uint64_t *)arg);
}

static void a_child_resumes_its_parents(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_offender(foe);

	must(foe_in_child(foe, resumes_arg, &raw.session_id) == 0);
	must(!raw_nop(&raw));
}

static void another_user_resumes(const struct foe *foe, const void *unused)
{
	foe_become(12345);
	resumes(foe, foe->bystander_id);
}

static void another_user_reaches_for_files(const struct foe *foe, const void *unused)
{
	char path[64];
	int opened = 0;

	foe_become(12345);
	for (int fd = 0; fd < 64; fd++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)foe->rig->pid, fd);
		opened += open(path, O_RDWR) >= 0;
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)foe->bystander, fd);
		opened += open(path, O_RDWR) >= 0;
	}
	must(!opened);
	must(kill(foe->rig->pid, SIGKILL) == -1 && errno == EPERM);
}

/* ---- who holds the socket ---- */

static void holds_a_socket(const struct foe *foe, const void *arg)
{
	const struct raw *raw = arg;
	struct pollfd p = { .fd = raw->sock, .events = POLLIN };

	must(kill(getppid(), SIGKILL) == 0);
	/* The session goes with the process that made it: this one is not it. */
	must(poll(&p, 1, RIG_DEADLINE_MS) == 1);
	must(!raw_wait_hangup(raw->sock));
}

static void a_child_holds_its_socket(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_offender(foe);
	pid_t pid = fork();

	must(pid >= 0);
	if (!pid) {
		holds_a_socket(foe, &raw);
		_exit(0);
	}
	rig_stall();
}

/* Its child asks by the parent's ring, over the parent's socket: that is the parent's doing. */
static void asks_for_its_parent(const struct foe *foe, const void *arg)
{
	struct raw raw = *(const struct raw *)arg;
	struct hak_sqe sqe = raw_entry(&raw, HAK_OP_NOP);

	sqe.flags = 1;
	must(!raw_push(&raw, &sqe));
	foe_expect_evicted(&raw, "unknown flags");
}

static void a_child_spoils_its_parents_session(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_offender(foe);

	must(foe_in_child(foe, asks_for_its_parent, &raw) == 0);
	must(raw_nop(&raw) < 0);
}

static void greets(const struct foe *foe, const void *arg)
{
	const int *sock = arg;
	struct hak_wire_frame hello = raw_hello();

	(void)foe;
	must(!raw_send(*sock, &hello, sizeof(hello), NULL, 0));
	must(!raw_recv(*sock, &hello, NULL, NULL) && hello.type == HAK_WIRE_WELCOME);
}

/* The session is of who connected, whoever speaks. */
static void another_speaks_for_it(const struct foe *foe, const void *unused)
{
	struct hak_report_session records[8];
	int sock = connected(foe), n, mine = 0;

	must(foe_in_child(foe, greets, &sock) == 0);
	n = raw_sessions(foe->rig->socket, records, 8);
	for (int i = 0; i < n; i++)
		mine += records[i].pid == (uint32_t)getpid();
	must(mine == 1);
}

static void dies_with_a_session(const struct foe *foe, const void *arg)
{
	uint64_t *ret_id = *(uint64_t *const *)arg;
	struct raw raw = foe_offender(foe);

	*ret_id = raw.session_id;
}

/* A process with the number of one that died does not get what that had. */
static void takes_the_number_of_a_dead_one(const struct foe *foe, const void *unused)
{
	uint64_t *id;
	void *at;
	int fd, n = 0;
	pid_t dead, pid = 0;
	char number[16];

	must(!hak_sys_memfd(&fd, "id", 4096, false) && !hak_sys_map_shared(&at, NULL, fd, 0, 4096));
	id = at;
	dead = fork();
	must(dead >= 0);
	if (!dead) {
		dies_with_a_session(foe, &id);
		_exit(0);
	}
	must(rig_reap(dead) == 0);
	for (; pid != dead && n < 1000; n++) {
		int last = open("/proc/sys/kernel/ns_last_pid", O_WRONLY);

		(void)snprintf(number, sizeof(number), "%d", (int)dead - 1);
		must(last >= 0 && write(last, number, strlen(number)) > 0);
		close(last);
		pid = fork();
		must(pid >= 0);
		if (!pid) {
			if (getpid() == dead)
				resumes(foe, *id);
			_exit(0);
		}
		must(rig_reap(pid) == 0);
	}
	must(pid == dead);
}

static const struct foe_case cases[] = {
	{ .name = "credentials of another in a message", .fn = claims_to_be_another },
	{ .name = "the bystander's session resumed",
	  .fn = resumes_the_bystanders,
	  .log = "no such session" },
	{ .name = "sessions guessed",
	  .fn = resumes_all_that_there_may_be,
	  .log = "no such session" },
	{ .name = "a parent's session resumed",
	  .fn = a_child_resumes_its_parents,
	  .log = "no such session" },
	{ .name = "a session resumed by another user",
	  .fn = another_user_resumes,
	  .log = "no such session",
	  .root = true },
	{ .name = "another user reaches for files",
	  .fn = another_user_reaches_for_files,
	  .root = true },
	{ .name = "a child holds its dead parent's socket",
	  .fn = a_child_holds_its_socket,
	  .end = -SIGKILL },
	{ .name = "a child spoils its parent's session",
	  .fn = a_child_spoils_its_parents_session,
	  .log = "reason=\"unknown flags",
	  .evicted = 1 },
	{ .name = "a child greets for its parent", .fn = another_speaks_for_it },
	{ .name = "a process number again",
	  .fn = takes_the_number_of_a_dead_one,
	  .root = true,
	  .log = "no such session" },
};

int main(void)
{
	return foe_main("identity", cases, sizeof(cases) / sizeof(cases[0]));
}
