/* SPDX-License-Identifier: Apache-2.0 */
/* report_limits.h - the answer to HAK_QUERY_LIMITS: every limit, whom it binds, how near it is. */
#pragma once

#include "shared/base.h"

struct daemon;

/* The most records there can be. */
uint64_t report_limits_max(const struct daemon *daemon);
/* Writes struct hak_report_limit; how many. */
uint64_t report_limits_fill(void *records, const struct daemon *daemon);
