/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_book.h - what a domain must not forget when the daemon's process ends: see book.h.
 *
 *	struct domain_text   head, fixed part, variable part
 *	runs                 a bit for each superslab: taken, and charged
 *	held                 granted; within runs
 *	waste                to be punched; within runs, none of them held
 *	generation           of each slab of an absent superslab
 *	part                 of a taken superslab: what it is charged to
 *
 * ORDER  take:  part, runs            grant:  high, held, lease words
 *        shrink: claims, generation, held, waste; punch, words ABSENT, waste, runs
 *        join:  had, last_number, members_total, the member's words, `state` ALIVE; event, `told`
 *        leave: order, how, `state` DYING; event, `told`      swept: `state` NONE; event, `told`
 * So whatever is taken and not held is waste, a state whose event is not in `told` was not told.
 */
#pragma once

#include "daemon/book.h"
#include "shared/domain_state.h"
#include "shared/sys.h"
#include "shared/wire.h"

struct domain;

struct member_text {
	uint64_t id;
	uint64_t heir;
	uint64_t session;
	uint64_t since_ns; /* CLOCK_BOOTTIME */
	uint64_t order;    /* of its death among the domain's; from 1 */
	uint32_t pid, uid;
	uint32_t read_only;
	uint32_t how;   /* it left: enum hak_event_kind LEFT or DIED */
	uint32_t told;  /* enum hak_event_kind of its last event, 0: none */
	uint32_t state; /* enum hak_member_state: NONE, ALIVE, DYING */
};
HAK_PIN_SIZE(struct member_text, 64);

struct domain_text {
	struct book_head head;
	/* fixed */
	char name[HAK_DOMAIN_NAME];
	struct hak_wire_domain_attr attr;
	uint32_t uid, gid;
	uint64_t base;
	uint64_t created_ns;
	struct hak_fd_id data, meta, state;
	/* variable */
	HAK_ALIGNED(HAK_LINE) uint32_t unlinked;
	uint32_t last_number;
	uint64_t members_total;
	uint64_t last_event;
	uint64_t needs;
	uint32_t high;
	uint32_t pad;
	uint64_t had[HAK_MEMBERS / 64]; /* numbers that were ever given out */
	struct member_text member[HAK_MEMBERS];
};
#define DOMAIN_TEXT_FIXED offsetof(struct domain_text, unlinked)

/* Bytes of the book of a domain of so many superslabs. */
uint64_t domain_book_size(uint32_t superslabs);
/* Makes the book of a domain that has its id, and places its tables. 0 or a negative errno. */
int domain_book_new(struct domain *domain);
/* Writes the fixed part of a domain whose files are there; valid from then on. 0 or a negative
 * errno. */
int domain_book_write(struct domain *domain);
/* Opens an earlier daemon's book and takes from it what is fixed; it owns `fd` then. As
 * book_open(); the fixed part makes sense, the rest is domain_book_fault()'s. */
int domain_book_open(struct domain *domain, int fd, const char **ret_fault);
/* NULL, or what is wrong with variable part and tables. */
const char *domain_book_fault(const struct domain *domain);

/* All that it consists of outlives the daemon, from here on; not any more, before it is closed. */
void domain_store(const struct domain *domain);
void domain_unstore(const struct domain *domain);
