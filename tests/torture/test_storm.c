/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eight members do everything at random, one of them is killed every 50 ms, and a look at all
 * contents finds no byte lost and no block with two owners. STORM_SECONDS: how long (60),
 * STORM_SEED: which run. Every two seconds the members stand still and all books must add up.
 */
#include "tests/torture/storm.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/sys.h"
#include "tests/must.h"
#include "tools/audit.h"

#define SECOND    UINT64_C(1000000000)
#define KILL_NS   (50 * UINT64_C(1000000))
#define LOOK_NS   (2 * SECOND)
#define SETTLE_NS (30 * SECOND)

static struct {
	struct rig *rig;
	struct storm *storm;
	pid_t pid[STORM_MEMBERS];
	uint64_t seed, kills, looks, operations, blocks, bytes, most_granted;
} run;

static uint64_t next_random(void)
{
	run.seed = run.seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return run.seed >> 33;
}

static void begin_member(unsigned i)
{
	uint64_t seed = next_random();

	(void)fflush(NULL);
	run.pid[i] = fork();
	assert_true(run.pid[i] >= 0);
	if (run.pid[i])
		return;
	(void)close_range(3, ~0U, 0);
	storm_member(run.storm, run.rig->socket, i, seed);
}

/* It has ended: by our hand, or because it could not become a member; nothing else. */
static void reap(unsigned i, bool killed)
{
	int status;

	assert_int_equal(waitpid(run.pid[i], &status, 0), run.pid[i]);
	if (killed ? !WIFSIGNALED(status) && WEXITSTATUS(status) != STORM_AGAIN
		   : !WIFEXITED(status) || WEXITSTATUS(status) != STORM_AGAIN)
		fail_msg("member %u ended with status %x", i, (unsigned)status);
	run.pid[i] = 0;
}

static void replace_ended(void)
{
	for (unsigned i = 0; i < STORM_MEMBERS; i++) {
		siginfo_t info = { 0 };

		(void)waitid(P_PID, (id_t)run.pid[i], &info, WEXITED | WNOHANG | WNOWAIT);
		if (!info.si_pid)
			continue;
		reap(i, false);
		begin_member(i);
	}
}

static void kill_member(unsigned i)
{
	run.storm->slot[i].member = 0; /* before it dies: its stamps are a dead one's from here */
	(void)kill(run.pid[i], SIGKILL);
	reap(i, true);
	run.kills++;
}

/* ---- looks ---- */

static bool all_idle(void)
{
	for (unsigned i = 0; i < STORM_MEMBERS; i++) {
		if (run.storm->slot[i].member && !run.storm->slot[i].idle)
			return false;
	}
	return true;
}

static void say_faults(const struct audit *audit)
{
	char text[256];

	for (uint64_t i = 0; i < audit->n; i++) {
		if (!audit->rows[i].fault)
			continue;
		audit_fault_text(text, sizeof(text), &audit->rows[i]);
		print_message("# fault: %s\n", text);
	}
	for (uint64_t i = 0; i < audit->n_books; i++)
		print_message("# books: %s%s\n", audit->books[i].fault, audit->books[i].error);
}

/* All books add up; with `empty`, nothing of the domain is in use any more either. */
static void look(bool empty)
{
	uint64_t until = hak_sys_now_ns() + SETTLE_NS;
	const struct audit_bytes *b;
	struct audit audit;

	for (;;) {
		assert_int_equal(audit_run(&audit, run.rig->socket), 0);
		b = &audit.books[0].bytes;
		if (!audit.faults && audit.n_books == 1 && !*audit.books[0].error &&
		    (!empty || b->granted == b->free + b->orphaned + b->holders + b->tails))
			break;
		/* Who was just killed may be in the middle of its sweep. */
		if (hak_sys_now_ns() > until) {
			say_faults(&audit);
			fail_msg("the books do not add up: %llu faults; published %llu, moving "
				 "%llu, owned %llu, changing %llu, claimed %llu",
				 (unsigned long long)audit.faults, (unsigned long long)b->published,
				 (unsigned long long)b->moving, (unsigned long long)b->owned,
				 (unsigned long long)b->changing, (unsigned long long)b->claimed);
		}
		audit_deinit(&audit);
		(void)hak_sys_poll(NULL, 0, 5);
	}
	run.most_granted = b->granted > run.most_granted ? b->granted : run.most_granted;
	audit_deinit(&audit);
	run.looks++;
}

