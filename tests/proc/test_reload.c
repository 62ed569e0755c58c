/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration's files, and SIGHUP: what is applied, what is not, and what must not change. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/sys.h"
#include "tests/proc/rig.h"

#define SUPERSLABS(n) ((n)*HAK_SUPERSLAB_SIZE)

/* With three drop-ins, and two files beside them that are none. */
static struct rig *with_drop_ins(void)
{
	struct rig *rig = rig_new("[limits]\ntotal-bytes = 40 MiB\nuid-sessions = 9\n");

	rig_configure(rig, "20-b.conf", "[limits]\ntotal-bytes = 60 MiB\n");
	rig_configure(rig, "10-a.conf", "[limits]\ntotal-bytes = 50 MiB\nsessions = 77\n");
	rig_configure(rig, "3.conf", "# as text it comes after 20\n[limits]\nsessions = 78\n");
	rig_configure(rig, ".hidden.conf", "nonsense\n");
	rig_configure(rig, "note.txt", "nonsense\n");
	return rig;
}

static void drop_ins_override_in_the_order_of_their_names(void **state)
{
	struct rig *rig = with_drop_ins();
	struct hak_report_limit limit;

	*state = rig;
	rig_launch(rig, NULL);
	rig_wait_ready(rig);
	assert_int_equal(rig_status(rig).limit_bytes, 60 << 20);
	assert_true(raw_limit(rig->socket, "sessions", 0, &limit));
	assert_int_equal(limit.limit, 78);
	assert_true(raw_limit(rig->socket, "uid-sessions", getuid(), &limit));
	assert_int_equal(limit.limit, 9);
}

static void a_wrong_drop_in_is_named(void **state)
{
	struct rig *rig = with_drop_ins();
	char want[256];

	*state = rig;
	rig_configure(rig, "20-b.conf", "[limits]\n\nsessions = 0\n");
	rig_launch(rig, NULL);
	assert_int_equal(rig_wait_exit(rig), 2);
	(void)snprintf(want, sizeof(want),
		       "hakmemd: %s.d/20-b.conf:3: sessions: out of range: 1 to 100000\n",
		       rig->config);
	assert_string_equal(rig->log, want);
	/* Twice in one file is a mistake, in two it is an override. */
	rig_configure(rig, "20-b.conf", "[limits]\nsessions = 1\nsessions = 2\n");
	rig_launch(rig, NULL);
	assert_int_equal(rig_wait_exit(rig), 2);
	assert_non_null(strstr(rig->log, "20-b.conf:3: sessions: given twice\n"));
	/* Nobody writes into it: reading it would never end. */
	(void)snprintf(want, sizeof(want), "%s.d/20-b.conf", rig->config);
	assert_int_equal(unlink(want), 0);
	assert_int_equal(mkfifo(want, 0600), 0);
	rig_launch(rig, NULL);
	assert_int_equal(rig_wait_exit(rig), 2);
	assert_non_null(strstr(rig->log, "20-b.conf: not a regular file\n"));
}

/* The output of a command, and its exit status. */
static int output(const char *options, const char *config, char *ret_text, size_t size)
{
	char command[512];
	FILE *pipe;
	size_t n;

	(void)snprintf(command, sizeof(command), "'%s' %s --config '%s' 2>&1", getenv("HAKMEMD"),
		       options, config);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	n = fread(ret_text, 1, size - 1, pipe);
	ret_text[n] = 0;
	return WEXITSTATUS(pclose(pipe));
}

static void what_is_printed_says_the_same_and_names_its_files(void **state)
{
	static char first[8192], second[8192];
	struct rig *rig = with_drop_ins();
	char files[512];
	const char *keys, *keys_again;

	*state = rig;
	assert_int_equal(output("--check-config", rig->config, first, sizeof(first)), 0);
	assert_string_equal(first, "configuration is right\n");
	assert_int_equal(
		output("--print-config --socket /run/x", rig->config, first, sizeof(first)), 0);
	(void)snprintf(files, sizeof(files),
		       "\n# %s\n# %s.d/10-a.conf\n# %s.d/20-b.conf\n# %s.d/3.conf\n# --socket\n\n",
		       rig->config, rig->config, rig->config, rig->config);
	assert_non_null(strstr(first, files));
	assert_non_null(strstr(first, "\nsocket = /run/x\n"));
	assert_non_null(strstr(first, "\ntotal-bytes = 60 MiB\n"));
	assert_non_null(strstr(first, "\nsession-bytes = 60 MiB\n")); /* not set: as the total */
	assert_non_null(strstr(first, "\nsessions = 78\n"));
	assert_non_null(strstr(first, "\ngreeting-timeout = 5 s\n"));
	rig_configure(rig, "20-b.conf", NULL);
	rig_configure(rig, "10-a.conf", NULL);
	rig_configure(rig, "3.conf", NULL);
	rig_configure(rig, NULL, first);
	assert_int_equal(output("--print-config", rig->config, second, sizeof(second)), 0);
	keys = strstr(first, "\n[daemon]");
	keys_again = strstr(second, "\n[daemon]");
	assert_non_null(keys);
	assert_non_null(keys_again);
	assert_string_equal(keys_again, keys);
}

