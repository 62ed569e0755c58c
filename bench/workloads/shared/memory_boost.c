/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/workloads/shared/memory_boost.h"

void memory_join(struct side *side, uint64_t bytes)
{
	if (!side->member && boost_make(side->name, bytes, side->members == 1))
		work_die("there is no shared memory");
	side_meet(side);
	if (side->member && boost_open(side->name))
		work_die("the shared memory cannot be opened");
	side_meet(side);
	if (!side->member)
		boost_unlink(side->name);
}

void memory_leave(struct side *side)
{
	side_meet(side);
	boost_close();
}
