/* SPDX-License-Identifier: Apache-2.0 */
/* What an earlier daemon left of a session, damaged: nothing is adopted by guess. */
#include "tests/unit/book_local.h"

static const struct scene nop = { "nop", 0, false, HAK_OP_NOP, 0, 0, { 20, 0, 0 } };

static void must_refuse(struct daemon *daemon, struct client *client, const char *why)
{
	unsigned fds = unit_count_fds();
	const char *fault = NULL;

	must(adopt(daemon, client, &fault) < 0);
	must(fault && (!why || !strcmp(fault, why)));
	must(list_empty(&daemon->sessions) && !daemon->accounts.sessions);
	must(!daemon->accounts.superslabs && !daemon->placement.held[0]);
	must(unit_count_fds() == fds);
}

#define SPOILT(lvalue, value, why)                    \
	do {                                          \
		__typeof__(lvalue) before = (lvalue); \
		(lvalue) = (value);                   \
		must_refuse(daemon, client, why);     \
		(lvalue) = before;                    \
	} while (0)

static void spoil_tables(struct daemon *daemon, struct client *client, struct session_text *text)
{
	uint64_t *taken = hak_at(text, REGION_TEXT_BYTES);
	uint64_t *frozen = taken + REGION_TABLE_BYTES / 8;
	uint64_t *huge = frozen + 2 * REGION_TABLE_BYTES / 8;
	uint64_t grant = hak_reserve_word(HAK_RESERVE_READY, 1, 3);

	SPOILT(taken[0], taken[0] ^ 1, "tables that do not come to what was counted");
	SPOILT(taken[900], 4, "tables that do not come to what was counted");
	SPOILT(frozen[0], 1, "tables that do not come to what was counted");
	SPOILT(frozen[900], 1, "tables that contradict each other");
	SPOILT(huge[900], 1, "tables that contradict each other");
	SPOILT(text->taken, text->taken + 1, "tables that do not come to what was counted");
	SPOILT(text->state, 0, "an unknown state");
	SPOILT(text->state, 9, "an unknown state");
	SPOILT(text->state, BOOK_SESSION_ENDED, "it had ended");
	SPOILT(text->node, 5000, "a node out of range");
	SPOILT(text->step.phase, PHASES, "an unknown phase");
	SPOILT(text->reserve.wanted, 33, "a reserve out of range");
	SPOILT(text->reserve.granted[5], 3, "a grant that can't be");
	SPOILT(text->reserve.granted[5], grant | 1 << 20, "a grant that can't be");
	text->reserve.granted[5] = grant;
	SPOILT(text->reserve.granted[9], grant, "a superslab granted twice");
	text->reserve.granted[5] = 0;
	text->step.first = HAK_REGION_SUPERSLABS - 1;
	text->step.count = 2;
	SPOILT(text->step.phase, PHASE_LEASE, "a step out of range");
	text->step.count = 1;
	SPOILT(text->step.phase, PHASE_FREEZE, "superslabs to freeze that are not leased");
}

/* Other files than those that it names, each in turn; and one twice. */
static void exchange_files(struct daemon *daemon, struct client *client)
{
	static const uint64_t sizes[] = { REGION_BOOK_BYTES, HAK_SEGMENT_SIZE,
					  HAK_REGION_SUPERSLABS * HAK_SUPERSLAB_SIZE, 4096, 4096 };

	for (unsigned i = 0; i < SESSION_FILES; i++) {
		int before = client->fds[i];

		must(hak_sys_memfd(&client->fds[i], "foreign", sizes[i], true) == 0);
		must_refuse(daemon, client, i ? "files that are not those of the book" : "no book");
		hak_sys_close(client->fds[i]);
		client->fds[i] = client->fds[(i + 1) % SESSION_FILES];
		must_refuse(daemon, client, i ? "files that are not those of the book" : "no book");
		client->fds[i] = before;
	}
}

static _Noreturn void spoil(struct client *client)
{
	struct daemon whole, *daemon = &whole;
	struct session_text *text;
	void *at;
	const char *fault;

	make_daemon(daemon);
	must(hak_sys_map_shared(&at, NULL, client->fds[0], 0, REGION_BOOK_BYTES) == 0);
	text = at;
	for (size_t i = 0; i < SESSION_TEXT_FIXED * 8; i++) {
		((unsigned char *)at)[i / 8] ^= (unsigned char)(1 << i % 8);
		must_refuse(daemon, client, NULL);
		((unsigned char *)at)[i / 8] ^= (unsigned char)(1 << i % 8);
	}
	SPOILT(text->head.version, BOOK_VERSION + 1, "a book of another version");
	line_renumber(daemon, LIFE + 1);
	must_refuse(daemon, client, "a book of another daemon");
	line_renumber(daemon, LIFE);
	daemon->numa.parts = 2;
	must_refuse(daemon, client, "a region of other parts");
	daemon->numa.parts = 1;
	spoil_tables(daemon, client, text);
	exchange_files(daemon, client);
	must(session_adopt(daemon, NULL, 0, &fault) == -EINVAL);
	/* After all that it is still whole, once. */
	must(adopt(daemon, client, &fault) == 0);
	must(adopt(daemon, client, &fault) == -EEXIST);
	must(only_session(daemon)->region.runs.taken == 20);
	_exit(WHOLE);
}

static void what_is_damaged_is_refused_with_a_reason(void **state)
{
	struct client client;
	pid_t pid;

	(void)state;
	assert_int_equal(leave_behind(&client, &nop, UINT32_MAX), WHOLE);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		spoil(&client);
	assert_int_equal(end_of(pid), WHOLE);
	leave(&client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_damaged_is_refused_with_a_reason),
	};

	unit_watchdog();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
