/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/channel_local.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define LAPS HAK_CHANNEL_LAPS

static void open_with(uint32_t capacity)
{
	assert_int_equal(channel_arena_open(&arena, "c", capacity, &channel), 0);
	assert_int_equal(channel.mask + 1, capacity);
}

static uint64_t block(uint32_t i)
{
	return channel_arena_offset(i);
}

static _Atomic uint16_t *half(uint32_t i)
{
	return channel_arena_half(&arena, block(i));
}

/* Member `me` owns block i. */
static int put(uint32_t me, uint32_t i)
{
	return channel_arena_put(&arena, &channel, me, block(i));
}

static void send(uint32_t me, uint32_t i)
{
	*half(i) = (uint16_t)me;
	assert_int_equal(put(me, i), 0);
	assert_int_equal(*half(i), HAK_HALF_CHANNEL | channel.number);
}

static void receives(uint32_t me, uint32_t i)
{
	uint64_t offset = UINT64_MAX;

	assert_int_equal(hak_channel_take(&channel, me, &offset), 0);
	assert_int_equal(offset, block(i));
	assert_int_equal(*half(i), me);
}

static void receives_nothing(uint32_t me)
{
	uint64_t offset = 7;

	assert_int_equal(hak_channel_take(&channel, me, &offset), HAK_CHANNEL_E_EMPTY);
	assert_int_equal(offset, 7);
}

/* As if all laps before `lap` had been. */
static void begin_at_lap(uint64_t lap)
{
	for (uint32_t i = 0; i <= channel.mask; i++)
		channel.word[i] = hak_channel_word_empty(lap);
	channel.desc->head = channel.desc->tail = lap << channel.shift;
}

static void sweep_dead(uint32_t member)
{
	struct hak_sweep sweep = { .member = member };

	hak_domain_sweep_names(&arena.domain, &sweep, 0, HAK_CHANNELS);
	hak_domain_sweep(&arena.domain, &sweep, 0, 1);
	assert_int_equal(sweep.broken, 0);
}

/* ---- names ---- */

static void a_name_is_found_again(void **state)
{
	uint32_t a, b;

	(void)state;
	assert_int_equal(hak_channel_find(&arena.domain, "jobs", false, &a), -ENOENT);
	assert_int_equal(hak_channel_find(&arena.domain, "jobs", true, &a), 0);
	assert_int_equal(hak_channel_find(&arena.domain, "jobs", false, &b), 0);
	assert_int_equal(a, b);
	assert_string_equal(arena.domain.channels[a].name, "jobs");
	assert_int_equal(hak_channel_find(&arena.domain, "results", true, &b), 0);
	assert_int_not_equal(a, b);
	assert_int_equal(hak_channel_find(&arena.domain, "", true, &b), -EINVAL);
	assert_int_equal(hak_channel_find(&arena.domain, "a/b", true, &b), -EINVAL);
}

static void there_are_256_channels(void **state)
{
	uint32_t number;
	bool seen[HAK_CHANNELS] = { false };
	char name[16];

	(void)state;
	for (uint32_t i = 0; i < HAK_CHANNELS; i++) {
		(void)snprintf(name, sizeof(name), "c%" PRIu32, i);
		assert_int_equal(hak_channel_find(&arena.domain, name, true, &number), 0);
		assert_false(seen[number]);
		seen[number] = true;
	}
	assert_int_equal(hak_channel_find(&arena.domain, "more", true, &number), -ENOSPC);
	assert_int_equal(hak_channel_find(&arena.domain, "more", false, &number), -ENOENT);
	assert_int_equal(hak_channel_find(&arena.domain, "c7", true, &number), 0);
}

static void the_first_capacity_stays(void **state)
{
	struct hak_channel_view other;

	(void)state;
	assert_int_equal(channel_arena_open(&arena, "c", 5, &channel), 0);
	assert_int_equal(channel.mask, 7);
	assert_int_equal(channel_arena_open(&arena, "c", 64, &other), 0);
	assert_int_equal(other.mask, 7);
	assert_int_equal(channel_arena_open(&arena, "d", HAK_CHANNEL_CAPACITY_MAX, &other), 0);
	assert_int_equal(other.mask, HAK_CHANNEL_CAPACITY_MAX - 1);
	for (uint64_t garbage = 18; garbage; garbage <<= 1) {
		channel.desc->ring = garbage;
		assert_false(hak_channel_view_init(&other, &arena.domain, channel.number));
	}
	channel.desc->ring = 0;
	assert_false(hak_channel_view_init(&other, &arena.domain, channel.number));
	assert_false(hak_channel_view_init(&other, &arena.domain, HAK_CHANNELS));
}

/* ---- messages ---- */

