/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions go on with the next daemon, however the last one ended. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/session_book.h"
#include "shared/sys.h"
#include "tests/proc/manager.h"
#include "tests/proc/peer.h"

#define BURST 64u

static void pattern(void *at, uint32_t salt)
{
	uint32_t *word = at;

	for (uint32_t i = 0; i < HAK_SUPERSLAB_SIZE / sizeof(*word); i += 256)
		word[i] = i ^ salt;
}

static bool is_pattern(const void *at, uint32_t salt)
{
	const uint32_t *word = at;

	for (uint32_t i = 0; i < HAK_SUPERSLAB_SIZE / sizeof(*word); i += 256) {
		if (word[i] != (i ^ salt))
			return false;
	}
	return true;
}

/* The same session, by a new connection; rings and indices are the old ones. */
static void resume(struct raw *raw, const struct manager *manager)
{
	struct raw again;
	struct hak_fd_id before, after;

	assert_int_equal(raw_resume(&again, manager->rig->socket, raw->session_id), 0);
	assert_int_equal(again.session_id, raw->session_id);
	assert_int_equal(hak_sys_fd_id(&before, raw->region_fd), 0);
	assert_int_equal(hak_sys_fd_id(&after, again.region_fd), 0);
	assert_memory_equal(&before, &after, sizeof(before));
	raw->epoch = again.epoch;
	close(raw->sock);
	raw->sock = again.sock;
	again.sock = -1;
	raw_close(&again);
}

static void a_session_goes_on(void **state)
{
	struct manager *manager = *state;
	uint32_t first, other, salt = 1;
	struct raw raw;
	void *at;

	assert_int_equal(raw_open(&raw, manager->rig->socket), 0);
	assert_int_equal(raw_lease(&raw, 2, &first), 0);
	at = raw_map(&raw, first);
	pattern(at, salt);
	for (unsigned round = 0; round < 2 * MANAGER_HOWS; round++) {
		uint64_t epoch = raw.epoch;

		manager_restart(manager, round % MANAGER_HOWS);
		assert_non_null(strstr(manager->rig->log, "adopted sessions=1 domains=0 "));
		assert_int_equal(rig_status(manager->rig).sessions, 1);
		assert_true(is_pattern(at, salt));
		pattern(at, ++salt);
		resume(&raw, manager);
		assert_int_equal(raw.epoch, epoch + 1);
		/* What is leased is not leased again. */
		assert_int_equal(raw_lease(&raw, 1, &other), 0);
		assert_true(other < first || other >= first + 2);
		assert_true(is_pattern(at, salt));
		assert_int_equal(raw_return(&raw, other, 1), 0);
	}
	rig_wait_leased(manager->rig, 2);
	assert_int_equal(raw_return(&raw, first, 2), 0);
	rig_wait_leased(manager->rig, 0);
	raw_unmap(at);
	raw_close(&raw);
	rig_wait_sessions(manager->rig, 0);
}

/* Rings need no socket: what is asked while nobody is there is answered by the next one. */
static void what_is_asked_while_it_is_away_is_answered(void **state)
{
	struct manager *manager = *state;
	struct hak_sqe sqe;
	struct hak_cqe cqe;
	struct raw raw;

	assert_int_equal(raw_open(&raw, manager->rig->socket), 0);
	assert_int_equal(raw_nop(&raw), 0);
	manager_end(manager, MANAGER_KILL);
	sqe = raw_entry(&raw, HAK_OP_NOP);
	assert_int_equal(raw_push(&raw, &sqe), 0);
	manager_start(manager);
	resume(&raw, manager);
	assert_int_equal(raw_pop(&raw, &cqe), 0);
	assert_int_equal(cqe.seq, sqe.seq);
	assert_int_equal(raw_nop(&raw), 0);
	raw_close(&raw);
}

/* So many requests, every other one a lease. */
static unsigned ask_many(struct raw *raw, struct hak_sqe *ret_sqe)
{
	for (unsigned i = 0; i < BURST; i++) {
		struct hak_sqe sqe = raw_entry(raw, i % 2 ? HAK_OP_NOP : HAK_OP_LEASE);

		if (i % 2 == 0) {
			sqe.count = 1 + i % 3;
			sqe.node = HAK_NODE_ANY;
		}
		ret_sqe[i] = sqe;
		assert_int_equal(raw_push(raw, &sqe), 0);
	}
	return BURST;
}

