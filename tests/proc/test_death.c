/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that die, call exec, or close everything; and that nothing of them stays behind. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/raw/raw_domain.h"
#include "shared/sys.h"
#include "tests/proc/rig.h"

static void hold_and_stall(struct rig *rig, void *arg)
{
	struct raw raw;
	uint32_t first;

	if (raw_open(&raw, rig->socket) || raw_lease(&raw, *(uint32_t *)arg, &first))
		_exit(1);
	rig_tell();
	rig_stall();
}

static void a_killed_client_is_gone_within_a_second(void **state)
{
	struct rig *rig = *state;
	const uint64_t fds = rig_status(rig).open_fds;
	uint32_t count = 40;
	pid_t pid = rig_client(rig, hold_and_stall, &count);
	uint64_t killed;

	assert_int_equal(rig_status(rig).leased_bytes, 40 * HAK_SUPERSLAB_SIZE);
	killed = hak_sys_now_ns();
	assert_int_equal(kill(pid, SIGKILL), 0);
	rig_wait_sessions(rig, 0);
	rig_wait_leased(rig, 0);
	assert_true(hak_sys_now_ns() - killed < UINT64_C(1000000000));
	rig_wait_fds(rig, fds);
	assert_int_equal(rig_reap(pid), -SIGKILL); /* it did not even have to be reaped before */
}

/* The client's socket has a copy in another process: only the pidfd can tell. */
static void death_is_noticed_although_the_socket_stays_open(void **state)
{
	struct rig *rig = *state;
	int ends[2];
	pid_t pid, heir = 0;
	struct raw raw;
	uint32_t first;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (raw_open(&raw, rig->socket) || raw_lease(&raw, 2, &first))
			_exit(1);
		heir = fork();
		if (!heir) {
			close(ends[1]);
			rig_stall();
		}
		hak_sys_write(ends[1], &heir, sizeof(heir));
		rig_stall();
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &heir, sizeof(heir)), sizeof(heir));
	rig_wait_leased(rig, 2);
	assert_int_equal(kill(pid, SIGKILL), 0);
	rig_wait_sessions(rig, 0);
	rig_wait_leased(rig, 0);
	assert_int_equal(rig_reap(pid), -SIGKILL);
	assert_int_equal(kill(heir, SIGKILL), 0);
	close(ends[0]);
}

static void hold_and_exec(struct rig *rig, void *arg)
{
	struct raw raw;
	uint32_t first;
	int *null = arg;

	if (raw_open(&raw, rig->socket) || raw_lease(&raw, 3, &first))
		_exit(1);
	rig_tell();
	(void)dup2(*null, STDIN_FILENO);
	(void)execl("/bin/cat", "cat", NULL); /* its input does not end */
	_exit(127);
}

static void a_process_that_calls_exec_loses_its_session(void **state)
{
	struct rig *rig = *state;
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = rig_client(rig, hold_and_exec, &ends[0]);
	rig_wait_sessions(rig, 0);
	rig_wait_leased(rig, 0);
	assert_int_equal(kill(pid, 0), 0); /* the process itself lives */
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(rig_reap(pid), -SIGKILL);
	close(ends[0]);
	close(ends[1]);
}

static void a_process_that_closes_all_descriptors_keeps_its_session(void **state)
{
	struct rig *rig = *state;
	struct hak_report_session record;
	struct raw raw, again;
	uint32_t first, second;
	uint8_t *at;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_lease(&raw, 2, &first), 0);
	at = raw_map(&raw, first);
	memset(at, 3, HAK_SUPERSLAB_SIZE);
	raw_close_fds(&raw);
	do {
		assert_int_equal(raw_sessions(rig->socket, &record, 1), 1);
	} while (record.state != HAK_SESSION_DETACHED);
	/* The rings need no descriptor. */
	assert_int_equal(raw_nop(&raw), 0);
	assert_int_equal(raw_lease(&raw, 1, &second), 0);

	assert_int_equal(raw_resume(&again, rig->socket, raw.session_id), 0);
	assert_int_equal(again.session_id, raw.session_id);
	assert_int_equal(raw_sessions(rig->socket, &record, 1), 1);
	assert_int_equal(record.state, HAK_SESSION_ATTACHED);
	assert_int_equal(record.superslabs, 3);
	assert_int_equal(at[HAK_SUPERSLAB_SIZE - 1], 3);
	at[0] = 4; /* the same file */
	raw_unmap(at);
	at = raw_map(&again, first);
	assert_int_equal(at[0], 4);
	raw_unmap(at);
	assert_int_equal(raw_nop(&raw), 0); /* the indices are those of the first mapping */
	raw_close(&again);
	raw_close(&raw);
	rig_wait_sessions(rig, 0);
	rig_wait_leased(rig, 0);
}

