/* SPDX-License-Identifier: Apache-2.0 */
/* report.h - answers to QUERY: records of shared/report.h, in a memfd that nobody can change. */
#pragma once

#include "shared/wire.h"

struct daemon;

/* The descriptor (owned by the caller) and the frame's body. -EINVAL: no such query. */
int report_build(int *ret_fd, struct hak_wire_report *ret_body, const struct daemon *daemon,
		 const struct hak_wire_query_body *query);
