/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration's parser: what it takes, and the exact words for what it does not. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_keys.h"
#include "shared/layout.h"
#include "tests/unit/unit.h"

#define GIB (UINT64_C(1) << 30)

static unsigned parse(struct config *ret_config, const char *text, char *ret_error)
{
	config_init(ret_config, 16 * GIB);
	return config_parse(ret_config, text, strlen(text), ret_error);
}

static void defaults_follow_the_machine(void **state)
{
	struct config config;
	char error[CONFIG_ERROR_BYTES];

	assert_int_equal(parse(&config, "", error), 0);
	assert_string_equal(config.socket, "/run/hakmem/hakmemd.sock");
	assert_int_equal(config.socket_mode, 0666);
	assert_int_equal(config.log_level, LOG_AT_INFO);
	assert_int_equal(config.ring_wait, RING_WAIT_AUTO);
	assert_int_equal(config.huge_pages, HUGE_PAGES_AUTO);
	assert_true(config.total_bytes > 14 * GIB && config.total_bytes < 15 * GIB);
	assert_int_equal(config.total_bytes % HAK_SUPERSLAB_SIZE, 0);
	assert_int_equal(config.session_bytes, 0);
	assert_int_equal(config.uid_bytes, 0);
	assert_int_equal(config.greeting_ms, 5000);
	assert_int_equal(config.numa_policy, NUMA_LOCAL);
	assert_int_equal(config.node_bytes, 0);
	assert_int_equal(config.domains, 1024);
	assert_int_equal(config.uid_domains, 256);
	assert_int_equal(config.domain_bytes, 0);
	assert_int_equal(config_domain_bytes(&config), config.total_bytes);
	config_init(&config, 4096); /* a machine too small to be true */
	assert_int_equal(config.total_bytes, HAK_SUPERSLAB_SIZE);
}

