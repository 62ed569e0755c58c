/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config_keys.h"
#include "daemon/limits.h"

/* The text being parsed and the first thing that was wrong with it. */
struct parse {
	struct config *config;
	const char *at, *end;
	unsigned line;
	unsigned error_line;
	char *error;
	uint32_t seen; /* keys, by index: one line each */
};
static_assert(CONFIG_KEYS <= 32, "parse.seen");

static int fail(struct parse *parse, const char *fmt, ...) HAK_PRINTF(2, 3);

static int fail(struct parse *parse, const char *fmt, ...)
{
	va_list args;

	if (!parse->error_line) {
		parse->error_line = parse->line;
		va_start(args, fmt);
		(void)vsnprintf(parse->error, CONFIG_ERROR_BYTES, fmt, args);
		va_end(args);
	}
	return 0;
}

void config_init(struct config *config, uint64_t memory_bytes)
{
	uint64_t total = memory_bytes / 100 * LIMIT_TOTAL_PERCENT;

	total &= ~(HAK_SUPERSLAB_SIZE - 1);
	if (total < HAK_SUPERSLAB_SIZE)
		total = HAK_SUPERSLAB_SIZE;
	*config = (struct config){
		.socket = "/run/hakmem/hakmemd.sock",
		.socket_mode = 0666,
		.log_level = LOG_AT_INFO,
		.stock_sessions = LIMIT_STOCK_SESSIONS,
		.stock_session_bytes = LIMIT_STOCK_SESSION_BYTES,
		.stock_decay_ms = LIMIT_STOCK_DECAY_MS,
		.total_bytes = total,
		.sessions = LIMIT_SESSIONS,
		.uid_sessions = LIMIT_UID_SESSIONS,
		.session_requests = LIMIT_SESSION_REQUESTS,
		.uid_requests = LIMIT_UID_REQUESTS,
		.greeting_ms = LIMIT_GREETING_MS,
		.domains = LIMIT_DOMAINS,
		.uid_domains = LIMIT_UID_DOMAINS,
	};
}

int config_set_socket(struct config *config, const char *path)
{
	size_t n = strlen(path);

	if (path[0] != '/' || n >= CONFIG_SOCKET_BYTES || path[n - 1] == '/')
		return -EINVAL;
	memcpy(config->socket, path, n + 1);
	return 0;
}

/* Digits, then what follows them; -EINVAL without digits, -ERANGE where they don't fit. */
static int parse_digits(const char *value, unsigned base, uint64_t *ret_number,
			const char **ret_rest)
{
	const char *p = value;
	uint64_t n = 0;

	for (; *p >= '0' && *p < (char)('0' + base); p++) {
		if (n > (UINT64_MAX - 9) / base)
			return -ERANGE;
		n = n * base + (uint64_t)(*p - '0');
	}
	if (p == value)
		return -EINVAL;
	*ret_number = n;
	*ret_rest = p;
	return 0;
}

static int in_range(struct parse *parse, const struct config_key *key, uint64_t number,
		    const struct config_unit *units)
{
	unsigned lo = 0, hi = 0;

	if (number >= key->min && number <= key->max)
		return 1;
	/* Name the range in the largest unit that writes it exactly. */
	for (unsigned i = 0; units && units[i].name; i++) {
		if (key->min % units[i].factor == 0)
			lo = i;
		if (key->max % units[i].factor == 0)
			hi = i;
	}
	return fail(parse, "%s: out of range: %llu%s%s to %llu%s%s", key->name,
		    (unsigned long long)(units ? key->min / units[lo].factor : key->min),
		    units ? " " : "", units ? units[lo].name : "",
		    (unsigned long long)(units ? key->max / units[hi].factor : key->max),
		    units ? " " : "", units ? units[hi].name : "");
}

/* A number with a unit, in units of the smallest factor. */
static int parse_unit(struct parse *parse, const struct config_key *key, const char *value,
		      const struct config_unit *units, const char *expected, uint64_t *ret_number)
{
	const char *rest = value;
	uint64_t number;
	int r = parse_digits(value, 10, &number, &rest);

	if (r == -EINVAL)
		return fail(parse, "%s: '%.40s' is not a number with a unit (%s)", key->name, value,
			    expected);
	while (!r && *rest == ' ')
		rest++;
	for (const struct config_unit *u = units; !r && u->name; u++) {
		if (strcmp(rest, u->name))
			continue;
		if (number > UINT64_MAX / u->factor)
			break;
		*ret_number = number * u->factor;
		return in_range(parse, key, *ret_number, units);
	}
	if (r == -ERANGE || !*rest || number > (UINT64_MAX >> 40))
		return !r && !*rest ? fail(parse, "%s: '%.40s' has no unit (%s)", key->name, value,
					   expected)
				    : in_range(parse, key, UINT64_MAX, units);
	return fail(parse, "%s: unknown unit '%.40s' (%s)", key->name, rest, expected);
}