static void messages_come_out_in_order(void **state)
{
	(void)state;
	open_with(8);
	receives_nothing(3);
	for (uint32_t lap = 0; lap < 40; lap++) {
		uint32_t n = 1 + lap % 8;

		for (uint32_t i = 0; i < n; i++)
			send(2, i);
		assert_int_equal(hak_channel_fill(&channel), n);
		for (uint32_t i = 0; i < n; i++)
			receives(3, i);
		receives_nothing(3);
		assert_int_equal(hak_channel_fill(&channel), 0);
	}
}

static void a_full_channel_leaves_the_block_as_it_was(void **state)
{
	static const uint32_t owned[] = { 0, 2 }; /* by the lease, or expressly */

	(void)state;
	for (uint32_t shift = 0; shift < 4; shift++) {
		char name[] = { 'a' + (char)shift, 0 };

		assert_int_equal(channel_arena_open(&arena, name, 1u << shift, &channel), 0);
		for (uint32_t i = 0; i < 1u << shift; i++)
			send(2, i);
		for (uint32_t i = 0; i < 2; i++) {
			*half(99) = (uint16_t)owned[i];
			assert_int_equal(put(2, 99), HAK_CHANNEL_E_FULL);
			assert_int_equal(*half(99), owned[i]);
		}
		receives(3, 0);
		assert_int_equal(put(2, 99), 0);
		for (uint32_t i = 1; i < 1u << shift; i++)
			receives(3, i);
		receives(3, 99);
		receives_nothing(3);
	}
}

static void what_is_not_the_senders_is_not_sent(void **state)
{
	static const uint16_t others[] = { 3,
					   HAK_HALF_T | 2,
					   HAK_HALF_T | 3,
					   HAK_HALF_PUBLISHED,
					   HAK_HALF_FREED,
					   HAK_HALF_CHANNEL | 9 };

	(void)state;
	open_with(4);
	for (uint32_t i = 0; i < hak_array_size(others); i++) {
		*half(0) = (uint16_t)others[i];
		assert_int_equal(put(2, 0), HAK_CHANNEL_E_NOT_OWN);
		assert_int_equal(*half(0), others[i]);
	}
	receives_nothing(3);
}

static void laps_wrap(void **state)
{
	static const uint32_t capacities[] = { 1, 2, 8 };

	(void)state;
	for (uint32_t k = 0; k < 3; k++) {
		uint32_t capacity = capacities[k];
		char name[] = { 'a' + (char)k, 0 };

		assert_int_equal(channel_arena_open(&arena, name, capacity, &channel), 0);
		begin_at_lap(LAPS - 2);
		for (uint32_t i = 0; i < 5 * capacity; i++) {
			send(2, i);
			if (capacity > 1)
				send(2, 1000 + i);
			receives(3, i);
			if (capacity > 1)
				receives(3, 1000 + i);
			receives_nothing(3);
		}
		for (uint32_t i = 0; i < capacity; i++)
			send(2, i);
		*half(99) = 2;
		assert_int_equal(put(2, 99), HAK_CHANNEL_E_FULL);
	}
}

/* ---- who died in between ---- */

/* What member 2 leaves behind that dies while it sends block i: after its half-word, its word, and
 * its tail. */
static void send_up_to(uint32_t step, uint32_t i)
{
	uint64_t tail = channel.desc->tail;

	*half(i) = (uint16_t)(HAK_HALF_T | 2);
	if (step >= 1)
		channel.word[tail & channel.mask] =
			hak_channel_word_full(tail >> channel.shift, block(i));
	if (step >= 2)
		channel.desc->tail = tail + 1;
}

static void a_senders_death_stops_nobody(void **state)
{
	(void)state;
	open_with(4);
	for (uint32_t step = 0; step < 3; step++) {
		send(5, 10);
		send_up_to(step, 0);
		send(5, 11);
		receives(6, 10);
		receives(6, 11);
		receives_nothing(6);
		send(5, 12);
		receives(7, 12);
		receives_nothing(6);
		assert_int_equal(*half(0), HAK_HALF_T | 2);
		sweep_dead(2);
		if (step)
			receives(6, 0);
		receives_nothing(6);
		assert_int_equal(*half(0), step ? 6 : HAK_HALF_FREED);
		assert_int_equal(hak_channel_fill(&channel), 0);
	}
}

static void its_place_is_free_after_the_sweep(void **state)
{
	(void)state;
	open_with(1);
	for (uint32_t step = 0; step < 3; step++) {
		send_up_to(step, 0);
		if (step) {
			*half(1) = 5;
			assert_int_equal(put(5, 1), HAK_CHANNEL_E_FULL);
			receives_nothing(6);
			sweep_dead(2);
			receives(6, 0);
		}
		send(5, 1);
		receives(6, 1);
	}
}

