/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members that are killed in the midst of it, and what the others find; the daemon's own death.
 */
#include "tests/proc/peer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "shared/sys.h"

#define MIB  ((size_t)1 << 20)
#define KEPT 500u

static int64_t self(uint64_t unused)
{
	return (int64_t)hak_self(peer_domain);
}

/* ---- the survivor ---- */

static size_t kept_size(unsigned i)
{
	return 16 + i * i % 70000;
}

static void *kept[KEPT];

static int64_t keeps_blocks(uint64_t unused)
{
	for (unsigned i = 0; i < KEPT; i++) {
		kept[i] = hak_domain_alloc(peer_domain, kept_size(i));
		must(kept[i]);
		peer_fill(kept[i], kept_size(i), i);
	}
	return 0;
}

/* All are as they were; every third one is freed and replaced. */
static int64_t still_has_them(uint64_t round)
{
	for (unsigned i = 0; i < KEPT; i++) {
		must(peer_is_filled(kept[i], kept_size(i), i));
		must(hak_owner(peer_domain, kept[i]) == hak_self(peer_domain));
		if ((i + round) % 3)
			continue;
		hak_domain_free(peer_domain, kept[i]);
		kept[i] = hak_domain_alloc(peer_domain, kept_size(i));
		must(kept[i]);
		peer_fill(kept[i], kept_size(i), i);
	}
	return (int64_t)peer_stat().granted_bytes;
}

/* ---- the victim ---- */

/* Does everything at once for ever: word 0 counts. */
static void *toils(void *arg)
{
	static void *_Atomic table[128];
	hak_member survivor = peer_board->word[1];
	uint64_t x = (uintptr_t)arg;

	for (;;) {
		void *p;

		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		p = hak_domain_alloc(peer_domain, 1 + ((x >> 30) & ((1u << (4 + (x >> 60))) - 1)));
		if (!p)
			continue;
		if (x >> 32 & 1)
			(void)hak_ref_of(peer_domain, p);
		p = atomic_exchange(&table[(x >> 20) % 128], p);
		if (!p)
			continue;
		peer_board->word[0]++;
		/* Given to one that never looks: what such a block costs is the survivor's. */
		if ((x >> 40) % 4096 == 0 && hak_give(peer_domain, p, survivor) == 0)
			continue;
		if (x >> 63)
			must(hak_publish(peer_domain, p) == 0);
		hak_domain_free(peer_domain, p);
	}
	return NULL;
}

static int64_t starts_to_toil(uint64_t survivor)
{
	pthread_t thread;

	peer_board->word[1] = survivor;
	for (uintptr_t i = 0; i < 2; i++)
		must(!pthread_create(&thread, NULL, toils, (void *)(i + 1)));
	return 0;
}

static void await_word(unsigned word, uint64_t least)
{
	uint64_t until = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);

	while (peer_board->word[word] < least) {
		assert_true(hak_sys_now_ns() < until);
		(void)hak_sys_poll(NULL, 0, 1);
	}
}

static int64_t await_end_of(uint64_t member)
{
	while (peer_await_event(HAK_EVENT_SWEPT) != member)
		;
	must(!hak_member_alive(peer_domain, member));
	return 0;
}

static void a_hundred_deaths_cost_nothing(void **state)
{
	struct peer survivor = peer_member(*state, 0);
	uint64_t member = (uint64_t)peer_do(&survivor, self, 0);
	int64_t bytes = 0, now = 0;

	assert_int_equal(peer_do(&survivor, keeps_blocks, 0), 0);
	for (int i = 0; i < 100; i++) {
		struct peer victim = peer_member(*state, (unsigned)i % 3 + 1);
		uint64_t dies = (uint64_t)peer_do(&victim, self, 0);

		peer_board->word[0] = 0;
		(void)peer_do(&victim, starts_to_toil, member);
		await_word(0, 1 + (uint64_t)i * 97 % 3000);
		peer_kill(&victim);
		assert_int_equal(peer_do(&survivor, await_end_of, dies), 0);
		now = peer_do(&survivor, still_has_them, (uint64_t)i);
		/* How much one victim has at its end differs, so the first half says what is
		 * needed. */
		if (i < 50 && now > bytes)
			bytes = now;
	}
	/* What was given to the survivor is its to keep: a few blocks a death. */
	assert_true(now <= bytes + (int64_t)(16 * MIB));
	peer_end(&survivor);
}

/* ---- what becomes of it ---- */

enum {
	OWN,
	GIVEN,
	CLAIMED,
	PUBLISHED,
	N_KINDS
};

static int64_t gives_one(uint64_t to)
{
	void *p = hak_domain_alloc(peer_domain, 1000), *q = hak_domain_alloc(peer_domain, 1000);

	must(p && q);
	peer_fill(p, 1000, 1);
	peer_fill(q, 1000, 2);
	must(hak_give(peer_domain, p, to) == 0 && hak_publish(peer_domain, q) == 0);
	peer_board->word[GIVEN] = (uintptr_t)p;
	peer_board->word[CLAIMED] = (uintptr_t)q;
	return 0;
}

