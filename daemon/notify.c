/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/notify.h"

#include <systemd/sd-daemon.h>

void notify_ready(void)
{
	(void)sd_notify(0, "READY=1");
}

void notify_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1");
}

uint64_t notify_interval_ns(void)
{
	uint64_t us;

	/* Twice as often as it must be, as sd_watchdog_enabled(3) advises. */
	return sd_watchdog_enabled(0, &us) > 0 ? us * 1000 / 2 : 0;
}

void notify_alive(void)
{
	(void)sd_notify(0, "WATCHDOG=1");
}
