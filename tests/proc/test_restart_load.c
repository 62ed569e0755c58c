/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many processes at full speed while the daemon is killed again and again: they allocate from their
 * heaps and from domains, and pass messages through channels. No allocation fails, no message is
 * lost, doubled or overtaken, and no session ends.
 *
 * RESTART_CLIENTS (100) processes in pairs of a sender and a receiver, ten to a domain;
 * RESTART_KILLS (50): about a minute on two processors.
 */
#include "tests/proc/manager.h"
#include "tests/proc/peer.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "shared/sys.h"

#define CLIENTS_MOST 500u
#define GROUP        10u /* members of a domain */
#define BLOCKS       24u /* of the heap, in each process */
#define BUCKETS      64u /* of times: bucket n ends at 2^n ns */
#define MESSAGE_MS   RIG_DEADLINE_MS

struct client {
	_Atomic uint64_t messages; /* sent, or received */
	_Atomic uint64_t longest_ns;
	_Atomic uint64_t time[BUCKETS];
	uint64_t session;
};

static struct board {
	_Atomic uint32_t stop;
	struct client client[CLIENTS_MOST];
} * board;

static uint32_t number_of(const char *name, uint32_t otherwise, uint32_t most)
{
	const char *text = getenv(name);
	unsigned long n = text ? strtoul(text, NULL, 10) : otherwise;

	return n < most ? (uint32_t)n : most;
}

/* ---- in the clients ---- */

struct message {
	uint64_t number;
	size_t size;
};

struct block {
	unsigned char *at;
	size_t size;
	unsigned char byte;
};

static hak_channel *channel;
static struct client *me;
static struct block blocks[BLOCKS];
static uint64_t seed;