static void pause_and_look(void)
{
	uint64_t until = hak_sys_now_ns() + SETTLE_NS;

	run.storm->pause = 1;
	while (!all_idle()) {
		replace_ended();
		assert_true(hak_sys_now_ns() < until);
		(void)hak_sys_poll(NULL, 0, 1);
	}
	look(false);
	run.storm->pause = 0;
}

static void expect_no_objection(void)
{
	assert_int_equal(run.storm->double_owners, 0);
	assert_int_equal(run.storm->corrupt, 0);
}

/* ---- the run ---- */

static void storms(uint64_t seconds)
{
	uint64_t now = hak_sys_now_ns(), end = now + seconds * SECOND;
	uint64_t kill_at = now + KILL_NS, look_at = now + LOOK_NS;

	for (; now < end; now = hak_sys_now_ns()) {
		replace_ended();
		expect_no_objection();
		if (now >= look_at) {
			pause_and_look();
			look_at = hak_sys_now_ns() + LOOK_NS;
		}
		if (now >= kill_at) {
			unsigned i = (unsigned)next_random() % STORM_MEMBERS;

			kill_member(i);
			begin_member(i);
			kill_at = now + KILL_NS;
		}
		(void)hak_sys_poll(NULL, 0, 5);
	}
}

static int64_t drains(uint64_t storm)
{
	return (int64_t)storm_drain((struct storm *)(uintptr_t)storm);
}

static int64_t own_bytes(uint64_t unused)
{
	return (int64_t)peer_stat().own_bytes;
}

static struct peer a_last_member(void)
{
	struct peer peer = peer_new(run.rig, 0);

	while (peer_do(&peer, peer_join, 0) < 0) {
		peer_kill(&peer);
		peer = peer_new(run.rig, 0);
	}
	return peer;
}

static void nothing_is_lost_and_nothing_has_two_owners(void **state)
{
	const char *seconds = getenv("STORM_SECONDS"), *seed = getenv("STORM_SEED");
	uint64_t s = seconds ? strtoull(seconds, NULL, 0) : 60;
	struct peer last;
	int64_t drained;
	void *shared;
	int fd;

	assert_int_equal(hak_sys_memfd(&fd, "storm", sizeof(*run.storm), false), 0);
	assert_int_equal(hak_sys_map_shared(&shared, NULL, fd, 0, sizeof(*run.storm)), 0);
	hak_sys_close(fd);
	run.rig = *state;
	run.storm = shared;
	run.seed = seed ? strtoull(seed, NULL, 0) : hak_sys_now_ns();
	print_message("# STORM_SEED=%llu, %llu s\n", (unsigned long long)run.seed,
		      (unsigned long long)s);
	last = a_last_member(); /* keeps the domain */
	for (unsigned i = 0; i < STORM_MEMBERS; i++)
		begin_member(i);
	storms(s);
	for (unsigned i = 0; i < STORM_MEMBERS; i++)
		kill_member(i);
	rig_wait_sessions(run.rig, 1);
	drained = peer_do(&last, drains, (uintptr_t)run.storm);
	look(true);
	assert_true(peer_do(&last, own_bytes, 0) <= (int64_t)HAK_SUPERSLAB_SIZE);
	expect_no_objection();
	for (unsigned i = 0; i < STORM_MEMBERS; i++) {
		run.operations += run.storm->slot[i].operations;
		run.blocks += run.storm->slot[i].blocks;
		run.bytes += run.storm->slot[i].bytes;
	}
	print_message("# %llu kills, %llu operations, %llu blocks (%llu MiB) looked at, %llu "
		      "audits, %lld blocks left and found, at most %llu MiB granted; bytes lost 0, "
		      "double owners 0\n",
		      (unsigned long long)run.kills, (unsigned long long)run.operations,
		      (unsigned long long)run.blocks, (unsigned long long)run.bytes >> 20,
		      (unsigned long long)run.looks, (long long)drained,
		      (unsigned long long)run.most_granted >> 20);
	assert_true(run.kills >= s && run.operations);
	peer_end(&last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_lost_and_nothing_has_two_owners,
						peer_setup, peer_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
