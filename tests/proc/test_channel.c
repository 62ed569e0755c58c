/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels between processes: messages, time limits, and who is gone. test_channel_kill.c has those
 * that are killed at any moment.
 */
#include "tests/proc/channels.h"

#include <errno.h>
#include <sys/wait.h>

#include "shared/sys.h"

static hak_channel *back; /* of a peer */

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
		must(!hak_channel_send(channel, p, CHANNELS_DEADLINE_MS));
		must(!hak_channel_recv(back, &p, CHANNELS_DEADLINE_MS));
	}
	start = hak_sys_now_ns() - start;
	(void)verify_and_free(p);
	return (int64_t)(start / rounds / 2);
}

static int64_t pongs(uint64_t rounds)
{
	void *p;

	for (uint64_t i = 0; i < rounds; i++) {
		must(!hak_channel_recv(channel, &p, CHANNELS_DEADLINE_MS));
		must(!hak_channel_send(back, p, CHANNELS_DEADLINE_MS));
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, peer_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_message_goes_forth_and_back),
		TEST(time_limits_are_kept),
		TEST(misuse_is_an_error),
		TEST(all_receivers_gone_is_a_broken_pipe),
		TEST(all_senders_gone_is_a_broken_pipe_when_it_is_empty),
		TEST(what_is_dropped_goes_with_the_last_receiver),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
