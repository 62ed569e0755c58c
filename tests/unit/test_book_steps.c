/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon that ends before any of the stores into a session's book, and one that adopts it.
 *
 * The test's process is the client: it has the segment and the presence mapped, across both. A
 * forked daemon serves what it was asked before, and then one thing more, in which it ends before
 * the n-th store; another adopts the session, perhaps ends in that as well, and a third serves.
 */
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

#define LIFE    UINT64_C(77)
#define WHOLE   3 /* exit: it came to the end */
#define STOPPED 4 /* before the store that it was to end before */

/* ---- a daemon, without socket and signals ---- */

static void make_daemon(struct daemon *daemon)
{
	*daemon = (struct daemon){ .numa = { .parts = 1 }, .life = LIFE, .epoch = 1 };
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

static const struct scene nops[] = { { "nop", 0, false, HAK_OP_NOP, 0, 0, { 20, 0, 0 } } };
static const struct scene leases[] = {
	{ "lease", 0, false, HAK_OP_LEASE, 0, 3, { 23, 0, 0 } },
	{ "large lease", 0, false, HAK_OP_LEASE, 0, 150, { 170, 0, 0 } },
};
static const struct scene returns[] = {
	{ "return", 0, false, HAK_OP_RETURN, 2, 10, { 10, 0, 0 } },
};
static const struct scene freezes[] = {
	{ "freeze", 0, false, HAK_OP_FREEZE, 3, 5, { 20, 5, 0 } },
};
static const struct scene grants[] = {
	{ "grant", 0, false, HAK_OP_RESERVE, 0, 4, { 24, 0, 4 } },
	{ "grant again", 4, true, HAK_OP_RESERVE, 0, 4, { 25, 0, 4 } },
};
static const struct scene revokes[] = {
	{ "revoke", 4, false, HAK_OP_RESERVE, 0, 0, { 20, 0, 0 } },
	{ "revoke the rest", 4, true, HAK_OP_RESERVE, 0, 0, { 21, 0, 0 } },
};
static const struct scene decays[] = { { "decay", 4, false, OP_DECAY, 0, 0, { 20, 0, 0 } } };

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

static void check_tables(const struct daemon *daemon, const struct scene *scene)
{
	const struct session *session = only_session(daemon);
	const struct session_text *text = session_text(session);
	const struct region *region = &session->region;
	const struct hak_reserve *shared = session->reserve.shared;
	uint32_t used = region->runs.taken + region->warm, granted = 0;

	must(region->runs.taken == scene->expected.taken);
	must(region->frozen_count == scene->expected.frozen);
	must(session->reserve.ready == scene->expected.ready);
	must(hak_runs_check(&region->runs) && region_tables_ok(region));
	must(daemon->accounts.superslabs == region->runs.taken);
	must(daemon->placement.held[0] == region->runs.taken);
	must(session->state == SESSION_DETACHED && session->peer.uid == 7);
	must(text->step.phase == PHASE_NONE && !text->reserve.revoking);
	must(!session_book_fault(text, region));
	/* Nothing has memory but what the tables know of. */
	must(os_file_bytes(region->fd) <= used * HAK_SUPERSLAB_SIZE);
	for (uint32_t i = 0; i < HAK_RESERVE_SLOTS; i++) {
		uint64_t word = text->reserve.granted[i];

		granted += word != 0;
		must(hak_reserve_look(shared, i) == word ||
		     hak_reserve_state(hak_reserve_look(shared, i)) != HAK_RESERVE_READY);
	}
	must(granted == scene->expected.ready);
}

/* Which ends before store m of its own, or is whole. */
static _Noreturn void next_life(struct client *client, const struct scene *scene, unsigned m)
{
	struct daemon daemon;
	const char *fault;

	make_daemon(&daemon);
	stores_left = m;
	book_before_store = stop_before;
	if (adopt(&daemon, client, &fault) < 0) {
		(void)fprintf(stderr, "# %s: %s\n", scene->name, fault);
		_exit(1);
	}
	sessions_adopted(&daemon);
	serve(&daemon);
	if (scene->op == OP_DECAY) {
		job_decay(only_session(&daemon));
		serve(&daemon);
	}
	book_before_store = NULL;
	take_answers(client);
	must(client->answers == client->seq && client->result == 0);
	check_tables(&daemon, scene);
	ask(client, HAK_OP_LEASE, 0, 1);
	serve(&daemon);
	take_answers(client);
	must(client->answers == client->seq && client->result == 0);
	must(only_session(&daemon)->region.runs.taken == scene->expected.taken + 1);
	_exit(WHOLE);
}

static int live(struct client *client, const struct scene *scene, unsigned m)
{
	pid_t pid = fork();

	must(pid >= 0);
	if (!pid)
		next_life(client, scene, m);
	return end_of(pid);
}

static void run(const struct scene *scene)
{
	struct client client;
	unsigned n = 0;
	int end;

	do {
		int next;

		end = leave_behind(&client, scene, n);
		assert_true(end == WHOLE || end == STOPPED);
		/* The second may end early in its work, too; the third may not. */
		next = live(&client, scene, n % 7);
		assert_true(next == WHOLE || next == STOPPED);
		if (next == STOPPED)
			next = live(&client, scene, UINT32_MAX);
		if (next != WHOLE)
			fail_msg("%s: before store %u", scene->name, n);
		leave(&client);
		n++;
	} while (end == STOPPED);
	assert_true(n > 5);
}

#define RUN(all)                                                 \
	do {                                                     \
		unsigned fds = unit_count_fds();                 \
		(void)state;                                     \
		for (size_t i = 0; i < hak_array_size(all); i++) \
			run(&(all)[i]);                          \
		assert_int_equal(unit_count_fds(), fds);         \
	} while (0)

static void a_request_without_work_is_answered(void **state)
{
	RUN(nops);
}

static void superslabs_are_leased(void **state)
{
	RUN(leases);
}

static void superslabs_are_returned(void **state)
{
	RUN(returns);
}

static void superslabs_are_frozen(void **state)
{
	RUN(freezes);
}

static void a_reserve_is_granted(void **state)
{
	RUN(grants);
}

static void a_reserve_is_revoked(void **state)
{
	RUN(revokes);
}

static void what_is_warm_decays(void **state)
{
	RUN(decays);
}

/* ---- damage ---- */

static void must_refuse(struct daemon *daemon, struct client *client, const char *why)
{
	unsigned fds = unit_count_fds();
	const char *fault = NULL;

	must(adopt(daemon, client, &fault) < 0);
	must(fault && (!why || !strcmp(fault, why)));
	must(list_empty(&daemon->sessions) && !daemon->accounts.sessions);
	must(!daemon->accounts.superslabs && !daemon->placement.held[0]);
	must(unit_count_fds() == fds);
}

#define SPOILT(lvalue, value, why)                    \
	do {                                          \
		__typeof__(lvalue) before = (lvalue); \
		(lvalue) = (value);                   \
		must_refuse(daemon, client, why);     \
		(lvalue) = before;                    \
	} while (0)

static void spoil_tables(struct daemon *daemon, struct client *client, struct session_text *text)
{
	uint64_t *taken = hak_at(text, REGION_TEXT_BYTES);
	uint64_t *frozen = taken + REGION_TABLE_BYTES / 8;
	uint64_t *huge = frozen + 2 * REGION_TABLE_BYTES / 8;
	uint64_t grant = hak_reserve_word(HAK_RESERVE_READY, 1, 3);

	SPOILT(taken[0], taken[0] ^ 1, "tables that do not come to what was counted");
	SPOILT(taken[900], 4, "tables that do not come to what was counted");
	SPOILT(frozen[0], 1, "tables that do not come to what was counted");
	SPOILT(frozen[900], 1, "tables that contradict each other");
	SPOILT(huge[900], 1, "tables that contradict each other");
	SPOILT(text->taken, text->taken + 1, "tables that do not come to what was counted");
	SPOILT(text->state, 0, "an unknown state");
	SPOILT(text->state, 9, "an unknown state");
	SPOILT(text->state, BOOK_SESSION_ENDED, "it had ended");
	SPOILT(text->node, 5000, "a node out of range");
	SPOILT(text->step.phase, PHASES, "an unknown phase");
	SPOILT(text->reserve.wanted, 33, "a reserve out of range");
	SPOILT(text->reserve.granted[5], 3, "a grant that can't be");
	SPOILT(text->reserve.granted[5], grant | 1 << 20, "a grant that can't be");
	text->reserve.granted[5] = grant;
	SPOILT(text->reserve.granted[9], grant, "a superslab granted twice");
	text->reserve.granted[5] = 0;
	text->step.first = HAK_REGION_SUPERSLABS - 1;
	text->step.count = 2;
	SPOILT(text->step.phase, PHASE_LEASE, "a step out of range");
	text->step.count = 1;
	SPOILT(text->step.phase, PHASE_FREEZE, "superslabs to freeze that are not leased");
}

/* Other files than those that it names, each in turn; and one twice. */
static void exchange_files(struct daemon *daemon, struct client *client)
{
	static const uint64_t sizes[] = { REGION_BOOK_BYTES, HAK_SEGMENT_SIZE,
					  HAK_REGION_SUPERSLABS * HAK_SUPERSLAB_SIZE, 4096, 4096 };

	for (unsigned i = 0; i < SESSION_FILES; i++) {
		int before = client->fds[i];

		must(hak_sys_memfd(&client->fds[i], "foreign", sizes[i], true) == 0);
		must_refuse(daemon, client, i ? "files that are not those of the book" : "no book");
		hak_sys_close(client->fds[i]);
		client->fds[i] = client->fds[(i + 1) % SESSION_FILES];
		must_refuse(daemon, client, i ? "files that are not those of the book" : "no book");
		client->fds[i] = before;
	}
}

static _Noreturn void spoil(struct client *client)
{
	struct daemon whole, *daemon = &whole;
	struct session_text *text;
	void *at;
	const char *fault;

	make_daemon(daemon);
	must(hak_sys_map_shared(&at, NULL, client->fds[0], 0, REGION_BOOK_BYTES) == 0);
	text = at;
	for (size_t i = 0; i < SESSION_TEXT_FIXED * 8; i++) {
		((unsigned char *)at)[i / 8] ^= (unsigned char)(1 << i % 8);
		must_refuse(daemon, client, NULL);
		((unsigned char *)at)[i / 8] ^= (unsigned char)(1 << i % 8);
	}
	SPOILT(text->head.version, BOOK_VERSION + 1, "a book of another version");
	daemon->life++;
	must_refuse(daemon, client, "a book of another daemon");
	daemon->life--;
	daemon->numa.parts = 2;
	must_refuse(daemon, client, "a region of other parts");
	daemon->numa.parts = 1;
	spoil_tables(daemon, client, text);
	exchange_files(daemon, client);
	must(session_adopt(daemon, NULL, 0, &fault) == -EINVAL);
	/* After all that it is still whole, once. */
	must(adopt(daemon, client, &fault) == 0);
	must(adopt(daemon, client, &fault) == -EEXIST);
	must(only_session(daemon)->region.runs.taken == 20);
	_exit(WHOLE);
}

static void what_is_damaged_is_refused_with_a_reason(void **state)
{
	struct client client;
	pid_t pid;

	(void)state;
	assert_int_equal(leave_behind(&client, &nops[0], UINT32_MAX), WHOLE);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		spoil(&client);
	assert_int_equal(end_of(pid), WHOLE);
	leave(&client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_without_work_is_answered),
		cmocka_unit_test(superslabs_are_leased),
		cmocka_unit_test(superslabs_are_returned),
		cmocka_unit_test(superslabs_are_frozen),
		cmocka_unit_test(a_reserve_is_granted),
		cmocka_unit_test(a_reserve_is_revoked),
		cmocka_unit_test(what_is_warm_decays),
		cmocka_unit_test(what_is_damaged_is_refused_with_a_reason),
	};

	(void)alarm(220); /* hundreds of daemons */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
