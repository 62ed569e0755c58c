/* SPDX-License-Identifier: Apache-2.0 */
/* notify_none.c - in place of notify.c where there is no libsystemd. */
#include "daemon/notify.h"

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
