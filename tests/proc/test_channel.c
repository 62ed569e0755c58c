/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels between processes: what was sent is received once, whoever is killed or waits.
 */
#include "tests/proc/peer.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "shared/sys.h"

#define SIDE        3u
#define KILLS       100u
#define MESSAGES    (1u << 24) /* more than are sent */
#define DEADLINE_MS 20000

struct message {
	uint32_t number, size;
};

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
static hak_channel *channel, *back; /* of a peer */

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

/* ---- orders ---- */

static int64_t opens(uint64_t flags)
{
	return hak_channel_open(&channel, peer_domain, "there", (uint32_t)(flags >> 8),
				(unsigned)flags & 255);
}

static int64_t closes(uint64_t unused)
{
	(void)unused;
	channel = hak_channel_close(channel);
	return 0;
}

static void *new_message(uint32_t number, size_t size)
{
	struct message *m = hak_domain_alloc(peer_domain, size);

	must(m);
	m->number = number;
	m->size = (uint32_t)size;
	memset(m + 1, (int)(number & 255), size - sizeof(*m));
	return m;
}

static uint32_t verify_and_free(void *p)
{
	const struct message *m = p;
	uint32_t number = m->number;

	must(hak_owner(peer_domain, p) == hak_self(peer_domain));
	must(m->size >= sizeof(*m) && m->size <= hak_domain_usable_size(peer_domain, p));
	for (uint32_t i = 0; i < m->size - sizeof(*m); i++)
		must(((const unsigned char *)(m + 1))[i] == (number & 255));
	hak_domain_free(peer_domain, p);
	return number;
}

/* A new message, with the time limit in arg. */
static int64_t sends(uint64_t timeout_ms)
{
	void *p = new_message(7, 100);
	int r = hak_channel_send(channel, p, (int)(int64_t)timeout_ms);

	if (r) /* still ours */
		must(verify_and_free(p) == 7);
	return r;
}

static int64_t receives(uint64_t timeout_ms)
{
	void *p;
	int r = hak_channel_recv(channel, &p, (int)(int64_t)timeout_ms);

	if (!r)
		(void)verify_and_free(p);
	return r;
}

/* ---- forth and back ---- */

static int64_t opens_both(uint64_t is_first)
{
	must(!hak_channel_open(&channel, peer_domain, "there", 0, is_first ? HAK_SEND : HAK_RECV));
	return hak_channel_open(&back, peer_domain, "back", 0, is_first ? HAK_RECV : HAK_SEND);
}

/* ns for one way. */
static int64_t pings(uint64_t rounds)
{
	void *p = new_message(1, 64);
	uint64_t start = hak_sys_now_ns();

	for (uint64_t i = 0; i < rounds; i++) {
		must(!hak_channel_send(channel, p, DEADLINE_MS));
		must(!hak_channel_recv(back, &p, DEADLINE_MS));
	}
	start = hak_sys_now_ns() - start;
	(void)verify_and_free(p);
	return (int64_t)(start / rounds / 2);
}

static int64_t pongs(uint64_t rounds)
{
	void *p;

	for (uint64_t i = 0; i < rounds; i++) {
		must(!hak_channel_recv(channel, &p, DEADLINE_MS));
		must(!hak_channel_send(back, p, DEADLINE_MS));
	}
	return 0;
}

static void a_message_goes_forth_and_back(void **state)
{
	struct peer a = peer_member(*state, 0), b = peer_member(*state, 0);

	assert_int_equal(peer_do(&a, opens_both, 1), 0);
	assert_int_equal(peer_do(&b, opens_both, 0), 0);
	peer_begin(&b, pongs, 20000);
	peer_begin(&a, pings, 20000);
	print_message("# %d ns for one way\n", (int)peer_result(&a));
	assert_int_equal(peer_result(&b), 0);
	peer_end(&a);
	peer_end(&b);
}

/* ---- time limits ---- */

static int64_t is_late(uint64_t is_sender)
{
	uint64_t start = hak_sys_now_ns();
	int64_t r = is_sender ? sends(150) : receives(150);

	must(!strcmp(hak_detail(), is_sender ? "the channel was full all the time"
					     : "the channel was empty all the time"));
	return r == -ETIMEDOUT && hak_sys_now_ns() - start >= 150 * UINT64_C(1000000);
}

