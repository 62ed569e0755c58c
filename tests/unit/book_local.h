/* SPDX-License-Identifier: Apache-2.0 */
/*
 * book_local.h - daemons that end before a chosen store into a session's book, and the client that
 * survives them: the test's own process, which has the segment and the presence mapped.
 */
#pragma once

#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "daemon/bell.h"
#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/job.h"
#include "daemon/os.h"
#include "daemon/request.h"
#include "daemon/session.h"
#include "daemon/session_adopt.h"
#include "daemon/worker.h"
#include "tests/must.h"
#include "tests/unit/line.h"

#define LIFE    UINT64_C(77)
#define WHOLE   3 /* exit: it came to the end */
#define STOPPED 4 /* before the store that it was to end before */

/* ---- a daemon, without socket and signals ---- */

static struct store line;

static void make_daemon(struct daemon *daemon)
{
	*daemon = (struct daemon){ .numa = { .parts = 1 } };
	line_begin(daemon, &line, LIFE);
	config_init(&daemon->config, UINT64_C(1) << 40);
	daemon->config.stock_sessions = 0;
	daemon->config.stock_decay_ms = 0;
	daemon->config.huge_pages = HUGE_PAGES_NEVER;
	list_init(&daemon->conns);
	list_init(&daemon->sessions);
	list_init(&daemon->active);
	list_init(&daemon->slowed);
	accounts_init(&daemon->accounts, &daemon->config, 100000);
	placement_init(&daemon->placement, &daemon->numa, &daemon->config);
	stock_init(&daemon->stock, daemon);
	domains_init(&daemon->domains, daemon);
	must(loop_new(&daemon->loop) == 0);
	must(bells_new(&daemon->bells, daemon->loop, RING_WAIT_AUTO) == 0);
	must(workers_new(&daemon->workers, daemon->loop, &daemon->numa, false) == 0);
	daemon->stopping = true; /* no tick */
}

static struct session *only_session(const struct daemon *daemon)
{
	must(!list_empty(&daemon->sessions));
	return hak_container_of(daemon->sessions.next, struct session, link);
}

static bool turn(void *context)
{
	struct daemon *daemon = context;
	struct session *session = only_session(daemon);
	enum serve verdict = SERVE_TASK;

	daemon->now_ns += 1000000000;
	if (!session->task.in_flight || !session->job.op)
		verdict = request_serve(session);
	must(verdict == SERVE_WORKED || verdict == SERVE_IDLE || verdict == SERVE_TASK);
	if (verdict == SERVE_IDLE && !session->task.in_flight)
		loop_stop(daemon->loop);
	return verdict == SERVE_WORKED;
}

static void serve(struct daemon *daemon)
{
	must(loop_run(daemon->loop, turn, daemon) == 0);
}

static unsigned stores_left;

static void stop_before(void)
{
	if (!stores_left--)
		_exit(STOPPED);
}

/* ---- the client ---- */

struct client {
	int fds[SESSION_FILES];
	void *segment, *presence;
	struct hak_ring_end sq, cq;
	uint64_t seq, answers;
	int32_t result; /* of the last */
};

static void ask(struct client *client, uint32_t op, uint32_t first, uint32_t count)
{
	bool places = op == HAK_OP_LEASE || op == HAK_OP_RESERVE;
	const struct hak_sqe sqe = { .op = op,
				     .seq = ++client->seq,
				     .first = first,
				     .count = count,
				     .node = places ? HAK_NODE_ANY : 0 };

	must(hak_ring_push(&client->sq, &sqe) == 0);
}

/* Each answer is the next one: none is lost, none comes twice. */
static void take_answers(struct client *client)
{
	struct hak_cqe cqe;

	while (hak_ring_pop(&client->cq, &cqe) == 0) {
		must(cqe.seq == ++client->answers);
		client->result = cqe.result;
	}
}

static void join_client(struct client *client, pid_t daemon, const int numbers[SESSION_FILES])
{
	char path[40];

	for (unsigned i = 0; i + 1 < SESSION_FILES; i++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)daemon, numbers[i]);
		client->fds[i] = open(path, O_RDWR | O_CLOEXEC);
		must(client->fds[i] >= 0);
	}
	must(hak_sys_pidfd_open(&client->fds[4], getpid()) == 0);
	must(hak_sys_map_shared(&client->segment, NULL, client->fds[1], 0, HAK_SEGMENT_SIZE) == 0);
	must(hak_sys_map_shared(&client->presence, NULL, client->fds[3], 0, 4096) == 0);
	hak_ring_end_init(&client->sq, hak_at(client->segment, HAK_SEGMENT_SQ_OFF),
			  hak_at(client->segment, HAK_SEGMENT_SQES_OFF), HAK_SQ_ENTRIES);
	hak_ring_end_init(&client->cq, hak_at(client->segment, HAK_SEGMENT_CQ_OFF),
			  hak_at(client->segment, HAK_SEGMENT_CQES_OFF), HAK_CQ_ENTRIES);
}

