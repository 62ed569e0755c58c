/* SPDX-License-Identifier: Apache-2.0 */
/* render_domain.h - what is known of domains, as JSON (hakctl(1) has the schema) and for people. */
#pragma once

#include "shared/report.h"
#include "tools/domain_walk.h"

/* What is looked at: the daemon's record of it, and its own books. */
struct domain_look {
	struct hak_report_domain record;
	const struct domain_walk *walk;
	uint64_t now_ns;
};

/* Of the slabs whose holder died: one domain's. */
struct domain_orphans {
	struct hak_report_domain record;
	uint64_t slabs;
	struct walk_sum guests; /* blocks in them that outlived it */
	uint64_t dying;         /* members whose sweep is not complete, */
	uint64_t dying_slabs;   /* and what is theirs still */
	char error[192];        /* "": none; why it could not be looked at */
};

/* 0, or -1: no memory. */
int render_domains_json(const struct hak_report_domain *domains, uint64_t n, uint64_t now_ns);
int render_domain_json(const struct domain_look *look);
int render_who_json(const struct domain_look *look);
int render_leaks_json(const struct domain_look *look);
int render_orphans_json(const struct domain_orphans *orphans, uint64_t n);

void render_domains_text(const struct hak_report_domain *domains, uint64_t n, uint64_t now_ns);
void render_domain_text(const struct domain_look *look);
void render_who_text(const struct domain_look *look);
void render_leaks_text(const struct domain_look *look);
void render_orphans_text(const struct domain_orphans *orphans, uint64_t n);

/* ---- words for both ---- */

#define DOMAIN_COMM 17u
/* What the member's process calls itself, plain; "" where that can't be read, or it is gone. */
const char *domain_comm(char ret[DOMAIN_COMM], const struct domain_look *look, uint32_t number);
const char *domain_state_name(enum hak_member_state state);
const char *domain_ref_name(enum walk_ref kind);
const char *domain_policy_name(uint32_t policy);
const char *domain_lifetime_name(uint32_t lifetime);
/* How long the member has been one. */
uint64_t domain_member_age(const struct domain_look *look, uint32_t number);
/* None of its unpublished blocks is in use for longer. False: by the books it has none. */
bool domain_oldest(const struct domain_look *look, uint32_t number, uint64_t *ret_ns);
/* Messages that nobody is there to receive. */
bool domain_is_stuck(const struct walk_channel *channel);
uint32_t domain_count(const uint64_t members[HAK_MEMBERS / 64]);
/* Members and, as WALK_ORPHANS, nobody's slabs added up. */
struct walk_member domain_total(const struct domain_walk *walk);
