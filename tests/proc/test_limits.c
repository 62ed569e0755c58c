/* SPDX-License-Identifier: Apache-2.0 */
/* The limits: each is exact, named, and gives way again. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "shared/sys.h"
#include "tests/proc/rig.h"

static void session_bytes_are_exact(void **state)
{
	struct rig *rig = *state;
	struct raw raw;
	uint32_t first, one;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_lease(&raw, 9, &first), -EDQUOT);
	rig_wait_log(rig, "superslabs=9 limit=session-bytes");
	assert_int_equal(raw_lease(&raw, 8, &first), 0);
	assert_int_equal(raw_lease(&raw, 1, &one), -EDQUOT);
	assert_int_equal(raw_return(&raw, first + 3, 1), 0);
	assert_int_equal(raw_lease(&raw, 2, &one), -EDQUOT);
	assert_int_equal(raw_lease(&raw, 1, &one), 0);
	assert_int_equal(one, first + 3);
	/* Frozen memory is held as well. */
	assert_int_equal(raw_freeze(&raw, one, 1), 0);
	assert_int_equal(raw_lease(&raw, 1, &one), -EDQUOT);
	assert_int_equal(raw_lease(&raw, HAK_LEASE_MAX, &one), -ENOMEM);
	assert_int_equal(rig_status(rig).leased_bytes, 8 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(rig_status(rig).refused_total, 5);
	assert_int_equal(raw_nop(&raw), 0);
	raw_close(&raw);
	rig_wait_leased(rig, 0);
}

static void uid_and_total_bytes_span_sessions(void **state)
{
	struct rig *rig = *state;
	struct raw a, b, c;
	uint32_t first;

	assert_int_equal(rig_status(rig).limit_bytes, 20 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(raw_open(&a, rig->socket), 0);
	assert_int_equal(raw_open(&b, rig->socket), 0);
	assert_int_equal(raw_open(&c, rig->socket), 0);
	assert_int_equal(raw_lease(&a, 8, &first), 0);
	assert_int_equal(raw_lease(&b, 8, &first), 0);
	assert_int_equal(raw_lease(&c, 3, &first), -EDQUOT); /* 18 for the user */
	rig_wait_log(rig, "limit=uid-bytes");
	assert_int_equal(raw_lease(&c, 2, &first), 0);
	assert_int_equal(raw_lease(&c, 1, &first), -EDQUOT);
	raw_close(&a);
	rig_wait_leased(rig, 10);
	assert_int_equal(raw_lease(&c, 6, &first), 0);
	raw_close(&b);
	raw_close(&c);
	rig_wait_leased(rig, 0);
}

static void the_total_is_answered_as_shortage_of_memory(void **state)
{
	struct rig *rig = *state;
	struct raw a, b;
	uint32_t first;

	assert_int_equal(raw_open(&a, rig->socket), 0);
	assert_int_equal(raw_open(&b, rig->socket), 0);
	assert_int_equal(raw_lease(&a, 5, &first), 0);
	assert_int_equal(raw_lease(&b, 1, &first), -ENOMEM);
	rig_wait_log(rig, "limit=total-bytes");
	assert_int_equal(raw_return(&a, 0, 1), 0);
	assert_int_equal(raw_lease(&b, 1, &first), 0);
	raw_close(&a);
	raw_close(&b);
	rig_wait_leased(rig, 0);
}

static void expect_turned_away(struct rig *rig, const char *text)
{
	char got[HAK_WIRE_TEXT];
	int sock = raw_connect(rig->socket), code;

	assert_true(sock >= 0);
	assert_int_equal(raw_wait_refused(sock, &code, got), 0);
	assert_int_equal(code, -EDQUOT);
	assert_string_equal(got, text);
	close(sock);
}

static void sessions_of_a_user_are_counted_half_open_ones_too(void **state)
{
	struct rig *rig = *state;
	struct raw raws[2];
	struct raw late;
	const uint64_t until = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);
	int half, r;

	assert_int_equal(raw_open(&raws[0], rig->socket), 0);
	assert_int_equal(raw_open(&raws[1], rig->socket), 0);
	half = raw_connect(rig->socket);
	assert_true(half >= 0);
	expect_turned_away(rig, "limit reached: uid-sessions");
	assert_int_equal(raw_open(&late, rig->socket), -EDQUOT);
	close(half);
	do { /* until the daemon has heard of it */
		r = raw_open(&late, rig->socket);
	} while (r == -EDQUOT && hak_sys_now_ns() < until);
	assert_int_equal(r, 0);
	raw_close(&raws[0]);
	raw_close(&raws[1]);
	raw_close(&late);
}

