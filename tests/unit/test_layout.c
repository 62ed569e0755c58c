/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The numbers of shared/ a second time, written by hand. Daemon and client of different builds meet
 * in these bytes: whoever moves one must notice it twice. New layout: new version, new numbers.
 */
#include "tests/unit/unit.h"

#include "shared/layout.h"
#include "shared/report_audit.h"
#include "shared/reserve.h"
#include "shared/ring.h"
#include "shared/wire.h"

struct number {
	const char *name;
	uint64_t is, must;
};

#define CONSTANT(name, must)      \
	{                         \
#name, name, must \
	}
#define SIZE(type, must)                                   \
	{                                                  \
		"sizeof " #type, sizeof(struct type), must \
	}
#define FIELD(type, field, at)                                     \
	{                                                          \
#type "." #field, offsetof(struct type, field), at \
	}
#define WIDTH(type, field, width)                                                    \
	{                                                                            \
		"sizeof " #type "." #field, sizeof(((struct type *)0)->field), width \
	}

static const struct number constants[] = {
	CONSTANT(HAK_LAYOUT_VERSION, 2),
	CONSTANT(HAK_LINE, 64),
	CONSTANT(HAK_SLAB_SHIFT, 16),
	CONSTANT(HAK_SLAB_SIZE, 65536),
	CONSTANT(HAK_SUPERSLAB_SHIFT, 21),
	CONSTANT(HAK_SUPERSLAB_SIZE, 2097152),
	CONSTANT(HAK_SLABS_PER_SUPERSLAB, 32),
	CONSTANT(HAK_NO_SUPERSLAB, 4294967295),
	CONSTANT(HAK_REGION_SUPERSLABS, 262144),
	CONSTANT(HAK_SEGMENT_SIZE, 28672),
	CONSTANT(HAK_SEGMENT_SQ_OFF, 4096),
	CONSTANT(HAK_SEGMENT_CQ_OFF, 8192),
	CONSTANT(HAK_SEGMENT_SQES_OFF, 12288),
	CONSTANT(HAK_SEGMENT_CQES_OFF, 16384),
	CONSTANT(HAK_SEGMENT_RESERVE_OFF, 24576),
	CONSTANT(HAK_RESERVE_SLOTS, 32),
	CONSTANT(HAK_RESERVE_READY, 1),
	CONSTANT(HAK_RESERVE_TAKEN, 2),
	CONSTANT(HAK_SQ_ENTRIES, 64),
	CONSTANT(HAK_CQ_ENTRIES, 128),
	CONSTANT(HAK_OP_NOP, 1),
	CONSTANT(HAK_OP_LEASE, 2),
	CONSTANT(HAK_OP_RETURN, 3),
	CONSTANT(HAK_OP_FREEZE, 4),
	CONSTANT(HAK_OP_RESERVE, 5),
	CONSTANT(HAK_OP_DOMAIN_GROW, 6),
	CONSTANT(HAK_NODE_ANY, 4294967295),
	CONSTANT(HAK_LEASE_MAX, 131072),
	CONSTANT(HAK_WIRE_MAGIC, 0x4d4b4148),
	CONSTANT(HAK_WIRE_VERSION_MIN, 1),
	CONSTANT(HAK_WIRE_VERSION_MAX, 3),
	CONSTANT(HAK_WIRE_SIZE, 64),
	CONSTANT(HAK_WIRE_TEXT, 48),
	CONSTANT(HAK_WIRE_FDS_MAX, 4),
	CONSTANT(HAK_WIRE_HELLO, 1),
	CONSTANT(HAK_WIRE_WELCOME, 2),
	CONSTANT(HAK_WIRE_REFUSED, 3),
	CONSTANT(HAK_WIRE_BYE, 4),
	CONSTANT(HAK_WIRE_QUERY, 5),
	CONSTANT(HAK_WIRE_REPORT, 6),
	CONSTANT(HAK_WIRE_DOMAIN_ATTR, 7),
	CONSTANT(HAK_WIRE_DOMAIN_OPEN, 8),
	CONSTANT(HAK_WIRE_DOMAIN, 9),
	CONSTANT(HAK_WIRE_DOMAIN_CLOSE, 10),
	CONSTANT(HAK_WIRE_DOMAIN_UNLINK, 11),
	CONSTANT(HAK_WIRE_DONE, 12),
	CONSTANT(HAK_WIRE_DOMAIN_HEIR, 13),
	CONSTANT(HAK_QUERY_STATUS, 1),
	CONSTANT(HAK_QUERY_SESSIONS, 2),
	CONSTANT(HAK_HELLO_RESUME, 1),
	CONSTANT(HAK_SESSION_ATTACHED, 1),
	CONSTANT(HAK_SESSION_DETACHED, 2),
};