static int set_choice(struct parse *parse, const struct config_key *key, const char *value,
		      unsigned *at)
{
	char all[80] = "";

	for (unsigned i = 0; key->choices[i]; i++) {
		if (!strcmp(value, key->choices[i])) {
			*at = i;
			return 1;
		}
		(void)strncat(all, i ? ", " : "", sizeof(all) - strlen(all) - 1);
		(void)strncat(all, key->choices[i], sizeof(all) - strlen(all) - 1);
	}
	return fail(parse, "%s: '%.40s' is none of: %s", key->name, value, all);
}

static int set_number(struct parse *parse, const struct config_key *key, const char *value,
		      unsigned base, uint32_t *at)
{
	const char *rest = value;
	uint64_t number;
	int r = parse_digits(value, base, &number, &rest);

	if (r == -ERANGE)
		return in_range(parse, key, UINT64_MAX, NULL);
	if (r < 0 || *rest)
		return fail(parse, "%s: '%.40s' is not %s", key->name, value,
			    base == 8 ? "an octal file mode" : "a number");
	if (base == 8 && number > key->max)
		return fail(parse, "%s: out of range: 0 to 0777", key->name);
	if (!in_range(parse, key, number, NULL))
		return 0;
	*at = (uint32_t)number;
	return 1;
}

static int set(struct parse *parse, const struct config_key *key, const char *value)
{
	void *at = hak_at(parse->config, key->offset);
	uint64_t number;

	switch (key->kind) {
	case CONFIG_PATH:
		if (config_set_socket(parse->config, value) == 0)
			return 1;
		return fail(parse, "%s: " CONFIG_SOCKET_RULE, key->name, CONFIG_SOCKET_BYTES - 1);
	case CONFIG_MODE:
		return set_number(parse, key, value, 8, at);
	case CONFIG_COUNT:
		return set_number(parse, key, value, 10, at);
	case CONFIG_CHOICE:
		return set_choice(parse, key, value, at);
	case CONFIG_BYTES:
		if (!parse_unit(parse, key, value, config_byte_units, "KiB, MiB, GiB, TiB",
				&number))
			return 0;
		*(uint64_t *)at = number;
		return 1;
	case CONFIG_TIME:
		if (!parse_unit(parse, key, value, config_time_units, "ms, s", &number))
			return 0;
		*(uint32_t *)at = (uint32_t)number;
		return 1;
	}
	return 0;
}

/* inih's callback: 1 goes on, 0 remembers the line as wrong. */
static int on_key(void *context, const char *section, const char *name, const char *value)
{
	struct parse *parse = context;
	bool known_section = false;

	if (!*section)
		return fail(parse, "'%.40s' stands before the first section", name);
	for (unsigned i = 0; i < CONFIG_KEYS; i++) {
		const struct config_key *key = &config_keys[i];

		if (strcmp(section, key->section))
			continue;
		known_section = true;
		if (strcmp(name, key->name))
			continue;
		if (parse->seen & (1u << i))
			return fail(parse, "%s: given twice", name);
		parse->seen |= 1u << i;
		return set(parse, key, value);
	}
	if (!known_section)
		return fail(parse, "unknown section [%.40s]", section);
	return fail(parse, "unknown key '%.40s' in [%s]", name, section);
}

/* fgets() on the text, counting lines. inih asks for one line at a time. */
static char *next_line(char *buf, int size, void *context)
{
	struct parse *parse = context;
	size_t room = (size_t)size - 1, n = 0;

	if (parse->at == parse->end)
		return NULL;
	parse->line++;
	while (parse->at < parse->end && n < room) {
		char c = *parse->at++;

		if (!c)
			(void)fail(parse, "a NUL byte");
		buf[n++] = c;
		if (c == '\n')
			break;
	}
	buf[n] = 0;
	if (n == room && parse->at < parse->end && buf[n - 1] != '\n') {
		(void)fail(parse, "a line of more than %zu characters", room - 1);
		parse->at = parse->end; /* what follows is no line of its own */
	}
	return buf;
}

unsigned config_parse(struct config *config, const char *text, size_t size,
		      char ret_error[CONFIG_ERROR_BYTES])
{
	struct parse parse = { .config = config, .at = text, .end = text + size };
	char error[CONFIG_ERROR_BYTES];
	int line;

	parse.error = error;
	line = ini_parse_stream(next_line, &parse, on_key, &parse);
	if (line > 0 && (!parse.error_line || (unsigned)line < parse.error_line)) {
		parse.error_line = (unsigned)line;
		(void)snprintf(error, sizeof(error),
			       "neither [section], key = value nor a comment");
	}
	if (parse.error_line)
		memcpy(ret_error, error, CONFIG_ERROR_BYTES);
	return parse.error_line;
}

uint64_t config_session_bytes(const struct config *config)
{
	uint64_t bytes = config->session_bytes ? config->session_bytes : config->total_bytes;

	return bytes < LIMIT_SESSION_BYTES ? bytes : LIMIT_SESSION_BYTES;
}

uint64_t config_uid_bytes(const struct config *config)
{
	return config->uid_bytes ? config->uid_bytes : config->total_bytes;
}

uint64_t config_node_bytes(const struct config *config)
{
	return config->node_bytes ? config->node_bytes : config->total_bytes;
}

uint64_t config_domain_bytes(const struct config *config)
{
	return config->domain_bytes ? config->domain_bytes : config->total_bytes;
}
