/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout.h - the bytes that daemon and client share, and the units both count in.
 *
 * UNITS
 *   slab       64 KiB, the piece that is cut into blocks of one size class
 *   superslab  2 MiB = 32 slabs, aligned in address and file offset: what the daemon grants
 *
 * SESSION SEGMENT (one memfd per session; the client maps it writable, so to the daemon nothing
 * in it is authority: it keeps its own copies of every index that it owns)
 *
 *   0x0000  struct hak_segment_head   written by the daemon before WELCOME, never after
 *   0x1000  struct hak_ring           submission ring, indices   (client -> daemon)
 *   0x2000  struct hak_ring           completion ring, indices   (daemon -> client)
 *   0x3000  struct hak_sqe[64]        submission entries         written by the client
 *   0x4000  struct hak_cqe[128]       completion entries         written by the daemon
 *   0x6000  struct hak_reserve        superslabs granted ahead   written by both: see reserve.h
 *   0x7000  end
 *
 * REGION (one sealed sparse memfd per session): superslab i lies at file offset i * 2 MiB. Only the
 * daemon decides which of them are leased; it alone fills and punches them.
 *
 * PRESENCE (one memfd of a page per session, never touched): the client keeps it mapped writable.
 * As long as that mapping lives the kernel refuses F_SEAL_WRITE, and so the daemon can tell a
 * process that closed its descriptors (still there) from one that called exec (memory gone).
 *
 * A change here needs a new HAK_LAYOUT_VERSION and new numbers in tests/unit/test_layout.c.
 */
#pragma once

#include "shared/base.h"
#include "shared/refusal.h"

#define HAK_LAYOUT_VERSION 2u

#define HAK_SLAB_SHIFT          16u
#define HAK_SLAB_SIZE           ((uint64_t)1 << HAK_SLAB_SHIFT)
#define HAK_SUPERSLAB_SHIFT     21u
#define HAK_SUPERSLAB_SIZE      ((uint64_t)1 << HAK_SUPERSLAB_SHIFT)
#define HAK_SLABS_PER_SUPERSLAB 32u

/* Superslabs by index in a region; HAK_NO_SUPERSLAB where there is none. */
#define HAK_NO_SUPERSLAB UINT32_MAX

/* A region of 512 GiB of sparse file: the most that one session can hold. */
#define HAK_REGION_SUPERSLABS (1u << 18)

#define HAK_SEGMENT_MAGIC       UINT64_C(0x314745534b4148) /* "HAKSEG1" */
#define HAK_SEGMENT_SIZE        0x7000u
#define HAK_SEGMENT_SQ_OFF      0x1000u
#define HAK_SEGMENT_CQ_OFF      0x2000u
#define HAK_SEGMENT_SQES_OFF    0x3000u
#define HAK_SEGMENT_CQES_OFF    0x4000u
#define HAK_SEGMENT_RESERVE_OFF 0x6000u
#define HAK_SQ_ENTRIES          64u
#define HAK_CQ_ENTRIES          128u

struct hak_segment_head {
	uint64_t magic;
	uint32_t layout_version;
	uint32_t segment_size;
	uint32_t sq_entries;
	uint32_t cq_entries;
	uint32_t region_superslabs; /* how many the region's address range must cover */
	uint32_t node_count;        /* NUMA nodes of the daemon; parts of the region are equal */
	uint64_t session_id;
	uint64_t epoch; /* of the daemon's life that created the session */
	uint64_t reserved[2];
};

/*
 * Requests. A client that posts an entry gets exactly one completion with the same seq. Entries
 * are copied once by the daemon and validated on the copy; unknown ops, set reserved fields and
 * counts out of range end the session with a reason.
 */