/* Killed in the middle of a burst, at another moment each time: each request is answered once, and
 * no two leases have a superslab in common. */
static void each_request_is_answered_once(void **state)
{
	struct manager *manager = *state;
	struct hak_sqe sqe[BURST];
	struct hak_cqe cqe;
	struct raw raw;

	for (unsigned round = 0; round < 24; round++) {
		uint8_t owned[HAK_REGION_SUPERSLABS / 8] = { 0 };
		unsigned n, popped = round % 12, total = 0;

		assert_int_equal(raw_open(&raw, manager->rig->socket), 0);
		n = ask_many(&raw, sqe);
		for (unsigned i = 0; i < n; i++) {
			if (i == popped) {
				manager_restart(manager, round % MANAGER_HOWS);
				resume(&raw, manager);
			}
			assert_int_equal(raw_pop(&raw, &cqe), 0);
			assert_int_equal(cqe.seq, sqe[i].seq);
			assert_int_equal(cqe.result, 0);
			if (i % 2)
				continue;
			for (uint32_t s = 0; s < sqe[i].count; s++, total++) {
				uint32_t at = cqe.first + s;

				assert_false(owned[at / 8] & 1u << at % 8);
				owned[at / 8] |= (uint8_t)(1u << at % 8);
			}
		}
		assert_int_equal(raw_nop(&raw), 0); /* and nothing else */
		rig_wait_leased(manager->rig, total);
		raw_close(&raw);
		rig_wait_sessions(manager->rig, 0);
		rig_wait_leased(manager->rig, 0);
	}
}

static void stay(struct rig *rig, void *arg)
{
	struct raw raw;
	uint32_t first;

	if (raw_open(&raw, rig->socket) < 0 || raw_lease(&raw, *(uint32_t *)arg, &first) < 0)
		_exit(1);
	rig_tell();
	rig_stall();
}

static void who_dies_while_it_is_away_is_reclaimed(void **state)
{
	struct manager *manager = *state;
	unsigned stored = manager_count(manager);
	uint64_t fds = rig_status(manager->rig).open_fds;

	for (unsigned how = MANAGER_KILL; how <= MANAGER_PARK; how++) {
		uint32_t count = 3;
		pid_t pid = rig_client(manager->rig, stay, &count);
		pid_t other = rig_client(manager->rig, stay, &count);

		manager_end(manager, how);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(rig_reap(pid), -SIGKILL);
		manager_start(manager);
		rig_wait_sessions(manager->rig, 1);
		rig_wait_leased(manager->rig, 3);
		assert_int_equal(kill(other, SIGKILL), 0);
		assert_int_equal(rig_reap(other), -SIGKILL);
		rig_wait_sessions(manager->rig, 0);
		rig_wait_leased(manager->rig, 0);
		assert_int_equal(manager_count(manager), stored);
	}
	rig_wait_fds(manager->rig, fds);
}

static void an_empty_store_costs_memory_only(void **state)
{
	struct manager *manager = *state;
	struct raw raw, again;
	uint32_t first;
	void *at;

	assert_int_equal(raw_open(&raw, manager->rig->socket), 0);
	assert_int_equal(raw_lease(&raw, 1, &first), 0);
	at = raw_map(&raw, first);
	pattern(at, 7);
	manager_end(manager, MANAGER_KILL);
	manager_drop(manager, NULL);
	manager_start(manager);
	assert_int_equal(raw_resume(&again, manager->rig->socket, raw.session_id), -ESTALE);
	assert_true(is_pattern(at, 7));
	assert_int_equal(raw_open(&again, manager->rig->socket), 0);
	assert_int_equal(raw_nop(&again), 0);
	raw_close(&again);
	raw_unmap(at);
	raw_close(&raw);
}

static void name_of(const struct raw *raw, char name[32])
{
	(void)snprintf(name, 32, "s%llu", (unsigned long long)raw->session_id);
}

