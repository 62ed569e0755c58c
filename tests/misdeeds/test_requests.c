/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that break the rules: each field at its edges, superslabs that are not the asker's. */
#include "tests/misdeeds/foe.h"

#include <errno.h>

/* The entry is published as it is; seq 0: the next one. */
static void asks(const struct foe *foe, const void *arg)
{
	struct hak_sqe sqe = *(const struct hak_sqe *)arg;
	struct raw raw = foe_offender(foe);
	int code;
	char text[HAK_WIRE_TEXT];

	if (!sqe.seq)
		sqe.seq = ++raw.seq;
	must(!raw_push(&raw, &sqe));
	must(!raw_wait_refused(raw.sock, &code, text) && code == -EPROTO);
}

static void asks_nothing_wrong(const struct foe *foe, const void *arg)
{
	const struct hak_sqe *want = arg;
	struct hak_sqe sqe = *want;
	struct raw raw = foe_offender(foe);
	struct hak_cqe cqe;

	if (!sqe.seq)
		sqe.seq = ++raw.seq;
	(void)raw_call(&raw, &sqe, &cqe);
	must(cqe.seq == sqe.seq && cqe.op == sqe.op);
	if (sqe.seq < 1000)
		must(!raw_nop(&raw));
}

static void returns_what_the_bystander_has(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	struct hak_sqe sqe = raw_entry(&raw, HAK_OP_RETURN);

	sqe.first = foe->bystander_has;
	sqe.count = 1;
	must(!raw_push(&raw, &sqe));
	foe_expect_evicted(&raw, "not leased");
}

static void freezes_what_the_bystander_has(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	struct hak_sqe sqe = raw_entry(&raw, HAK_OP_FREEZE);

	sqe.first = foe->bystander_has;
	sqe.count = 1;
	must(!raw_push(&raw, &sqe));
	foe_expect_evicted(&raw, "not leased");
}

/* Two returns of the same in one go: the second finds nothing. */
static void returns_twice_in_one_batch(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	struct hak_sqe sqe;
	struct hak_cqe cqe;
	uint32_t first;

	must(!raw_lease(&raw, 2, &first));
	for (int i = 0; i < 2; i++) {
		sqe = raw_entry(&raw, HAK_OP_RETURN);
		sqe.first = first;
		sqe.count = 1;
		must(!hak_ring_push(&raw.sq, &sqe));
	}
	raw_wake(&raw);
	must(!raw_pop(&raw, &cqe) && cqe.result == 0);
	foe_expect_evicted(&raw, "not leased");
}

/* What was asked before the wrong entry is done, and answered; nothing after it is. */
static void last_of_a_full_ring_is_wrong(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	struct hak_cqe cqe;
	int r = 0, answers = 0;

	for (unsigned i = 0; i < HAK_SQ_ENTRIES; i++) {
		struct hak_sqe sqe = raw_entry(&raw, HAK_OP_NOP);

		sqe.flags = i == HAK_SQ_ENTRIES - 1;
		must(!hak_ring_push(&raw.sq, &sqe));
	}
	raw_wake(&raw);
	for (; (r = raw_pop(&raw, &cqe)) == 0; answers++)
		;
	must(r == -ENOTCONN && answers == HAK_SQ_ENTRIES - 1);
}

static void first_of_a_full_ring_is_wrong(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	struct hak_cqe cqe;

	for (unsigned i = 0; i < HAK_SQ_ENTRIES; i++) {
		struct hak_sqe sqe = raw_entry(&raw, HAK_OP_NOP);

		sqe.flags = i == 0;
		must(!hak_ring_push(&raw.sq, &sqe));
	}
	raw_wake(&raw);
	must(raw_pop(&raw, &cqe) == -ENOTCONN);
}

static void goes_on_after_its_eviction(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_offender(foe);
	struct hak_sqe sqe = raw_entry(&raw, HAK_OP_NOP);
	struct hak_cqe cqe;
	uint32_t first;

	sqe.op = 99;
	must(!raw_push(&raw, &sqe));
	foe_expect_evicted(&raw, "unknown operation");
	must(raw_lease(&raw, 1, &first) == -ENOTCONN);
	must(raw_resume(&raw, foe->rig->socket, raw.session_id) == -ESTALE);
	for (int i = 0; i < 100; i++)
		raw_wake(&raw);
	must(hak_ring_pop(&raw.cq, &cqe) == HAK_RING_E_EMPTY);
	raw = foe_session(foe); /* and is as welcome as anybody with a new one */
	must(!raw_nop(&raw));
}

#define WRONG(title, reason, ...)                                                         \
	{                                                                                 \
		.name = title, .fn = asks, .arg = &(const struct hak_sqe){ __VA_ARGS__ }, \
		.log = "reason=\"" reason, .evicted = 1                                   \
	}
#define ALLOWED(title, ...)                                                             \
	{                                                                               \
		.name = title, .fn = asks_nothing_wrong, .arg = &(const struct hak_sqe) \
		{                                                                       \
			__VA_ARGS__                                                     \
		}                                                                       \
	}
#define RANGE   "superslabs that are not leased"
#define FROZEN  "superslabs that are frozen"
#define COUNT   "count out of range"
#define NODE    "node out of range"
#define BYTES   "reserved bytes are set"
#define UNKNOWN "unknown operation"
#define SEQ     "sequence number did not increase"
#define FIRST   "first superslab where none is used"
#define MAX     UINT32_MAX
#define REGION  HAK_REGION_SUPERSLABS