static void leave(struct client *client)
{
	for (unsigned i = 0; i < SESSION_FILES; i++)
		client->fds[i] = hak_sys_close(client->fds[i]);
	must(hak_sys_unmap(client->segment, HAK_SEGMENT_SIZE) == 0);
	must(hak_sys_unmap(client->presence, 4096) == 0);
}

/* ---- what is asked ---- */

struct expected {
	uint32_t taken, frozen, ready; /* superslabs when all is done */
};

struct scene {
	const char *name;
	uint32_t reserve; /* ready before, beside a lease of 20 */
	bool takes;       /* the client takes one of these */
	uint32_t op, first, count;
	struct expected expected;
};

#define OP_DECAY 100u /* no request: what nobody came for is given back */

static void take_from_reserve(struct client *client)
{
	uint32_t superslab;

	must(hak_reserve_take(hak_at(client->segment, HAK_SEGMENT_RESERVE_OFF), 1, &superslab));
}

/* The daemon that makes the session: tells the numbers of its files, and waits between. */
static _Noreturn void first_life(int sock, pid_t parent, const struct scene *scene, unsigned n)
{
	const struct hak_wire_hello hello = { .comm = "steps" };
	struct daemon daemon;
	struct conn conn = { .daemon = &daemon, .sock = -1, .peer = { .pid = parent, .uid = 7 } };
	struct session *session;
	char byte;

	make_daemon(&daemon);
	must(hak_sys_pidfd_open(&conn.pidfd, parent) == 0);
	must(account_open(&daemon.accounts, 7, &conn.account) == 0);
	must(session_new(&session, &conn, &hello, HAK_WIRE_VERSION_MAX) == 0);
	const int numbers[SESSION_FILES] = { session->region.book.fd, session->segment_fd,
					     session->region.fd, session->presence_fd };

	must(write(sock, numbers, sizeof(numbers)) == sizeof(numbers));
	must(read(sock, &byte, 1) == 1);
	serve(&daemon);
	must(write(sock, &byte, 1) == 1);
	must(read(sock, &byte, 1) == 1);
	stores_left = n;
	book_before_store = stop_before;
	if (scene->op == OP_DECAY)
		job_decay(session);
	serve(&daemon);
	_exit(WHOLE);
}

static int end_of(pid_t pid)
{
	int status;

	must(waitpid(pid, &status, 0) == pid);
	must(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Left before store n; how its daemon ended. */
static int leave_behind(struct client *client, const struct scene *scene, unsigned n)
{
	int pair[2], numbers[SESSION_FILES];
	pid_t parent = getpid(), pid;
	char byte = 0;

	*client = (struct client){ 0 };
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	pid = fork();
	must(pid >= 0);
	if (!pid)
		first_life(pair[1], parent, scene, n);
	must(read(pair[0], numbers, sizeof(numbers)) == sizeof(numbers));
	join_client(client, pid, numbers);
	ask(client, HAK_OP_LEASE, 0, 20);
	ask(client, HAK_OP_RESERVE, 0, scene->reserve);
	must(write(pair[0], &byte, 1) == 1);
	must(read(pair[0], &byte, 1) == 1);
	take_answers(client);
	must(client->answers == client->seq);
	if (scene->takes)
		take_from_reserve(client);
	if (scene->op != OP_DECAY)
		ask(client, scene->op, scene->first, scene->count);
	must(write(pair[0], &byte, 1) == 1);
	hak_sys_close(pair[0]);
	hak_sys_close(pair[1]);
	return end_of(pid);
}

/* ---- adopting ---- */

static int adopt(struct daemon *daemon, const struct client *client, const char **ret_fault)
{
	int fds[SESSION_FILES];

	/* In any order. */
	for (unsigned i = 0; i < SESSION_FILES; i++)
		fds[i] = fcntl(client->fds[SESSION_FILES - 1 - i], F_DUPFD_CLOEXEC, 0);
	return session_adopt(daemon, fds, SESSION_FILES, ret_fault);
}