static void every_key_is_taken(void **state)
{
	struct config config;
	char error[CONFIG_ERROR_BYTES];

	assert_int_equal(parse(&config,
			       "; a comment\n"
			       "[daemon]\n"
			       "socket=/tmp/s\n"
			       "socket-mode = 0600\n"
			       "log-level = debug\n"
			       "ring-wait = threads\n"
			       "huge-pages = never\n"
			       "\n"
			       "[stock]\n"
			       "sessions = 3\n"
			       "session-bytes = 0 MiB\n"
			       "decay = 250 ms\n"
			       "[limits]\n"
			       "total-bytes = 1 TiB\n"
			       "session-bytes = 2048 KiB\n"
			       "uid-bytes = 3GiB\n"
			       "sessions = 10\n"
			       "uid-sessions = 1\n"
			       "descriptors = 5000\n"
			       "uid-descriptors = 500\n"
			       "session-requests = 0\n"
			       "uid-requests = 10000000\n"
			       "greeting-timeout = 2 s\n"
			       "domains = 0\n"
			       "uid-domains = 10000\n"
			       "domain-bytes = 4 MiB\n"
			       "[numa]\n"
			       "policy = preferred\n"
			       "node = 1023\n"
			       "node-bytes = 2 GiB", /* no newline at the end */
			       error),
			 0);
	assert_string_equal(config.socket, "/tmp/s");
	assert_int_equal(config.socket_mode, 0600);
	assert_int_equal(config.log_level, LOG_AT_DEBUG);
	assert_int_equal(config.ring_wait, RING_WAIT_THREADS);
	assert_int_equal(config.huge_pages, HUGE_PAGES_NEVER);
	assert_int_equal(config.stock_sessions, 3);
	assert_int_equal(config.stock_session_bytes, 0);
	assert_int_equal(config.stock_decay_ms, 250);
	assert_int_equal(config.total_bytes, 1024 * GIB);
	assert_int_equal(config.session_bytes, HAK_SUPERSLAB_SIZE);
	assert_int_equal(config.uid_bytes, 3 * GIB);
	assert_int_equal(config.sessions, 10);
	assert_int_equal(config.uid_sessions, 1);
	assert_int_equal(config.descriptors, 5000);
	assert_int_equal(config.uid_descriptors, 500);
	assert_int_equal(config.session_requests, 0);
	assert_int_equal(config.uid_requests, 10000000);
	assert_int_equal(config.greeting_ms, 2000);
	assert_int_equal(config.domains, 0);
	assert_int_equal(config.uid_domains, 10000);
	assert_int_equal(config_domain_bytes(&config), 2 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(config.numa_policy, NUMA_PREFERRED);
	assert_int_equal(config.numa_node, 1023);
	assert_int_equal(config.node_bytes, 2 * GIB);
}

static const struct {
	const char *text;
	unsigned line;
	const char *error;
} wrong[] = {
	{ "socket = /x\n", 1, "'socket' stands before the first section" },
	{ "[demon]\nsocket = /x\n", 2, "unknown section [demon]" },
	{ "[daemon]\n\n# c\nsokket = /x\n", 4, "unknown key 'sokket' in [daemon]" },
	{ "[daemon]\nsessions = 3\n", 2, "unknown key 'sessions' in [daemon]" },
	{ "[daemon]\nnonsense\n", 2, "neither [section], key = value nor a comment" },
	{ "[daemon\n", 1, "neither [section], key = value nor a comment" },
	{ "[daemon]\njunk\nsokket = 1\n", 2, "neither [section], key = value nor a comment" },
	{ "[daemon]\nsokket = 1\njunk\n", 2, "unknown key 'sokket' in [daemon]" },
	{ "[daemon]\nlog-level = info\nlog-level = info\n", 3, "log-level: given twice" },
	{ "[daemon]\nsocket = relative\n", 2,
	  "socket: not an absolute path of at most 107 characters" },
	{ "[daemon]\nsocket =\n", 2, "socket: not an absolute path of at most 107 characters" },
	{ "[daemon]\nsocket-mode = 668\n", 2, "socket-mode: '668' is not an octal file mode" },
	{ "[daemon]\nsocket-mode = 1777\n", 2, "socket-mode: out of range: 0 to 0777" },
	{ "[daemon]\nlog-level = loud\n", 2,
	  "log-level: 'loud' is none of: error, warning, info, debug" },
	{ "[daemon]\nring-wait =\n", 2, "ring-wait: '' is none of: auto, io_uring, threads" },
	{ "[numa]\npolicy = near\n", 2,
	  "policy: 'near' is none of: local, preferred, interleave, strict" },
	{ "[limits]\ntotal-bytes = 5\n", 2, "total-bytes: '5' has no unit (KiB, MiB, GiB, TiB)" },
	{ "[limits]\ntotal-bytes = GiB\n", 2,
	  "total-bytes: 'GiB' is not a number with a unit (KiB, MiB, GiB, TiB)" },
	{ "[limits]\ntotal-bytes = -1 GiB\n", 2,
	  "total-bytes: '-1 GiB' is not a number with a unit (KiB, MiB, GiB, TiB)" },
	{ "[limits]\ntotal-bytes = 5 GB\n", 2,
	  "total-bytes: unknown unit 'GB' (KiB, MiB, GiB, TiB)" },
	{ "[limits]\ntotal-bytes = 1.5 GiB\n", 2,
	  "total-bytes: unknown unit '.5 GiB' (KiB, MiB, GiB, TiB)" },
	{ "[limits]\ntotal-bytes = 1 MiB\n", 2, "total-bytes: out of range: 2 MiB to 16 TiB" },
	{ "[limits]\ntotal-bytes = 17 TiB\n", 2, "total-bytes: out of range: 2 MiB to 16 TiB" },
	{ "[limits]\ntotal-bytes = 18446744073709551615 TiB\n", 2,
	  "total-bytes: out of range: 2 MiB to 16 TiB" },
	{ "[limits]\ntotal-bytes = 99999999999999999999 KiB\n", 2,
	  "total-bytes: out of range: 2 MiB to 16 TiB" },
	{ "[limits]\nsession-bytes = 513 GiB\n", 2,
	  "session-bytes: out of range: 2 MiB to 512 GiB" },
	{ "[limits]\nsessions = 0\n", 2, "sessions: out of range: 1 to 100000" },
	{ "[limits]\nsessions = many\n", 2, "sessions: 'many' is not a number" },
	{ "[limits]\nsessions = 12x\n", 2, "sessions: '12x' is not a number" },
	{ "[limits]\nsessions = 99999999999999999999\n", 2, "sessions: out of range: 1 to 100000" },
	{ "[limits]\ndescriptors = -1\n", 2, "descriptors: '-1' is not a number" },
	{ "[limits]\nuid-descriptors = 1000001\n", 2,
	  "uid-descriptors: out of range: 0 to 1000000" },
	{ "[limits]\nsession-requests = 10000001\n", 2,
	  "session-requests: out of range: 0 to 10000000" },
	{ "[limits]\nuid-requests = 5/s\n", 2, "uid-requests: '5/s' is not a number" },
	{ "[limits]\ngreeting-timeout = 5\n", 2, "greeting-timeout: '5' has no unit (ms, s)" },
	{ "[limits]\ngreeting-timeout = 5 min\n", 2,
	  "greeting-timeout: unknown unit 'min' (ms, s)" },
	{ "[limits]\ngreeting-timeout = 61 s\n", 2,
	  "greeting-timeout: out of range: 10 ms to 60 s" },
};

static void what_is_wrong_is_named_with_its_line(void **state)
{
	struct config config;
	char error[CONFIG_ERROR_BYTES];

	for (size_t i = 0; i < hak_array_size(wrong); i++) {
		unsigned line = parse(&config, wrong[i].text, error);

		if (line != wrong[i].line)
			fail_msg("case %zu: line %u, '%s'", i, line, line ? error : "");
		assert_string_equal(error, wrong[i].error);
	}
}

/* The example next to the sources documents every key with its default, commented out. */
static void the_example_has_every_key(void **state)
{
	static char text[32768], enabled[32768];
	char path[4096], error[CONFIG_ERROR_BYTES];
	struct config config;
	char *out = enabled;
	unsigned keys = 0;

	(void)snprintf(path, sizeof(path), "%.*s../../daemon/hakmemd.conf",
		       (int)(strrchr(__FILE__, '/') + 1 - __FILE__), __FILE__);
	if (hak_sys_read_file(path, text, sizeof(text)) <= 0)
		fail_msg("cannot read %s", path);
	config_init(&config, GIB);
	assert_int_equal(config_parse(&config, text, strlen(text), error), 0);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		bool key = line[0] == '#' && line[1] >= 'a' && line[1] <= 'z';

		keys += key;
		out += sprintf(out, "%s\n", line + key);
	}
	assert_int_equal(keys, CONFIG_KEYS); /* a key twice, or an unknown one, would be an error */
	config_init(&config, GIB);
	if (config_parse(&config, enabled, strlen(enabled), error))
		fail_msg("%s", error);
}