/* Of two sessions the first loses one of its files: that one is refused, the other goes on. */
static void a_session_without_one_of_its_files_is_refused(void **state)
{
	struct manager *manager = *state;
	struct raw raw[2], again;
	char name[32], line[64];
	int fds[8], kept[8];
	uint32_t first;

	for (unsigned missing = 0; missing < 5; missing++) {
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(raw_open(&raw[i], manager->rig->socket), 0);
			assert_int_equal(raw_lease(&raw[i], 1, &first), 0);
		}
		name_of(&raw[0], name);
		assert_int_equal(manager_find(manager, name, fds, 8), 5);
		manager_end(manager, MANAGER_KILL);
		for (unsigned i = 0; i < 5; i++)
			kept[i] = dup(fds[i]);
		manager_drop(manager, name);
		for (unsigned i = 0; i < 5; i++) {
			if (i == missing)
				close(kept[i]);
			else
				manager_store(manager, name, kept[i]);
		}
		manager_start(manager);
		(void)snprintf(line, sizeof(line), "adopt-refused what=session id=%llu reason=",
			       (unsigned long long)raw[0].session_id);
		assert_non_null(strstr(manager->rig->log, line));
		assert_non_null(strstr(manager->rig->log, "adopted sessions=1 "));
		assert_int_equal(manager_find(manager, name, fds, 8), 0);
		assert_int_equal(raw_resume(&again, manager->rig->socket, raw[0].session_id),
				 -ESTALE);
		resume(&raw[1], manager);
		assert_int_equal(raw_nop(&raw[1]), 0);
		raw_close(&raw[0]);
		raw_close(&raw[1]);
		rig_wait_sessions(manager->rig, 0);
	}
}

/* The book of a session among what is stored under its name. */
static struct session_text *map_book(struct manager *manager, const char *name)
{
	unsigned n;
	int fds[8];
	void *at;

	n = manager_find(manager, name, fds, 8);
	for (unsigned i = 0; i < n && i < 8; i++) {
		struct book_head head;

		if (pread(fds[i], &head, sizeof(head), 0) == sizeof(head) &&
		    head.magic == BOOK_MAGIC) {
			assert_int_equal(hak_sys_map_shared(&at, NULL, fds[i], 0, 4096), 0);
			return at;
		}
	}
	fail_msg("no book under %s", name);
	return NULL;
}

static void a_damaged_book_costs_its_session_alone(void **state)
{
	struct manager *manager = *state;
	struct session_text *text;
	struct raw raw[2], again;
	char name[32];

	for (unsigned what = 0; what < 4; what++) {
		for (unsigned i = 0; i < 2; i++)
			assert_int_equal(raw_open(&raw[i], manager->rig->socket), 0);
		name_of(&raw[0], name);
		text = map_book(manager, name);
		manager_end(manager, MANAGER_KILL);
		switch (what) {
		case 0:
			text->head.life ^= 1;
			break;
		case 1:
			text->pid++;
			break;
		case 2:
			text->taken++;
			break;
		default:
			text->state = 77;
		}
		(void)hak_sys_unmap(text, 4096);
		manager_start(manager);
		assert_non_null(strstr(manager->rig->log, "adopt-refused what=session id="));
		assert_non_null(strstr(manager->rig->log, "adopted sessions=1 "));
		assert_int_equal(raw_resume(&again, manager->rig->socket, raw[0].session_id),
				 -ESTALE);
		resume(&raw[1], manager);
		assert_int_equal(raw_nop(&raw[1]), 0);
		raw_close(&raw[0]);
		raw_close(&raw[1]);
		rig_wait_sessions(manager->rig, 0);
	}
}

/* Descriptors and memory are what they were, after any number of them. */
static void twenty_restarts_leave_nothing_behind(void **state)
{
	struct manager *manager = *state;
	uint64_t fds = 0, rss = 0;
	unsigned stored = 0;
	struct raw raw[4];
	uint32_t first;

	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(raw_open(&raw[i], manager->rig->socket), 0);
		assert_int_equal(raw_lease(&raw[i], 2, &first), 0);
	}
	for (unsigned round = 0; round < 21; round++) {
		manager_restart(manager, round % MANAGER_HOWS);
		for (unsigned i = 0; i < 4; i++) {
			resume(&raw[i], manager);
			assert_int_equal(raw_lease(&raw[i], 1, &first), 0);
			assert_int_equal(raw_return(&raw[i], first, 1), 0);
		}
		if (round == 2) {
			fds = rig_status(manager->rig).open_fds;
			rss = rig_proc_number(manager->rig, "RssAnon:");
			stored = manager_count(manager);
		}
	}
	rig_wait_leased(manager->rig, 8);
	rig_wait_fds(manager->rig, fds);
	assert_int_equal(manager_count(manager), stored);
	assert_true(rig_proc_number(manager->rig, "RssAnon:") < rss + 1024);
	for (unsigned i = 0; i < 4; i++)
		raw_close(&raw[i]);
}