static int64_t says_why(uint64_t is_sender)
{
	return !strcmp(hak_detail(), is_sender ? "the channel is full" : "the channel is empty");
}

static void time_limits_are_kept(void **state)
{
	struct peer a = peer_member(*state, 0), b = peer_member(*state, 0);

	assert_int_equal(peer_do(&a, opens, 2 << 8 | HAK_SEND), 0);
	assert_int_equal(peer_do(&b, opens, HAK_RECV), 0);
	assert_int_equal(peer_do(&b, receives, 0), -EAGAIN);
	assert_int_equal(peer_do(&b, says_why, 0), 1);
	assert_int_equal(peer_do(&b, is_late, 0), 1);
	assert_int_equal(peer_do(&a, sends, 0), 0);
	assert_int_equal(peer_do(&a, sends, 0), 0);
	assert_int_equal(peer_do(&a, sends, 0), -EAGAIN);
	assert_int_equal(peer_do(&a, says_why, 1), 1);
	assert_int_equal(peer_do(&a, is_late, 1), 1);
	/* Woken, or in time without. */
	peer_begin(&a, sends, UINT64_MAX);
	assert_int_equal(peer_do(&b, receives, 0), 0);
	assert_int_equal(peer_result(&a), 0);
	assert_int_equal(peer_do(&b, receives, 0), 0);
	assert_int_equal(peer_do(&b, receives, 0), 0);
	peer_begin(&b, receives, UINT64_MAX);
	assert_int_equal(peer_do(&a, sends, 0), 0);
	assert_int_equal(peer_result(&b), 0);
	peer_end(&a);
	peer_end(&b);
}

/* ---- what is an error ---- */

static int64_t errs(uint64_t unused)
{
	hak_channel *other;
	void *p = hak_domain_alloc(peer_domain, 10);
	int on_stack;

	(void)unused;
	must(p);
	must(hak_channel_open(&other, peer_domain, "a/b", 0, HAK_SEND) == -EINVAL);
	must(hak_channel_open(&other, peer_domain, "x", 65537, HAK_SEND) == -EINVAL);
	must(hak_channel_open(&other, peer_domain, "x", 0, 0) == -EINVAL);
	must(hak_channel_open(&other, peer_domain, "x", 0, 4) == -EINVAL);
	must(!hak_channel_open(&other, peer_domain, "x", 65536, HAK_SEND));
	must(hak_channel_recv(other, &p, 0) == -EINVAL);
	must(hak_channel_send(other, &on_stack, 0) == -EINVAL);
	must(hak_channel_send(other, (char *)p + 8, 0) == -EINVAL);
	must(!hak_channel_send(other, p, 0));
	must(hak_channel_send(other, p, 0) == -EPERM);
	must(!hak_channel_close(other) && !hak_channel_close(NULL));
	return 0;
}

static int64_t forks(uint64_t unused)
{
	int status;
	pid_t pid = fork();
	void *p;

	(void)unused;
	must(pid >= 0);
	if (!pid) {
		must(hak_channel_recv(channel, &p, 0) == -EOWNERDEAD);
		must(!hak_channel_close(channel));
		_exit(0);
	}
	must(waitpid(pid, &status, 0) == pid && !status);
	return receives(0);
}

static int64_t closes_domain_first(uint64_t unused)
{
	void *p;

	(void)unused;
	must(!hak_domain_close(peer_domain));
	must(hak_channel_recv(channel, &p, 0) == -EBADF);
	must(!hak_channel_close(channel));
	return 0;
}

static void misuse_is_an_error(void **state)
{
	struct peer a = peer_member(*state, 0), b = peer_member(*state, 0);

	assert_int_equal(peer_do(&a, errs, 0), 0);
	assert_int_equal(peer_do(&a, opens, HAK_SEND), 0);
	assert_int_equal(peer_do(&b, opens, HAK_RECV), 0);
	assert_int_equal(peer_do(&a, sends, 0), 0);
	/* The child's end is not the end of its parent's handle. */
	assert_int_equal(peer_do(&b, forks, 0), 0);
	assert_int_equal(peer_do(&b, receives, 0), -EAGAIN);
	assert_int_equal(peer_do(&b, closes_domain_first, 0), 0);
	peer_end(&a);
	peer_end(&b);
}

