/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - one line per event:  hakmemd: <level> <event> key=value ...
 *
 * To stderr, or to syslog once log_to_syslog() was called. The loop's thread only.
 */
#pragma once

#include "shared/base.h"

enum log_level {
	LOG_AT_ERROR,
	LOG_AT_WARNING,
	LOG_AT_INFO,
	LOG_AT_DEBUG
};

void log_set_level(enum log_level level);
void log_to_syslog(void);

void log_event(enum log_level level, const char *event, const char *fmt, ...) HAK_PRINTF(3, 4);

/*
 * The same for events that a client can cause as often as it likes: LIMIT_LOG_PER_SECOND lines a
 * second for each event name (a literal), the rest is counted and named in the next line.
 */
void log_limited(enum log_level level, const char *event, const char *fmt, ...) HAK_PRINTF(3, 4);

/* A message for whoever started the program: `hakmemd: text`. */
void log_plain(const char *fmt, ...) HAK_PRINTF(1, 2);
