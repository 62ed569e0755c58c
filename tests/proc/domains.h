/* SPDX-License-Identifier: Apache-2.0 */
/* domains.h - what tests of domains share; whatever fails, fails the test. */
#pragma once

#include "bench/raw/raw_domain.h"
#include "tests/proc/rig.h"

/* A session. */
struct raw domains_connect(struct rig *rig);
/* Makes or joins one; `attr` NULL: a small one, so that a check of all of its books is cheap. */
struct raw_domain domains_open(struct raw *raw, const char *name,
			       const struct hak_wire_domain_attr *attr);
/* The report of a domain; bytes UINT64_MAX: there is none of that id. */
struct hak_report_domain domains_report(struct rig *rig, uint64_t id);
void domains_wait_gone(struct rig *rig, uint64_t id);
void domains_wait_granted(struct rig *rig, const struct raw_domain *d, uint64_t superslabs);
/* Waits for event number n and takes the sign away, as a client does: first the sign, then a
 * look. */
struct hak_event_entry domains_await(const struct raw_domain *d, uint64_t n);
/* Another process that joins, does this and is killed at once, or later. */
typedef void domains_doing(struct raw *raw, struct raw_domain *d);
pid_t domains_member(struct rig *rig, const char *name, domains_doing *fn);
void domains_kill(pid_t pid);
/* Grows by three superslabs, leases three slabs and claims 40: of the last slab, block 7 is
 * published and block 8 the member's expressly. */
void domains_hold(struct raw *raw, struct raw_domain *d);
#define DOMAINS_CLASS 4u /* of the blocks in them */
/* Slabs of that kind and holder. */
uint64_t domains_count(const struct raw_domain *d, enum hak_lease_kind kind, uint32_t holder);