enum hak_op {
	HAK_OP_NOP = 1,     /* answered with result 0: a round trip */
	HAK_OP_LEASE = 2,   /* grant `count` contiguous superslabs, zeroed, preferably on `node` */
	HAK_OP_RETURN = 3,  /* take back [first, first + count); the client has unmapped them */
	HAK_OP_FREEZE = 4,  /* [first, first + count) became copy-on-write: never punch or reuse */
	HAK_OP_RESERVE = 5, /* keep `count` superslabs ready in the reserve, best from `node` */
	HAK_OP_DOMAIN_GROW = 6, /* grant `count` contiguous superslabs to the domain of this
				 * session whose id is reserved[0], preferably on `node`. Answered
				 * with count 0: what was there has become free, look again */
};

#define HAK_NODE_ANY  UINT32_MAX
#define HAK_LEASE_MAX (1u << 17) /* superslabs in one request: 256 GiB */

struct hak_sqe {
	uint32_t op;
	uint32_t flags; /* none defined: 0 */
	uint64_t seq;   /* strictly increasing within a session, starts at 1 */
	uint32_t first; /* RETURN, FREEZE: index of the first superslab; else 0 */
	uint32_t count; /* LEASE, RETURN, FREEZE: 1 .. HAK_LEASE_MAX superslabs; RESERVE: 0 .. 32 */
	uint32_t node;  /* LEASE, RESERVE: the caller's node or HAK_NODE_ANY; else 0 */
	uint32_t reserved0;
	uint64_t reserved[4];
};

struct hak_cqe {
	uint32_t op;
	int32_t result; /* 0 or a negative errno: -ENOMEM (no memory), -EDQUOT (limit) */
	uint64_t seq;
	uint32_t first;   /* LEASE: index of the first granted superslab */
	uint32_t count;   /* LEASE: as asked for on success */
	uint32_t node;    /* LEASE: the node that served, as far as known, else HAK_NODE_ANY */
	uint32_t refusal; /* LEASE with an error: enum hak_refusal; 0 below protocol version 2 */
	uint64_t limit;   /* of a refusal by a limit of bytes, its value, */
	uint64_t used;    /* and what was charged to it; else 0 */
	uint64_t reserved[2];
};

HAK_PIN_SIZE(struct hak_segment_head, 64);
HAK_PIN_FIELD(struct hak_segment_head, sq_entries, 16);
HAK_PIN_FIELD(struct hak_segment_head, session_id, 32);
HAK_PIN_FIELD(struct hak_segment_head, epoch, 40);
HAK_PIN_SIZE(struct hak_sqe, 64);
HAK_PIN_FIELD(struct hak_sqe, seq, 8);
HAK_PIN_FIELD(struct hak_sqe, first, 16);
HAK_PIN_FIELD(struct hak_sqe, node, 24);
HAK_PIN_SIZE(struct hak_cqe, 64);
HAK_PIN_FIELD(struct hak_cqe, seq, 8);
HAK_PIN_FIELD(struct hak_cqe, first, 16);
HAK_PIN_FIELD(struct hak_cqe, refusal, 28);
HAK_PIN_FIELD(struct hak_cqe, used, 40);
static_assert(HAK_SEGMENT_SQES_OFF + HAK_SQ_ENTRIES * 64u <= HAK_SEGMENT_CQES_OFF, "rings overlap");
static_assert(HAK_SEGMENT_CQES_OFF + HAK_CQ_ENTRIES * 64u == HAK_SEGMENT_RESERVE_OFF, "reserve");
static_assert(HAK_SEGMENT_RESERVE_OFF + 0x1000u == HAK_SEGMENT_SIZE, "segment size");
static_assert(HAK_SLAB_SIZE * HAK_SLABS_PER_SUPERSLAB == HAK_SUPERSLAB_SIZE,
	      "slabs fill a superslab");

/* True if the daemon's header is one this build can use. */
static inline bool hak_segment_head_ok(const struct hak_segment_head *head)
{
	return head->magic == HAK_SEGMENT_MAGIC && head->layout_version == HAK_LAYOUT_VERSION &&
	       head->segment_size == HAK_SEGMENT_SIZE && head->sq_entries == HAK_SQ_ENTRIES &&
	       head->cq_entries == HAK_CQ_ENTRIES &&
	       head->region_superslabs <= HAK_REGION_SUPERSLABS;
}
