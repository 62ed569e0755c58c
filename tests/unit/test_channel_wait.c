/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/channel_local.h"

#include <errno.h>

#define ALL (HAK_CHANNEL_SENDERS | HAK_CHANNEL_RECEIVERS)

static void open_channel(void)
{
	assert_int_equal(channel_arena_open(&arena, "c", 4, &channel), 0);
}

static void sends(void)
{
	*channel_arena_half(&arena, 0) = 2;
	assert_int_equal(channel_arena_put(&arena, &channel, 2, 0), 0);
}

static void receives(void)
{
	uint64_t offset;

	assert_int_equal(hak_channel_take(&channel, 3, &offset), 0);
}

static void sweep_dead(uint32_t member)
{
	struct hak_sweep sweep = { .member = member };

	hak_domain_sweep_names(&arena.domain, &sweep, 0, HAK_CHANNELS);
	hak_domain_sweep(&arena.domain, &sweep, 0, 1);
	assert_int_equal(sweep.broken, 0);
}

static void a_side_is_deserted_when_its_last_member_left(void **state)
{
	(void)state;
	open_channel();
	assert_false(hak_channel_deserted(channel.desc, HAK_CHANNEL_SENDERS));
	hak_channel_enter(channel.desc, 1, HAK_CHANNEL_SENDERS);
	hak_channel_enter(channel.desc, 1000, ALL);
	(void)hak_channel_leave(channel.desc, 1, ALL);
	assert_false(hak_channel_deserted(channel.desc, HAK_CHANNEL_SENDERS));
	(void)hak_channel_leave(channel.desc, 1000, HAK_CHANNEL_RECEIVERS);
	assert_false(hak_channel_deserted(channel.desc, HAK_CHANNEL_SENDERS));
	assert_true(hak_channel_deserted(channel.desc, HAK_CHANNEL_RECEIVERS));
	sweep_dead(1000);
	assert_true(hak_channel_deserted(channel.desc, HAK_CHANNEL_SENDERS));
	hak_channel_enter(channel.desc, 7, ALL);
	assert_false(hak_channel_deserted(channel.desc, HAK_CHANNEL_SENDERS));
	assert_false(hak_channel_deserted(channel.desc, HAK_CHANNEL_RECEIVERS));
}

/* What comes after the announcement ends the wait; a time-out would be a lost wake-up. */
static int wait_as(enum hak_channel_side side, uint32_t announced)
{
	return hak_channel_wait(channel.desc, side, announced, UNIT_DEADLINE_NS);
}

static void what_comes_after_the_announcement_ends_the_wait(void **state)
{
	uint32_t n;

	(void)state;
	open_channel();
	n = hak_channel_announce(channel.desc, HAK_CHANNEL_RECEIVERS);
	sends();
	assert_int_equal(wait_as(HAK_CHANNEL_RECEIVERS, n), 0);
	n = hak_channel_announce(channel.desc, HAK_CHANNEL_SENDERS);
	receives();
	assert_int_equal(wait_as(HAK_CHANNEL_SENDERS, n), 0);
	hak_channel_enter(channel.desc, 2, ALL);
	n = hak_channel_announce(channel.desc, HAK_CHANNEL_SENDERS);
	(void)hak_channel_leave(channel.desc, 2, HAK_CHANNEL_RECEIVERS);
	assert_int_equal(wait_as(HAK_CHANNEL_SENDERS, n), 0);
	n = hak_channel_announce(channel.desc, HAK_CHANNEL_RECEIVERS);
	sweep_dead(2);
	assert_int_equal(wait_as(HAK_CHANNEL_RECEIVERS, n), 0);
}

static void nobody_is_counted_up_who_does_not_wait(void **state)
{
	uint32_t n;

	(void)state;
	open_channel();
	n = channel.desc->sent;
	sends();
	receives();
	assert_int_equal(channel.desc->sent, n);
	assert_int_equal(channel.desc->received, 0);
	n = hak_channel_announce(channel.desc, HAK_CHANNEL_RECEIVERS);
	assert_int_equal(hak_channel_wait(channel.desc, HAK_CHANNEL_RECEIVERS, n, 1000),
			 -ETIMEDOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_side_is_deserted_when_its_last_member_left),
		TEST(what_comes_after_the_announcement_ends_the_wait),
		TEST(nobody_is_counted_up_who_does_not_wait),
#undef TEST
	};

	return cmocka_run_group_tests_name("channel_wait", tests, NULL, NULL);
}
