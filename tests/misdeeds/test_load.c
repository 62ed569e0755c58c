/* SPDX-License-Identifier: Apache-2.0 */
/* Too much of what is allowed: storms of connections, sessions, requests, questions and deaths, and
 * clients that are stopped. */
#include "tests/misdeeds/foe.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/sys.h"

#define A_WHILE_NS UINT64_C(300000000)

static void sends(int sock, const struct hak_wire_frame *frame)
{
	(void)raw_send(sock, frame, sizeof(*frame), NULL, 0);
}

/* ---- connections ---- */

static void connects_and_hangs_up(const struct foe *foe, const void *unused)
{
	for (int i = 0; i < 3000; i++) {
		int sock = raw_connect(foe->rig->socket);

		must(sock >= 0);
		close(sock);
	}
}

static void greets_and_dies_away(const struct foe *foe, const void *unused)
{
	const struct hak_wire_frame hello = raw_hello();

	for (int i = 0; i < 500; i++) {
		int sock = raw_connect(foe->rig->socket);

		must(sock >= 0);
		sends(sock, &hello);
		close(sock); /* before the answer */
	}
}

static void takes_all_places(const struct foe *foe, const void *unused)
{
	struct raw raw;
	int r = 0, n = 0;

	for (; n < 1000 && r == 0; n++)
		r = raw_open(&raw, foe->rig->socket);
	must(r == -EDQUOT && n > 50);
}

static void connects_until_told_off(const struct foe *foe, const void *unused)
{
	int socks = 0;

	for (int i = 0; i < 300; i++)
		socks += raw_connect(foe->rig->socket) >= 0;
	must(socks > 50);
}

/* ---- requests and questions ---- */

static void floods_with_requests(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	const uint64_t until = hak_sys_now_ns() + A_WHILE_NS;
	struct hak_cqe cqe;

	while (hak_sys_now_ns() < until) {
		struct hak_sqe sqe = { .op = HAK_OP_NOP, .seq = raw.seq + 1 };

		if (raw_push(&raw, &sqe) == 0)
			raw.seq++;
		while (hak_ring_pop(&raw.cq, &cqe) == 0)
			;
	}
}

static void leases_until_refused(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	uint32_t first, n = 0;
	int r = 0;

	for (; r == 0; n++)
		r = raw_lease(&raw, 1, &first);
	must(r == -EDQUOT && n == 33); /* to the superslab */
	must(!raw_nop(&raw));
}

static void asks_and_never_reads(const struct foe *foe, const void *arg)
{
	struct hak_wire_frame query = hak_wire_make(HAK_WIRE_QUERY);
	const struct timeval wait = { .tv_sec = 20 };
	int sock = raw_connect(foe->rig->socket), r = 0;

	must(sock >= 0);
	(void)setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	query.query.what = *(const uint32_t *)arg;
	for (int i = 0; i < 100000 && r == 0; i++)
		r = raw_send(sock, &query, sizeof(query), NULL, 0);
	must(r == -EPIPE || r == -ECONNRESET);
}

static void joins_and_never_reads(const struct foe *foe, const void *unused)
{
	struct hak_wire_frame open = hak_wire_make(HAK_WIRE_DOMAIN_OPEN);
	const struct timeval wait = { .tv_sec = 20 };
	struct raw raw = foe_session(foe);
	int r = 0;

	(void)setsockopt(raw.sock, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	memcpy(open.domain_open.name, "bystander", sizeof("bystander"));
	open.domain_open.flags = HAK_WIRE_RDONLY;
	for (int i = 0; i < 100000 && r == 0; i++)
		r = raw_send(raw.sock, &open, sizeof(open), NULL, 0);
	must(r == -EPIPE || r == -ECONNRESET);
}

static void fills_the_log(const struct foe *foe, const void *unused)
{
	for (int i = 0; i < 300; i++) {
		struct raw raw = foe_session(foe);
		struct hak_sqe sqe = raw_entry(&raw, (enum hak_op)99);

		must(!raw_push(&raw, &sqe));
		must(!raw_wait_hangup(raw.sock));
		raw_close(&raw);
	}
}

/* ---- deaths ---- */

/* Many at a time, each in the middle of something. */
static void children_die(const struct foe *foe, const void *unused)
{
	pid_t pid[32];

	for (int i = 0; i < 32; i++) {
		pid[i] = fork();
		must(pid[i] >= 0);
		if (!pid[i]) {
			struct raw raw = foe_offender(foe);

			for (uint32_t n = 0;; n++) {
				uint32_t first;

				if (!raw_lease(&raw, 1 + n % 3, &first))
					(void)raw_return(&raw, first, 1 + n % 3);
			}
		}
	}
	for (int i = 0; i < 32; i++) { /* each while others go on */
		must(!kill(pid[i], SIGKILL) && waitpid(pid[i], NULL, 0) == pid[i]);
	}
}

static void dies_with_a_full_ring(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);

	for (unsigned i = 0; i < HAK_SQ_ENTRIES; i++) {
		struct hak_sqe sqe = raw_entry(&raw, HAK_OP_LEASE);

		sqe.count = 1;
		must(!hak_ring_push(&raw.sq, &sqe));
	}
	raw_wake(&raw);
	(void)kill(getpid(), SIGKILL);
}

