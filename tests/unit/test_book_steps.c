/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon that ends before any of the stores into a session's book, and one that adopts it.
 *
 * The test's process is the client: it has the segment and the presence mapped, across both. A
 * forked daemon serves what it was asked before, and then one thing more, in which it ends before
 * the n-th store; another adopts the session, perhaps ends in that as well, and a third serves.
 */
#include "tests/unit/book_local.h"

static const struct scene nops[] = { { "nop", 0, false, HAK_OP_NOP, 0, 0, { 20, 0, 0 } } };
static const struct scene leases[] = {
	{ "lease", 0, false, HAK_OP_LEASE, 0, 3, { 23, 0, 0 } },
	{ "large lease", 0, false, HAK_OP_LEASE, 0, 150, { 170, 0, 0 } },
};
static const struct scene returns[] = {
	{ "return", 0, false, HAK_OP_RETURN, 2, 10, { 10, 0, 0 } },
};
static const struct scene freezes[] = {
	{ "freeze", 0, false, HAK_OP_FREEZE, 3, 5, { 20, 5, 0 } },
};
static const struct scene grants[] = {
	{ "grant", 0, false, HAK_OP_RESERVE, 0, 4, { 24, 0, 4 } },
	{ "grant again", 4, true, HAK_OP_RESERVE, 0, 4, { 25, 0, 4 } },
};
static const struct scene revokes[] = {
	{ "revoke", 4, false, HAK_OP_RESERVE, 0, 0, { 20, 0, 0 } },
	{ "revoke the rest", 4, true, HAK_OP_RESERVE, 0, 0, { 21, 0, 0 } },
};
static const struct scene decays[] = { { "decay", 4, false, OP_DECAY, 0, 0, { 20, 0, 0 } } };

static void check_tables(const struct daemon *daemon, const struct scene *scene)
{
	const struct session *session = only_session(daemon);
	const struct session_text *text = session_text(session);
	const struct region *region = &session->region;
	const struct hak_reserve *shared = session->reserve.shared;
	uint32_t used = region->runs.taken + region->warm, granted = 0;

	must(region->runs.taken == scene->expected.taken);
	must(region->frozen_count == scene->expected.frozen);
	must(session->reserve.ready == scene->expected.ready);
	must(hak_runs_check(&region->runs) && region_tables_ok(region));
	must(daemon->accounts.superslabs == region->runs.taken);
	must(daemon->placement.held[0] == region->runs.taken);
	must(session->state == SESSION_DETACHED && session->peer.uid == 7);
	must(text->step.phase == PHASE_NONE && !text->reserve.revoking);
	must(!session_book_fault(text, region));
	/* Nothing has memory but what the tables know of. */
	must(os_file_bytes(region->fd) <= used * HAK_SUPERSLAB_SIZE);
	for (uint32_t i = 0; i < HAK_RESERVE_SLOTS; i++) {
		uint64_t word = text->reserve.granted[i];

		granted += word != 0;
		must(hak_reserve_look(shared, i) == word ||
		     hak_reserve_state(hak_reserve_look(shared, i)) != HAK_RESERVE_READY);
	}
	must(granted == scene->expected.ready);
}

/* Which ends before store m of its own, or is whole. */
static _Noreturn void next_life(struct client *client, const struct scene *scene, unsigned m)
{
	struct daemon daemon;
	const char *fault;

	make_daemon(&daemon);
	stores_left = m;
	book_before_store = stop_before;
	if (adopt(&daemon, client, &fault) < 0) {
		(void)fprintf(stderr, "# %s: %s\n", scene->name, fault);
		_exit(1);
	}
	sessions_adopted(&daemon);
	serve(&daemon);
	if (scene->op == OP_DECAY) {
		job_decay(only_session(&daemon));
		serve(&daemon);
	}
	book_before_store = NULL;
	take_answers(client);
	must(client->answers == client->seq && client->result == 0);
	check_tables(&daemon, scene);
	ask(client, HAK_OP_LEASE, 0, 1);
	serve(&daemon);
	take_answers(client);
	must(client->answers == client->seq && client->result == 0);
	must(only_session(&daemon)->region.runs.taken == scene->expected.taken + 1);
	_exit(WHOLE);
}

