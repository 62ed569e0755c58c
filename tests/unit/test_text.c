/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <string.h>

#include "tools/text.h"

static void strangers_text_becomes_plain(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "" },
		{ "python3", "python3" },
		{ "a b~!\"\\/<", "a b~!\"\\/<" },
		{ "\x1b[31mred", "?[31mred" }, /* a terminal's commands */
		{ "two\nlines\t\r", "two?lines??" },
		{ "\x7f\x80\x9b\xff", "????" },
		{ "gr\xc3\xbc\xc3\x9f", "gr????" }, /* one for each byte */
	};

	(void)state;
	for (size_t i = 0; i < hak_array_size(cases); i++) {
		char text[32];

		memset(text, 'x', sizeof(text));
		memcpy(text, cases[i].in, strlen(cases[i].in) + 1);
		text_make_plain(text, sizeof(text));
		assert_string_equal(text, cases[i].out);
	}
}

static void text_without_an_end_gets_one(void **state)
{
	char text[8] = { 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h' }, copy[8] = "ABCDEFG";

	(void)state;
	text_copy_plain(copy, text, 4);
	assert_memory_equal(copy, "abcd\0FG", 8);
	text_make_plain(text, 4);
	assert_memory_equal(text, "abc\0efgh", 8);
}

static void bytes_are_readable(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0" },
		{ 1023, "1023" },
		{ 1024, "1.0 KiB" },
		{ 2097152, "2.0 MiB" },
		{ UINT64_C(3) << 29, "1.5 GiB" },
		{ UINT64_C(16) << 40, "16.0 TiB" },
		{ UINT64_MAX, "16.0 EiB" },
	};
	char text[TEXT_NUMBER];

	(void)state;
	for (size_t i = 0; i < hak_array_size(cases); i++)
		assert_string_equal(text_bytes(text, cases[i].bytes), cases[i].text);
}

static void durations_are_readable(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} cases[] = {
		{ 0, "0 ms" },
		{ 999, "999 ms" },
		{ 1000, "1 s" },
		{ 59999, "59 s" },
		{ 60000, "1 m 00 s" },
		{ 3599000, "59 m 59 s" },
		{ 3600000, "1 h 00 m" },
		{ 86399000, "23 h 59 m" },
		{ 86400000, "1 d 00 h" },
		{ 864000000, "10 d 00 h" },
	};
	char text[TEXT_NUMBER];

	(void)state;
	for (size_t i = 0; i < hak_array_size(cases); i++)
		assert_string_equal(text_duration(text, cases[i].ms * 1000000), cases[i].text);
	assert_string_equal(text_duration(text, UINT64_MAX), "213503 d 23 h");
}

struct cpus {
	const char *list;
	bool ok;
	uint64_t low; /* CPUs 0 .. 63 */
};

static const struct cpus cpu_lists[] = {
	{ "0\n", true, 1 },
	{ "0", true, 1 },
	{ "0-3\n", true, 0xf },
	{ "1,3,5-7\n", true, 0xea },
	{ "63\n", true, UINT64_C(1) << 63 },
	{ "62-70\n", true, UINT64_C(3) << 62 },
	{ "64-1000\n", true, 0 },
	{ "9999999", true, 0 },
	{ "0-9999999", true, UINT64_MAX },
	{ "5-5", true, 0x20 },
	{ "\n", true, 0 }, /* a node without processors */
	{ "", true, 0 },
	{ "0,\n", false, 0 },
	{ ",0", false, 0 },
	{ "3-1", false, 0 },
	{ "1-", false, 0 },
	{ "-1", false, 0 },
	{ "1-2-3", false, 0 },
	{ "0 1", false, 0 },
	{ "0\n1", false, 0 },
	{ "x", false, 0 },
	{ "10000000000", false, 0 },
};

static void cpu_lists_are_parsed_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < hak_array_size(cpu_lists); i++) {
		uint64_t words[2] = { ~cpu_lists[i].low, 0x55 };
		cpu_set_t *cpus = (cpu_set_t *)(void *)words;

		assert_int_equal(text_parse_cpus(cpus, 64, cpu_lists[i].list), cpu_lists[i].ok);
		if (cpu_lists[i].ok)
			assert_true(words[0] == cpu_lists[i].low);
		assert_int_equal(words[1], 0x55); /* beyond the set */
	}
}

static void numbers_are_parsed_or_refused(void **state)
{
	static const char *const bad[] = {
		"", "-1", "+1", " 1", "1 ", "0x1", "1024", "99999999999"
	};
	unsigned n = 77;

	(void)state;
	for (size_t i = 0; i < hak_array_size(bad); i++) {
		assert_false(text_parse_number(&n, 1023, bad[i]));
		assert_int_equal(n, 77);
	}
	assert_true(text_parse_number(&n, 1023, "0"));
	assert_int_equal(n, 0);
	assert_true(text_parse_number(&n, 1023, "1023"));
	assert_int_equal(n, 1023);
	assert_true(text_parse_number(&n, 1023, "007"));
	assert_int_equal(n, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strangers_text_becomes_plain),
		cmocka_unit_test(text_without_an_end_gets_one),
		cmocka_unit_test(bytes_are_readable),
		cmocka_unit_test(durations_are_readable),
		cmocka_unit_test(cpu_lists_are_parsed_or_refused),
		cmocka_unit_test(numbers_are_parsed_or_refused),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
