/* SPDX-License-Identifier: Apache-2.0 */
/* Domains and memberships go on with the next daemon. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/domain_book.h"
#include "shared/sys.h"
#include "tests/proc/manager.h"
#include "tests/proc/peer.h"

#define BLOCK 100000u

/* The board: word 0 the block (domains have one address everywhere), 1 its salt. */
static int64_t put(uint64_t salt)
{
	void *p = hak_domain_alloc(peer_domain, BLOCK);

	must(p != NULL);
	peer_fill(p, BLOCK, (unsigned)salt);
	peer_board->word[0] = (uintptr_t)p;
	peer_board->word[1] = salt;
	return 0;
}

static int64_t see(uint64_t unused)
{
	const void *p = (const void *)(uintptr_t)peer_board->word[0];

	(void)unused;
	return peer_is_filled(p, BLOCK, (unsigned)peer_board->word[1]);
}

static int64_t members(uint64_t unused)
{
	(void)unused;
	return (int64_t)peer_stat().members;
}

/* Members, contents, growth and newcomers: as if nothing had happened. */
static void a_domain_goes_on(void **state)
{
	struct manager *manager = *state;
	struct peer one = peer_member(manager->rig, 0);
	struct peer two = peer_member(manager->rig, 0), three;

	for (unsigned round = 0; round < 2 * MANAGER_HOWS; round++) {
		assert_int_equal(peer_do(&one, put, round), 0);
		manager_restart(manager, round % MANAGER_HOWS);
		assert_non_null(strstr(manager->rig->log, "adopted sessions=2 domains=1 "));
		assert_int_equal(peer_do(&two, see, 0), 1);
		assert_int_equal(peer_do(&two, put, round + 100), 0);
		three = peer_member(manager->rig, 0);
		assert_int_equal(peer_do(&three, see, 0), 1);
		assert_int_equal(peer_do(&three, members, 0), 3);
		peer_end(&three);
		rig_wait_sessions(manager->rig, 2);
	}
	peer_end(&one);
	peer_end(&two);
}

static void who_died_meanwhile_is_swept_after(void **state)
{
	struct manager *manager = *state;
	unsigned stored = manager_count(manager);
	struct peer stays = peer_member(manager->rig, 0);
	struct peer dies = peer_member(manager->rig, 0);

	assert_int_equal(peer_do(&dies, put, 1), 0);
	manager_end(manager, MANAGER_KILL);
	peer_kill(&dies);
	manager_start(manager);
	assert_int_not_equal(peer_do(&stays, peer_await_swept, 0), 0);
	assert_int_equal(peer_do(&stays, members, 0), 1);
	assert_int_equal(peer_do(&stays, put, 2), 0);
	peer_end(&stays);
	rig_wait_sessions(manager->rig, 0);
	manager_restart(manager, MANAGER_PARK); /* the domain was its members' */
	manager_wait_count(manager, stored);
}

/* The book is one of four files of its name. */
static void a_damaged_book_costs_its_domain_alone(void **state)
{
	struct manager *manager = *state;
	struct peer peer = peer_member(manager->rig, 0);
	struct book_head head;
	uint64_t wrong;
	struct raw raw;
	int fds[8];
	unsigned n;

	assert_int_equal(peer_do(&peer, put, 5), 0);
	n = manager_find(manager, "d1", fds, 8);
	assert_int_equal(n, 4);
	manager_end(manager, MANAGER_KILL);
	for (unsigned i = 0; i < n; i++) {
		if (pread(fds[i], &head, sizeof(head), 0) != sizeof(head) ||
		    head.magic != BOOK_MAGIC)
			continue;
		wrong = head.sum ^ 2;
		assert_int_equal(pwrite(fds[i], &wrong, 8, offsetof(struct book_head, sum)), 8);
	}
	manager_start(manager);
	assert_non_null(strstr(manager->rig->log, "adopt-refused what=domain id=1 reason="));
	assert_non_null(strstr(manager->rig->log, "adopted sessions=1 domains=0 "));
	assert_int_equal(manager_find(manager, "d1", NULL, 0), 0);
	assert_int_equal(peer_do(&peer, see, 0), 1);
	assert_int_equal(raw_open(&raw, manager->rig->socket), 0);
	assert_int_equal(raw_nop(&raw), 0);
	raw_close(&raw);
	peer_end(&peer);
}

static int setup(void **state)
{
	assert_int_equal(peer_setup(state), 0);
	*state = rig_stop(*state); /* its board is what is needed of it */
	return manager_setup(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, manager_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_domain_goes_on),
		TEST(who_died_meanwhile_is_swept_after),
		TEST(a_damaged_book_costs_its_domain_alone),
	};

	return cmocka_run_group_tests_name("domain_restart", tests, NULL, NULL);
}
