/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels between processes of which some are killed at any moment: what was sent is received
 * once.
 */
#include "tests/proc/channels.h"

#include <errno.h>
#include <sys/mman.h>

#include "shared/sys.h"

#define SIDE     3u
#define KILLS    100u
#define MESSAGES (1u << 24) /* more than are sent */

/* What became of each message; shared by all processes. */
enum {
	UNSENT = 0,
	TRIED = 1,
	SENT = 2
};
struct ledger {
	_Atomic uint32_t next;     /* number of a message */
	_Atomic uint32_t progress; /* messages received */
	_Atomic uint32_t stop;
	_Atomic uint32_t ready;
	_Atomic uint8_t sent[MESSAGES];
	_Atomic uint8_t received[MESSAGES];
};

static struct ledger *ledger;
static int set_up(void **state)
{
	void *map = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0);

	if (map == MAP_FAILED)
		return -1;
	ledger = map;
	return peer_setup(state);
}

static int tear_down(void **state)
{
	(void)munmap(ledger, sizeof(*ledger));
	return peer_teardown(state);
}

static int64_t sends_on(uint64_t seed)
{
	ledger->ready++;
	while (!ledger->stop) {
		uint32_t n = ledger->next++;
		void *p = new_message(n, sizeof(struct message) + (n * (seed | 1)) % 3000);
		int r;

		must(n < MESSAGES);
		ledger->sent[n] = TRIED;
		/* All receivers may have been killed, for a moment. */
		do {
			(void)sched_yield();
			r = hak_channel_send(channel, p, CHANNELS_DEADLINE_MS);
		} while (r == -EPIPE && !ledger->stop);
		must(r == 0 || r == -EPIPE);
		if (r)
			hak_domain_free(peer_domain, p);
		else
			ledger->sent[n] = SENT;
	}
	return closes(0);
}

static int64_t receives_on(uint64_t unused)
{
	void *p;
	int r;

	(void)unused;
	ledger->ready++;
	for (;;) {
		r = hak_channel_recv(channel, &p, CHANNELS_DEADLINE_MS);
		/* All senders were killed, for a moment. */
		if (r == -EPIPE && !ledger->stop)
			continue;
		if (r)
			break;
		ledger->received[verify_and_free(p)]++;
		ledger->progress++;
	}
	(void)closes(0);
	return r;
}

/* A loaded machine makes an attempt to join time out; there are others. */
static struct peer join(struct rig *rig)
{
	for (uint32_t i = 0;; i++) {
		struct peer peer = peer_new(rig, 0);
		int64_t r = peer_do(&peer, peer_join, 0);

		if (!r)
			return peer;
		assert_int_equal(r, -ENOTCONN);
		assert_true(i < 20);
		peer_end(&peer);
	}
}

static struct peer start(struct rig *rig, bool is_sender, uint64_t seed)
{
	uint32_t ready = ledger->ready;
	struct peer peer = join(rig);

	assert_int_equal(peer_do(&peer, opens, 16 << 8 | (is_sender ? HAK_SEND : HAK_RECV)), 0);
	peer_begin(&peer, is_sender ? sends_on : receives_on, seed);
	while (ledger->ready == ready)
		(void)sched_yield();
	return peer;
}

/* The others do not stand still. */
static void await_progress(uint32_t n)
{
	uint64_t limit = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);
	uint32_t from = ledger->progress;

	while (ledger->progress - from < n) {
		(void)sched_yield();
		if (hak_sys_now_ns() > limit)
			fail_msg("nothing is received any more");
	}
}

static void check_ledger(uint32_t killed_receivers)
{
	uint32_t lost = 0;

	for (uint32_t i = 0; i < ledger->next; i++) {
		assert_true(ledger->received[i] <= 1);
		assert_true(!ledger->received[i] || ledger->sent[i] != UNSENT);
		lost += ledger->sent[i] == SENT && !ledger->received[i];
	}
	print_message("# %u messages, %u went with %u receivers\n", ledger->next, lost,
		      killed_receivers);
	/* Each had one in its hands at most. */
	assert_true(lost <= killed_receivers);
}

static int64_t is_tidy(uint64_t unused)
{
	struct hak_domain_stat stat = peer_stat();

	(void)unused;
	return stat.members == 1 && !stat.moving && !stat.adopted && !stat.published;
}

static void killed_peers_lose_and_double_nothing(void **state)
{
	struct rig *rig = *state;
	struct peer peers[2 * SIDE], last = peer_member(rig, 0);
	uint64_t seed = hak_sys_random();
	uint32_t killed_receivers = 0;

	print_message("# seed %llu\n", (unsigned long long)seed);
	for (uint32_t i = 0; i < 2 * SIDE; i++)
		peers[i] = start(rig, i < SIDE, seed + i);
	for (uint32_t i = 0; i < KILLS; i++) {
		uint32_t who;

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
		who = (uint32_t)(seed >> 33) % (2 * SIDE);
		await_progress((uint32_t)(seed >> 50) % 64);
		peer_kill(&peers[who]);
		killed_receivers += who >= SIDE;
		await_progress(16);
		peers[who] = start(rig, who < SIDE, seed);
	}
	ledger->stop = 1;
	for (uint32_t i = 0; i < 2 * SIDE; i++) {
		assert_int_equal(peer_result(&peers[i]), i < SIDE ? 0 : -EPIPE);
		peer_end(&peers[i]);
	}
	check_ledger(killed_receivers);
	for (uint32_t i = 0; !peer_do(&last, is_tidy, 0); i++) {
		(void)peer_do(&last, peer_await_swept, 0);
		assert_true(i < KILLS + 2 * SIDE);
	}
	peer_end(&last);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(killed_peers_lose_and_double_nothing),
	};

	return cmocka_run_group_tests_name("channel_kill", tests, NULL, NULL);
}
