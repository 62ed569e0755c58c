/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query.h - asks a daemon one question: QUERY out, REPORT and a file of records back.
 *
 * Whoever listens at the path may be no daemon of ours: every frame is decoded, every number
 * checked, and the file is read, not mapped, so that it may shrink under us.
 */
#pragma once

#include "tools/talk.h"

struct query {
	void *records; /* `count` of the size that was asked for; missing fields are 0 */
	uint64_t count;
	struct talk talk; /* its error: on failure, why */
};
#define QUERY_NULL \
	{          \
		0  \
	}

/* 0, or -1 and query->talk.error. query_deinit() in either case. */
int query_run(struct query *query, const char *path, enum hak_wire_query what, size_t record_size);
/* The same of an answer in several parts: what comes behind `after`, 0 for the first. */
int query_run_from(struct query *query, const char *path, enum hak_wire_query what, uint64_t after,
		   size_t record_size);
void query_deinit(struct query *query);