static uint32_t any(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

static void note(uint64_t begin)
{
	uint64_t ns = hak_sys_now_ns() - begin;

	me->time[64 - __builtin_clzll(ns | 1)]++;
	if (ns > me->longest_ns)
		me->longest_ns = ns;
}

/* Both ends of each page that it has: what another process, or the daemon, did to it is seen. */
static void check_and_free(struct block *b)
{
	for (size_t i = 0; i < b->size; i += 4096)
		must(b->at[i] == b->byte);
	must(!b->size || b->at[b->size - 1] == b->byte);
	hak_free(b->at);
	*b = (struct block){ 0 };
}

static size_t any_size(void)
{
	switch (any(64)) {
	case 0:
		return (1 + any(3)) << 21; /* a lease of its own */
	case 1 ... 8:
		return 1 + any(256 * 1024);
	default:
		return 1 + any(4096);
	}
}

static void use_heap(void)
{
	struct block *b = &blocks[any(BLOCKS)];
	uint64_t begin;

	if (b->at)
		check_and_free(b);
	b->size = any_size();
	b->byte = (unsigned char)any(256);
	begin = hak_sys_now_ns();
	b->at = hak_malloc(b->size);
	note(begin);
	must(b->at);
	for (size_t i = 0; i < b->size; i += 4096)
		b->at[i] = b->byte;
	b->at[b->size - 1] = b->byte;
	/* So that superslabs go back and are wanted again. */
	if (!any(512))
		(void)hak_trim();
}

static int64_t starts(uint64_t i)
{
	struct hak_info info = { .size = sizeof(info) };

	me = &board->client[i];
	seed = i + 1;
	use_heap();
	must(!hak_info_get(&info));
	me->session = info.session;
	return 0;
}

static int64_t joins(uint64_t i)
{
	struct hak_domain_attr attr = { .size = sizeof(attr), .lifetime = HAK_LIFETIME_MEMBERS };
	char name[32];
	int r;

	(void)snprintf(name, sizeof(name), "load%u", (unsigned)i / GROUP);
	r = hak_domain_open(&peer_domain, name, HAK_CREATE, &attr);
	if (r < 0)
		return r;
	(void)snprintf(name, sizeof(name), "pair%u", (unsigned)i / 2);
	return hak_channel_open(&channel, peer_domain, name, 64, i % 2 ? HAK_RECV : HAK_SEND);
}

static int64_t allocates(uint64_t unused)
{
	(void)unused;
	while (!board->stop) {
		use_heap();
		me->messages++;
	}
	return (int64_t)me->messages;
}

static void send_one(uint64_t number)
{
	size_t size = sizeof(struct message) + 1 + any(number % 64 ? 2000 : 100000);
	uint64_t begin = hak_sys_now_ns();
	struct message *m = hak_domain_alloc(peer_domain, size);

	note(begin);
	if (!m)
		(void)fprintf(stderr, "no message: %s\n", hak_detail());
	must(m);
	m->number = number;
	m->size = size;
	((unsigned char *)m)[size - 1] = (unsigned char)number;
	must(!hak_channel_send(channel, m, MESSAGE_MS));
	me->messages++;
}

static int64_t sends(uint64_t unused)
{
	(void)unused;
	for (uint64_t n = 1; !board->stop; n++) {
		send_one(n);
		use_heap();
	}
	channel = hak_channel_close(channel);
	return (int64_t)me->messages;
}

/* Until the sender has gone: each message once, in the order they were sent in. */
static int64_t receives(uint64_t unused)
{
	struct message *m;
	int r;

	(void)unused;
	while (!(r = hak_channel_recv(channel, (void **)&m, 2 * MESSAGE_MS))) {
		must(m->number == ++me->messages);
		must(((unsigned char *)m)[m->size - 1] == (unsigned char)m->number);
		hak_domain_free(peer_domain, m);
		use_heap();
	}
	must(r == -EPIPE);
	channel = hak_channel_close(channel);
	return (int64_t)me->messages;
}

/* The session that it began with is there again. */
static int64_t is_up(uint64_t unused)
{
	struct hak_info info = { .size = sizeof(info) };
	uint64_t end = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);

	(void)unused;
	for (uint32_t i = 0; i < BLOCKS; i++) {
		if (blocks[i].at)
			check_and_free(&blocks[i]);
	}
	do {
		(void)hak_trim(); /* looks for the daemon */
		must(!hak_info_get(&info));
		(void)hak_sys_poll(NULL, 0, 1);
	} while (info.state == HAK_INFO_AWAY && hak_sys_now_ns() < end);
	return info.state == HAK_INFO_UP && info.session == me->session;
}

static int64_t has_tidy_domain(uint64_t unused)
{
	struct hak_domain_stat stat = peer_stat();

	(void)unused;
	return !stat.moving && !stat.adopted && !stat.published && stat.members <= GROUP;
}

/* ---- in the test ---- */

struct load {
	struct manager *manager;
	struct peer *peer;
	uint32_t clients, kills;
};

/* So many go on, whatever became of the daemon. */
static uint64_t done(const struct load *load)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < load->clients; i++)
		n += board->client[i].messages;
	return n;
}

static void await_progress(const struct load *load, uint64_t n)
{
	uint64_t end = hak_sys_now_ns() + 2 * RIG_DEADLINE_MS * UINT64_C(1000000);
	uint64_t from = done(load);

	while (done(load) - from < n) {
		(void)hak_sys_poll(NULL, 0, 1);
		if (hak_sys_now_ns() > end)
			fail_msg("nothing goes on any more");
	}
}

static void report_times(const struct load *load)
{
	uint64_t total = 0, longest = 0, sum = 0, bucket[BUCKETS] = { 0 };
	uint32_t p99 = 0;

	for (uint32_t i = 0; i < load->clients; i++) {
		for (uint32_t b = 0; b < BUCKETS; b++) {
			bucket[b] += board->client[i].time[b];
			total += board->client[i].time[b];
		}
		if (board->client[i].longest_ns > longest)
			longest = board->client[i].longest_ns;
	}
	while (p99 < BUCKETS - 1 && (sum += bucket[p99]) * 100 < total * 99)
		p99++;
	print_message("# %llu allocations: p99 below %llu ns, the longest %llu us\n",
		      (unsigned long long)total, 1ULL << p99, (unsigned long long)longest / 1000);
}

