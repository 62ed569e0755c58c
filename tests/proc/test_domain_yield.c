/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member that has what it does not need, and only sleeps until something happens, gives it to who
 * was refused. Real processes, and a domain that is full.
 */
#include "tests/proc/peer.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "shared/sys.h"

#define MIB   ((size_t)1 << 20)
#define QUOTA (16 * MIB)

/* Words of the board that are not blocks. */
#define WAKES (PEER_WORDS - 16)
#define STOP  (PEER_WORDS - 15)

static void *mine[WAKES]; /* of each process */

/* All that the domain may have, in blocks of one size: how many. */
static int64_t fills_it(uint64_t size)
{
	uint64_t n = 0;
	void *p;

	while ((p = hak_domain_alloc(peer_domain, size))) {
		must(n < WAKES);
		peer_fill(p, size, 7);
		mine[n] = p;
		peer_board->word[n++] = (uintptr_t)p;
	}
	must(errno == ENOMEM && strstr(hak_detail(), "domain-bytes"));
	return (int64_t)n;
}

static int64_t gives_all(uint64_t n)
{
	hak_member to = peer_board->word[WAKES];

	for (uint64_t i = 0; i < n; i++)
		must(hak_give(peer_domain, mine[i], to) == 0);
	return 0;
}

static int64_t frees_all(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		hak_domain_free(peer_domain, (void *)(uintptr_t)peer_board->word[i]);
	return 0;
}

/* Frees all but one in so many. */
static int64_t frees_most(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		if (i % 8)
			hak_domain_free(peer_domain, mine[i]);
	}
	return 0;
}

static int64_t verifies_rest(uint64_t n)
{
	for (uint64_t i = 0; i < n; i += 8) {
		must(hak_owner(peer_domain, mine[i]) == hak_self(peer_domain));
		must(peer_is_filled(mine[i], 4096, 7));
		hak_domain_free(peer_domain, mine[i]);
	}
	return 0;
}

static int64_t self(uint64_t unused)
{
	return (int64_t)hak_self(peer_domain);
}

/* Nothing is to be reported any more, and its own refusal is heeded. */
static int64_t settles(uint64_t unused)
{
	struct hak_event event;

	while (hak_event_next(peer_domain, &event) == 0)
		;
	return 0;
}

/* As an event loop does it: nothing is called before the sign. */
static int64_t only_polls(uint64_t unused)
{
	struct pollfd p = { .fd = hak_event_fd(peer_domain), .events = POLLIN };
	struct hak_event event;

	peer_board->word[WAKES] = 0;
	while (!peer_board->word[STOP]) {
		int r = poll(&p, 1, 100);

		must(r >= 0);
		if (r)
			peer_board->word[WAKES]++;
		else
			continue; /* without a sign nothing is called */
		while ((r = hak_event_next(peer_domain, &event)) == 0)
			;
		must(r == -EAGAIN);
	}
	return (int64_t)peer_board->word[WAKES];
}

/* Refused at first, then not: bytes that it has in blocks of that size. */
static int64_t gets_most_of_it(uint64_t size)
{
	uint64_t until = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000), got = 0;
	uint64_t want = size < MIB ? QUOTA - 3 * MIB : size;
	bool refused = false;

	while (got < want) {
		void *p = hak_domain_alloc(peer_domain, size);

		refused = refused || !p;
		if (p)
			got += size;
		else
			must(errno == ENOMEM && hak_sys_now_ns() < until);
	}
	must(refused);
	return (int64_t)got;
}

static struct peer full_member(struct rig *rig)
{
	peer_board->word[PEER_WORDS - 1] = QUOTA;
	return peer_member(rig, HAK_INFO_EMBEDDED);
}

static void end_poller(const struct peer *a)
{
	peer_board->word[STOP] = 1;
	assert_true(peer_result(a) > 0);
	peer_board->word[STOP] = 0;
}

/* Given to another, who freed them: only their slabs' holder can notice. */
static void who_only_polls_gives_up_what_came_back(void **state)
{
	struct rig *rig = *state;
	struct peer a = full_member(rig), b = peer_member(rig, HAK_INFO_EMBEDDED);
	int64_t n = peer_do(&a, fills_it, 4096);

	assert_true((uint64_t)n * 4096 > QUOTA * 9 / 10);
	peer_board->word[WAKES] = (uint64_t)peer_do(&b, self, 0);
	assert_int_equal(peer_do(&a, gives_all, (uint64_t)n), 0);
	assert_int_equal(peer_do(&a, settles, 0), 0);
	assert_int_equal(peer_do(&b, frees_all, (uint64_t)n), 0);
	peer_begin(&a, only_polls, 0);
	(void)peer_do(&b, gets_most_of_it, 200);
	end_poller(&a);
	peer_end(&b);
	peer_end(&a);
}

/* Freed by itself: in magazines, and spans that are kept for the next of their size. */
static void who_only_polls_gives_up_what_it_freed(void **state)
{
	struct rig *rig = *state;
	struct peer a = full_member(rig), b = peer_member(rig, HAK_INFO_EMBEDDED);
	int64_t n = peer_do(&a, fills_it, MIB / 4);

	assert_int_equal(peer_do(&a, settles, 0), 0);
	assert_int_equal(peer_do(&a, frees_all, (uint64_t)n), 0);
	peer_begin(&a, only_polls, 0);
	/* All of it, so not one slab may be kept. */
	(void)peer_do(&b, gets_most_of_it, QUOTA);
	end_poller(&a);
	peer_end(&b);
	peer_end(&a);
}

/* What is in use of a slab that gave way stays as it was. */
static void who_only_polls_gives_up_little_used_slabs(void **state)
{
	struct rig *rig = *state;
	struct peer a = full_member(rig), b = peer_member(rig, HAK_INFO_EMBEDDED);
	int64_t n = peer_do(&a, fills_it, 4096);
	uint64_t until = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000), got = 0;

	assert_int_equal(peer_do(&a, settles, 0), 0);
	assert_int_equal(peer_do(&a, frees_most, (uint64_t)n), 0);
	peer_begin(&a, only_polls, 0);
	while (got < (uint64_t)n / 2) {
		got += (uint64_t)peer_do(&b, fills_it, 4096);
		assert_true(hak_sys_now_ns() < until);
	}
	end_poller(&a);
	assert_int_equal(peer_do(&a, verifies_rest, (uint64_t)n), 0);
	peer_end(&b);
	peer_end(&a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, peer_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_only_polls_gives_up_what_came_back),
		TEST(who_only_polls_gives_up_what_it_freed),
		TEST(who_only_polls_gives_up_little_used_slabs),
	};

	return cmocka_run_group_tests_name("domain_yield", tests, NULL, NULL);
}
