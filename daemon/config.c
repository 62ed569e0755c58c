/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/limits.h"
#include "daemon/os.h"
#include "shared/sys.h"

enum kind {
	KIND_PATH,
	KIND_MODE,
	KIND_CHOICE,
	KIND_BYTES,
	KIND_COUNT,
	KIND_TIME
};

/* One key: where its value goes, and what it may be. */
struct key {
	const char *section;
	const char *name;
	enum kind kind;
	size_t offset;
	uint64_t min, max;
	const char *const *choices; /* NULL-terminated; the value is the index */
};

static const char *const log_levels[] = { "error", "warning", "info", "debug", NULL };
static const char *const ring_waits[] = { "auto", "io_uring", "threads", NULL };
static const char *const huge_pages[] = { "auto", "never", NULL };

#define AT(field) offsetof(struct config, field)
static const struct key keys[] = {
	{ "daemon", "socket", KIND_PATH, AT(socket), 0, 0, NULL },
	{ "daemon", "socket-mode", KIND_MODE, AT(socket_mode), 0, 0777, NULL },
	{ "daemon", "log-level", KIND_CHOICE, AT(log_level), 0, 0, log_levels },
	{ "daemon", "ring-wait", KIND_CHOICE, AT(ring_wait), 0, 0, ring_waits },
	{ "daemon", "huge-pages", KIND_CHOICE, AT(huge_pages), 0, 0, huge_pages },
	{ "stock", "sessions", KIND_COUNT, AT(stock_sessions), 0, LIMIT_STOCK_SESSIONS_MAX, NULL },
	{ "stock", "session-bytes", KIND_BYTES, AT(stock_session_bytes), 0,
	  LIMIT_STOCK_SESSION_BYTES_MAX, NULL },
	{ "stock", "decay", KIND_TIME, AT(stock_decay_ms), LIMIT_STOCK_DECAY_MIN_MS,
	  LIMIT_STOCK_DECAY_MAX_MS, NULL },
	{ "limits", "total-bytes", KIND_BYTES, AT(total_bytes), HAK_SUPERSLAB_SIZE, LIMIT_BYTES_MAX,
	  NULL },
	{ "limits", "session-bytes", KIND_BYTES, AT(session_bytes), HAK_SUPERSLAB_SIZE,
	  LIMIT_SESSION_BYTES, NULL },
	{ "limits", "uid-bytes", KIND_BYTES, AT(uid_bytes), HAK_SUPERSLAB_SIZE, LIMIT_BYTES_MAX,
	  NULL },
	{ "limits", "sessions", KIND_COUNT, AT(sessions), 1, LIMIT_SESSIONS_MAX, NULL },
	{ "limits", "uid-sessions", KIND_COUNT, AT(uid_sessions), 1, LIMIT_SESSIONS_MAX, NULL },
	{ "limits", "greeting-timeout", KIND_TIME, AT(greeting_ms), LIMIT_GREETING_MIN_MS,
	  LIMIT_GREETING_MAX_MS, NULL },
};

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit byte_units[] = { { "KiB", UINT64_C(1) << 10 },
					  { "MiB", UINT64_C(1) << 20 },
					  { "GiB", UINT64_C(1) << 30 },
					  { "TiB", UINT64_C(1) << 40 },
					  { NULL, 0 } };
static const struct unit time_units[] = { { "ms", 1 }, { "s", 1000 }, { NULL, 0 } };

/* The text being parsed and the first thing that was wrong with it. */
struct parse {
	struct config *config;
	const char *at, *end;
	unsigned line;
	unsigned error_line;
	char *error;
	uint32_t seen; /* keys, by index: one line each */
};
static_assert(hak_array_size(keys) <= 32, "parse.seen");

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
		.greeting_ms = LIMIT_GREETING_MS,
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

static int in_range(struct parse *parse, const struct key *key, uint64_t number,
		    const struct unit *units)
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
static int parse_unit(struct parse *parse, const struct key *key, const char *value,
		      const struct unit *units, const char *expected, uint64_t *ret_number)
{
	const char *rest = value;
	uint64_t number;
	int r = parse_digits(value, 10, &number, &rest);

	if (r == -EINVAL)
		return fail(parse, "%s: '%.40s' is not a number with a unit (%s)", key->name, value,
			    expected);
	while (!r && *rest == ' ')
		rest++;
	for (const struct unit *u = units; !r && u->name; u++) {
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

static int set_choice(struct parse *parse, const struct key *key, const char *value, unsigned *at)
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

static int set_number(struct parse *parse, const struct key *key, const char *value, unsigned base,
		      uint32_t *at)
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

static int set(struct parse *parse, const struct key *key, const char *value)
{
	void *at = hak_at(parse->config, key->offset);
	uint64_t number;

	switch (key->kind) {
	case KIND_PATH:
		if (config_set_socket(parse->config, value) == 0)
			return 1;
		return fail(parse, "%s: not an absolute path of at most %u characters", key->name,
			    CONFIG_SOCKET_BYTES - 1);
	case KIND_MODE:
		return set_number(parse, key, value, 8, at);
	case KIND_COUNT:
		return set_number(parse, key, value, 10, at);
	case KIND_CHOICE:
		return set_choice(parse, key, value, at);
	case KIND_BYTES:
		if (!parse_unit(parse, key, value, byte_units, "KiB, MiB, GiB, TiB", &number))
			return 0;
		*(uint64_t *)at = number;
		return 1;
	case KIND_TIME:
		if (!parse_unit(parse, key, value, time_units, "ms, s", &number))
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
	for (unsigned i = 0; i < hak_array_size(keys); i++) {
		const struct key *key = &keys[i];

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

int config_load(struct config *config, const char *path)
{
	char error[CONFIG_ERROR_BYTES];
	char *text = malloc(LIMIT_CONFIG_BYTES + 2);
	ssize_t n;
	unsigned line;

	if (!text)
		return -ENOMEM;
	n = hak_sys_read_file(path, text, LIMIT_CONFIG_BYTES + 2);
	if (n > (ssize_t)LIMIT_CONFIG_BYTES)
		n = -EFBIG;
	if (n < 0) {
		log_plain("%s: %s", path, os_text((int)n));
		free(text);
		return (int)n;
	}
	line = config_parse(config, text, (size_t)n, error);
	free(text);
	if (!line)
		return 0;
	log_plain("%s:%u: %s", path, line, error);
	return -EINVAL;
}