static const struct number segment[] = {
	SIZE(hak_segment_head, 64),
	FIELD(hak_segment_head, magic, 0),
	FIELD(hak_segment_head, layout_version, 8),
	FIELD(hak_segment_head, segment_size, 12),
	FIELD(hak_segment_head, sq_entries, 16),
	FIELD(hak_segment_head, cq_entries, 20),
	FIELD(hak_segment_head, region_superslabs, 24),
	FIELD(hak_segment_head, node_count, 28),
	FIELD(hak_segment_head, session_id, 32),
	FIELD(hak_segment_head, epoch, 40),
	FIELD(hak_segment_head, reserved, 48),
	SIZE(hak_ring, 192),
	FIELD(hak_ring, head, 0),
	FIELD(hak_ring, tail, 64),
	FIELD(hak_ring, sleeper, 128),
	WIDTH(hak_ring, head, 4),
	WIDTH(hak_ring, tail, 4),
	WIDTH(hak_ring, sleeper, 4),
	SIZE(hak_sqe, 64),
	FIELD(hak_sqe, op, 0),
	FIELD(hak_sqe, flags, 4),
	FIELD(hak_sqe, seq, 8),
	FIELD(hak_sqe, first, 16),
	FIELD(hak_sqe, count, 20),
	FIELD(hak_sqe, node, 24),
	FIELD(hak_sqe, reserved0, 28),
	FIELD(hak_sqe, reserved, 32),
	SIZE(hak_cqe, 64),
	FIELD(hak_cqe, op, 0),
	FIELD(hak_cqe, result, 4),
	FIELD(hak_cqe, seq, 8),
	FIELD(hak_cqe, first, 16),
	FIELD(hak_cqe, count, 20),
	FIELD(hak_cqe, node, 24),
	FIELD(hak_cqe, refusal, 28),
	FIELD(hak_cqe, limit, 32),
	FIELD(hak_cqe, used, 40),
	FIELD(hak_cqe, reserved, 48),
};