static struct load begin(struct manager *manager)
{
	struct load load = { .manager = manager,
			     .clients = number_of("RESTART_CLIENTS", 100, CLIENTS_MOST) & ~1u,
			     .kills = number_of("RESTART_KILLS", 50, UINT32_MAX) };

	load.peer = calloc(load.clients, sizeof(*load.peer));
	assert_non_null(load.peer);
	for (uint32_t i = 0; i < load.clients; i++) {
		load.peer[i] = peer_new(manager->rig, HAK_INFO_DAEMON);
		assert_int_equal(peer_do(&load.peer[i], starts, i), 0);
	}
	return load;
}

static void kill_and_go_on(const struct load *load)
{
	uint64_t longest = 0;

	await_progress(load, load->clients);
	for (uint32_t i = 0; i < load->kills; i++) {
		uint64_t down = hak_sys_now_ns();

		manager_restart(load->manager, MANAGER_KILL);
		down = hak_sys_now_ns() - down;
		longest = down > longest ? down : longest;
		await_progress(load, 10 * (uint64_t)load->clients);
	}
	board->stop = 1;
	print_message("# %u kills, the longest without a daemon %llu ms\n", load->kills,
		      (unsigned long long)longest / 1000000);
}

static void end(struct load *load)
{
	struct rig *rig = load->manager->rig;

	report_times(load);
	for (uint32_t i = 0; i < load->clients; i++)
		assert_int_equal(peer_do(&load->peer[i], is_up, 0), 1);
	assert_int_equal(rig_status(rig).sessions, load->clients);
	for (uint32_t i = 0; i < load->clients; i++)
		peer_end(&load->peer[i]);
	rig_wait_sessions(rig, 0);
	rig_wait_leased(rig, 0);
	free(load->peer);
}

static void heaps_go_on(void **state)
{
	struct load load = begin(*state);

	for (uint32_t i = 0; i < load.clients; i++)
		peer_begin(&load.peer[i], allocates, 0);
	kill_and_go_on(&load);
	for (uint32_t i = 0; i < load.clients; i++)
		assert_true(peer_result(&load.peer[i]) > 0);
	end(&load);
}

static void a_hundred_clients_notice_nothing(void **state)
{
	struct load load = begin(*state);

	for (uint32_t i = 0; i < load.clients; i++)
		assert_int_equal(peer_do(&load.peer[i], joins, i), 0);
	for (uint32_t i = 0; i < load.clients; i++)
		peer_begin(&load.peer[i], i % 2 ? receives : sends, 0);
	kill_and_go_on(&load);
	for (uint32_t i = 0; i < load.clients; i += 2) {
		int64_t sent = peer_result(&load.peer[i]);

		assert_true(sent > 0);
		assert_int_equal(peer_result(&load.peer[i + 1]), sent);
	}
	for (uint32_t i = 0; i < load.clients; i++)
		assert_int_equal(peer_do(&load.peer[i], has_tidy_domain, 0), 1);
	end(&load);
}

static int set_up(void **state)
{
	struct manager *manager;
	void *map = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0);

	if (map == MAP_FAILED)
		return -1;
	board = map;
	if (manager_setup(state) < 0)
		return -1;
	manager = *state;
	manager->goes_first = true;
	return 0;
}

static int tear_down(void **state)
{
	(void)munmap(board, sizeof(*board));
	return manager_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(heaps_go_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_hundred_clients_notice_nothing, set_up,
						tear_down),
	};

	return cmocka_run_group_tests_name("restart_load", tests, NULL, NULL);
}