static void a_resumed_session_hangs_up_on_its_old_socket(void **state)
{
	struct rig *rig = *state;
	struct raw raw, again;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_nop(&raw), 0);
	assert_int_equal(raw_resume(&again, rig->socket, raw.session_id), 0);
	assert_int_equal(raw_wait_hangup(raw.sock), 0);
	assert_int_equal(rig_status(rig).sessions, 1);
	raw.sock = hak_sys_close(raw.sock);
	assert_int_equal(raw_nop(&raw), 0);
	raw_close(&raw);
	raw_close(&again);
	rig_wait_sessions(rig, 0);
}

static void resume_as_stranger(struct rig *rig, void *arg)
{
	struct raw raw;

	if (raw_resume(&raw, rig->socket, *(uint64_t *)arg) != -ESTALE)
		_exit(1);
	if (raw_resume(&raw, rig->socket, 999999) != -ESTALE)
		_exit(1);
	rig_tell();
}

static void a_session_is_resumed_by_its_own_process_only(void **state)
{
	struct rig *rig = *state;
	struct raw raw, again;
	pid_t pid;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_nop(&raw), 0);
	pid = rig_client(rig, resume_as_stranger, &raw.session_id);
	assert_int_equal(rig_reap(pid), 0);
	assert_int_equal(raw_nop(&raw), 0);
	raw_close(&raw);
	rig_wait_sessions(rig, 0);
	assert_int_equal(raw_resume(&again, rig->socket, raw.session_id), -ESTALE);
}

static void a_presence_that_was_written_to_ends_the_session_not_the_daemon(void **state)
{
	struct rig *rig = *state;
	struct raw raw;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_nop(&raw), 0);
	memset(raw.presence, 1, 4096);
	raw_close_fds(&raw);
	rig_wait_log(rig, "the presence file was written to");
	assert_int_equal(rig_status(rig).evicted_total, 1);
	raw_close(&raw);
}

struct crowd {
	uint64_t seed;
};

static void crowd_member(struct rig *rig, void *arg)
{
	uint32_t count = 1 + (uint32_t)(((struct crowd *)arg)->seed % 3);
	struct raw raw;
	uint32_t first;
	uint8_t *at;

	if (raw_open(&raw, rig->socket) || raw_lease(&raw, count, &first))
		_exit(1);
	at = raw_map(&raw, first);
	at[12345] = 1;
	rig_tell();
	rig_stall();
}

/* In waves, so that the machine's memory and process table suffice anywhere. */
static void a_thousand_killed_clients_leave_nothing_behind(void **state)
{
	enum {
		WAVES = 4,
		CROWD = 250
	};
	struct rig *rig = *state;
	const uint64_t fds = rig_status(rig).open_fds;
	struct crowd crowd = { .seed = 4711 };
	static pid_t pids[CROWD];
	struct hak_report_status status;
	uint64_t rss = 0;

	for (int wave = 0; wave < WAVES; wave++) {
		for (int i = 0; i < CROWD; i++) {
			crowd.seed = crowd.seed * UINT64_C(6364136223846793005) + 1;
			pids[i] = rig_client(rig, crowd_member, &crowd);
		}
		assert_int_equal(rig_status(rig).sessions, CROWD);
		for (int left = CROWD; left; left--) {
			int victim;

			crowd.seed = crowd.seed * UINT64_C(6364136223846793005) + 1;
			victim = (int)((crowd.seed >> 33) % (uint64_t)left);
			assert_int_equal(kill(pids[victim], SIGKILL), 0);
			assert_int_equal(rig_reap(pids[victim]), -SIGKILL);
			pids[victim] = pids[left - 1];
		}
		rig_wait_sessions(rig, 0);
		rig_wait_leased(rig, 0);
		rig_wait_fds(rig, fds);
		if (wave == 0)
			rss = rig_proc_number(rig, "VmRSS:");
	}
	status = rig_status(rig);
	assert_int_equal(status.sessions_total, WAVES * CROWD);
	assert_int_equal(status.reclaimed_total, status.leases_total);
	assert_int_equal(status.huge_bytes, 0);
	assert_int_equal(status.evicted_total, 0);
	/* Twenty pages of play; a leak of one page for each client would be 3,000 KiB. */
	assert_true(rig_proc_number(rig, "VmRSS:") <= rss + 80);
}

