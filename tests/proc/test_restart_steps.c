/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon is killed at each beginning and end of a system call, in whichever thread, while it
 * serves requests and domains and while it starts; the next one goes on. What does not fit into
 * the time is a sample, by a seed that is printed ($HAK_SEED sets it).
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/sys.h"
#include "tests/proc/manager.h"
#include "tests/proc/peer.h"

#define BUDGET_NS (UINT64_C(20) * 1000000000)
#define OPTIONS   (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE)
#define REQUESTS  4u
#define FOR_EVER  UINT32_MAX
#define STRIDE    7919u /* a prime: its multiples are everywhere, and come to each */

static uint64_t seed;

static uint64_t draw(void)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return seed >> 33;
}

static uint64_t deadline(void)
{
	return hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);
}

/* ---- a daemon that is led ---- */

static bool seize(struct rig *rig)
{
	struct dirent *entry;
	char path[64];
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)rig->pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		pid_t tid = atoi(entry->d_name);

		if (tid <= 0)
			continue;
		if (ptrace(PTRACE_SEIZE, tid, NULL, OPTIONS) < 0)
			return closedir(dir), false;
		(void)ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
	}
	(void)closedir(dir);
	return true;
}

/* In the new process. */
static void be_led(void)
{
	(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void kill_led(struct rig *rig)
{
	int status;
	pid_t tid;

	(void)kill(rig->pid, SIGKILL);
	do { /* its threads are ours to reap, before it */
		tid = waitpid(-1, &status, __WALL);
	} while (tid > 0 && (tid != rig->pid || !(WIFSIGNALED(status) || WIFEXITED(status))));
	assert_int_equal(tid, rig->pid);
	rig->pid = 0;
}

/* Leads it on, to the system call boundary number `stop`, or until `over` says so; then it is dead.
 * How many boundaries it was. */
static unsigned lead(struct manager *manager, unsigned stop, bool (*over)(void *), void *arg)
{
	struct rig *rig = manager->rig;
	uint64_t until = deadline();
	unsigned n = 0;

	while (n < stop && !over(arg)) {
		int status, signal;
		pid_t tid = waitpid(-1, &status, __WALL | WNOHANG);

		if (hak_sys_now_ns() > until)
			fail_msg("it hangs after %u steps", n);
		if (tid <= 0) {
			(void)sched_yield();
			continue;
		}
		if (!WIFSTOPPED(status))
			fail_msg("it ended by itself after %u steps: %d", n, status);
		signal = WSTOPSIG(status);
		if (signal == (SIGTRAP | 0x80)) {
			n++;
			signal = 0;
		} else if (status >> 16 || signal == SIGTRAP || signal == SIGSTOP) {
			(void)ptrace(PTRACE_SETOPTIONS, tid, NULL, OPTIONS);
			signal = 0;
		}
		if (n < stop)
			(void)ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(uintptr_t)signal);
	}
	kill_led(rig);
	return n;
}

/* ---- requests ---- */

struct burst {
	struct raw raw;
	uint32_t first; /* of four that are leased before */
	uint64_t seq[REQUESTS];
	uint32_t answers; /* the tail of the completions when all are there */
};

static void ask(struct burst *burst, unsigned i, enum hak_op op, uint32_t first, uint32_t count)
{
	struct hak_sqe sqe = raw_entry(&burst->raw, op);

	sqe.first = first;
	sqe.count = count;
	sqe.node = op == HAK_OP_LEASE ? HAK_NODE_ANY : 0;
	burst->seq[i] = sqe.seq;
	assert_int_equal(raw_push(&burst->raw, &sqe), 0);
}

static void ask_all(struct burst *burst)
{
	burst->answers = atomic_load(&burst->raw.cq.ring->tail) + REQUESTS;
	ask(burst, 0, HAK_OP_LEASE, 0, 2);
	ask(burst, 1, HAK_OP_RETURN, burst->first, 1);
	ask(burst, 2, HAK_OP_FREEZE, burst->first + 1, 1);
	ask(burst, 3, HAK_OP_NOP, 0, 0);
}

static bool all_answered(void *arg)
{
	struct burst *burst = arg;

	return atomic_load(&burst->raw.cq.ring->tail) == burst->answers;
}

static void begin(struct burst *burst, struct manager *manager)
{
	assert_int_equal(raw_open(&burst->raw, manager->rig->socket), 0);
	assert_int_equal(raw_lease(&burst->raw, 4, &burst->first), 0);
	*(uint64_t *)raw_map(&burst->raw, burst->first + 2) = 4711;
}

static void check(struct burst *burst, struct manager *manager)
{
	struct raw *raw = &burst->raw, again;
	struct hak_cqe cqe;

	assert_int_equal(raw_resume(&again, manager->rig->socket, raw->session_id), 0);
	close(raw->sock);
	raw->sock = again.sock;
	again.sock = -1;
	raw_close(&again);
	for (unsigned i = 0; i < REQUESTS; i++) {
		assert_int_equal(raw_pop(raw, &cqe), 0);
		assert_int_equal(cqe.seq, burst->seq[i]);
		assert_int_equal(cqe.result, 0);
	}
	assert_int_equal(raw_nop(raw), 0);
	rig_wait_leased(manager->rig, 5);
	assert_int_equal(*(uint64_t *)raw_map(raw, burst->first + 2), 4711);
	raw_close(raw);
	rig_wait_sessions(manager->rig, 0);
	rig_wait_leased(manager->rig, 0);
}

/* The boundaries of a burst that is cut off at `stop`; 0: this machine lets nobody lead. */
static unsigned one_burst(struct manager *manager, unsigned stop)
{
	struct burst burst;
	unsigned n;

	begin(&burst, manager);
	if (!seize(manager->rig)) {
		raw_close(&burst.raw);
		return 0;
	}
	ask_all(&burst);
	n = lead(manager, stop, all_answered, &burst);
	manager_start(manager);
	check(&burst, manager);
	return n;
}

static void at_every_system_call_of_the_requests(void **state)
{
	struct manager *manager = *state;
	uint64_t until = hak_sys_now_ns() + BUDGET_NS;
	unsigned n = one_burst(manager, FOR_EVER), runs = 0;

	if (!n)
		skip();
	for (unsigned stop = 1; stop <= n && hak_sys_now_ns() < until; stop++, runs++)
		(void)one_burst(manager, stop);
	print_message("# %u of %u boundaries\n", runs, n);
	assert_true(runs > 8);
}

/* ---- a domain ---- */

#define SMALL 100000u
#define LARGE (9u << 20) /* the domain has to grow for it */

static int64_t connect_first(uint64_t unused)
{
	(void)unused;
	hak_free(hak_malloc(SMALL));
	return 0;
}

/* The board's first word is the block that has to stay as it is. */
static bool is_whole(void)
{
	return peer_is_filled((const void *)(uintptr_t)peer_board->word[0], SMALL, 1);
}

static int64_t put(uint64_t unused)
{
	void *p = hak_domain_alloc(peer_domain, SMALL);

	(void)unused;
	must(p != NULL);
	peer_fill(p, SMALL, 1);
	peer_board->word[0] = (uintptr_t)p;
	return 0;
}

static int64_t grow(uint64_t unused)
{
	void *p = hak_domain_alloc(peer_domain, LARGE);

	(void)unused;
	must(p && is_whole());
	peer_fill(p, LARGE, 2);
	must(peer_is_filled(p, LARGE, 2) && is_whole());
	return 0;
}

static int64_t leave(uint64_t unused)
{
	(void)unused;
	must(is_whole());
	peer_domain = hak_domain_close(peer_domain);
	return 0;
}

/* The life of a domain with one member; those that talk to the daemon are cut off. */
static const struct deed {
	peer_fn *fn;
	bool cut;
} deeds[] = { { peer_join, true }, { put, false },  { grow, true },
	      { grow, false },     { leave, true }, { connect_first, false } };
#define DEEDS (sizeof(deeds) / sizeof(deeds[0]))

struct doing {
	struct peer peer;
	struct manager *manager;
	unsigned stored; /* to be left with; UINT32_MAX: whatever it is */
};

/* The member knows, and nothing is left to do. */
static bool is_done(void *arg)
{
	struct doing *doing = arg;
	struct pollfd p = { .fd = doing->peer.sock, .events = POLLIN };

	return poll(&p, 1, 0) == 1 &&
	       (doing->stored == UINT32_MAX || manager_count(doing->manager) == doing->stored);
}

/* The boundaries of that deed, which is cut off at `stop`; 0: this machine lets nobody lead. */
static unsigned one_domain(struct manager *manager, unsigned deed, unsigned stop)
{
	unsigned before = manager_count(manager), n = 0;
	struct doing doing = { peer_new(manager->rig, 0), manager, UINT32_MAX };
	unsigned stored;

	assert_int_equal(peer_do(&doing.peer, connect_first, 0), 0);
	rig_wait_sessions(manager->rig, 1);
	stored = manager_count(manager);
	for (unsigned i = 0; i < DEEDS; i++) {
		if (i == deed) {
			doing.stored = deeds[i].fn == leave ? stored : UINT32_MAX;
			if (!seize(manager->rig))
				break;
			peer_begin(&doing.peer, deeds[i].fn, 0);
			n = lead(manager, stop, is_done, &doing);
			manager_start(manager);
			assert_int_equal(peer_result(&doing.peer), 0);
		} else {
			assert_int_equal(peer_do(&doing.peer, deeds[i].fn, 0), 0);
		}
	}
	manager_wait_count(manager, stored); /* the domain went with its member */
	peer_end(&doing.peer);
	rig_wait_sessions(manager->rig, 0);
	rig_wait_leased(manager->rig, 0);
	manager_wait_count(manager, before);
	return n;
}

/* By turns, and all over a deed, however many fit into the time. */
static void at_every_system_call_of_a_domain(void **state)
{
	struct manager *manager = *state;
	uint64_t until = hak_sys_now_ns() + BUDGET_NS;
	unsigned n[DEEDS] = { 0 }, runs[DEEDS] = { 0 }, most = 0, from = (unsigned)draw();

	for (unsigned i = 0; i < DEEDS; i++) {
		if (!deeds[i].cut)
			continue;
		n[i] = one_domain(manager, i, FOR_EVER);
		if (!n[i])
			skip();
		most = n[i] > most ? n[i] : most;
	}
	for (unsigned k = 0; k < most && hak_sys_now_ns() < until; k++) {
		for (unsigned i = 0; i < DEEDS; i++) {
			if (runs[i] < n[i])
				(void)one_domain(manager, i,
						 1 + (from + runs[i]++ * STRIDE) % n[i]);
		}
	}
	for (unsigned i = 0; i < DEEDS; i++) {
		if (!deeds[i].cut)
			continue;
		print_message("# deed %u: %u of %u boundaries\n", i, runs[i], n[i]);
		assert_true(runs[i] > 8 || runs[i] == n[i]);
	}
}

/* ---- the start ---- */

struct start {
	struct manager *manager;
	unsigned ready;
};

static bool is_ready(void *arg)
{
	struct start *start = arg;

	return manager_ready(start->manager) > start->ready;
}

static unsigned one_start(struct manager *manager, unsigned stop)
{
	struct start start = { manager, manager_ready(manager) };

	manager_launch_with(manager, be_led);
	return lead(manager, stop, is_ready, &start);
}

/* The next one is cut off as well: a start that is done over and over comes to the same. */
static void twice_at_every_system_call_of_the_start(void **state)
{
	struct manager *manager = *state;
	uint64_t until = hak_sys_now_ns() + BUDGET_NS;
	struct burst burst;
	unsigned n, runs = 0;

	begin(&burst, manager);
	if (!seize(manager->rig))
		skip();
	ask_all(&burst);
	(void)lead(manager, 3, all_answered, &burst);
	n = one_start(manager, FOR_EVER);
	manager_start(manager);
	check(&burst, manager);
	while (hak_sys_now_ns() < until) {
		begin(&burst, manager);
		assert_true(seize(manager->rig));
		ask_all(&burst);
		(void)lead(manager, 1 + (unsigned)draw() % 16, all_answered, &burst);
		for (unsigned i = 0; i < 2; i++)
			(void)one_start(manager, 1 + (unsigned)draw() % n);
		manager_start(manager);
		check(&burst, manager);
		runs++;
	}
	print_message("# %u pairs of %u boundaries\n", runs, n);
}

static int setup(void **state)
{
	assert_int_equal(peer_setup(state), 0);
	*state = rig_stop(*state); /* its board is what is needed of it */
	return manager_setup(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(at_every_system_call_of_the_requests, manager_setup,
						manager_teardown),
		cmocka_unit_test_setup_teardown(at_every_system_call_of_a_domain, setup,
						manager_teardown),
		cmocka_unit_test_setup_teardown(twice_at_every_system_call_of_the_start,
						manager_setup, manager_teardown),
	};
	const char *set = getenv("HAK_SEED");

	seed = set ? strtoull(set, NULL, 0) : hak_sys_random();
	print_message("# seed %llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests_name("restart_steps", tests, NULL, NULL);
}