static void sighup_applies_what_it_can_and_says_so(void **state)
{
	struct rig *rig = rig_start("[daemon]\nring-wait = auto\n[limits]\ntotal-bytes = 40 MiB\n");
	struct hak_report_limit limit;
	struct raw raw;
	struct stat st;
	uint32_t first;

	*state = rig;
	rig_configure(rig, NULL,
		      "[daemon]\nsocket-mode = 0600\nlog-level = debug\nring-wait = threads\n"
		      "huge-pages = never\n"
		      "[limits]\ntotal-bytes = 20 MiB\nuid-bytes = 8 MiB\nsessions = 11\n"
		      "uid-requests = 7000\ndescriptors = 99\ngreeting-timeout = 1500 ms\n");
	rig_configure(rig, "z.conf", "[limits]\nuid-bytes = 10 MiB\n");
	rig_reload(rig, "info reloaded changed=13\n");
	assert_non_null(strstr(rig->log, "key=total-bytes from=\"40 MiB\" to=\"20 MiB\" "
					 "effect=\"applied\"\n"));
	assert_non_null(strstr(rig->log, "key=uid-bytes from=\"40 MiB\" to=\"10 MiB\""));
	/* Not set: it follows the total. */
	assert_non_null(strstr(rig->log, "key=session-bytes from=\"40 MiB\" to=\"20 MiB\""));
	assert_non_null(strstr(rig->log, "key=node-bytes from=\"40 MiB\" to=\"20 MiB\""));
	assert_non_null(strstr(rig->log, "key=huge-pages from=\"auto\" to=\"never\""));
	assert_non_null(strstr(rig->log, "key=greeting-timeout from=\"5 s\" to=\"1500 ms\""));
	assert_non_null(strstr(rig->log,
			       "warning reload-key section=daemon key=ring-wait from=\"auto\" "
			       "to=\"threads\" effect=\"none: needs a restart\"\n"));
	assert_int_equal(rig_status(rig).limit_bytes, SUPERSLABS(10));
	assert_true(raw_limit(rig->socket, "sessions", 0, &limit));
	assert_int_equal(limit.limit, 11);
	assert_true(raw_limit(rig->socket, "descriptors", 0, &limit));
	assert_int_equal(limit.limit, 99);
	assert_true(raw_limit(rig->socket, "uid-requests", getuid(), &limit));
	assert_int_equal(limit.limit, 7000);
	assert_true(raw_limit(rig->socket, "greeting-timeout", 0, &limit));
	assert_int_equal(limit.limit, 1500000000);
	assert_int_equal(stat(rig->socket, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	rig_wait_log(rig, "debug session-open");
	assert_int_equal(raw_lease(&raw, 5, &first), 0);
	assert_int_equal(rig_status(rig).huge_bytes, 0);
	assert_int_equal(raw_lease(&raw, 1, &first), -EDQUOT);
	raw_close(&raw);
	/* What needs a restart still does; the rest is as it should be. */
	rig_reload(rig, "info reloaded changed=1\n");
	assert_non_null(strstr(rig->log, "key=ring-wait"));
}

static uint64_t huge_of_a_session(struct rig *rig)
{
	struct raw raw;
	uint32_t first;
	uint64_t huge;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_lease(&raw, 4, &first), 0);
	huge = rig_status(rig).huge_bytes;
	raw_close(&raw);
	rig_wait_sessions(rig, 0);
	return huge;
}

/* In what a session finds ready, and in what is filled for it. */
static void huge_pages_come_and_go_at_the_workers(void **state)
{
	struct rig *rig = rig_start("[stock]\nsession-bytes = 4 MiB\n");
	uint64_t before;

	*state = rig;
	rig_wait_stock(rig, 1, 2);
	before = huge_of_a_session(rig);
	rig_wait_stock(rig, 1, 2);
	rig_configure(rig, "z.conf", "[daemon]\nhuge-pages = never\n");
	rig_reload(rig, "info reloaded changed=1\n");
	assert_int_equal(huge_of_a_session(rig), 0);
	rig_wait_stock(rig, 1, 2);
	assert_int_equal(huge_of_a_session(rig), 0);
	rig_wait_stock(rig, 1, 2);
	rig_configure(rig, "z.conf", NULL);
	rig_reload(rig, "info reloaded changed=1\n");
	/* As before: where the kernel makes no such pages, there is nothing to see. */
	assert_int_equal(!huge_of_a_session(rig), !before);
}

static void stock_follows_its_keys_at_once(void **state)
{
	struct rig *rig = rig_start("[stock]\nsession-bytes = 4 MiB\ndecay = 3600 s\n");
	struct raw raw;
	uint32_t first;

	*state = rig;
	rig_wait_stock(rig, 1, 2);
	rig_configure(rig, "z.conf", "[stock]\nsession-bytes = 6 MiB\n");
	rig_reload(rig, "section=stock key=session-bytes from=\"4 MiB\" to=\"6 MiB\" "
			"effect=\"applied\"\n");
	rig_wait_stock(rig, 1, 3);
	/* The key of the same name that limits sessions is another one. */
	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_lease(&raw, 1, &first), 0);
	rig_wait_stock(rig, 1, 5); /* two of them are the session's own, not leased */
	rig_configure(rig, "z.conf", "[stock]\nsession-bytes = 6 MiB\ndecay = 100 ms\n");
	rig_reload(rig, "key=decay from=\"3600 s\" to=\"100 ms\" effect=\"applied\"\n");
	rig_wait_stock(rig, 1, 3);
	rig_configure(rig, "z.conf", "[stock]\nsessions = 0\n");
	rig_reload(rig, "section=stock key=sessions from=\"8\" to=\"0\" effect=\"applied\"\n");
	rig_wait_stock(rig, 0, 0);
	rig_configure(rig, "z.conf", "[stock]\nsession-bytes = 2 MiB\n");
	rig_reload(rig, "info reloaded changed=2\n");
	rig_wait_stock(rig, 1, 1);
	rig_configure(rig, "z.conf", "[stock]\nsession-bytes = 0 MiB\n");
	rig_reload(rig, "info reloaded changed=1\n");
	rig_wait_stock(rig, 0, 0);
	assert_int_equal(raw_lease(&raw, 1, &first), 0);
	raw_close(&raw);
}