/* What member 2 leaves behind that dies while it receives the first message, block i. */
static void receive_up_to(uint32_t step, uint32_t i)
{
	uint64_t head = channel.desc->head;

	*half(i) = 2;
	if (step >= 1)
		channel.word[head & channel.mask] =
			hak_channel_word_empty((head >> channel.shift) + 1);
}

static void a_receivers_death_stops_nobody(void **state)
{
	(void)state;
	for (uint32_t step = 0; step < 2; step++) {
		char name[] = { 'a' + (char)step, 0 };

		assert_int_equal(channel_arena_open(&arena, name, 4, &channel), 0);
		send(5, 0);
		send(5, 1);
		receive_up_to(step, 0);
		receives(6, 1);
		receives_nothing(6);
		/* Round and round without the sweep. */
		for (uint32_t i = 0; i < 20; i++) {
			send(5, 10 + i);
			receives(6 + i % 2, 10 + i);
			receives_nothing(6);
		}
		for (uint32_t i = 0; i < 4; i++)
			send(5, 10 + i);
		*half(99) = 5;
		assert_int_equal(put(5, 99), HAK_CHANNEL_E_FULL);
		assert_int_equal(*half(0), 2);
	}
}

static void the_sweep_leaves_no_word_of_what_the_dead_received(void **state)
{
	(void)state;
	open_with(4);
	send(5, 0);
	send(5, 1);
	receive_up_to(0, 0);
	sweep_dead(2);
	assert_int_equal(*half(0), HAK_HALF_FREED);
	for (uint32_t i = 0; i <= channel.mask; i++)
		assert_false(channel.word[i] & HAK_CHANNEL_FULL &&
			     hak_channel_word_offset(channel.word[i]) == block(0));
	send(5, 0); /* behind the other one */
	receives(6, 1);
	receives(6, 0);
}

/* ---- what others wrote over ---- */

static void hints_are_found_again(void **state)
{
	static const uint64_t nonsense[] = { 0, 1, 77, 1u << 20, UINT64_MAX, UINT64_C(1) << 63 };

	(void)state;
	open_with(8);
	for (uint32_t lap = 1; lap < 30; lap++) {
		uint64_t n = nonsense[lap % hak_array_size(nonsense)];

		begin_at_lap(100 + lap);
		for (uint32_t i = 0; i < lap; i++) {
			send(2, i);
			receives(3, i);
		}
		send(2, 50);
		if (lap & 1)
			channel.desc->head = n;
		if (lap & 2)
			channel.desc->tail = n;
		send(2, 51);
		receives(3, 50);
		receives(3, 51);
		send(2, 52);
		receives(3, 52);
		receives_nothing(3);
	}
}

/* Whatever is written there: an answer, soon, and no block but one that was the channel's. */
static void garbage_is_an_answer(void **state)
{
	uint64_t seed = hak_sys_random(), limit = hak_sys_now_ns() + UNIT_DEADLINE_NS;

	(void)state;
	open_with(16);
	print_message("# seed %" PRIu64 "\n", seed);
	for (uint32_t round = 0; round < 20000; round++) {
		uint64_t offset = 0, x;
		int r;

		for (uint32_t i = 0; i < 4; i++) {
			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
			x = seed ^ seed >> 29;
			if (i == 0)
				channel.word[x % 16] = x >> (x % 3 * 24);
			else if (i == 1 && !(x & 7))
				channel.desc->head = x >> (x % 64);
			else if (i == 2 && !(x & 7))
				channel.desc->tail = x >> (x % 64);
			else
				*half(x % 64) =
					(uint16_t)(x & 256 ? HAK_HALF_CHANNEL | channel.number : 2);
		}
		assert_true(hak_channel_fill(&channel) <= 16);
		r = hak_channel_take(&channel, 3, &offset);
		assert_in_range(r, 0, HAK_CHANNEL_E_BROKEN);
		if (!r)
			assert_int_equal(*half((uint32_t)(offset / ARENA_SIZE)), 3);
		*half(70) = 2;
		r = put(2, 70);
		assert_in_range(r, 0, HAK_CHANNEL_E_BROKEN);
		assert_int_equal(*half(70), r ? 2 : HAK_HALF_CHANNEL | channel.number);
	}
	assert_true(hak_sys_now_ns() < limit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_name_is_found_again),
		TEST(there_are_256_channels),
		TEST(the_first_capacity_stays),
		TEST(messages_come_out_in_order),
		TEST(a_full_channel_leaves_the_block_as_it_was),
		TEST(what_is_not_the_senders_is_not_sent),
		TEST(laps_wrap),
		TEST(a_senders_death_stops_nobody),
		TEST(its_place_is_free_after_the_sweep),
		TEST(a_receivers_death_stops_nobody),
		TEST(the_sweep_leaves_no_word_of_what_the_dead_received),
		TEST(hints_are_found_again),
		TEST(garbage_is_an_answer),
#undef TEST
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