static const struct foe_case cases[] = {
	WRONG("operation 0", UNKNOWN, .op = 0),
	WRONG("operation 7", UNKNOWN, .op = 7),
	WRONG("operation 2^32 - 1", UNKNOWN, .op = MAX),
	WRONG("an unknown flag", "unknown flags", .op = HAK_OP_NOP, .flags = 1u << 31),
	WRONG("a reserved word", BYTES, .op = HAK_OP_NOP, .reserved0 = 1),
	WRONG("the last reserved bit", BYTES, .op = HAK_OP_NOP,
	      .reserved = { 0, 0, 0, UINT64_C(1) << 63 }),
	WRONG("a domain where none is used", BYTES, .op = HAK_OP_LEASE, .count = 1,
	      .reserved = { 1 }),
	WRONG("a sequence number replayed", SEQ, .op = HAK_OP_NOP, .seq = 1),
	WRONG("the last sequence number again", SEQ, .op = HAK_OP_NOP, .seq = 3),
	ALLOWED("sequence numbers skipped", .op = HAK_OP_NOP, .seq = 1u << 31),
	ALLOWED("the highest sequence number", .op = HAK_OP_NOP, .seq = UINT64_MAX),
	WRONG("a lease of nothing", COUNT, .op = HAK_OP_LEASE),
	WRONG("a lease of one too many", COUNT, .op = HAK_OP_LEASE, .count = HAK_LEASE_MAX + 1),
	WRONG("a lease of 2^32 - 1", COUNT, .op = HAK_OP_LEASE, .count = MAX),
	ALLOWED("a lease of the most that may be asked", .op = HAK_OP_LEASE,
		.count = HAK_LEASE_MAX),
	WRONG("a lease from node 1024", NODE, .op = HAK_OP_LEASE, .count = 1, .node = 1024),
	WRONG("a lease from node 2^32 - 2", NODE, .op = HAK_OP_LEASE, .count = 1, .node = MAX - 1),
	WRONG("a lease that says where", FIRST, .op = HAK_OP_LEASE, .count = 1, .first = 1),
	WRONG("a return of nothing", COUNT, .op = HAK_OP_RETURN),
	WRONG("a double return", RANGE, .op = HAK_OP_RETURN, .first = 4, .count = 1),
	WRONG("a return of more than is leased", RANGE, .op = HAK_OP_RETURN, .first = 2,
	      .count = 3),
	WRONG("a return of what never was", RANGE, .op = HAK_OP_RETURN, .first = 77, .count = 1),
	WRONG("a return of the region's last", RANGE, .op = HAK_OP_RETURN, .first = REGION - 1,
	      .count = 1),
	WRONG("a return behind the region", RANGE, .op = HAK_OP_RETURN, .first = REGION,
	      .count = 1),
	WRONG("a return that overflows", RANGE, .op = HAK_OP_RETURN, .first = MAX, .count = 2),
	WRONG("a return at 2^31", RANGE, .op = HAK_OP_RETURN, .first = 1u << 31, .count = 1),
	WRONG("a return of all that may be", RANGE, .op = HAK_OP_RETURN, .count = HAK_LEASE_MAX),
	WRONG("a return of what is frozen", FROZEN, .op = HAK_OP_RETURN, .first = 2, .count = 2),
	WRONG("a double freeze", FROZEN, .op = HAK_OP_FREEZE, .first = 3, .count = 1),
	WRONG("a freeze of what was returned", RANGE, .op = HAK_OP_FREEZE, .first = 5, .count = 1),
	WRONG("a freeze of 2^32 - 1", COUNT, .op = HAK_OP_FREEZE, .first = 1, .count = MAX),
	WRONG("a reserve of 33", COUNT, .op = HAK_OP_RESERVE, .count = 33),
	WRONG("a reserve from node 1024", NODE, .op = HAK_OP_RESERVE, .node = 1024),
	WRONG("a growth of 2^32 - 1", COUNT, .op = HAK_OP_DOMAIN_GROW, .count = MAX),
	WRONG("a growth with a second domain", BYTES, .op = HAK_OP_DOMAIN_GROW, .count = 1,
	      .reserved = { 1, 1 }),
	ALLOWED("a growth of a domain that is none", .op = HAK_OP_DOMAIN_GROW, .count = 1,
		.reserved = { UINT64_MAX }),
	{ .name = "a return of another's lease",
	  .fn = returns_what_the_bystander_has,
	  .log = "reason=\"" RANGE,
	  .evicted = 1 },
	{ .name = "a freeze of another's lease",
	  .fn = freezes_what_the_bystander_has,
	  .log = "reason=\"" RANGE,
	  .evicted = 1 },
	{ .name = "a double return in one batch",
	  .fn = returns_twice_in_one_batch,
	  .log = "reason=\"" RANGE,
	  .evicted = 1 },
	{ .name = "the last of a full ring is wrong",
	  .fn = last_of_a_full_ring_is_wrong,
	  .log = "reason=\"unknown flags",
	  .evicted = 1 },
	{ .name = "the first of a full ring is wrong",
	  .fn = first_of_a_full_ring_is_wrong,
	  .log = "reason=\"unknown flags",
	  .evicted = 1 },
	{ .name = "requests after the eviction",
	  .fn = goes_on_after_its_eviction,
	  .log = "reason=\"" UNKNOWN,
	  .evicted = 1 },
};

int main(void)
{
	return foe_main("requests", cases, sizeof(cases) / sizeof(cases[0]));
}