static void a_wrong_configuration_changes_nothing(void **state)
{
	static const struct {
		const char *drop_in, *says;
	} cases[] = {
		{ "[limits]\nsessions = 5\nuid-bytes = 3\n",
		  "z.conf:3: uid-bytes: '3' has no unit (KiB, MiB, GiB, TiB)\" effect=none\n" },
		{ "[demon]\nsocket = /x\n", "z.conf:2: unknown section [demon]\" effect=none\n" },
		{ "junk\n", "z.conf:1: neither [section], key = value nor a comment\" effect=" },
	};
	struct rig *rig = rig_start("[limits]\ntotal-bytes = 40 MiB\n");
	struct hak_report_limit limit;
	char want[512];

	*state = rig;
	/* Its first file is right, and has a change; that is no reason to apply half of it. */
	rig_configure(rig, NULL, "[daemon]\nlog-level = debug\n[limits]\ntotal-bytes = 8 MiB\n");
	for (size_t i = 0; i < hak_array_size(cases); i++) {
		rig_configure(rig, "z.conf", cases[i].drop_in);
		(void)snprintf(want, sizeof(want), "hakmemd: error reload-failed reason=\"%s.d/%s",
			       rig->config, cases[i].says);
		rig_reload(rig, want);
		assert_int_equal(rig_status(rig).limit_bytes, SUPERSLABS(20));
		assert_true(raw_limit(rig->socket, "sessions", 0, &limit));
		assert_int_equal(limit.limit, 4096);
		rig_reload(rig, want); /* all that it said before is one line, and no other */
	}
	assert_int_equal(unlink(rig->config), 0);
	rig_reload(rig, "conf: No such file or directory\" effect=none\n");
	rig_configure(rig, NULL, "[limits]\ntotal-bytes = 8 MiB\n");
	rig_configure(rig, "z.conf", NULL);
	rig_reload(rig, "info reloaded changed=5\n"); /* total-bytes and the three that follow it */
	assert_int_equal(rig_status(rig).limit_bytes, SUPERSLABS(4));
}

