/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_audit.h - the records of HAK_QUERY_AUDIT: where every superslab is, and which of the
 * daemon's equations do not hold.
 *
 * A record is either a row of numbers (`fault` 0), or says of one equation that it fails: `left`
 * and `right` are its sides. The daemon looks at a bounded number of sessions and domains for one
 * answer; if there are more, the last record has scope HAK_SCOPE_MORE, and `owner` is what the next
 * QUERY says in `after`. Sums over all of them are in the first answer, made in one go.
 */
#pragma once

#include "shared/report.h"

enum hak_audit_scope { /* goes on where enum hak_report_scope ends */
	HAK_SCOPE_STOCK = 16,
	HAK_SCOPE_MORE = 17,
};

/* left != right, or for those with "over" left > right. */
enum hak_audit_fault {
	HAK_AUDIT_TAKEN = 1,       /* counted as taken, bits */
	HAK_AUDIT_FROZEN,          /* counted as frozen, bits */
	HAK_AUDIT_FROZEN_FREE,     /* frozen and not taken, 0 */
	HAK_AUDIT_HUGE,            /* counted as huge, bits of taken ones */
	HAK_AUDIT_HUGE_UNBUILT,    /* huge and not built, 0 */
	HAK_AUDIT_WARM,            /* counted as warm, built and not taken */
	HAK_AUDIT_RESERVE,         /* counted as ready, slots with a grant */
	HAK_AUDIT_RESERVE_FREE,    /* granted in the reserve and free, frozen or twice, 0 */
	HAK_AUDIT_BUILDING_FREE,   /* being built for the client and free or frozen, 0 */
	HAK_AUDIT_STATES_OVER,     /* frozen + reserve + building, taken */
	HAK_AUDIT_PLACED,          /* charged to nodes, taken */
	HAK_AUDIT_TOUCHED_OVER,    /* bytes in the file, bytes of what was ever leased or filled */
	HAK_AUDIT_GRANTED,         /* counted as granted, bits */
	HAK_AUDIT_GRANTED_FREE,    /* granted and not taken, 0 */
	HAK_AUDIT_GRANTED_SHOWN,   /* granted as members are told, granted */
	HAK_AUDIT_WASTE,           /* counted as waste, bits */
	HAK_AUDIT_WASTE_HELD,      /* waste and granted or not taken, 0 */
	HAK_AUDIT_DOMAIN_TAKEN,    /* taken, granted + waste + building */
	HAK_AUDIT_DOMAIN_PART,     /* charged to a node, taken that are meant for it */
	HAK_AUDIT_MEMBERS,         /* counted as alive, members that are not dying */
	HAK_AUDIT_NUMBERS,         /* members' numbers taken, members */
	HAK_AUDIT_UID_CHARGED,     /* charged to the user, taken by its sessions and domains */
	HAK_AUDIT_UID_SESSIONS,    /* places of the user, its sessions and connections */
	HAK_AUDIT_UID_DOMAINS,     /* domains of the user, domains of its account */
	HAK_AUDIT_UID_ADDRESSES,   /* bytes of addresses, of its domains */
	HAK_AUDIT_UID_DESCRIPTORS, /* descriptors of the user, what those need */
	HAK_AUDIT_TOTAL_CHARGED,   /* charged to all, to users */
	HAK_AUDIT_TOTAL_SESSIONS,  /* likewise */
	HAK_AUDIT_TOTAL_DOMAINS,   /* likewise */
	HAK_AUDIT_TOTAL_DESCRIPTORS, /* likewise */
	HAK_AUDIT_NODE_HELD,         /* held of the node, by sessions and domains */
	HAK_AUDIT_SESSION_COUNT,     /* sessions counted, in the list */
	HAK_AUDIT_DOMAIN_COUNT,      /* domains counted, in the list */
	HAK_AUDIT_OPEN_OVER,         /* descriptors open, charged and the daemon's own */
	HAK_AUDIT_STOCK_TAKEN,       /* taken of a region that nobody has, 0 */
	HAK_AUDIT_STOCK_COUNT,       /* regions counted, in the shelves */
	HAK_AUDIT_FAULTS,
};

/* In superslabs, where no unit is named. What a scope has no use for is 0. */
struct hak_report_audit {
	uint32_t scope; /* enum hak_report_scope or hak_audit_scope */
	uint32_t fault; /* enum hak_audit_fault; 0: this is a row */
	uint64_t owner; /* SESSION, DOMAIN: its id; UID: the user; NODE: its number */
	uint64_t left, right;
	uint32_t pid;
	uint32_t uid;
	char name[32];     /* what the process calls itself; of a domain: NUL-terminated */
	uint64_t total;    /* of the address range */
	uint64_t charged;  /* SESSION: leased + frozen + reserve + building;
			    * DOMAIN: leased + waste + building */
	uint64_t leased;   /* the client's; DOMAIN: granted to it */
	uint64_t frozen;   /* by a fork */
	uint64_t reserve;  /* granted ahead of need, not taken */
	uint64_t building; /* charged, and not granted yet */
	uint64_t warm;     /* filled and nobody's */
	uint64_t waste;    /* DOMAIN: given back, memory not yet */
	uint64_t absent;   /* none of all these */
	uint64_t file;     /* bytes that the file holds now */
	uint64_t touched;  /* bytes of these that were never leased nor filled, at least */
	uint64_t sessions; /* UID, DAEMON: connections included; STOCK: regions */
	uint64_t domains;
	uint64_t descriptors; /* charged */
	uint64_t open_fds;    /* DAEMON: all that it has open */
	uint32_t unlinked;    /* DOMAIN: 1: it has no name */
	uint32_t ending;      /* SESSION, DOMAIN: 1: it is just being taken apart */
};

HAK_PIN_SIZE(struct hak_report_audit, 200);
HAK_PIN_FIELD(struct hak_report_audit, name, 40);
HAK_PIN_FIELD(struct hak_report_audit, total, 72);
HAK_PIN_FIELD(struct hak_report_audit, file, 144);
