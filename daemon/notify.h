/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.h - what the service manager is told, and the only door to libsystemd. Without that
 * library notify_none.c stands in; without a service manager nothing happens in either.
 */
#pragma once

#include <stdint.h>

/* It accepts connections. */
void notify_ready(void);
/* It is ending: how long that may take is the manager's business. */
void notify_stopping(void);

/* How often the manager wants to hear notify_alive(), in ns; 0: not at all. */
uint64_t notify_interval_ns(void);
void notify_alive(void);

/* The manager's descriptor store: it keeps copies of these under a name, until it is told to drop
 * the name. It does not look at them. A negative errno: it could not be told. */
int notify_store(const char *name, const int *fds, unsigned n);
void notify_unstore(const char *name);
