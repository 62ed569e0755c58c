/* SPDX-License-Identifier: Apache-2.0 */
/* Superslabs granted before they are asked for: taken without a word, taken back at will. */
#include <errno.h>
#include <string.h>

#include "shared/refusal.h"
#include "tests/proc/rig.h"

static struct hak_reserve *table(const struct raw *raw)
{
	return hak_at(raw->segment, HAK_SEGMENT_RESERVE_OFF);
}

static int want(struct raw *raw, uint32_t count)
{
	struct hak_sqe sqe = raw_entry(raw, HAK_OP_RESERVE);
	struct hak_cqe cqe;

	sqe.count = count;
	sqe.node = HAK_NODE_ANY;
	return raw_call(raw, &sqe, &cqe);
}

static int give_back(struct raw *raw, uint32_t first)
{
	struct hak_sqe sqe = raw_entry(raw, HAK_OP_RETURN);
	struct hak_cqe cqe;

	sqe.first = first;
	sqe.count = 1;
	return raw_call(raw, &sqe, &cqe);
}

static uint32_t ready(const struct raw *raw)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < HAK_RESERVE_SLOTS; i++)
		n += hak_reserve_state(hak_reserve_look(table(raw), i)) == HAK_RESERVE_READY;
	return n;
}

static bool take(const struct raw *raw, uint32_t *ret_superslab)
{
	for (uint32_t i = 0; i < HAK_RESERVE_SLOTS; i++) {
		if (hak_reserve_take(table(raw), i, ret_superslab))
			return true;
	}
	return false;
}

static void await_ready(struct rig *rig, const struct raw *raw, uint32_t n)
{
	for (int tries = 0; ready(raw) != n; tries++) {
		assert_true(tries < 200000);
		(void)rig_status(rig); /* a round trip to wait with; fails when the daemon dies */
	}
}

static struct hak_report_session only_session(struct rig *rig)
{
	struct hak_report_session record;

	assert_int_equal(raw_sessions(rig->socket, &record, 1), 1);
	return record;
}

static void what_is_wanted_gets_ready_and_can_be_taken(void **state)
{
	struct rig *rig = *state;
	struct hak_report_session s;
	bool seen[16] = { false };
	struct raw raw;
	uint32_t at = 99;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_false(take(&raw, &at));
	assert_int_equal(want(&raw, 3), 0);
	await_ready(rig, &raw, 3);
	s = only_session(rig);
	assert_int_equal(s.superslabs, 3); /* charged from the grant on */
	assert_int_equal(s.reserve, 3);
	assert_int_equal(s.granted, 0);
	for (int i = 0; i < 3; i++) {
		assert_true(take(&raw, &at));
		assert_true(at < 16 && !seen[at]);
		seen[at] = true;
	}
	assert_false(take(&raw, &at));
	/* It learns of it with the next request, and refills. */
	assert_int_equal(want(&raw, 3), 0);
	await_ready(rig, &raw, 3);
	s = only_session(rig);
	assert_int_equal(s.superslabs, 6);
	assert_int_equal(s.reserve, 3);
	assert_int_equal(s.granted, 3);
	/* What was taken is leased like any other. */
	for (uint32_t i = 0; i < 16; i++) {
		if (seen[i])
			assert_int_equal(give_back(&raw, i), 0);
	}
	assert_int_equal(only_session(rig).superslabs, 3);
	raw_close(&raw);
	rig_wait_sessions(rig, 0);
	rig_wait_leased(rig, 0);
}

static void fewer_are_wanted_and_the_rest_goes(void **state)
{
	struct rig *rig = *state;
	struct raw raw;
	uint32_t at;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(want(&raw, HAK_RESERVE_SLOTS), 0);
	await_ready(rig, &raw, HAK_RESERVE_SLOTS);
	assert_int_equal(want(&raw, 0), 0);
	await_ready(rig, &raw, 0);
	assert_false(take(&raw, &at));
	assert_int_equal(only_session(rig).superslabs, 0);
	raw_close(&raw);
}

static void an_idle_client_loses_what_it_did_not_take(void **state)
{
	struct rig *rig = *state;
	struct raw raw;
	uint32_t at;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(want(&raw, 8), 0);
	await_ready(rig, &raw, 8);
	assert_true(take(&raw, &at));
	rig_wait_leased(rig, 1); /* decay is 100 ms; the client was not asked */
	assert_int_equal(ready(&raw), 0);
	assert_int_equal(only_session(rig).granted, 1);
	/* And can have more again. */
	assert_int_equal(want(&raw, 2), 0);
	await_ready(rig, &raw, 2);
	assert_true(take(&raw, &at));
	raw_close(&raw);
}

static void a_grant_that_was_not_taken_cannot_be_returned(void **state)
{
	struct rig *rig = *state;
	char text[HAK_WIRE_TEXT];
	struct hak_sqe sqe;
	struct raw raw;
	int code;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(want(&raw, 1), 0);
	await_ready(rig, &raw, 1);
	sqe = raw_entry(&raw, HAK_OP_RETURN);
	sqe.first = 0;
	sqe.count = 1;
	assert_int_equal(raw_push(&raw, &sqe), 0);
	assert_int_equal(raw_wait_refused(raw.sock, &code, text), 0);
	assert_non_null(strstr(text, "not leased"));
	raw_close(&raw);
}