/* A key of the table that the manual does not describe, with its unit or range and its default. */
static void the_manual_has_every_key(void **state)
{
	static char text[32768];
	char path[4096], heading[64];
	const char *section;

	(void)snprintf(path, sizeof(path), "%.*s../../docs/man/hakmemd.conf.5.scd",
		       (int)(strrchr(__FILE__, '/') + 1 - __FILE__), __FILE__);
	if (hak_sys_read_file(path, text, sizeof(text)) <= 0)
		fail_msg("cannot read %s", path);
	for (unsigned i = 0; i < CONFIG_KEYS; i++) {
		const char *at, *end, *word;

		(void)snprintf(heading, sizeof(heading), "\n# [%s]\n", config_keys[i].section);
		section = strstr(text, heading);
		if (!section)
			fail_msg("%s has no %s", path, heading);
		(void)snprintf(heading, sizeof(heading), "\n*%s*\n\t", config_keys[i].name);
		at = section ? strstr(section, heading) : NULL;
		if (!at)
			fail_msg("%s says nothing of %s", path, config_keys[i].name);
		end = at ? strstr(at, "\n\n*") : NULL;
		word = at ? strstr(at, "Default") : NULL;
		if (!word || (end && word > end))
			fail_msg("%s has no default of %s", path, config_keys[i].name);
	}
}