static void nothing_changed_is_said_in_one_line(void **state)
{
	struct rig *rig = rig_start("[limits]\ntotal-bytes = 40 MiB\n");

	*state = rig;
	rig_reload(rig, "info reloaded changed=0\n");
	assert_string_equal(rig->log, "hakmemd: info reloaded changed=0\n");
}

static void limits_lowered_below_use_take_nothing_away(void **state)
{
	struct rig *rig = rig_start("[limits]\ntotal-bytes = 40 MiB\n");
	struct raw a, b, c;
	uint32_t first, more;
	uint8_t *at[8];

	*state = rig;
	assert_int_equal(raw_open(&a, rig->socket), 0);
	assert_int_equal(raw_open(&b, rig->socket), 0);
	assert_int_equal(raw_lease(&a, 8, &first), 0);
	for (uint32_t i = 0; i < 8; i++) {
		at[i] = raw_map(&a, first + i);
		memset(at[i], (int)(i + 1), HAK_SUPERSLAB_SIZE);
	}
	rig_configure(rig, NULL, "[limits]\ntotal-bytes = 10 MiB\n");
	rig_reload(rig, "info reloaded changed=5\n");
	assert_int_equal(rig_status(rig).leased_bytes, SUPERSLABS(8));
	assert_int_equal(raw_lease(&b, 1, &more), -ENOMEM);
	rig_wait_log(rig, "limit=total-bytes max=5 used=8");
	/* Both sessions stay, a third does not come. */
	rig_configure(rig, "z.conf", "[limits]\nsessions = 1\n");
	rig_reload(rig, "info reloaded changed=1\n");
	assert_int_equal(raw_nop(&a), 0);
	assert_int_equal(raw_nop(&b), 0);
	assert_int_equal(raw_open(&c, rig->socket), -EDQUOT);
	rig_configure(rig, "z.conf", NULL);
	rig_reload(rig, "info reloaded changed=1\n");
	for (uint32_t i = 0; i < 8; i++) {
		for (size_t off = 0; off < HAK_SUPERSLAB_SIZE; off += 4096)
			assert_int_equal(at[i][off], i + 1);
		raw_unmap(at[i]);
	}
	/* Exactly at the limit there is still nothing; one below it, one. */
	assert_int_equal(raw_return(&a, first, 3), 0);
	assert_int_equal(raw_lease(&b, 1, &more), -ENOMEM);
	assert_int_equal(raw_return(&a, first + 3, 1), 0);
	assert_int_equal(raw_lease(&b, 2, &more), -ENOMEM);
	assert_int_equal(raw_lease(&b, 1, &more), 0);
	assert_int_equal(rig_status(rig).leased_bytes, SUPERSLABS(5));
	raw_close(&a);
	raw_close(&b);
}

/* Many of them while a client is served: nothing is lost, and the last one holds. */
static void reloads_do_not_disturb_who_is_served(void **state)
{
	struct rig *rig = rig_start("[limits]\ntotal-bytes = 40 MiB\n");
	struct raw raw;
	uint32_t first;

	*state = rig;
	assert_int_equal(raw_open(&raw, rig->socket), 0);
	for (int i = 0; i < 100; i++) {
		rig_configure(rig, "a.conf",
			      i % 2 ? "[limits]\nuid-bytes = 8 MiB\n"
				    : "[limits]\nuid-bytes = x\n");
		assert_int_equal(kill(rig->pid, SIGHUP), 0);
		assert_int_equal(raw_lease(&raw, 3, &first), 0);
		assert_int_equal(raw_return(&raw, first, 3), 0);
	}
	rig_reload(rig, "info reloaded changed=0\n");
	assert_int_equal(raw_lease(&raw, 5, &first), -EDQUOT);
	assert_int_equal(raw_lease(&raw, 4, &first), 0);
	raw_close(&raw);
}

static int end(void **state)
{
	struct rig *rig = *state;

	*state = rig->pid ? rig_stop(rig) : rig_free(rig);
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(drop_ins_override_in_the_order_of_their_names),
		TEST(a_wrong_drop_in_is_named),
		TEST(what_is_printed_says_the_same_and_names_its_files),
		TEST(sighup_applies_what_it_can_and_says_so),
		TEST(huge_pages_come_and_go_at_the_workers),
		TEST(stock_follows_its_keys_at_once),
		TEST(a_wrong_configuration_changes_nothing),
		TEST(nothing_changed_is_said_in_one_line),
		TEST(limits_lowered_below_use_take_nothing_away),
		TEST(reloads_do_not_disturb_who_is_served),
	};

	return cmocka_run_group_tests_name("reload", tests, NULL, NULL);
}