/* Any word that is neither the grant nor its taken form. */
static void writing_over_the_table_ends_the_session_only(void **state)
{
	struct rig *rig = *state;
	struct raw bystander;

	assert_int_equal(raw_open(&bystander, rig->socket), 0);
	for (int kind = 0; kind < 5; kind++) {
		char text[HAK_WIRE_TEXT];
		struct hak_sqe sqe;
		struct raw raw;
		uint64_t word;
		int code;

		assert_int_equal(raw_open(&raw, rig->socket), 0);
		assert_int_equal(want(&raw, 2), 0);
		await_ready(rig, &raw, 2);
		word = hak_reserve_look(table(&raw), 0);
		word = kind == 0   ? 0
		       : kind == 1 ? UINT64_MAX
		       : kind == 2 ? word ^ 1                   /* another superslab */
		       : kind == 3 ? word + (UINT64_C(1) << 32) /* another generation */
				   : hak_reserve_taken(word) ^ (UINT64_C(1) << 40);
		atomic_store(&table(&raw)->slot[0], word);
		sqe = raw_entry(&raw, HAK_OP_NOP);
		assert_int_equal(raw_push(&raw, &sqe), 0);
		assert_int_equal(raw_wait_refused(raw.sock, &code, text), 0);
		assert_int_equal(code, -EPROTO);
		assert_string_equal(text, "the reserve was written over");
		raw_close(&raw);
		assert_int_equal(raw_nop(&bystander), 0);
	}
	/* Slots that nothing was granted in are nobody's business. */
	atomic_store(&table(&bystander)->slot[31], UINT64_MAX);
	assert_int_equal(raw_nop(&bystander), 0);
	assert_int_equal(want(&bystander, HAK_RESERVE_SLOTS), 0);
	await_ready(rig, &bystander, HAK_RESERVE_SLOTS);
	raw_close(&bystander);
}

static void expect_refused(struct rig *rig, uint64_t times, uint64_t session)
{
	struct hak_report_status status = rig_status(rig);
	struct hak_report_limit limit;

	assert_int_equal(status.refused_total, times);
	assert_int_equal(status.refusal, times ? HAK_REFUSAL_TOTAL_BYTES : 0);
	assert_int_equal(status.refusal_session, session);
	assert_true(raw_limit(rig->socket, "total-bytes", 0, &limit));
	assert_int_equal(limit.hits, times);
	assert_int_equal(limit.used, limit.limit);
}

/* total-bytes is 16 MiB: eight superslabs. */
static void a_reserve_gives_way_to_who_needs_it(void **state)
{
	struct rig *rig = *state;
	struct raw idle, needy;
	uint32_t first;

	assert_int_equal(raw_open(&idle, rig->socket), 0);
	assert_int_equal(raw_open(&needy, rig->socket), 0);
	assert_int_equal(want(&idle, 32), 0); /* more than can be had */
	await_ready(rig, &idle, 8);
	assert_int_equal(raw_lease(&needy, 5, &first), 0);
	assert_int_equal(ready(&idle), 0);
	assert_int_equal(raw_lease(&needy, 3, &first), 0);
	/* Until here nobody was refused anything, and nothing says so. */
	expect_refused(rig, 0, 0);
	assert_int_equal(raw_lease(&needy, 1, &first), -ENOMEM);
	expect_refused(rig, 1, needy.session_id);
	assert_int_equal(want(&idle, 32), 0);
	assert_int_equal(raw_nop(&idle), 0);
	assert_int_equal(ready(&idle), 0);
	expect_refused(rig, 1, needy.session_id);
	raw_close(&idle);
	raw_close(&needy);
}

static int setup(void **state)
{
	*state = rig_start("[stock]\ndecay = 3600 s\n");
	return 0;
}

static int setup_quick(void **state)
{
	*state = rig_start("[stock]\ndecay = 100 ms\n");
	return 0;
}

static int setup_small(void **state)
{
	*state = rig_start("[stock]\ndecay = 3600 s\n[limits]\ntotal-bytes = 16 MiB\n");
	return 0;
}

#define TEST(name)  cmocka_unit_test_setup_teardown(name, setup, rig_teardown)
#define QUICK(name) cmocka_unit_test_setup_teardown(name, setup_quick, rig_teardown)
#define SMALL(name) cmocka_unit_test_setup_teardown(name, setup_small, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_wanted_gets_ready_and_can_be_taken),
		TEST(fewer_are_wanted_and_the_rest_goes),
		QUICK(an_idle_client_loses_what_it_did_not_take),
		TEST(a_grant_that_was_not_taken_cannot_be_returned),
		TEST(writing_over_the_table_ends_the_session_only),
		SMALL(a_reserve_gives_way_to_who_needs_it),
	};

	return cmocka_run_group_tests_name("reserve", tests, NULL, NULL);
}
