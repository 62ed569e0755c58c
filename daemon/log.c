/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#include "daemon/limits.h"
#include "shared/sys.h"

#define LINE_MAX_BYTES 512u
#define CLASSES        32u

/* The window of one event name. */
struct class
{
	const char *event;
	uint64_t since_ns;
	uint32_t lines;
	uint32_t suppressed;
};

static struct {
	enum log_level level;
	bool syslog;
	struct class classes[CLASSES];
} state = { .level = LOG_AT_INFO };

static const char *const names[] = { "error", "warning", "info", "debug" };
static const int priorities[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level)
{
	state.level = level;
}

void log_to_syslog(void)
{
	openlog("hakmemd", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	state.syslog = true;
}

/* One write(), so that lines of several writers do not mix. `used` counts what is in `line`. */
static void put(enum log_level level, char *line, size_t used)
{
	if (state.syslog) {
		syslog(priorities[level], "%.*s", (int)used, line);
		return;
	}
	line[used++] = '\n';
	hak_sys_write(STDERR_FILENO, line, used);
}

static size_t clip(int n)
{
	return n < 0 ? 0 : (size_t)n < LINE_MAX_BYTES - 1 ? (size_t)n : LINE_MAX_BYTES - 2;
}

static void write_line(enum log_level level, const char *event, uint32_t suppressed,
		       const char *fmt, va_list args) HAK_PRINTF(4, 0);

static void write_line(enum log_level level, const char *event, uint32_t suppressed,
		       const char *fmt, va_list args)
{
	char line[LINE_MAX_BYTES];
	size_t n = clip(snprintf(line, sizeof(line) - 1, state.syslog ? "%s %s" : "hakmemd: %s %s",
				 names[level], event));

	if (suppressed)
		n = clip((int)n +
			 snprintf(line + n, sizeof(line) - 1 - n, " suppressed=%u", suppressed));
	if (*fmt) {
		line[n++] = ' ';
		n = clip((int)n + vsnprintf(line + n, sizeof(line) - 1 - n, fmt, args));
	}
	put(level, line, n);
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
	va_list args;

	if (level > state.level)
		return;
	va_start(args, fmt);
	write_line(level, event, 0, fmt, args);
	va_end(args);
}

/* The class of an event name; the first one where there are more names than places. */
static struct class *class_of(const char *event)
{
	for (unsigned i = 0; i < CLASSES; i++) {
		struct class *class = &state.classes[i];

		if (!class->event)
			class->event = event;
		if (class->event == event)
			return class;
	}
	return &state.classes[0];
}

void log_limited(enum log_level level, const char *event, const char *fmt, ...)
{
	struct class *class = class_of(event);
	uint64_t now = hak_sys_now_ns();
	uint32_t suppressed;
	va_list args;

	if (level > state.level)
		return;
	if (now - class->since_ns > UINT64_C(1000000000)) {
		class->since_ns = now;
		class->lines = 0;
	}
	if (class->lines++ >= LIMIT_LOG_PER_SECOND) {
		class->suppressed++;
		return;
	}
	suppressed = class->suppressed;
	class->suppressed = 0;
	va_start(args, fmt);
	write_line(level, event, suppressed, fmt, args);
	va_end(args);
}

void log_plain(const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	size_t n = state.syslog ? 0 : clip(snprintf(line, sizeof(line) - 1, "hakmemd: "));
	va_list args;

	va_start(args, fmt);
	n = clip((int)n + vsnprintf(line + n, sizeof(line) - 1 - n, fmt, args));
	va_end(args);
	put(LOG_AT_INFO, line, n);
}
