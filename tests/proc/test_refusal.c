/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why memory was refused: the same answer in the completion, in the program's words, in the log and
 * in the reports; and after the end of who held it, all of it can be had again.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shared/refusal.h"
#include "tests/proc/member.h"

#define MIB (UINT64_C(1) << 20)

/* A lease as the completion answers it. */
static struct hak_cqe lease(struct raw *raw, uint32_t count)
{
	struct hak_sqe sqe = raw_entry(raw, HAK_OP_LEASE);
	struct hak_cqe cqe;

	sqe.count = count;
	sqe.node = HAK_NODE_ANY;
	(void)raw_call(raw, &sqe, &cqe);
	assert_int_equal(cqe.seq, sqe.seq);
	return cqe;
}

static void expect_refused(struct rig *rig, struct raw *raw, uint32_t count, int result,
			   uint32_t refusal, uint64_t limit, uint64_t used)
{
	struct hak_cqe cqe = lease(raw, count);
	struct hak_report_status status = rig_status(rig);
	struct hak_report_session session;

	assert_int_equal(cqe.result, result);
	assert_int_equal(cqe.refusal, refusal);
	assert_int_equal(cqe.limit, limit * HAK_SUPERSLAB_SIZE);
	assert_int_equal(cqe.used, used * HAK_SUPERSLAB_SIZE);
	assert_int_equal(cqe.count, 0);
	assert_int_equal(status.refusal, refusal);
	assert_int_equal(status.refusal_session, raw->session_id);
	assert_int_equal(status.refusal_pid, getpid());
	assert_int_equal(status.refusal_uid, getuid());
	assert_true(status.refusal_ns && status.refusal_ns <= status.now_ns);
	session = member_await(rig, getpid(), member_any, 0);
	assert_int_equal(session.refusal, refusal);
}

static void the_completion_says_which_limit_it_was(void **state)
{
	struct rig *rig = *state;
	struct hak_report_limit limit;
	struct raw raw, other;
	struct hak_cqe cqe;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	cqe = lease(&raw, 5);
	assert_int_equal(cqe.result, 0);
	assert_int_equal(cqe.refusal | cqe.limit | cqe.used, 0);
	expect_refused(rig, &raw, 4, -EDQUOT, HAK_REFUSAL_SESSION_BYTES, 8, 5);
	expect_refused(rig, &raw, 14, -EDQUOT, HAK_REFUSAL_UID_BYTES, 18, 5);
	expect_refused(rig, &raw, 16, -ENOMEM, HAK_REFUSAL_TOTAL_BYTES, 20, 5);
	assert_true(raw_limit(rig->socket, "session-bytes", raw.session_id, &limit));
	assert_int_equal(limit.hits, 1);
	assert_int_equal(limit.used, 10 * MIB);
	assert_int_equal(limit.limit, 16 * MIB);
	assert_int_equal(limit.scope, HAK_SCOPE_SESSION);
	assert_true(raw_limit(rig->socket, "uid-bytes", getuid(), &limit));
	assert_int_equal(limit.hits, 1);
	assert_int_equal(limit.scope, HAK_SCOPE_UID);
	assert_true(raw_limit(rig->socket, "total-bytes", 0, &limit));
	assert_int_equal(limit.hits, 1);
	assert_int_equal(limit.used, 10 * MIB);
	assert_int_equal(limit.scope, HAK_SCOPE_DAEMON);
	/* Another session has its own. */
	assert_int_equal(raw_open(&other, rig->socket), 0);
	assert_true(raw_limit(rig->socket, "session-bytes", other.session_id, &limit));
	assert_int_equal(limit.hits + limit.used, 0);
	raw_close(&other);
	raw_close(&raw);
}

/* A client of the first protocol version gets what that had: reserved bytes of zero. */
static void an_older_client_gets_zeros(void **state)
{
	struct rig *rig = *state;
	struct raw raw;
	struct hak_cqe cqe;

	assert_int_equal(raw_open_version(&raw, rig->socket, 1), 0);
	cqe = lease(&raw, 9);
	assert_int_equal(cqe.result, -EDQUOT);
	assert_int_equal(cqe.refusal | cqe.limit | cqe.used, 0);
	raw_close(&raw);
}

/* A program allocates until it is refused, and asks why. */
static void expect_words(struct rig *rig, uint32_t refusal, uint64_t mib, const char *words)
{
	struct member m = member_up(rig, HAK_INFO_DAEMON);
	struct member_answer a = member_do(&m, MEMBER_ALLOC, 2000, 64 * 1024);
	struct hak_report_session s;

	if (a.timeouts) {
		member_end(&m);
		skip(); /* private memory came in between */
	}
	assert_int_equal(a.error, ENOMEM);
	assert_int_equal(strncmp(a.detail, words, strlen(words)), 0);
	assert_int_equal(a.info.refused, refusal);
	assert_int_equal(a.info.refused_limit, mib * MIB);
	assert_true(a.info.refused_used <= mib * MIB);
	assert_true(a.info.refusals > 0 && a.info.limited == a.info.refusals);
	s = member_await(rig, m.pid, member_any, 0);
	assert_int_equal(s.refusal, refusal);
	assert_int_equal(s.refused, a.info.refusals);
	/* A success changes nothing, and there is one again. */
	(void)member_do(&m, MEMBER_FREE, 0, 0);
	a = member_do(&m, MEMBER_ALLOC, 10, 64 * 1024);
	assert_int_equal(a.result, 10);
	member_end(&m);
	rig_wait_leased(rig, 0);
}

