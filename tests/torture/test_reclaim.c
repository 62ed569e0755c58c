/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long it takes from when a process is gone, which its pidfd says, until what it had is
 * everybody's again: 1 GiB in a session's leases, 1 GiB in a domain's. RECLAIM_ROUNDS (20),
 * RECLAIM_LIMIT_MS: what the 99th of a hundred may take at the most; not asserted unless it is set,
 * for a loaded machine may make anything of it.
 */
#include "tests/proc/domains.h"
#include "tests/proc/peer.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "shared/sys.h"

#define GIB        (UINT64_C(1) << 30)
#define SUPERSLABS (uint32_t)(GIB / HAK_SUPERSLAB_SIZE)
#define ROUNDS_MAX 1000u
#define DEADLINE   (60 * UINT64_C(1000000000))

static uint64_t ns[ROUNDS_MAX];

static unsigned rounds(void)
{
	const char *text = getenv("RECLAIM_ROUNDS");
	unsigned n = text ? (unsigned)strtoul(text, NULL, 0) : 20;

	return n && n < ROUNDS_MAX ? n : ROUNDS_MAX;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void say(const char *what, unsigned n)
{
	const char *limit = getenv("RECLAIM_LIMIT_MS");

	qsort(ns, n, sizeof(ns[0]), compare);
	print_message("# %s, 1 GiB, %u deaths: p50 %llu us, p99 %llu us, most %llu us\n", what, n,
		      (unsigned long long)ns[n / 2] / 1000,
		      (unsigned long long)ns[n * 99 / 100] / 1000,
		      (unsigned long long)ns[n - 1] / 1000);
	if (limit)
		assert_true(ns[n * 99 / 100] <= strtoull(limit, NULL, 0) * 1000000);
}

/* Kills it; when its pidfd says that it is gone. */
static uint64_t await_gone(pid_t pid)
{
	int pidfd;
	struct pollfd p = { .events = POLLIN };
	uint64_t at;

	assert_int_equal(hak_sys_pidfd_open(&pidfd, pid), 0);
	p.fd = pidfd;
	assert_int_equal(kill(pid, SIGKILL), 0);
	while (poll(&p, 1, 1000) != 1)
		;
	at = hak_sys_now_ns();
	hak_sys_close(pidfd);
	assert_int_equal(rig_reap(pid), -SIGKILL);
	return at;
}

/* ---- a session ---- */

static void leases_a_gigabyte(struct rig *rig, void *arg)
{
	struct raw raw;
	uint32_t first;

	must(raw_open(&raw, rig->socket) == 0);
	must(raw_lease(&raw, SUPERSLABS, &first) == 0);
	/* All of it is there, by whoever is faster. */
	for (uint32_t i = 0; i < SUPERSLABS; i++) {
		volatile char *at = raw_map(&raw, first + i);

		must(at);
		for (size_t page = 0; page < HAK_SUPERSLAB_SIZE; page += 4096)
			at[page] = 1;
		raw_unmap((void *)(uintptr_t)at);
	}
	rig_tell();
	rig_stall();
}

static void what_a_session_had_is_given_back(void **state)
{
	struct rig *rig = *state;
	unsigned n = rounds();

	for (unsigned i = 0; i < n; i++) {
		pid_t pid = rig_client(rig, leases_a_gigabyte, NULL);
		struct hak_report_status status;
		uint64_t from;
		int sock;

		assert_int_equal(rig_status(rig).leased_bytes, GIB);
		sock = raw_connect(rig->socket);
		assert_true(sock >= 0);
		from = await_gone(pid);
		do {
			assert_int_equal(
				raw_ask(sock, HAK_QUERY_STATUS, &status, sizeof(status), 1), 1);
			ns[i] = hak_sys_now_ns() - from;
			assert_true(ns[i] < DEADLINE);
		} while (status.leased_bytes);
		hak_sys_close(sock);
		rig_wait_sessions(rig, 0);
	}
	say("from the pidfd to nothing charged", n);
}

/* ---- a member ---- */

static int64_t takes_a_gigabyte(uint64_t unused)
{
	for (unsigned i = 0; i < 1024; i++) {
		char *p = hak_domain_alloc(peer_domain, (1 << 20) - 64);

		must(p);
		p[0] = 1;
	}
	return (int64_t)hak_self(peer_domain);
}

static void what_a_member_had_is_given_back(void **state)
{
	struct rig *rig = *state;
	struct peer watcher;
	unsigned n = rounds();

	peer_board->word[PEER_WORDS - 1] = 4 * GIB;
	watcher = peer_member(rig, 0);
	for (unsigned i = 0; i < n; i++) {
		struct peer victim = peer_member(rig, 0);
		uint64_t dies = (uint64_t)peer_do(&victim, takes_a_gigabyte, 0), from;

		from = await_gone(victim.pid);
		while ((uint64_t)peer_do(&watcher, peer_await_swept, 0) != dies)
			;
		ns[i] = hak_sys_now_ns() - from;
		hak_sys_close(victim.sock);
	}
	say("from the pidfd to the event SWEPT", n);
	peer_end(&watcher);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, peer_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_a_session_had_is_given_back),
		TEST(what_a_member_had_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
