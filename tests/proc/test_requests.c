/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rates of requests: who is over his waits, and nobody else does. A machine with much to do makes
 * everything later, never earlier: what is checked holds on any.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/raw/raw_domain.h"
#include "shared/sys.h"
#include "tests/proc/rig.h"

#define SECOND UINT64_C(1000000000)

static void push_nops(struct raw *raw, unsigned n)
{
	while (n--) {
		const struct hak_sqe sqe = raw_entry(raw, HAK_OP_NOP);

		assert_int_equal(raw_push(raw, &sqe), 0);
	}
}

/* Answers that are there already. */
static unsigned reap(struct raw *raw)
{
	struct hak_cqe cqe;
	unsigned n = 0;

	while (hak_ring_pop(&raw->cq, &cqe) == 0) {
		assert_int_equal(cqe.result, 0);
		n++;
	}
	return n;
}

static struct hak_report_session session_of(struct rig *rig, const struct raw *raw)
{
	struct hak_report_session records[16];
	int n = raw_sessions(rig->socket, records, 16);

	for (int i = 0; i < n; i++) {
		if (records[i].id == raw->session_id)
			return records[i];
	}
	fail_msg("session %llu is not reported", (unsigned long long)raw->session_id);
	return records[0];
}

/* CPU time of the daemon so far. */
static uint64_t cpu_ns(const struct rig *rig)
{
	unsigned long user, system;
	char path[64], text[1024];

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)rig->pid);
	assert_true(hak_sys_read_file(path, text, sizeof(text)) > 0);
	assert_int_equal(sscanf(strrchr(text, ')') + 1,
				" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
				&system),
			 2);
	return (user + system) * (SECOND / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* 20 a second: 60 requests take two seconds, however fast the machine. */
static void over_its_rate_a_session_waits_and_nobody_else_does(void **state)
{
	struct rig *rig = *state;
	struct raw greedy, calm;
	uint64_t begin, before, cpu;
	unsigned answered;
	struct hak_cqe cqe;

	assert_int_equal(raw_open(&greedy, rig->socket), 0);
	assert_int_equal(raw_open(&calm, rig->socket), 0);
	before = hak_sys_now_ns();
	push_nops(&greedy, 60);
	rig_wait_log(rig, "warning slowed id=");
	begin = hak_sys_now_ns();
	cpu = cpu_ns(rig);
	for (int i = 0; i < 19; i++)
		assert_int_equal(raw_nop(&calm), 0);
	assert_int_equal(session_of(rig, &calm).slowed, 0);
	/* No more than the burst and what has come since; so the calm one went past it. */
	answered = reap(&greedy);
	assert_true(answered <= 20 + (hak_sys_now_ns() - before) * 20 / SECOND);
	for (; answered < 60; answered++)
		assert_int_equal(raw_pop(&greedy, &cqe), 0);
	assert_true(hak_sys_now_ns() - before >= 2 * SECOND - SECOND / 100);
	/* It slept meanwhile. */
	assert_true(cpu_ns(rig) - cpu <= (hak_sys_now_ns() - begin) / 10);
	assert_true(session_of(rig, &greedy).slowed > 0);
	assert_int_equal(session_of(rig, &greedy).requests, 60);
	assert_true(rig_status(rig).slowed_total > 0);
	assert_int_equal(rig_status(rig).evicted_total, 0);
	raw_close(&greedy);
	raw_close(&calm);
}

/* 20 a second: each of them is work for a worker in between, and each is one request. */
static void leases_wait_as_well(void **state)
{
	struct rig *rig = *state;
	uint64_t before = hak_sys_now_ns();
	struct hak_cqe cqe;
	struct raw raw;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	for (int i = 0; i < 40; i++) {
		struct hak_sqe sqe = raw_entry(&raw, HAK_OP_LEASE);

		sqe.count = 1;
		sqe.node = HAK_NODE_ANY;
		assert_int_equal(raw_push(&raw, &sqe), 0);
	}
	for (int i = 0; i < 40; i++) {
		assert_int_equal(raw_pop(&raw, &cqe), 0);
		assert_int_equal(cqe.result, 0);
	}
	assert_true(hak_sys_now_ns() - before >= SECOND - SECOND / 100);
	assert_true(session_of(rig, &raw).slowed > 0);
	assert_int_equal(session_of(rig, &raw).requests, 40);
	assert_int_equal(session_of(rig, &raw).superslabs, 40);
	raw_close(&raw);
}

/* 20 a second, with those in the ring; who waits ends as he likes. */
static void what_is_asked_over_the_socket_waits_as_well(void **state)
{
	struct rig *rig = *state;
	uint64_t before = hak_sys_now_ns();
	struct raw raw, calm;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_open(&calm, rig->socket), 0);
	for (int i = 0; i < 40; i++)
		assert_int_equal(raw_domain_unlink(&raw, "none"), -ENOENT);
	assert_true(hak_sys_now_ns() - before >= SECOND - SECOND / 100);
	assert_true(session_of(rig, &raw).slowed > 0);
	rig_wait_log(rig, "warning slowed id=");
	assert_int_equal(raw_domain_unlink(&calm, "none"), -ENOENT);
	assert_int_equal(session_of(rig, &calm).slowed, 0);
	before = hak_sys_now_ns();
	push_nops(&raw, 20);
	for (int i = 0; i < 20; i++) {
		struct hak_cqe cqe;

		assert_int_equal(raw_pop(&raw, &cqe), 0);
	}
	assert_true(hak_sys_now_ns() - before >= SECOND / 2);
	raw_close(&raw);
	raw_close(&calm);
	rig_wait_sessions(rig, 0);
}