static int live(struct client *client, const struct scene *scene, unsigned m)
{
	pid_t pid = fork();

	must(pid >= 0);
	if (!pid)
		next_life(client, scene, m);
	return end_of(pid);
}

static void run(const struct scene *scene)
{
	struct client client;
	unsigned n = 0;
	int end;

	do {
		int next;

		end = leave_behind(&client, scene, n);
		assert_true(end == WHOLE || end == STOPPED);
		/* The second may end early in its work, too; the third may not. */
		next = live(&client, scene, n % 7);
		assert_true(next == WHOLE || next == STOPPED);
		if (next == STOPPED)
			next = live(&client, scene, UINT32_MAX);
		if (next != WHOLE)
			fail_msg("%s: before store %u", scene->name, n);
		leave(&client);
		n++;
	} while (end == STOPPED);
	assert_true(n > 5);
}

#define RUN(all)                                                 \
	do {                                                     \
		unsigned fds = unit_count_fds();                 \
		(void)state;                                     \
		for (size_t i = 0; i < hak_array_size(all); i++) \
			run(&(all)[i]);                          \
		assert_int_equal(unit_count_fds(), fds);         \
	} while (0)

static void a_request_without_work_is_answered(void **state)
{
	RUN(nops);
}

static void superslabs_are_leased(void **state)
{
	RUN(leases);
}

static void superslabs_are_returned(void **state)
{
	RUN(returns);
}

static void superslabs_are_frozen(void **state)
{
	RUN(freezes);
}

static void a_reserve_is_granted(void **state)
{
	RUN(grants);
}

static void a_reserve_is_revoked(void **state)
{
	RUN(revokes);
}

static void what_is_warm_decays(void **state)
{
	RUN(decays);
}

/* ---- a client that goes on meanwhile ---- */

static struct daemon *adopting;
static struct hak_reserve *taken_from;
static unsigned took[HAK_RESERVE_SLOTS];

/* Once its reserve is being looked at, which comes last. */
static void take_all(void)
{
	uint32_t superslab;

	if (list_empty(&adopting->sessions))
		return;
	for (uint32_t i = 0; i < HAK_RESERVE_SLOTS; i++)
		took[i] += hak_reserve_take(taken_from, i, &superslab);
}

static _Noreturn void adopt_while_taking(const struct client *client)
{
	struct daemon daemon;
	const char *fault;

	make_daemon(&daemon);
	adopting = &daemon;
	taken_from = hak_at(client->segment, HAK_SEGMENT_RESERVE_OFF);
	/* As if the daemon had ended before it stored the last. */
	atomic_store_explicit(&taken_from->slot[3], 0, memory_order_relaxed);
	book_before_store = take_all;
	must(adopt(&daemon, client, &fault) == 0);
	take_all();
	for (uint32_t i = 0; i < HAK_RESERVE_SLOTS; i++)
		must(took[i] == (i < 4));
	must(reserve_collect(only_session(&daemon)) && !only_session(&daemon)->reserve.ready);
	must(only_session(&daemon)->region.runs.taken == 24);
	_exit(WHOLE);
}

static void nothing_ready_is_taken_twice(void **state)
{
	static const struct scene scene = { "nop", 4, false, HAK_OP_NOP, 0, 0, { 24, 0, 4 } };
	struct client client;
	pid_t pid;

	(void)state;
	assert_int_equal(leave_behind(&client, &scene, UINT32_MAX), WHOLE);
	pid = fork();
	must(pid >= 0);
	if (!pid)
		adopt_while_taking(&client);
	assert_int_equal(end_of(pid), WHOLE);
	leave(&client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_without_work_is_answered),
		cmocka_unit_test(superslabs_are_leased),
		cmocka_unit_test(superslabs_are_returned),
		cmocka_unit_test(superslabs_are_frozen),
		cmocka_unit_test(a_reserve_is_granted),
		cmocka_unit_test(a_reserve_is_revoked),
		cmocka_unit_test(what_is_warm_decays),
		cmocka_unit_test(nothing_ready_is_taken_twice),
	};

	(void)alarm(220); /* hundreds of daemons */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