static void a_program_is_told_the_quota_of_its_session(void **state)
{
	struct rig *rig = *state = rig_start("[limits]\nsession-bytes = 16 MiB\n");

	expect_words(rig, HAK_REFUSED_SESSION_BYTES, 16,
		     "quota of 16 MiB reached by this process (");
}

static void a_program_is_told_the_quota_of_its_user(void **state)
{
	struct rig *rig = *state = rig_start("[limits]\nuid-bytes = 24 MiB\n");
	char words[64];

	(void)snprintf(words, sizeof(words), "quota of 24 MiB reached by uid %u (", geteuid());
	expect_words(rig, HAK_REFUSED_UID_BYTES, 24, words);
}

static void a_program_is_told_the_limit_of_all(void **state)
{
	struct rig *rig = *state = rig_start("[limits]\ntotal-bytes = 20 MiB\n");

	expect_words(rig, HAK_REFUSED_TOTAL_BYTES, 20,
		     "limit of 20 MiB for all processes reached (");
}

static void nothing_refused_is_nothing_said(void **state)
{
	struct rig *rig = *state = rig_start(NULL);
	struct member m = member_up(rig, HAK_INFO_DAEMON);
	struct member_answer a = member_do(&m, MEMBER_ALLOC, 100, 64 * 1024);

	assert_int_equal(a.result, 100);
	assert_string_equal(a.detail, "");
	assert_int_equal(a.info.refused + a.info.limited + a.info.refusals, 0);
	member_end(&m);
}

static void hold_all(struct rig *rig, void *arg)
{
	struct raw raw;
	uint32_t first;

	(void)arg;
	if (raw_open(&raw, rig->socket) < 0 || raw_lease(&raw, 8, &first) < 0 ||
	    raw_freeze(&raw, first, 2) < 0)
		_exit(1);
	rig_tell();
	rig_stall();
}

/* Who asks holds two; the connection of the question before may not have been closed yet. */
static void await_descriptors(struct rig *rig, uint64_t used)
{
	struct hak_report_limit limit = { 0 };

	for (int tries = 0; limit.used != used; tries++) {
		assert_true(tries < 10000);
		assert_true(raw_limit(rig->socket, "descriptors", 0, &limit));
	}
}

static void after_a_death_every_limit_is_free_again(void **state)
{
	struct rig *rig = *state;
	struct hak_report_limit limit;
	struct raw raw;
	uint32_t first;
	pid_t pid;

	for (int round = 0; round < 3; round++) {
		pid = rig_client(rig, hold_all, NULL);
		await_descriptors(rig, 6 + 2); /* the session's, and who asks */
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(rig_reap(pid), -SIGKILL);
		rig_wait_leased(rig, 0);
		rig_wait_sessions(rig, 0);
		assert_int_equal(raw_open(&raw, rig->socket), 0);
		assert_int_equal(raw_lease(&raw, 8, &first), 0);
		assert_int_equal(raw_lease(&raw, 1, &first), -EDQUOT);
		raw_close(&raw);
		rig_wait_leased(rig, 0);
		rig_wait_sessions(rig, 0);
	}
	await_descriptors(rig, 2);
	assert_true(raw_limit(rig->socket, "uid-sessions", getuid(), &limit));
	assert_int_equal(limit.used, 1);
}

/* Three sessions of six do not fit, and who asks comes through: eight are kept for that. */
static void descriptors_are_a_limit_by_user_and_in_total(void **state)
{
	static const struct {
		const char *config, *text;
		uint32_t refusal;
	} cases[] = {
		{ "[limits]\ndescriptors = 25\n", "limit reached: descriptors",
		  HAK_REFUSAL_DESCRIPTORS },
		{ "[limits]\nuid-descriptors = 17\n", "limit reached: uid-descriptors",
		  HAK_REFUSAL_UID_DESCRIPTORS },
	};

	for (size_t i = 0; i < hak_array_size(cases); i++) {
		struct rig *rig = *state = rig_start(cases[i].config);
		struct raw a, b, c;

		assert_int_equal(raw_open(&a, rig->socket), 0);
		assert_int_equal(raw_open(&b, rig->socket), 0);
		assert_int_equal(raw_open(&c, rig->socket), -EMFILE);
		rig_wait_log(rig, cases[i].text);
		assert_int_equal(rig_status(rig).refusal, cases[i].refusal);
		assert_int_equal(rig_status(rig).turned_away_total, 1);
		raw_close(&a);
		rig_wait_sessions(rig, 1);
		assert_int_equal(raw_open(&c, rig->socket), 0);
		assert_int_equal(raw_nop(&c), 0);
		raw_close(&b);
		raw_close(&c);
		*state = rig_stop(rig);
	}
	*state = rig_start(NULL);
}

static int setup_small(void **state)
{
	*state = rig_start("[limits]\n"
			   "total-bytes = 40 MiB\n"
			   "uid-bytes = 36 MiB\n"
			   "session-bytes = 16 MiB\n");
	return 0;
}

#define WITH(setup, name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(setup_small, the_completion_says_which_limit_it_was),
		WITH(setup_small, an_older_client_gets_zeros),
		WITH(NULL, a_program_is_told_the_quota_of_its_session),
		WITH(NULL, a_program_is_told_the_quota_of_its_user),
		WITH(NULL, a_program_is_told_the_limit_of_all),
		WITH(NULL, nothing_refused_is_nothing_said),
		WITH(setup_small, after_a_death_every_limit_is_free_again),
		WITH(NULL, descriptors_are_a_limit_by_user_and_in_total),
	};

	return cmocka_run_group_tests_name("refusal", tests, NULL, NULL);
}