/* ---- stopped ---- */

static void *stops_with_full_rings(struct raw *raw)
{
	for (unsigned i = 0; i < HAK_SQ_ENTRIES; i++) {
		struct hak_sqe sqe = raw_entry(raw, HAK_OP_LEASE);

		sqe.count = 1;
		must(!hak_ring_push(&raw->sq, &sqe));
	}
	raw_wake(raw);
	(void)raise(SIGSTOP);
	return NULL;
}

/* It stands there for a while, then dies without having gone on. */
static void a_child_is_stopped(const struct foe *foe, const void *arg)
{
	const uint64_t until = hak_sys_now_ns() + A_WHILE_NS;
	const bool *full = arg;
	int status;
	pid_t pid = fork();

	must(pid >= 0);
	if (!pid) {
		struct raw raw;

		if (*full) {
			raw = foe_offender(foe);
			(void)stops_with_full_rings(&raw);
		} else {
			int sock = raw_connect(foe->rig->socket);
			const struct hak_wire_frame hello = raw_hello();

			sends(sock, &hello);
			(void)raise(SIGSTOP);
		}
		_exit(0);
	}
	must(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	while (hak_sys_now_ns() < until) {
		struct raw raw = foe_session(foe); /* others come and go meanwhile */

		must(!raw_nop(&raw));
		raw_close(&raw);
	}
	must(!kill(pid, SIGKILL) && waitpid(pid, &status, 0) == pid);
}

static void a_child_is_stopped_and_goes_on(const struct foe *foe, const void *unused)
{
	int status;
	pid_t pid = fork();

	must(pid >= 0);
	if (!pid) {
		struct raw raw = foe_session(foe);
		struct hak_cqe cqe;

		(void)stops_with_full_rings(&raw);
		for (unsigned i = 0; i < HAK_SQ_ENTRIES; i++)
			must(!raw_pop(&raw, &cqe) && !cqe.result);
		must(!raw_nop(&raw));
		_exit(0);
	}
	must(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	must(!kill(pid, SIGCONT) && waitpid(pid, &status, 0) == pid && status == 0);
}

#define DEAF(title, what)                                                           \
	{                                                                           \
		.name = title, .fn = asks_and_never_reads, .arg = &(const uint32_t) \
		{                                                                   \
			what                                                        \
		}                                                                   \
	}

static const struct foe_case cases[] = {
	{ .name = "connections that hang up", .fn = connects_and_hangs_up },
	{ .name = "greetings that nobody waits for", .fn = greets_and_dies_away },
	{ .name = "sessions up to the limit",
	  .fn = takes_all_places,
	  .config = "[limits]\nuid-sessions = 100\n",
	  .log = "uid-sessions" },
	{ .name = "connections up to the limit",
	  .fn = connects_until_told_off,
	  .config = "[limits]\nuid-sessions = 100\n",
	  .log = "uid-sessions" },
	{ .name = "requests flooded", .fn = floods_with_requests },
	{ .name = "requests flooded beyond the rate",
	  .fn = floods_with_requests,
	  .config = "[limits]\nsession-requests = 2000\n",
	  .log = "slowed" },
	{ .name = "leases up to the limit",
	  .fn = leases_until_refused,
	  .config = "[limits]\nsession-bytes = 64 MiB\n",
	  .log = "session-bytes" },
	DEAF("questions for sessions never read", HAK_QUERY_SESSIONS),
	DEAF("questions for an audit never read", HAK_QUERY_AUDIT),
	{ .name = "openings of a domain never read", .fn = joins_and_never_reads },
	{ .name = "evictions by the hundred",
	  .fn = fills_the_log,
	  .log = "unknown operation",
	  .evicted = 300 },
	{ .name = "many die at once", .fn = children_die },
	{ .name = "death with a full ring", .fn = dies_with_a_full_ring, .end = -SIGKILL },
	{ .name = "stopped with full rings",
	  .fn = a_child_is_stopped,
	  .arg = &(const bool){ true } },
	{ .name = "stopped in its greeting",
	  .fn = a_child_is_stopped,
	  .arg = &(const bool){ false } },
	{ .name = "stopped, and going on", .fn = a_child_is_stopped_and_goes_on },
};

int main(void)
{
	return foe_main("load", cases, sizeof(cases) / sizeof(cases[0]));
}