/* ---- who is gone ---- */

static void all_receivers_gone_is_a_broken_pipe(void **state)
{
	struct peer a = peer_member(*state, 0), b = peer_member(*state, 0),
		    c = peer_member(*state, 0);

	assert_int_equal(peer_do(&a, opens, 1 << 8 | HAK_SEND), 0);
	/* There never was one: it may come. */
	assert_int_equal(peer_do(&a, sends, 0), 0);
	assert_int_equal(peer_do(&a, sends, 0), -EAGAIN);
	assert_int_equal(peer_do(&b, opens, HAK_RECV), 0);
	assert_int_equal(peer_do(&c, opens, HAK_RECV), 0);
	assert_int_equal(peer_do(&b, closes, 0), 0);
	assert_int_equal(peer_do(&a, sends, 0), -EAGAIN);
	peer_begin(&a, sends, UINT64_MAX);
	peer_kill(&c);
	assert_int_equal(peer_result(&a), -EPIPE);
	/* Another one gets what is there. */
	assert_int_equal(peer_do(&b, opens, HAK_RECV), 0);
	assert_int_equal(peer_do(&b, receives, 0), 0);
	assert_int_equal(peer_do(&a, sends, 0), 0);
	peer_end(&a);
	peer_end(&b);
}

static void all_senders_gone_is_a_broken_pipe_when_it_is_empty(void **state)
{
	struct peer a = peer_member(*state, 0), b = peer_member(*state, 0);

	assert_int_equal(peer_do(&b, opens, HAK_RECV), 0);
	assert_int_equal(peer_do(&b, receives, 0), -EAGAIN);
	assert_int_equal(peer_do(&a, opens, HAK_SEND), 0);
	assert_int_equal(peer_do(&a, sends, 0), 0);
	assert_int_equal(peer_do(&a, sends, 0), 0);
	assert_int_equal(peer_do(&a, closes, 0), 0);
	assert_int_equal(peer_do(&b, receives, 0), 0);
	assert_int_equal(peer_do(&b, receives, UINT64_MAX), 0);
	assert_int_equal(peer_do(&b, receives, UINT64_MAX), -EPIPE);
	assert_int_equal(peer_do(&a, opens, HAK_SEND), 0);
	peer_begin(&b, receives, UINT64_MAX);
	peer_kill(&a);
	assert_int_equal(peer_result(&b), -EPIPE);
	peer_end(&b);
}

static int64_t under_way(uint64_t await_sweep)
{
	if (await_sweep)
		(void)peer_await_event(HAK_EVENT_SWEPT);
	return (int64_t)peer_stat().moving;
}

static void what_is_dropped_goes_with_the_last_receiver(void **state)
{
	struct peer a = peer_member(*state, 0), b = peer_member(*state, 0);

	assert_int_equal(peer_do(&a, opens, 4 << 8 | HAK_SEND | HAK_DROP), 0);
	assert_int_equal(peer_do(&a, sends, 0), 0); /* it may still come */
	assert_int_equal(peer_do(&b, opens, HAK_RECV), 0);
	assert_int_equal(peer_do(&a, under_way, 0), 1);
	assert_int_equal(peer_do(&b, closes, 0), 0);
	assert_int_equal(peer_do(&a, under_way, 0), 0);
	assert_int_equal(peer_do(&b, opens, HAK_RECV), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(peer_do(&a, sends, 0), 0);
	peer_kill(&b);
	assert_int_equal(peer_do(&a, under_way, 1), 0);
	assert_int_equal(peer_do(&a, sends, 0), -EPIPE);
	peer_end(&a);
}

/* ---- killed at any moment ---- */

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
			r = hak_channel_send(channel, p, DEADLINE_MS);
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
		r = hak_channel_recv(channel, &p, DEADLINE_MS);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_message_goes_forth_and_back),
		TEST(time_limits_are_kept),
		TEST(misuse_is_an_error),
		TEST(all_receivers_gone_is_a_broken_pipe),
		TEST(all_senders_gone_is_a_broken_pipe_when_it_is_empty),
		TEST(what_is_dropped_goes_with_the_last_receiver),
		TEST(killed_peers_lose_and_double_nothing),
#undef TEST
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