static void all_sessions_are_counted(void **state)
{
	struct rig *rig = *state;
	struct raw raws[2];
	int half;

	assert_int_equal(raw_open(&raws[0], rig->socket), 0);
	assert_int_equal(raw_open(&raws[1], rig->socket), 0);
	half = raw_connect(rig->socket);
	assert_true(half >= 0);
	expect_turned_away(rig, "limit reached: sessions");
	close(half);
	raw_close(&raws[0]);
	raw_close(&raws[1]);
}

/* With a table of 64 descriptors; the daemon raises its soft limit, so it is the hard one. */
static void without_descriptors_clients_are_told_and_the_others_served(void **state)
{
	enum {
		MANY = 40
	};
	struct rig *rig = rig_new(NULL);
	struct rlimit before, small = { .rlim_cur = 64, .rlim_max = 64 };
	struct raw raws[MANY];
	int opened = 0, refused = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	rig_launch(rig, NULL);
	/* It has barely been started, or is running already: both are fine. */
	assert_int_equal(prlimit(rig->pid, RLIMIT_NOFILE, &small, NULL), 0);
	rig_wait_ready(rig);
	*state = rig;
	for (int i = 0; i < MANY; i++) {
		int r = raw_open(&raws[opened], rig->socket);

		if (r == 0) {
			assert_int_equal(raw_nop(&raws[opened]), 0);
			opened++;
		} else {
			if (r != -EMFILE)
				fail_msg("%s instead of EMFILE", strerror(-r));
			refused++;
		}
	}
	assert_true(opened >= 4 && refused > 0);
	for (int i = 0; i < opened; i++)
		assert_int_equal(raw_nop(&raws[i]), 0);
	while (opened)
		raw_close(&raws[--opened]);
	rig_wait_sessions(rig, 0);
	assert_int_equal(raw_open(&raws[0], rig->socket), 0);
	assert_int_equal(raw_nop(&raws[0]), 0);
	raw_close(&raws[0]);
}

static void without_huge_pages_memory_comes_in_small_ones(void **state)
{
	struct rig *rig = *state;
	struct raw raw;
	uint32_t first;
	uint8_t *at;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_lease(&raw, 40, &first), 0);
	at = raw_map(&raw, first + 39);
	assert_int_equal(at[0] | at[HAK_SUPERSLAB_SIZE - 1], 0);
	raw_unmap(at);
	assert_int_equal(rig_status(rig).huge_bytes, 0);
	assert_int_equal(raw_return(&raw, first, 40), 0);
	raw_close(&raw);
}

#define SMALL                    \
	"[limits]\n"             \
	"total-bytes = 40 MiB\n" \
	"uid-bytes = 36 MiB\n"   \
	"session-bytes = 16 MiB\n"

static int setup_small(void **state)
{
	*state = rig_start(SMALL);
	return 0;
}

static int setup_total(void **state)
{
	*state = rig_start("[limits]\ntotal-bytes = 11 MiB\n");
	return 0;
}

static int setup_three_per_user(void **state)
{
	*state = rig_start("[limits]\nuid-sessions = 3\n");
	return 0;
}

static int setup_three(void **state)
{
	*state = rig_start("[limits]\nsessions = 3\n");
	return 0;
}

static int setup_no_huge_pages(void **state)
{
	*state = rig_start("[daemon]\nhuge-pages = never\n");
	return 0;
}

#define WITH(setup, name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(setup_small, session_bytes_are_exact),
		WITH(setup_small, uid_and_total_bytes_span_sessions),
		WITH(setup_total, the_total_is_answered_as_shortage_of_memory),
		WITH(setup_three_per_user, sessions_of_a_user_are_counted_half_open_ones_too),
		WITH(setup_three, all_sessions_are_counted),
		WITH(NULL, without_descriptors_clients_are_told_and_the_others_served),
		WITH(setup_no_huge_pages, without_huge_pages_memory_comes_in_small_ones),
	};

	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