static const struct number frames[] = {
	SIZE(hak_wire_frame, 64),
	FIELD(hak_wire_frame, magic, 0),
	FIELD(hak_wire_frame, type, 4),
	FIELD(hak_wire_frame, reserved, 6),
	FIELD(hak_wire_frame, bytes, 8),
	FIELD(hak_wire_frame, hello, 8),
	SIZE(hak_wire_hello, 56),
	FIELD(hak_wire_hello, version_min, 0),
	FIELD(hak_wire_hello, version_max, 2),
	FIELD(hak_wire_hello, layout_version, 4),
	FIELD(hak_wire_hello, flags, 8),
	FIELD(hak_wire_hello, reserved0, 12),
	FIELD(hak_wire_hello, session_id, 16),
	FIELD(hak_wire_hello, comm, 24),
	FIELD(hak_wire_hello, reserved, 40),
	SIZE(hak_wire_welcome, 56),
	FIELD(hak_wire_welcome, version, 0),
	FIELD(hak_wire_welcome, reserved0, 2),
	FIELD(hak_wire_welcome, region_superslabs, 4),
	FIELD(hak_wire_welcome, session_id, 8),
	FIELD(hak_wire_welcome, epoch, 16),
	FIELD(hak_wire_welcome, reserved, 24),
	SIZE(hak_wire_refused, 56),
	FIELD(hak_wire_refused, code, 0),
	FIELD(hak_wire_refused, reserved0, 4),
	FIELD(hak_wire_refused, text, 8),
	WIDTH(hak_wire_refused, text, 48),
	SIZE(hak_wire_query_body, 56),
	FIELD(hak_wire_query_body, what, 0),
	FIELD(hak_wire_query_body, reserved0, 4),
	FIELD(hak_wire_query_body, after, 8),
	FIELD(hak_wire_query_body, reserved, 16),
	SIZE(hak_wire_report, 56),
	FIELD(hak_wire_report, what, 0),
	FIELD(hak_wire_report, record_size, 4),
	FIELD(hak_wire_report, count, 8),
	FIELD(hak_wire_report, reserved, 16),
	SIZE(hak_wire_domain_attr, 56),
	FIELD(hak_wire_domain_attr, max_size, 0),
	FIELD(hak_wire_domain_attr, quota, 8),
	FIELD(hak_wire_domain_attr, mode, 16),
	FIELD(hak_wire_domain_attr, node, 20),
	FIELD(hak_wire_domain_attr, page_policy, 24),
	FIELD(hak_wire_domain_attr, orphan_policy, 28),
	FIELD(hak_wire_domain_attr, lifetime, 32),
	FIELD(hak_wire_domain_attr, reserved0, 36),
	FIELD(hak_wire_domain_attr, reserved, 40),
	SIZE(hak_wire_domain_open, 56),
	FIELD(hak_wire_domain_open, name, 0),
	FIELD(hak_wire_domain_open, flags, 32),
	FIELD(hak_wire_domain_open, reserved0, 36),
	FIELD(hak_wire_domain_open, reserved, 40),
	SIZE(hak_wire_domain, 56),
	FIELD(hak_wire_domain, id, 0),
	FIELD(hak_wire_domain, base, 8),
	FIELD(hak_wire_domain, member, 16),
	FIELD(hak_wire_domain, superslabs, 24),
	FIELD(hak_wire_domain, created, 28),
	FIELD(hak_wire_domain, reserved, 32),
	SIZE(hak_wire_domain_close, 56),
	FIELD(hak_wire_domain_close, id, 0),
	FIELD(hak_wire_domain_close, reserved, 8),
	SIZE(hak_wire_domain_heir, 56),
	FIELD(hak_wire_domain_heir, id, 0),
	FIELD(hak_wire_domain_heir, member, 8),
	FIELD(hak_wire_domain_heir, reserved, 16),
	SIZE(hak_wire_done, 56),
	FIELD(hak_wire_done, code, 0),
	FIELD(hak_wire_done, reserved0, 4),
	FIELD(hak_wire_done, text, 8),
	WIDTH(hak_wire_done, text, 48),
};

