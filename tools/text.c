/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/text.h"

#include <stdio.h>
#include <string.h>

void text_make_plain(char *text, size_t size)
{
	text[size - 1] = 0;
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			*text = '?';
	}
}

void text_copy_plain(char *ret, const char *field, size_t size)
{
	memcpy(ret, field, size);
	text_make_plain(ret, size + 1);
}

const char *text_bytes(char ret[TEXT_NUMBER], uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	uint64_t unit = 1024;
	unsigned i = 0;

	if (bytes < unit) {
		(void)snprintf(ret, TEXT_NUMBER, "%u", (unsigned)bytes);
		return ret;
	}
	while (i + 1 < hak_array_size(units) && bytes / unit >= 1024) {
		unit *= 1024;
		i++;
	}
	(void)snprintf(ret, TEXT_NUMBER, "%.1f %s", (double)bytes / (double)unit, units[i]);
	return ret;
}

const char *text_duration(char ret[TEXT_NUMBER], uint64_t ns)
{
	uint64_t s = ns / 1000000000;
	unsigned long long m = s / 60, h = m / 60, d = h / 24;

	if (!s)
		(void)snprintf(ret, TEXT_NUMBER, "%llu ms", (unsigned long long)(ns / 1000000));
	else if (!m)
		(void)snprintf(ret, TEXT_NUMBER, "%llu s", (unsigned long long)s);
	else if (!h)
		(void)snprintf(ret, TEXT_NUMBER, "%llu m %02llu s", m, (unsigned long long)s % 60);
	else if (!d)
		(void)snprintf(ret, TEXT_NUMBER, "%llu h %02llu m", h, m % 60);
	else
		(void)snprintf(ret, TEXT_NUMBER, "%llu d %02llu h", d, h % 24);
	return ret;
}

/* Digits; stops at what follows them. False: none, or more than 9999999. */
static bool digits(const char **at, unsigned *ret_number)
{
	const char *p = *at;
	unsigned n = 0;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (n > 999999)
			return false;
		n = n * 10 + (unsigned)(*p - '0');
	}
	if (p == *at)
		return false;
	*at = p;
	*ret_number = n;
	return true;
}

bool text_parse_cpus(cpu_set_t *ret_cpus, unsigned limit, const char *list)
{
	size_t bytes = CPU_ALLOC_SIZE(limit);

	CPU_ZERO_S(bytes, ret_cpus);
	if (!*list || !strcmp(list, "\n")) /* a node without CPUs */
		return true;
	for (;; list++) {
		unsigned from, to;

		if (!digits(&list, &from))
			return false;
		to = from;
		if (*list == '-') {
			list++;
			if (!digits(&list, &to) || to < from)
				return false;
		}
		for (unsigned cpu = from; cpu <= to && cpu < limit; cpu++)
			CPU_SET_S(cpu, bytes, ret_cpus);
		if (*list != ',')
			return !*list || !strcmp(list, "\n");
	}
}

bool text_parse_number(unsigned *ret_number, unsigned max, const char *text)
{
	unsigned n;

	if (!digits(&text, &n) || *text || n > max)
		return false;
	*ret_number = n;
	return true;
}
