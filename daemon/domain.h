/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain.h - memory that processes share, as the daemon has it: three files, who is a member, which
 * superslabs are granted. shared/domain.h has the layout and what a death means.
 *
 *	DOMAIN_OPEN                 nobody has it open, all are swept,
 *	with HAK_CREATE             and it is unlinked or was made for its members only
 *	-----------> there, by name ---------------------------------------------------> closing -->
 *	                  |   DOMAIN_UNLINK                                  ^               freed
 *	                  +--------------------> there, without a name ------+
 *
 * What members write (meta) is read here only through shared/domain.h's engine, which bounds it,
 * and lease words, each once. All decisions are made by what is in struct domain.
 *
 * A superslab is
 *
 *	absent --take--> taken --build, grant--> granted --all FREE for a while--> waste --> absent
 *	                   \_____________________ no memory, or nobody waits ______/ punch
 *
 * EQUATION  runs.taken == taken, granted and waste == what is charged to account and placement
 *           granted == number of bits of `held`; what the lease words say is a member's word
 */
#pragma once

#include <sys/types.h>

#include "daemon/domain_book.h"
#include "daemon/list.h"
#include "daemon/loop.h"
#include "daemon/placement.h"
#include "daemon/worker.h"
#include "shared/domain.h"
#include "shared/runs.h"
#include "shared/sys.h"
#include "shared/wire.h"

struct account;
struct daemon;
struct member;
struct session;

struct domains {
	struct daemon *daemon;
	struct list all;
	uint32_t count;
	bool told; /* all domains' members */
	bool stopping;
};

/* What the domain's task, if it is in flight, is for. */
enum domain_purpose {
	DOMAIN_SWEEP,
	DOMAIN_PUNCH,
};

struct domain {
	uint64_t magic;
	struct daemon *daemon;
	struct list link; /* domains.all */
	bool unlinked;    /* has no name any more */
	bool closing;
	uint64_t id;
	char name[HAK_DOMAIN_NAME];
	uid_t uid; /* of who made it */
	gid_t gid;
	struct hak_wire_domain_attr attr; /* without zeroes */
	uint64_t base;
	uint64_t created_ns; /* CLOCK_BOOTTIME */
	struct account *account;
	struct placed placed;

	int data_fd, meta_fd, state_fd;
	void *meta;
	struct hak_domain_state *state;
	struct hak_domain_view view;

	struct book book;         /* outlives the daemon */
	struct domain_text *text; /* in it, as are the next five */
	struct hak_runs runs;
	uint64_t *held;       /* granted */
	uint64_t *waste;      /* taken, and to be punched */
	uint8_t *part;        /* of a taken superslab: what it is charged to */
	uint16_t *generation; /* of the slabs of absent superslabs, from when they were not */
	uint32_t waste_count;
	uint32_t granted;
	uint32_t high;  /* one more than the highest granted there ever was */
	uint64_t needs; /* times that more was refused */
	uint64_t hits;  /* of these, by its quota */
	bool broken;    /* that was said */

	uint64_t need_told;    /* the last of `needs` that members are told of, */
	uint64_t need_told_ns; /* CLOCK_MONOTONIC, when */

	/* ORPHAN slabs, and a pass of gathering them by the sessions that grow the domain. */
	bool orphans;       /* there may be some: hak_domain_gather() comes before growing */
	bool orphans_seen;  /* in this pass, or said to be there during it */
	uint32_t gather;    /* where to go on */
	uint32_t gathering; /* steps under way */

	/* What can be given back: see shrink.h. */
	bool look;
	bool look_again;    /* something happened during this pass */
	uint32_t look_at;   /* superslabs below it are still to be looked at in this pass */
	uint32_t look_free; /* wholly free so far in this pass */
	uint32_t give;      /* how many of them to take in this pass */
	uint64_t excess_ns; /* CLOCK_BOOTTIME, since when there are too many; 0: there are not */

	struct list members; /* all, dying ones in the order of their deaths */
	uint32_t alive;
	uint32_t readers; /* of these */
	uint64_t members_total;
	uint64_t deaths;                    /* the order of the last */
	uint64_t numbers[HAK_MEMBERS / 64]; /* taken */
	uint32_t last_number;
	uint64_t last_event;
	bool told; /* of it, and of need_told, all members */

	uint32_t growing; /* sessions with a request under way */
	struct task task;
	enum domain_purpose work;
	struct member *swept; /* whose sweep it does a step of */
	struct hak_domain_view swept_view;
	uint64_t swept_broken; /* words, before this step */
	struct loop_op close;
};

void domains_init(struct domains *domains, struct daemon *daemon);
/* Frees those that nothing uses; the others when that has ended. Sessions end before. */
void domains_stop(struct domains *domains);
bool domains_in_flight(const struct domains *domains);
/* Once a turn: a thousand deaths in it are one sign to each member. */
void domains_tell(struct domains *domains);
/* True: look again at the next tick. */
bool domains_tick(struct domains *domains);

/* By name; unlinked ones have none. NULL: there is none. */
struct domain *domain_find(const struct domains *domains, const char *name);

/* NULL, or what is wrong with attributes; fills in the defaults. */
const char *domain_attr_fault(const struct daemon *daemon, struct hak_wire_domain_attr *attr);
/* Makes one; `name` and `attr` are valid. 0, a negative errno, or an enum hak_refusal. */
int domain_new(struct domain **ret_domain, const struct session *session, const char *name,
	       const struct hak_wire_domain_attr *attr);
/* Closes it if nothing needs it any more. After everything that may have been the last. */
void domain_settle(struct domain *domain);
/* Takes its name away. */
void domain_unlink(struct domain *domain);

/* True if a process of that user may have it: to read, or to be a member. */
bool domain_permits(const struct domain *domain, const struct hak_peer *peer, bool read_only);

/* Charges and takes neighbours near a part: 0, or the enum hak_refusal that says why not. */
uint32_t domain_take(struct domain *domain, uint32_t part, uint32_t count, uint32_t *ret_first,
		     uint32_t *ret_part);
/* What was taken, and is filled, becomes FREE. */
void domain_grant(struct domain *domain, uint32_t first, uint32_t count);
/* One that is granted isn't any more. */
void domain_ungrant(struct domain *domain, uint32_t index);
/* Taken ones that are not granted: their memory goes back. */
void domain_waste(struct domain *domain, uint32_t first, uint32_t count);
/* That has happened: they can be taken again. */
void domain_wasted(struct domain *domain, uint32_t first, uint32_t count);
/* Somebody was told that there is no more: others may have what they do not need. */
void domain_refused(struct domain *domain, uint32_t refusal);
/* There may be slabs of nobody's. */
void domain_has_orphans(struct domain *domain);
/* The most that it may have now, in superslabs. */
uint64_t domain_max(const struct domain *domain);

/* What a worker looks through: only what was ever granted. Words that members wrote are followed no
 * further, so that none makes it touch pages of meta that nothing was charged for. */
struct hak_domain_view domain_view_granted(const struct domain *domain);

/* Starts what is to be done beside the loop, if nothing is: sweeps, then punching. */
void domain_work(struct domain *domain);
