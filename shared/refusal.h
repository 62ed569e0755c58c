/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refusal.h - why the daemon refused something: one number for completions, reports and the log.
 *
 * Numbers are part of the protocol (docs/protocol.md): new ones are added at the end, and a reader
 * that meets one it does not know says so.
 */
#pragma once

#include "shared/base.h"

enum hak_refusal {
	HAK_REFUSAL_NONE = 0, /* nothing was refused, or a peer too old to say why */
	/* leases: the keys of hakmemd.conf ... */
	HAK_REFUSAL_TOTAL_BYTES = 1,
	HAK_REFUSAL_UID_BYTES = 2,
	HAK_REFUSAL_SESSION_BYTES = 3,
	/* ... and what no key changes */
	HAK_REFUSAL_ADDRESSES = 4, /* no run of so many neighbours is free in the region */
	HAK_REFUSAL_MEMORY = 5,    /* the machine has none to give */
	/* connections */
	HAK_REFUSAL_SESSIONS = 6,
	HAK_REFUSAL_UID_SESSIONS = 7,
	HAK_REFUSAL_DESCRIPTORS = 8,
	HAK_REFUSAL_UID_DESCRIPTORS = 9,
	/* leases again: a key */
	HAK_REFUSAL_NODE_BYTES = 10,
	/* domains: keys; the first also the quota that a domain was made with */
	HAK_REFUSAL_DOMAIN_BYTES = 11,
	HAK_REFUSAL_DOMAINS = 12,
	HAK_REFUSAL_UID_DOMAINS = 13,
};

/* The configuration's key, "addresses" or "memory"; "" for NONE, "unknown" for other numbers. */
const char *hak_refusal_name(uint32_t refusal);

/* True if a limit of the configuration was reached; false: there is none to give, or NONE. */
bool hak_refusal_is_limit(uint32_t refusal);
