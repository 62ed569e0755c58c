/* SPDX-License-Identifier: Apache-2.0 */
/* region_local.h - finds and leases in one, for tests that have no session. */
#pragma once

#include "daemon/region.h"

static inline bool region_take(struct region *region, const struct numa *numa, uint32_t part,
			       uint64_t allowed, uint32_t count, uint32_t *ret_first)
{
	if (!region_find(region, numa, part, allowed, count, ret_first))
		return false;
	region_lease(region, *ret_first, count);
	return true;
}
