/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/proc/member.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libclient/heap.h"
#include "shared/sys.h"
#include "tests/must.h"

#define MAX_BLOCKS  4096u
#define MAX_THREADS 8u
#define MAX_RECORDS 64u

struct order {
	uint64_t op, n, size;
};

/* ---- the member's side ---- */

struct block {
	unsigned char *p;
	size_t size;
	unsigned char value;
};

static struct block blocks[MAX_BLOCKS];
static uint32_t n_blocks;
static pthread_t threads[MAX_THREADS];
static uint32_t n_threads;
static _Atomic bool stop;
static _Atomic uint64_t rounds;

static bool as_written(const struct block *b)
{
	return b->p[0] == b->value && !memcmp(b->p, b->p + 1, b->size - 1);
}

static void write_block(struct block *b, unsigned salt)
{
	b->value = (unsigned char)((uint32_t)(b - blocks) * 31u + salt);
	memset(b->p, b->value, b->size);
}

static int64_t alloc_blocks(uint64_t n, size_t size, struct member_answer *ret)
{
	int64_t got = 0;
	uint64_t begin;

	for (; n && n_blocks < MAX_BLOCKS; n--, got++) {
		struct block *b = &blocks[n_blocks];

		errno = 0;
		begin = hak_sys_now_ns();
		b->p = hak_malloc(size);
		ret->ns += hak_sys_now_ns() - begin;
		ret->error = errno;
		if (!b->p)
			break;
		b->size = size;
		write_block(b, 1);
		n_blocks++;
	}
	return got;
}

static int64_t verify_all(void)
{
	int64_t good = 0;

	for (uint32_t i = 0; i < n_blocks; i++)
		good += as_written(&blocks[i]);
	return good;
}

static void refill_all(unsigned salt)
{
	for (uint32_t i = 0; i < n_blocks; i++)
		write_block(&blocks[i], salt);
}

static int64_t count_in_region(void)
{
	static char line[512];
	FILE *maps = fopen("/proc/self/maps", "re");
	int64_t n = 0;

	must(maps);
	while (fgets(line, sizeof(line), maps)) {
		uintptr_t from, to;

		if (!strstr(line, "hakmem-region") || sscanf(line, "%lx-%lx", &from, &to) != 2)
			continue;
		for (uint32_t i = 0; i < n_blocks; i++)
			n += (uintptr_t)blocks[i].p >= from && (uintptr_t)blocks[i].p < to;
	}
	(void)fclose(maps);
	return n;
}

static int64_t file_bytes(void)
{
	struct stat st;

	must(!fstat(hak_heap.session.region_fd, &st));
	return st.st_blocks * 512;
}

/* A working set of its own that drifts; everything is verified before it is freed. */
static void *churn(void *arg)
{
	unsigned char *own[256] = { 0 };
	size_t sizes[256];
	uint64_t x = (uintptr_t)arg;

	for (uint64_t i = 0; !stop; i++) {
		uint32_t at = (uint32_t)(i % hak_array_size(own));

		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		if (own[at]) {
			must(own[at][0] == (unsigned char)at);
			must(own[at][sizes[at] - 1] == (unsigned char)at);
			hak_free(own[at]);
		}
		sizes[at] = 1 + ((x >> 33) & ((1u << (4 + (x >> 60))) - 1));
		own[at] = hak_malloc(sizes[at]);
		must(own[at]);
		own[at][0] = own[at][sizes[at] - 1] = (unsigned char)at;
		rounds++;
	}
	for (uint32_t i = 0; i < hak_array_size(own); i++)
		hak_free(own[i]);
	return NULL;
}

static void start_threads(uint64_t n)
{
	stop = false;
	rounds = 0;
	for (n_threads = 0; n_threads < n; n_threads++)
		must(!pthread_create(&threads[n_threads], NULL, churn,
				     (void *)(uintptr_t)(n_threads + 1)));
}

static int64_t join_threads(void)
{
	stop = true;
	for (; n_threads; n_threads--)
		must(!pthread_join(threads[n_threads - 1], NULL));
	return (int64_t)rounds;
}