/* In a peer: blocks of its own superslabs, until the board says that it is enough. */
static int64_t allocate(uint64_t which)
{
	uint64_t n = 0;

	for (; !atomic_load(&peer_board->word[0]) || n < 10; n++) {
		size_t size = 300000 + n % 7 * 1000000;
		uint8_t *p = hak_malloc(size);

		must(p != NULL);
		peer_fill(p, size, (unsigned)(n + which));
		must(peer_is_filled(p, size, (unsigned)(n + which)));
		hak_free(p);
		atomic_store(&peer_board->word[1 + which], n + 1);
	}
	return (int64_t)n;
}

/* Until each has come further by so much. */
static void await_progress(unsigned clients)
{
	uint64_t before, until = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);

	for (unsigned i = 0; i < clients; i++) {
		before = atomic_load(&peer_board->word[1 + i]);
		while (atomic_load(&peer_board->word[1 + i]) < before + 5)
			assert_true(hak_sys_now_ns() < until);
	}
}

static void while_clients_allocate(struct manager *manager, enum manager_how how)
{
	struct peer peer[3];

	atomic_store(&peer_board->word[0], 0);
	for (unsigned i = 0; i < 3; i++) {
		peer[i] = peer_new(manager->rig, 0);
		peer_begin(&peer[i], allocate, i);
	}
	for (unsigned round = 0; round < 6; round++) {
		await_progress(3);
		manager_restart(manager, how);
	}
	await_progress(3);
	assert_non_null(strstr(manager->rig->log, "adopted sessions=3 "));
	atomic_store(&peer_board->word[0], 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(peer_result(&peer[i]) >= 10);
		peer_end(&peer[i]);
	}
	rig_wait_sessions(manager->rig, 0);
	rig_wait_leased(manager->rig, 0);
}

static void killed_while_clients_allocate_costs_nothing(void **state)
{
	while_clients_allocate(*state, MANAGER_KILL);
}

static void parked_while_clients_allocate_costs_nothing(void **state)
{
	while_clients_allocate(*state, MANAGER_PARK);
}

static void executed_anew_while_clients_allocate_costs_nothing(void **state)
{
	while_clients_allocate(*state, MANAGER_EXEC);
}

static void clients_go_on_while_it_is_away(void **state)
{
	struct manager *manager = *state;
	struct peer peer;

	atomic_store(&peer_board->word[0], 0);
	peer = peer_new(manager->rig, 0);
	peer_begin(&peer, allocate, 0);
	await_progress(1);
	manager_end(manager, MANAGER_KILL);
	await_progress(1);
	manager_start(manager);
	await_progress(1);
	atomic_store(&peer_board->word[0], 1);
	assert_true(peer_result(&peer) >= 10);
	peer_end(&peer);
}

static int setup(void **state)
{
	assert_int_equal(peer_setup(state), 0);
	*state = rig_stop(*state); /* its board is what is needed of it */
	return manager_setup(state);
}

#define WITH_PEERS(name) cmocka_unit_test_setup_teardown(name, setup, manager_teardown)
#define TEST(name)       cmocka_unit_test_setup_teardown(name, manager_setup, manager_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_session_goes_on),
		TEST(what_is_asked_while_it_is_away_is_answered),
		TEST(each_request_is_answered_once),
		TEST(who_dies_while_it_is_away_is_reclaimed),
		TEST(an_empty_store_costs_memory_only),
		TEST(a_session_without_one_of_its_files_is_refused),
		TEST(a_damaged_book_costs_its_session_alone),
		WITH_PEERS(killed_while_clients_allocate_costs_nothing),
		WITH_PEERS(parked_while_clients_allocate_costs_nothing),
		WITH_PEERS(executed_anew_while_clients_allocate_costs_nothing),
		WITH_PEERS(clients_go_on_while_it_is_away),
		TEST(twenty_restarts_leave_nothing_behind),
	};

	return cmocka_run_group_tests_name("restart", tests, NULL, NULL);
}