/* Dies with a request under way, whose memory work may be anywhere between asked for and done. */
static void dies_in_a_request(struct rig *rig, void *arg)
{
	enum hak_op op = *(enum hak_op *)arg;
	struct hak_sqe sqe;
	struct raw raw;
	uint32_t first;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_lease(&raw, 8, &first), 0);
	sqe = raw_entry(&raw, op);
	sqe.first = op == HAK_OP_RETURN ? first : 0;
	sqe.count = op == HAK_OP_LEASE ? 40 : 8;
	sqe.node = op == HAK_OP_RETURN ? 0 : HAK_NODE_ANY;
	assert_int_equal(raw_push(&raw, &sqe), 0);
	rig_tell();
	(void)raise(SIGKILL);
	rig_stall();
}

static void death_in_a_request_is_like_any_other(void **state)
{
	static enum hak_op ops[] = { HAK_OP_RETURN, HAK_OP_LEASE, HAK_OP_RESERVE };
	struct rig *rig = *state;

	for (int i = 0; i < 60; i++)
		assert_int_equal(rig_reap(rig_client(rig, dies_in_a_request, &ops[i % 3])),
				 -SIGKILL);
	rig_wait_sessions(rig, 0);
	rig_wait_leased(rig, 0);
}

static void an_idle_daemon_does_not_wake_up(void **state)
{
	struct rig *rig = *state;
	struct pollfd p = { .fd = rig->pidfd, .events = POLLIN };
	struct raw_domain domain;
	struct hak_cqe cqe;
	struct raw raws[3];
	uint64_t before;
	uint32_t first;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(raw_open(&raws[i], rig->socket), 0);
		assert_int_equal(raw_lease(&raws[i], 1, &first), 0);
	}
	/* A domain with memory in use, and no more free than it may keep. */
	assert_int_equal(raw_domain_open(&raws[0], &domain, "idle", HAK_WIRE_CREATE, NULL), 0);
	assert_int_equal(raw_domain_grow(&raws[0], domain.id, 4, &cqe), 0);
	assert_true(hak_lease_claim(&domain.view, 1, 4, 0, 64, &first));
	/* The tail of its work: the polling of the rings, the tick. */
	do {
		before = rig_proc_number(rig, "\nvoluntary_ctxt_switches:");
		assert_int_equal(poll(&p, 1, 300), 0);
	} while (rig_proc_number(rig, "\nvoluntary_ctxt_switches:") != before);
	assert_int_equal(poll(&p, 1, 1500), 0);
	assert_int_equal(rig_proc_number(rig, "\nvoluntary_ctxt_switches:"), before);
	raw_domain_drop(&domain);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(raw_nop(&raws[i]), 0); /* and wakes up when it is needed */
		raw_close(&raws[i]);
	}
	rig_wait_sessions(rig, 0);
}

/* Descriptors are counted: what a crowd adds to the stock is to go soon. */
#define QUICK_STOCK "[stock]\ndecay = 100 ms\n"

static int setup(void **state)
{
	*state = rig_start(QUICK_STOCK);
	return 0;
}

static int setup_threads(void **state)
{
	*state = rig_start("[daemon]\nring-wait = threads\n" QUICK_STOCK);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)
#define BOTH(name)                                                        \
	TEST(name),                                                       \
	{                                                                 \
#name "_threads", name, setup_threads, rig_teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_killed_client_is_gone_within_a_second),
		TEST(death_is_noticed_although_the_socket_stays_open),
		TEST(a_process_that_calls_exec_loses_its_session),
		BOTH(a_process_that_closes_all_descriptors_keeps_its_session),
		TEST(a_resumed_session_hangs_up_on_its_old_socket),
		TEST(a_session_is_resumed_by_its_own_process_only),
		TEST(a_presence_that_was_written_to_ends_the_session_not_the_daemon),
		BOTH(a_thousand_killed_clients_leave_nothing_behind),
		TEST(death_in_a_request_is_like_any_other),
		BOTH(an_idle_daemon_does_not_wake_up),
	};

	return cmocka_run_group_tests_name("death", tests, NULL, NULL);
}