static int64_t has_one_of_each(uint64_t heir)
{
	void *p;

	must(hak_claim(peer_domain, (void *)(uintptr_t)peer_board->word[CLAIMED]) == 0);
	peer_board->word[OWN] = (uintptr_t)(p = hak_domain_alloc(peer_domain, 1000));
	peer_fill(p, 1000, 3);
	peer_board->word[PUBLISHED] = (uintptr_t)(p = hak_domain_alloc(peer_domain, 1000));
	peer_fill(p, 1000, 4);
	must(hak_publish(peer_domain, p) == 0);
	return heir ? hak_domain_heir(peer_domain, heir) : 0;
}

static void *word(unsigned kind)
{
	return (void *)(uintptr_t)peer_board->word[kind];
}

/* What the survivor finds under each policy. */
static int64_t finds(uint64_t policy)
{
	hak_member me = hak_self(peer_domain);

	must(hak_owner(peer_domain, word(PUBLISHED)) == 0);
	must(peer_is_filled(word(PUBLISHED), 1000, 4));
	must(hak_claim(peer_domain, word(PUBLISHED)) == 0);
	must(hak_claim(peer_domain, word(OWN)) < 0);
	if (policy == HAK_ORPHAN_FREE) {
		/* But for the one that was just claimed. */
		must(peer_stat().adopted == 1 && peer_stat().published == 0);
	} else {
		hak_member owner = policy == HAK_ORPHAN_HEIR ? me : 0;

		must(hak_owner(peer_domain, word(GIVEN)) == owner);
		must(hak_owner(peer_domain, word(CLAIMED)) == owner);
		must(peer_is_filled(word(GIVEN), 1000, 1));
		must(peer_is_filled(word(CLAIMED), 1000, 2));
		hak_domain_free(peer_domain, word(GIVEN));
		hak_domain_free(peer_domain, word(CLAIMED));
	}
	hak_domain_free(peer_domain, word(PUBLISHED));
	return hak_domain_unlink("test"); /* the next one has another policy */
}

static void what_the_dead_owned_follows_the_policy(void **state)
{
	for (unsigned policy = HAK_ORPHAN_FREE; policy <= HAK_ORPHAN_HEIR; policy++) {
		struct peer survivor, victim;
		uint64_t heir, dies;

		peer_board->word[PEER_WORDS - 2] = policy;
		survivor = peer_member(*state, 0);
		victim = peer_member(*state, 0);
		heir = (uint64_t)peer_do(&survivor, self, 0);
		dies = (uint64_t)peer_do(&victim, self, 0);
		assert_int_equal(peer_do(&survivor, gives_one, dies), 0);
		assert_int_equal(
			peer_do(&victim, has_one_of_each, policy == HAK_ORPHAN_HEIR ? heir : 0), 0);
		peer_kill(&victim);
		assert_int_equal(peer_do(&survivor, await_end_of, dies), 0);
		assert_int_equal(peer_do(&survivor, finds, policy), 0);
		peer_end(&survivor);
	}
}

static int64_t closes(uint64_t unused)
{
	peer_domain = hak_domain_close(peer_domain);
	return 0;
}

static int64_t owns_nothing_else(uint64_t unused)
{
	struct hak_domain_stat s = peer_stat();

	must(s.members == 1 && s.held_bytes == s.own_bytes);
	return 0;
}

static void who_leaves_is_swept_as_well(void **state)
{
	struct peer a = peer_member(*state, 0), b = peer_member(*state, 0);
	uint64_t leaves = (uint64_t)peer_do(&b, self, 0);

	assert_int_equal(peer_do(&b, keeps_blocks, 0), 0);
	assert_int_equal(peer_do(&b, closes, 0), 0);
	assert_int_equal(peer_do(&a, await_end_of, leaves), 0);
	assert_int_equal(peer_do(&a, owns_nothing_else, 0), 0);
	peer_end(&a);
	peer_end(&b);
}

/* ---- the daemon ---- */

static int64_t goes_on_without(uint64_t unused)
{
	hak_domain *d = NULL;
	void *p;
	int n = 0;

	for (unsigned i = 0; i < 3; i++)
		(void)still_has_them(i);
	while ((p = hak_domain_alloc(peer_domain, 100000)) && n < 1000)
		n++;
	must(!p && errno == ENOMEM && *hak_detail());
	must(hak_domain_open(&d, "other", HAK_CREATE, NULL) == -ENOTCONN && *hak_detail());
	must(hak_domain_unlink("test") == -ENOTCONN);
	(void)still_has_them(0);
	peer_domain = hak_domain_close(peer_domain);
	return 0;
}

static void members_outlive_the_daemon(void **state)
{
	struct rig *rig = *state;
	struct peer a = peer_member(rig, HAK_INFO_EMBEDDED), b = peer_member(rig, HAK_INFO_DAEMON);

	assert_int_equal(peer_do(&a, keeps_blocks, 0), 0);
	assert_int_equal(peer_do(&b, keeps_blocks, 0), 0);
	(void)kill(rig->pid, SIGKILL);
	assert_int_equal(rig_wait_exit(rig), -SIGKILL);
	assert_int_equal(peer_do(&a, goes_on_without, 0), 0);
	assert_int_equal(peer_do(&b, goes_on_without, 0), 0);
	peer_end(&a);
	peer_end(&b);
	rig_launch(rig, NULL);
	rig_wait_ready(rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, peer_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_hundred_deaths_cost_nothing),
		TEST(what_the_dead_owned_follows_the_policy),
		TEST(who_leaves_is_swept_as_well),
		TEST(members_outlive_the_daemon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
