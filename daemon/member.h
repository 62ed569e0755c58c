/* SPDX-License-Identifier: Apache-2.0 */
/*
 * member.h - a process as a member of a domain.
 *
 *	DOMAIN_OPEN             DOMAIN_CLOSE, process gone         sweep complete
 *	-----------> ALIVE, or READER -------------------> DYING ------------------> number free
 *	   JOINED                               LEFT, DIED                  SWEPT
 *
 * A READER owns nothing: its sweep is complete at once.
 *
 * A session that is evicted keeps its memberships until its process is gone: what it has mapped it
 * may still write to. A member of a session that has ended has none (session NULL).
 *
 * Its number is given out again after its sweep; ids never are. Fresh numbers come first, so that
 * hardly any is reused while a sweep that takes it for nobody's is under way; see member_join().
 */
#pragma once

#include "daemon/domain_book.h"
#include "daemon/list.h"
#include "shared/domain.h"

struct domain;
struct session;

struct member {
	struct list link;       /* domain.members */
	struct list in_session; /* session.members */
	struct domain *domain;
	struct session *session;
	uint64_t id;
	uint64_t heir; /* a member's id, or 0 */
	uint32_t pid;
	bool read_only;
	bool dying;
	int sign;                 /* readable: there are events, or others are in need */
	struct member_text *text; /* in the domain's book */
	uint64_t last_event;      /* that it was told of, */
	uint64_t last_need;       /* and the last need */
	/* of its sweep */
	struct hak_sweep sweep;
	uint32_t channels, superslabs; /* that are done */
};

/* The session's membership; NULL: it has none. */
struct member *member_find(const struct session *session, const struct domain *domain);
struct member *member_by_id(const struct session *session, uint64_t domain_id);
/* A member of the domain that is alive; NULL: it is not. */
struct member *member_alive(const struct domain *domain, uint64_t id);

/* 0, a negative errno (-EAGAIN: all free numbers are those that a sweep is looking for; -EUSERS:
 * all are taken; -EDQUOT: too many that only read), or an enum hak_refusal. */
int member_join(struct member **ret_member, struct domain *domain, struct session *session,
		bool read_only);
/* 0: none. */
void member_set_heir(struct member *member, uint64_t heir);
/* Its sign outlives the daemon, until it leaves; nothing if it is stored. */
void member_store(const struct member *member);
/* It closed the domain, or (`died`) its process is gone. */
void member_leave(struct member *member, bool died);
/* All of a session. */
void members_leave(struct session *session, bool died);

/* Sets the signs of those that were not told of an event yet, or of somebody's need. */
void members_tell(struct domain *domain);

/* For domains that are made or adopted: writes what others see of it; tells them of an event. */
void member_show(struct domain *domain, const struct member_text *text);
void member_tell(struct domain *domain, struct member_text *text, enum hak_event_kind kind);

/* Its sweep is complete: the number is free again. */
void member_swept(struct member *member);

/* The daemon stops: nobody is left to be told or to be swept for. */
void members_drop(struct domain *domain);