static void values_are_written_as_they_are_read(void **state)
{
	static const char *const texts[] = {
		"/run/hakmem/hakmemd.sock",
		"0666",
		"info",
		"auto",
		"auto",
		"8",
		"0 KiB",
		"2 s",
		"14745 MiB",
		"512 GiB",
		"3 GiB",
		"4096",
		"2048",
		"0",
		"0",
		"100000",
		"500000",
		"1500 ms",
		"1024",
		"256",
		"14745 MiB", /* not set */
		"strict",
		"1023",
		"14745 MiB", /* not set */
	};
	char value[CONFIG_VALUE_BYTES], file[4096], error[CONFIG_ERROR_BYTES];
	const char *section = "";
	struct config config, again;
	size_t n = 0;

	config_init(&config, UINT64_C(4) << 40);
	assert_int_equal(config_session_bytes(&config), 512 * GIB); /* what its region can hold */
	config.total_bytes = 14745 * GIB / 1024;
	assert_int_equal(config_uid_bytes(&config), config.total_bytes);
	config.session_bytes = 512 * GIB;
	config.uid_bytes = 3 * GIB;
	config.greeting_ms = 1500;
	config.numa_policy = NUMA_STRICT;
	config.numa_node = 1023;
	config.stock_session_bytes = 0; /* of a key of the same name in another section */
	for (unsigned i = 0; i < CONFIG_KEYS; i++) {
		const struct config_key *key = &config_keys[i];

		assert_string_equal(config_format(value, &config, key), texts[i]);
		if (strcmp(section, key->section))
			n += (size_t)sprintf(file + n, "[%s]\n", key->section);
		section = key->section;
		n += (size_t)sprintf(file + n, "%s = %s\n", key->name, value);
	}
	config_init(&again, GIB);
	if (config_parse(&again, file, n, error))
		fail_msg("%s", error);
	for (unsigned i = 0; i < CONFIG_KEYS; i++)
		assert_string_equal(config_format(value, &again, &config_keys[i]), texts[i]);
	/* Copied key by key into another one: the same, and nothing else with it. */
	config_init(&again, GIB);
	for (unsigned i = 0; i < CONFIG_KEYS; i++) {
		config_copy(&again, &config, &config_keys[i]);
		assert_string_equal(config_format(value, &again, &config_keys[i]), texts[i]);
	}
	assert_int_equal(again.total_bytes, config.total_bytes);
}

static void a_later_text_overrides_an_earlier_one(void **state)
{
	static const char first[] = "[limits]\nsessions = 5\nuid-sessions = 4\n";
	static const char second[] = "[limits]\nsessions = 6\n";
	char error[CONFIG_ERROR_BYTES];
	struct config config;

	config_init(&config, GIB);
	assert_int_equal(config_parse(&config, first, strlen(first), error), 0);
	assert_int_equal(config_parse(&config, second, strlen(second), error), 0);
	assert_int_equal(config.sessions, 6);
	assert_int_equal(config.uid_sessions, 4);
}

static void long_lines_and_nul_bytes_are_wrong(void **state)
{
	struct config config;
	char text[600] = "[daemon]\n# ", error[CONFIG_ERROR_BYTES];
	size_t n = strlen(text);

	memset(text + n, 'x', 500);
	assert_int_equal(parse(&config, text, error), 2);
	assert_non_null(strstr(error, "a line of more than "));
	config_init(&config, GIB);
	assert_int_equal(config_parse(&config, "[daemon]\n#\0\n", 12, error), 2);
	assert_string_equal(error, "a NUL byte");
}

static void socket_paths_fit_into_an_address(void **state)
{
	struct config config;
	char path[200];

	config_init(&config, GIB);
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[107] = 0;
	assert_int_equal(config_set_socket(&config, path), 0);
	assert_string_equal(config.socket, path);
	path[107] = 'a';
	path[108] = 0;
	assert_int_equal(config_set_socket(&config, path), -EINVAL);
	assert_int_equal(config_set_socket(&config, "/dir/"), -EINVAL);
	assert_int_equal(config_set_socket(&config, ""), -EINVAL);
	assert_int_equal(strlen(config.socket), 107);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_follow_the_machine),
		cmocka_unit_test(every_key_is_taken),
		cmocka_unit_test(what_is_wrong_is_named_with_its_line),
		cmocka_unit_test(the_example_has_every_key),
		cmocka_unit_test(the_manual_has_every_key),
		cmocka_unit_test(values_are_written_as_they_are_read),
		cmocka_unit_test(a_later_text_overrides_an_earlier_one),
		cmocka_unit_test(long_lines_and_nul_bytes_are_wrong),
		cmocka_unit_test(socket_paths_fit_into_an_address),
	};

	unit_watchdog();
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
