/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_walk.h - a domain's books added up: who has what.
 *
 * Everything is copied before it is looked at, and bounded: members write while we read, and what
 * they write may be garbage. So the sums are those of no one moment; a run that was taken apart
 * between two looks, or that no member would write, is counted as `unclear`. The work is bounded by
 * the granted superslabs: 256 bytes each, and the half-words of the slabs that have some.
 */
#pragma once

#include "tools/domain_join.h"

struct walk_sum {
	uint64_t n;
	uint64_t bytes;
};

/* What is leased to a member, and what it owns expressly: by a half-word. */
struct walk_member {
	uint64_t slabs;
	struct walk_sum runs; /* of slabs cut into blocks */
	uint64_t blocks;      /* that they are cut into: which are in use, only the holder knows */
	struct walk_sum spans;
	struct walk_sum claimed;  /* slabs: being taken or given back */
	struct walk_sum owned;    /* blocks, those of `adopted` and `changing` included */
	struct walk_sum adopted;  /* of these, from slabs of others */
	struct walk_sum changing; /* of these, just being published or sent */
	struct walk_sum freed;    /* in its slabs: given back by others, not noticed yet */
	struct walk_sum guests;   /* in its slabs: blocks that are another's or nobody's */
	/* CLOCK_BOOTTIME: none of its unpublished blocks came into use before. UINT64_MAX: by the
	 * books none is in use. */
	uint64_t since_ns;
};

enum walk_ref {
	WALK_REF_GOOD,
	WALK_REF_STALE,   /* its block has been freed */
	WALK_REF_FOREIGN, /* of another domain, or none */
};

struct walk_root {
	char name[HAK_DOMAIN_NAME + 1]; /* plain */
	uint64_t ref;
	uint64_t offset, size; /* of a good one's block */
	enum walk_ref kind;
};

struct walk_channel {
	char name[HAK_DOMAIN_NAME + 1]; /* plain */
	bool is_used;
	uint32_t capacity; /* 0: not set up, or written over */
	struct walk_sum moving;
	uint64_t senders[HAK_MEMBERS / 64]; /* bits of members that live */
	uint64_t receivers[HAK_MEMBERS / 64];
};

struct walk_class {
	uint64_t slabs;
	uint64_t excepted; /* blocks with a half-word */
};

struct domain_walk {
	const struct domain_join *join;
	struct hak_domain_view view; /* of a private copy of what was needed */
	uint64_t free_slabs, absent_slabs, unclear_slabs;
	/* By number; HAK_HOLDER_ORPHAN's at ORPHANS. */
	struct walk_member member[HAK_MEMBERS];
	struct walk_class class[HAK_CLASSES]; /* 0: spans */
	struct walk_sum published, moving, unclear;
	struct walk_sum unnamed; /* of the published ones, without a root */
	struct walk_channel channel[HAK_CHANNELS];
	struct walk_root root[HAK_ROOTS];
	uint32_t roots; /* used of root[] */
};

#define WALK_ORPHANS 0u /* no member has this number */

/* 0, or -1 and join->talk.error. domain_walk_free() in either case; NULL is allowed there. */
int domain_walk_new(struct domain_walk **ret, struct domain_join *join);
struct domain_walk *domain_walk_free(struct domain_walk *walk);

/* The member's state; NONE for this reader itself. */
enum hak_member_state domain_walk_state(const struct domain_walk *walk, uint32_t number);
/* Is there something to say about it? Readers that leave are DYING for a moment, too. */
bool domain_walk_shows(const struct domain_walk *walk, uint32_t number);
/* Runs, spans and what is being claimed. */
uint64_t domain_walk_held(const struct walk_member *member);