/* What a forked child must be able to do, whatever its parent's threads were at. */
static void __attribute__((noreturn)) be_checked_child(void)
{
	unsigned char *p;

	must(verify_all() == n_blocks);
	refill_all(77);
	must(verify_all() == n_blocks);
	for (size_t size = 1; size < (size_t)1 << 20; size = size * 4 + 1) {
		p = hak_calloc(1, size);
		must(p && !p[0] && !p[size - 1]);
		memset(p, 1, size);
		hak_free(p);
	}
	for (uint32_t i = 0; i < n_blocks; i += 2)
		hak_free(blocks[i].p);
	_exit(0);
}

static int64_t fork_checks(uint64_t n)
{
	int64_t good = 0;

	for (uint64_t i = 0; i < n; i++) {
		int status;
		pid_t pid = fork();

		must(pid >= 0);
		if (!pid) {
			(void)alarm(60);
			be_checked_child();
		}
		refill_all((unsigned)i); /* while the child verifies what was there */
		must(waitpid(pid, &status, 0) == pid);
		good += status == 0;
	}
	return good;
}

/* The child goes on with the orders; its parent keeps its memory until its child's end. */
static int64_t fork_on(bool outlives)
{
	int status;
	pid_t pid = fork();

	must(pid >= 0);
	if (!pid) {
		if (!outlives)
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		return getpid();
	}
	must(waitpid(pid, &status, 0) == pid);
	must(WIFEXITED(status) && !WEXITSTATUS(status));
	must(verify_all() == n_blocks);
	_exit(0);
}

static void obey(const struct order *o, struct member_answer *ret)
{
	switch ((enum member_op)o->op) {
	case MEMBER_ALLOC:
		ret->result = alloc_blocks(o->n, o->size, ret);
		break;
	case MEMBER_FREE:
		while (n_blocks)
			hak_free(blocks[--n_blocks].p);
		break;
	case MEMBER_VERIFY:
		ret->result = verify_all();
		break;
	case MEMBER_REFILL:
		refill_all((unsigned)o->n);
		break;
	case MEMBER_IN_REGION:
		ret->result = count_in_region();
		break;
	case MEMBER_TRIM:
		ret->result = (int64_t)hak_trim();
		break;
	case MEMBER_FILE_BYTES:
		ret->result = file_bytes();
		break;
	case MEMBER_INFO:
		break;
	case MEMBER_CLOSE_ALL:
		must(!close_range(3, ~0U, 0));
		break;
	case MEMBER_THREADS:
		start_threads(o->n);
		break;
	case MEMBER_JOIN:
		ret->result = join_threads();
		break;
	case MEMBER_FORK:
		ret->result = fork_on(o->n);
		break;
	case MEMBER_FORK_CHECKS:
		ret->result = fork_checks(o->n);
		break;
	case MEMBER_EXEC:
		(void)execl("/bin/cat", "cat", (char *)NULL);
		must(false);
	}
}

static void __attribute__((noreturn)) serve(const char *socket, unsigned mode)
{
	const struct hak_options options = { .size = sizeof(options),
					     .socket = socket,
					     .mode = mode };
	struct member_answer answer;
	struct order order;

	must(!hak_init(&options));
	while (recv(0, &order, sizeof(order), 0) == sizeof(order)) {
		answer = (struct member_answer){ .info.size = sizeof(answer.info) };
		obey(&order, &answer);
		answer.timeouts = hak_heap.stats.timeouts;
		(void)snprintf(answer.detail, sizeof(answer.detail), "%s", hak_detail());
		must(!hak_info_get(&answer.info));
		must(send(0, &answer, sizeof(answer), 0) == sizeof(answer));
	}
	_exit(0);
}

/* ---- the test's side ---- */

struct member member_new(struct rig *rig, unsigned mode)
{
	struct member m;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	m.pid = fork();
	assert_true(m.pid >= 0);
	if (!m.pid) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(ends[1], 0);
		/* Nothing of the test's may stay open: the end of orders is an end of file. */
		(void)close_range(3, ~0U, 0);
		serve(rig->socket, mode);
	}
	close(ends[1]);
	m.sock = ends[0];
	return m;
}

struct member_answer member_do(const struct member *m, enum member_op op, uint64_t n, uint64_t size)
{
	const struct order order = { op, n, size };
	struct pollfd p = { .fd = m->sock, .events = POLLIN };
	struct member_answer answer = { 0 };