static const struct number records[] = {
	SIZE(hak_report_audit, 200),
	FIELD(hak_report_audit, scope, 0),
	FIELD(hak_report_audit, fault, 4),
	FIELD(hak_report_audit, owner, 8),
	FIELD(hak_report_audit, left, 16),
	FIELD(hak_report_audit, right, 24),
	FIELD(hak_report_audit, pid, 32),
	FIELD(hak_report_audit, uid, 36),
	FIELD(hak_report_audit, name, 40),
	WIDTH(hak_report_audit, name, 32),
	FIELD(hak_report_audit, total, 72),
	FIELD(hak_report_audit, charged, 80),
	FIELD(hak_report_audit, leased, 88),
	FIELD(hak_report_audit, frozen, 96),
	FIELD(hak_report_audit, reserve, 104),
	FIELD(hak_report_audit, building, 112),
	FIELD(hak_report_audit, warm, 120),
	FIELD(hak_report_audit, waste, 128),
	FIELD(hak_report_audit, absent, 136),
	FIELD(hak_report_audit, file, 144),
	FIELD(hak_report_audit, touched, 152),
	FIELD(hak_report_audit, sessions, 160),
	FIELD(hak_report_audit, domains, 168),
	FIELD(hak_report_audit, descriptors, 176),
	FIELD(hak_report_audit, open_fds, 184),
	FIELD(hak_report_audit, unlinked, 192),
	FIELD(hak_report_audit, ending, 196),
	SIZE(hak_report_domain, 136),
	FIELD(hak_report_domain, name, 0),
	WIDTH(hak_report_domain, name, 32),
	FIELD(hak_report_domain, id, 32),
	FIELD(hak_report_domain, uid, 40),
	FIELD(hak_report_domain, gid, 44),
	FIELD(hak_report_domain, mode, 48),
	FIELD(hak_report_domain, unlinked, 52),
	FIELD(hak_report_domain, lifetime, 56),
	FIELD(hak_report_domain, orphan_policy, 60),
	FIELD(hak_report_domain, members, 64),
	FIELD(hak_report_domain, dying, 68),
	FIELD(hak_report_domain, members_total, 72),
	FIELD(hak_report_domain, bytes, 80),
	FIELD(hak_report_domain, quota, 88),
	FIELD(hak_report_domain, max_size, 96),
	FIELD(hak_report_domain, base, 104),
	FIELD(hak_report_domain, refused, 112),
	FIELD(hak_report_domain, created_ns, 120),
	FIELD(hak_report_domain, last_event, 128),
	SIZE(hak_report_status, 224),
	FIELD(hak_report_status, version, 0),
	FIELD(hak_report_status, pid, 16),
	FIELD(hak_report_status, epoch, 24),
	FIELD(hak_report_status, started_ns, 32),
	FIELD(hak_report_status, now_ns, 40),
	FIELD(hak_report_status, sessions, 48),
	FIELD(hak_report_status, sessions_total, 56),
	FIELD(hak_report_status, leased_bytes, 64),
	FIELD(hak_report_status, frozen_bytes, 72),
	FIELD(hak_report_status, huge_bytes, 80),
	FIELD(hak_report_status, requests_total, 88),
	FIELD(hak_report_status, leases_total, 96),
	FIELD(hak_report_status, returns_total, 104),
	FIELD(hak_report_status, reclaimed_total, 112),
	FIELD(hak_report_status, refused_total, 120),
	FIELD(hak_report_status, evicted_total, 128),
	FIELD(hak_report_status, limit_bytes, 136),
	FIELD(hak_report_status, nodes, 144),
	FIELD(hak_report_status, io_uring_futex, 148),
	FIELD(hak_report_status, open_fds, 152),
	FIELD(hak_report_status, stock_bytes, 160),
	FIELD(hak_report_status, stock_regions, 168),
	FIELD(hak_report_status, turned_away_total, 176),
	FIELD(hak_report_status, slowed_total, 184),
	FIELD(hak_report_status, refusal_ns, 192),
	FIELD(hak_report_status, refusal_session, 200),
	FIELD(hak_report_status, refusal_pid, 208),
	FIELD(hak_report_status, refusal_uid, 212),
	FIELD(hak_report_status, refusal, 216),
	FIELD(hak_report_status, reserved0, 220),
	SIZE(hak_report_session, 144),
	FIELD(hak_report_session, id, 0),
	FIELD(hak_report_session, pid, 8),
	FIELD(hak_report_session, uid, 12),
	FIELD(hak_report_session, gid, 16),
	FIELD(hak_report_session, state, 20),
	FIELD(hak_report_session, comm, 24),
	FIELD(hak_report_session, since_ns, 40),
	FIELD(hak_report_session, superslabs, 48),
	FIELD(hak_report_session, frozen, 56),
	FIELD(hak_report_session, huge, 64),
	FIELD(hak_report_session, bytes, 72),
	FIELD(hak_report_session, requests, 80),
	FIELD(hak_report_session, granted, 88),
	FIELD(hak_report_session, returned, 96),
	FIELD(hak_report_session, refused, 104),
	FIELD(hak_report_session, last_request_ns, 112),
	FIELD(hak_report_session, reserve, 120),
	FIELD(hak_report_session, slowed, 128),
	FIELD(hak_report_session, refusal, 136),
	FIELD(hak_report_session, reserved0, 140),

	SIZE(hak_report_limit, 64),
	FIELD(hak_report_limit, key, 0),
	FIELD(hak_report_limit, scope, 24),
	FIELD(hak_report_limit, unit, 28),
	FIELD(hak_report_limit, owner, 32),
	FIELD(hak_report_limit, limit, 40),
	FIELD(hak_report_limit, used, 48),
	FIELD(hak_report_limit, hits, 56),
};