static void the_sessions_of_a_user_share_his_rate(void **state)
{
	struct rig *rig = *state;
	struct hak_report_limit limit;
	struct raw raws[3];
	uint64_t before = hak_sys_now_ns();
	struct hak_cqe cqe;

	for (int i = 0; i < 3; i++)
		assert_int_equal(raw_open(&raws[i], rig->socket), 0);
	for (int i = 0; i < 3; i++)
		push_nops(&raws[i], 20);
	/* None of them starves: each gets its answers. */
	for (int i = 0; i < 3; i++) {
		for (int n = 0; n < 20; n++)
			assert_int_equal(raw_pop(&raws[i], &cqe), 0);
	}
	assert_true(hak_sys_now_ns() - before >= SECOND - SECOND / 100); /* 60 at 30 a second */
	assert_true(raw_limit(rig->socket, "uid-requests", getuid(), &limit));
	assert_int_equal(limit.limit, 30);
	assert_int_equal(limit.unit, HAK_UNIT_PER_SECOND);
	assert_true(limit.hits > 0 && limit.used <= 30);
	for (int i = 0; i < 3; i++)
		raw_close(&raws[i]);
}

static void push_and_stall(struct rig *rig, void *arg)
{
	struct raw raw;

	(void)arg;
	if (raw_open(&raw, rig->socket) < 0)
		_exit(1);
	push_nops(&raw, 60);
	rig_tell();
	rig_stall();
}

/* The log says it once for each session. */
static void wait_slowed(struct rig *rig, const struct raw *raw)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "warning slowed id=%llu ",
		       (unsigned long long)raw->session_id);
	rig_wait_log(rig, text);
}

/* It may be killed, hang up, break the rules, or see the daemon end while it waits. */
static void what_waits_can_end_in_any_way(void **state)
{
	struct rig *rig = *state;
	struct raw raw, last;
	pid_t pid = rig_client(rig, push_and_stall, NULL);

	rig_wait_log(rig, "warning slowed id=");
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(rig_reap(pid), -SIGKILL);
	rig_wait_sessions(rig, 0);

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	push_nops(&raw, 60);
	wait_slowed(rig, &raw);
	assert_int_equal(raw_send(raw.sock, "junk", 4, NULL, 0), 0);
	assert_int_equal(raw_wait_hangup(raw.sock), 0);
	raw_close(&raw);
	rig_wait_sessions(rig, 0);

	assert_int_equal(raw_open(&last, rig->socket), 0);
	push_nops(&last, 60);
	wait_slowed(rig, &last);
	*state = rig_stop(rig);
	raw_close(&last);
	*state = rig_start(NULL); /* for the teardown */
}

static void a_higher_rate_frees_who_waits_at_once(void **state)
{
	struct rig *rig = rig_start("[limits]\nsession-requests = 1\n");
	struct raw raw;
	struct hak_cqe cqe;

	*state = rig;
	assert_int_equal(raw_open(&raw, rig->socket), 0);
	push_nops(&raw, 60); /* a minute's worth, three times the deadline */
	rig_wait_log(rig, "warning slowed id=");
	rig_configure(rig, NULL, "[limits]\nsession-requests = 0\n");
	rig_reload(rig, "info reloaded changed=1\n");
	for (int n = 0; n < 60; n++)
		assert_int_equal(raw_pop(&raw, &cqe), 0);
	raw_close(&raw);
}

/* The defaults, against a client that does nothing but ask and give back. */
static void an_honest_client_never_meets_the_default(void **state)
{
	struct rig *rig = *state;
	struct raw raw;
	uint32_t first;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(raw_lease(&raw, 1, &first), 0);
		assert_int_equal(raw_return(&raw, first, 1), 0);
	}
	assert_int_equal(session_of(rig, &raw).slowed, 0);
	raw_close(&raw);
}

static int setup_session_rate(void **state)
{
	*state = rig_start("[limits]\nsession-requests = 20\n");
	return 0;
}

static int setup_uid_rate(void **state)
{
	*state = rig_start("[limits]\nuid-requests = 30\n");
	return 0;
}

#define WITH(setup, name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(setup_session_rate, over_its_rate_a_session_waits_and_nobody_else_does),
		WITH(setup_session_rate, leases_wait_as_well),
		WITH(setup_session_rate, what_is_asked_over_the_socket_waits_as_well),
		WITH(setup_uid_rate, the_sessions_of_a_user_share_his_rate),
		WITH(setup_session_rate, what_waits_can_end_in_any_way),
		WITH(NULL, a_higher_rate_frees_who_waits_at_once),
		WITH(rig_setup, an_honest_client_never_meets_the_default),
	};

	return cmocka_run_group_tests_name("requests", tests, NULL, NULL);
}
