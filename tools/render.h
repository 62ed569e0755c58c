/* SPDX-License-Identifier: Apache-2.0 */
/* render.h - reports as JSON (the schema is in hakctl(1)) and as tables for people, on stdout. */
#pragma once

#include "shared/report.h"

/* Clocks of a report are compared with later ones; a stranger's need not make sense. */
static inline uint64_t render_since(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

/* 0, or -1: no memory. */
int render_status_json(const struct hak_report_status *status);
int render_sessions_json(const struct hak_report_session *sessions, uint64_t n, uint64_t now_ns);
int render_limits_json(const struct hak_report_limit *limits, uint64_t n);
int render_version_json(void);

void render_status_text(const struct hak_report_status *status, const char *socket);
void render_limits_text(const struct hak_report_limit *limits, uint64_t n);
void render_sessions_text(const struct hak_report_session *sessions, uint64_t n, uint64_t now_ns);