static void numbers_hold(const struct number *table, size_t n)
{
	unsigned moved = 0;

	for (size_t i = 0; i < n; i++) {
		if (table[i].is == table[i].must)
			continue;
		print_error("%s is %llu, was %llu\n", table[i].name,
			    (unsigned long long)table[i].is, (unsigned long long)table[i].must);
		moved++;
	}
	assert_int_equal(moved, 0);
}

static void constants_hold(void **state)
{
	(void)state;
	numbers_hold(constants, hak_array_size(constants));
	assert_string_equal(HAK_DEFAULT_SOCKET, "/run/hakmem/hakmemd.sock");
}

static void session_segment_holds(void **state)
{
	(void)state;
	numbers_hold(segment, hak_array_size(segment));
}

static void frames_hold(void **state)
{
	(void)state;
	numbers_hold(frames, hak_array_size(frames));
}

static void report_records_hold(void **state)
{
	(void)state;
	numbers_hold(records, hak_array_size(records));
}

/* The magics as bytes in memory: what a hex dump of a segment or a packet shows. */
static void magics_read_as_text(void **state)
{
	uint64_t head = HAK_SEGMENT_MAGIC;
	uint32_t frame = HAK_WIRE_MAGIC;

	(void)state;
	assert_memory_equal(&head, "HAKSEG1", 8);
	assert_memory_equal(&frame, "HAKM", 4);
}

static struct hak_segment_head good_head(void)
{
	return (struct hak_segment_head){
		.magic = HAK_SEGMENT_MAGIC,
		.layout_version = 2,
		.segment_size = 0x7000,
		.sq_entries = 64,
		.cq_entries = 128,
		.region_superslabs = 262144,
		.node_count = 1,
	};
}

static void segment_head_is_checked_field_by_field(void **state)
{
	struct hak_segment_head head = good_head();

	(void)state;
	assert_true(hak_segment_head_ok(&head));
	head.region_superslabs = 1; /* a smaller region is fine */
	assert_true(hak_segment_head_ok(&head));
	head.region_superslabs = 262145;
	assert_false(hak_segment_head_ok(&head));

	/* The first five fields must be exact: any single flipped bit of them refuses the
	 * segment. */
	for (size_t bit = 0; bit < offsetof(struct hak_segment_head, region_superslabs) * 8;
	     bit++) {
		head = good_head();
		((uint8_t *)&head)[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_false(hak_segment_head_ok(&head));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(constants_hold),
		cmocka_unit_test(session_segment_holds),
		cmocka_unit_test(frames_hold),
		cmocka_unit_test(report_records_hold),
		cmocka_unit_test(magics_read_as_text),
		cmocka_unit_test(segment_head_is_checked_field_by_field),
	};

	return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
