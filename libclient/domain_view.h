/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_view.h - a handle and its mappings: the domain's three files, and the process's books.
 */
#pragma once

#include "libclient/domain.h"
#include "shared/wire.h"

/* The descriptors that come with DOMAIN. */
enum {
	HAK_DOMAIN_FD_DATA = 0,
	HAK_DOMAIN_FD_META,
	HAK_DOMAIN_FD_STATE,
	HAK_DOMAIN_FD_EVENTS,
};

/* A handle for what the daemon answered; takes over the eventfd only. -EADDRINUSE, -ENOMEM,
 * -EPROTO. */
int hak_domain_view_open(hak_domain **ret, const struct hak_wire_domain *reply, const int *fds,
			 uint32_t slot, bool readonly);
/* Unmaps all of it, the handle too. */
void hak_domain_view_close(hak_domain *d);
