/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/notify.h"

#include <errno.h>
#include <stdio.h>
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

int notify_store(const char *name, const int *fds, unsigned n)
{
	char text[128];
	int r;

	/* FDPOLL=0: a pidfd whose process is gone is still ours to look at. */
	(void)snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	r = sd_pid_notify_with_fds(0, 0, text, fds, n);
	return r == 0 ? -ENOTCONN : r < 0 ? r : 0;
}

void notify_unstore(const char *name)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	(void)sd_notify(0, text);
}
