/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/workloads/shared/memory_boost.h"

#include <string.h>

static char name[SIDE_NAME];

static void unlink_it(void)
{
	boost_unlink(name);
}

void memory_join(struct side *side, uint64_t bytes, size_t largest)
{
	(void)largest;
	(void)strcpy(name, side->name);
	if (!side->member)
		(void)atexit(unlink_it); /* should this fail */
	if (!side->member && boost_make(side->name, bytes, side->members == 1))
		work_die("there is no shared memory");
	side_meet(side);
	if (side->member && boost_open(side->name))
		work_die("the shared memory cannot be opened");
	side_meet(side);
	if (!side->member)
		unlink_it();
}

void memory_leave(struct side *side)
{
	side_meet(side);
	boost_close();
}