	assert_int_equal(send(m->sock, &order, sizeof(order), MSG_NOSIGNAL), sizeof(order));
	if (op == MEMBER_EXEC)
		return answer;
	if (poll(&p, 1, 2 * RIG_DEADLINE_MS) <= 0)
		fail_msg("member %d hangs in order %d", (int)m->pid, op);
	if (recv(m->sock, &answer, sizeof(answer), 0) != sizeof(answer))
		fail_msg("member %d died in order %d", (int)m->pid, op);
	return answer;
}

struct member member_up(struct rig *rig, unsigned mode)
{
	uint64_t until = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);

	for (;;) {
		struct member m = member_new(rig, mode);

		assert_int_equal(member_do(&m, MEMBER_ALLOC, 1, 16).result, 1);
		if (member_do(&m, MEMBER_IN_REGION, 0, 0).result == 1) {
			(void)member_do(&m, MEMBER_FREE, 0, 0);
			return m;
		}
		member_end(&m);
		if (hak_sys_now_ns() > until)
			fail_msg("no session comes up");
	}
}

void member_expect_in_region(const struct member *m, int64_t n)
{
	struct member_answer a = member_do(m, MEMBER_IN_REGION, 0, 0);

	assert_true(a.result <= n);
	if (!a.timeouts)
		assert_int_equal(a.result, n);
}

void member_end(struct member *m)
{
	close(m->sock);
	assert_int_equal(rig_reap(m->pid), 0);
}

void member_kill(struct member *m)
{
	(void)kill(m->pid, SIGKILL);
	assert_int_equal(rig_reap(m->pid), -SIGKILL);
	close(m->sock);
}

struct hak_report_session member_await(struct rig *rig, pid_t pid, member_fits *fits, uint64_t arg)
{
	uint64_t until = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);
	struct hak_report_session records[MAX_RECORDS], *last = NULL;

	for (;;) {
		struct pollfd dead = { .fd = rig->pidfd, .events = POLLIN };
		int n = raw_sessions(rig->socket, records, MAX_RECORDS);

		if (n < 0)
			fail_msg("no sessions: %s", strerror(-n));
		for (int i = 0; i < n; i++) {
			last = &records[i];
			if (records[i].pid == (uint32_t)pid && fits(last, arg))
				return *last;
		}
		if (poll(&dead, 1, 5) > 0)
			fail_msg("the daemon died");
		if (hak_sys_now_ns() > until)
			fail_msg("%d sessions, none as expected of %d; the last: pid %u, %lu "
				 "superslabs, %lu frozen; wanted %lu",
				 n, (int)pid, last ? last->pid : 0, last ? last->superslabs : 0,
				 last ? last->frozen : 0, arg);
	}
}

uint64_t member_settle(struct rig *rig, const struct member *m)
{
	uint64_t until = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);
	struct hak_report_session records[MAX_RECORDS];

	for (;;) {
		struct member_answer a = member_do(m, MEMBER_TRIM, 0, 0);
		struct pollfd dead = { .fd = rig->pidfd, .events = POLLIN };
		int n = raw_sessions(rig->socket, records, MAX_RECORDS);

		for (int i = 0; i < n; i++) {
			if (records[i].pid == (uint32_t)m->pid &&
			    member_has_bytes(&records[i], a.info.shared_bytes))
				return a.info.shared_bytes;
		}
		if (poll(&dead, 1, 5) > 0 || hak_sys_now_ns() > until)
			fail_msg("member %d and the daemon do not agree on %lu bytes", (int)m->pid,
				 a.info.shared_bytes);
	}
}

bool member_any(const struct hak_report_session *s, uint64_t arg)
{
	(void)s;
	(void)arg;
	return true;
}

bool member_has_bytes(const struct hak_report_session *s, uint64_t bytes)
{
	return s->bytes - s->reserve * HAK_SUPERSLAB_SIZE == bytes;
}

bool member_has_more(const struct hak_report_session *s, uint64_t bytes)
{
	return s->bytes - s->reserve * HAK_SUPERSLAB_SIZE >= bytes;
}

bool member_has_frozen(const struct hak_report_session *s, uint64_t at_least)
{
	return s->frozen >= at_least;
}
