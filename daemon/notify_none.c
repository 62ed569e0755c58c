/* SPDX-License-Identifier: Apache-2.0 */
/* notify_none.c - in place of notify.c where there is no libsystemd. */
#include "daemon/notify.h"

#include <errno.h>

void notify_ready(void)
{
}

void notify_stopping(void)
{
}

uint64_t notify_interval_ns(void)
{
	return 0;
}

void notify_alive(void)
{
}

int notify_store(const char *name, const int *fds, unsigned n)
{
	(void)name;
	(void)fds;
	(void)n;
	return -ENOSYS;
}

void notify_unstore(const char *name)
{
	(void)name;
}
