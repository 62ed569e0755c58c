/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_state.h - the numbers of domains, and the page of a domain that the daemon alone writes:
 * who is a member, what has become of others. shared/domain.h has all else.
 */
#pragma once

#include <stdatomic.h>

#include "shared/layout.h"

#define HAK_DOMAIN_VERSION 2u

#define HAK_DOMAIN_NAME 32u /* bytes with the NUL; [A-Za-z0-9._-], not beginning with a dot */
#define HAK_MEMBERS     1024u
#define HAK_MEMBER_MAX  1000u /* numbers 1 .. 1000 are given out */
#define HAK_ROOTS       1024u
#define HAK_CHANNELS    256u
#define HAK_EVENTS      256u

/* Addresses of domains: the daemon picks places in here, processes keep their heaps out of it.
 * (Under AddressSanitizer its shadow lies in the usual ones.) */
#if defined(__SANITIZE_ADDRESS__)
#define HAK_DOMAIN_AREA_FIRST (UINT64_C(32) << 40)
#else
#define HAK_DOMAIN_AREA_FIRST (UINT64_C(10) << 40)
#endif
#define HAK_DOMAIN_AREA_END (HAK_DOMAIN_AREA_FIRST + (UINT64_C(6) << 40))

/* 2 TiB: the largest domain, so that an offset in units of 16 bytes has 37 bits. */
#define HAK_DOMAIN_SUPERSLABS_MAX (1u << 20)

/* ---- the state page ---- */

enum hak_member_state {
	HAK_MEMBER_NONE = 0,
	HAK_MEMBER_ALIVE = 1,
	HAK_MEMBER_READER = 2, /* alive, may not write */
	HAK_MEMBER_DYING = 3,  /* gone, its sweep is not complete */
};

/* id: number in the lowest 16 bits, above it how many members the domain has had. */
struct hak_member_entry {
	_Atomic uint64_t id;
	_Atomic uint32_t state; /* enum hak_member_state */
	uint32_t pid;
	uint32_t uid;
	uint32_t reserved0;
	uint64_t since_ns; /* CLOCK_BOOTTIME */
};
HAK_PIN_SIZE(struct hak_member_entry, 32);

enum hak_event_kind {
	HAK_EVENT_KIND_JOINED = 1,
	HAK_EVENT_KIND_LEFT = 2,  /* closed it */
	HAK_EVENT_KIND_DIED = 3,  /* its process is gone */
	HAK_EVENT_KIND_SWEPT = 4, /* everything of it is free again, or whose it is to be */
};

struct hak_event_entry {
	_Atomic uint64_t seq; /* of the event in this place; written last, 0 while it changes */
	uint64_t member;
	uint64_t at_ns; /* CLOCK_BOOTTIME */
	uint32_t kind;  /* enum hak_event_kind */
	uint32_t pid;
};
HAK_PIN_SIZE(struct hak_event_entry, 32);

#define HAK_STATE_MAGIC UINT64_C(0x314d4f444b4148) /* "HAKDOM1" */

struct hak_domain_state {
	uint64_t magic;
	uint32_t version;
	uint32_t superslabs; /* of address range */
	uint64_t id;
	uint64_t base; /* address in every member */
	char name[HAK_DOMAIN_NAME];
	uint32_t orphan_policy; /* enum hak_orphan_policy of hakmem.h */
	uint32_t tag;
	uint64_t quota;           /* bytes */
	_Atomic uint64_t granted; /* superslabs */
	_Atomic uint32_t high;    /* one more than the highest granted superslab there ever was */
	_Atomic uint32_t needs;   /* counts up when somebody was refused: who holds little-used
				   * slabs may give them up */
	_Atomic uint32_t alive;   /* members that are not dying */
	uint32_t reserved1;
	uint64_t reserved0[3];
	/* Events: a ring of the last ones, event n at place n % HAK_EVENTS. */
	_Atomic uint64_t last_event HAK_ALIGNED(64);
	_Atomic uint32_t event_futex; /* its lower half: to wait for */
	uint8_t pad[HAK_LINE - 12];
	struct hak_event_entry event[HAK_EVENTS];
	struct hak_member_entry member[HAK_MEMBERS];
};
HAK_PIN_FIELD(struct hak_domain_state, alive, 96);
HAK_PIN_FIELD(struct hak_domain_state, last_event, 128);
HAK_PIN_FIELD(struct hak_domain_state, event, 192);
HAK_PIN_SIZE(struct hak_domain_state, 192 + 32 * (HAK_EVENTS + HAK_MEMBERS));
#define HAK_STATE_SIZE 0xb000u
static_assert(sizeof(struct hak_domain_state) <= HAK_STATE_SIZE, "state");

static inline uint32_t hak_member_number(uint64_t member)
{
	return (uint32_t)(member & 0xffff);
}
