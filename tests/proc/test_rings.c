/* SPDX-License-Identifier: Apache-2.0 */
/* What a client can do through its rings, with each way of waiting for them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "shared/sys.h"
#include "tests/proc/rig.h"

static struct rig *rig_with_client(void **state, struct raw *ret_raw)
{
	struct rig *rig = *state;

	assert_int_equal(raw_open(ret_raw, rig->socket), 0);
	return rig;
}

static bool all_bytes(const uint8_t *at, uint8_t value)
{
	return at[0] == value && !memcmp(at, at + 1, HAK_SUPERSLAB_SIZE - 1);
}

static void a_nop_comes_back(void **state)
{
	struct raw raw;

	rig_with_client(state, &raw);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(raw_nop(&raw), 0);
	raw_close(&raw);
}

static void leased_memory_is_zero_and_keeps_what_is_written(void **state)
{
	struct raw raw;
	struct rig *rig = rig_with_client(state, &raw);
	uint32_t first;
	uint8_t *at;

	assert_int_equal(raw_lease(&raw, 3, &first), 0);
	assert_int_equal(rig_status(rig).leased_bytes, 3 * HAK_SUPERSLAB_SIZE);
	at = raw_map(&raw, first + 2);
	assert_non_null(at);
	assert_true(all_bytes(at, 0));
	memset(at, 0x5a, HAK_SUPERSLAB_SIZE);
	raw_unmap(at);
	at = raw_map(&raw, first + 2);
	assert_true(all_bytes(at, 0x5a));
	raw_unmap(at);
	raw_close(&raw);
	rig_wait_leased(rig, 0);
}

static void returned_memory_is_zero_when_it_is_leased_again(void **state)
{
	struct raw raw;
	struct rig *rig = rig_with_client(state, &raw);
	uint32_t first, again;
	uint8_t *at;

	assert_int_equal(raw_lease(&raw, 2, &first), 0);
	at = raw_map(&raw, first + 1);
	memset(at, 0xff, HAK_SUPERSLAB_SIZE);
	raw_unmap(at);
	assert_int_equal(raw_return(&raw, first, 2), 0);
	assert_int_equal(rig_status(rig).leased_bytes, 0);
	assert_int_equal(raw_lease(&raw, 2, &again), 0);
	assert_int_equal(again, first);
	at = raw_map(&raw, again + 1);
	assert_true(all_bytes(at, 0));
	raw_unmap(at);
	assert_int_equal(rig_status(rig).returns_total, 2);
	assert_int_equal(rig_status(rig).leases_total, 4);
	raw_close(&raw);
}

static void part_of_a_lease_can_be_returned(void **state)
{
	struct raw raw;
	struct rig *rig = rig_with_client(state, &raw);
	uint32_t first, other;
	uint8_t *at;

	assert_int_equal(raw_lease(&raw, 8, &first), 0);
	at = raw_map(&raw, first);
	memset(at, 1, HAK_SUPERSLAB_SIZE);
	assert_int_equal(raw_return(&raw, first + 2, 3), 0);
	assert_true(all_bytes(at, 1));
	raw_unmap(at);
	assert_int_equal(rig_status(rig).leased_bytes, 5 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(raw_lease(&raw, 3, &other), 0);
	assert_int_equal(other, first + 2);
	assert_int_equal(raw_return(&raw, first, 8), 0);
	raw_close(&raw);
}

/* Only the head of a large lease is built when it is answered; what the client wrote meanwhile into
 * the rest has to be there when that is built. */
static void a_large_lease_is_built_around_what_its_owner_writes(void **state)
{
	enum {
		COUNT = 300
	};
	struct raw raw;
	struct rig *rig = rig_with_client(state, &raw);
	struct hak_report_session record;
	uint32_t first;

	assert_int_equal(raw_lease(&raw, COUNT, &first), 0);
	for (uint32_t i = 0; i < COUNT; i++) {
		uint8_t *at = raw_map(&raw, first + i);

		assert_non_null(at);
		assert_int_equal(at[5 * 4096], 0);
		at[0] = at[5 * 4096] = (uint8_t)(i + 1);
		raw_unmap(at);
	}
	assert_int_equal(raw_nop(&raw), 0);
	do { /* each query is a turn for the building */
		assert_int_equal(raw_sessions(rig->socket, &record, 1), 1);
		assert_int_equal(record.superslabs, COUNT);
	} while (record.huge < COUNT && raw_nop(&raw) == 0 && !strstr(rig->log, "no-huge-pages") &&
		 hak_sys_boottime_ns() - record.since_ns < RIG_DEADLINE_MS * UINT64_C(1000000));
	for (uint32_t i = 0; i < COUNT; i++) {
		uint8_t *at = raw_map(&raw, first + i);

		assert_int_equal(at[0], (uint8_t)(i + 1));
		assert_int_equal(at[5 * 4096], (uint8_t)(i + 1));
		raw_unmap(at);
	}
	assert_int_equal(raw_return(&raw, first, COUNT), 0);
	assert_int_equal(rig_status(rig).leased_bytes, 0);
	assert_int_equal(rig_status(rig).huge_bytes, 0);
	raw_close(&raw);
}

/* Building and returning race over the same superslabs. */
static void a_large_lease_can_be_returned_at_once(void **state)
{
	struct raw raw;
	struct rig *rig = rig_with_client(state, &raw);
	struct stat st;
	uint32_t first;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(raw_lease(&raw, 2000, &first), 0);
		assert_int_equal(raw_return(&raw, first, 2000), 0);
	}
	assert_int_equal(raw_nop(&raw), 0);
	assert_int_equal(rig_status(rig).leased_bytes, 0);
	assert_int_equal(rig_status(rig).huge_bytes, 0);
	assert_int_equal(fstat(raw.region_fd, &st), 0);
	assert_int_equal(st.st_blocks, 0);
	raw_close(&raw);
}

static void frozen_memory_stays_until_the_session_ends(void **state)
{
	struct raw raw;
	struct rig *rig = rig_with_client(state, &raw);
	uint32_t first, next;
	uint8_t *at;

	assert_int_equal(raw_lease(&raw, 4, &first), 0);
	assert_int_equal(raw_freeze(&raw, first + 1, 2), 0);
	assert_int_equal(rig_status(rig).frozen_bytes, 2 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(raw_return(&raw, first, 1), 0);
	assert_int_equal(raw_return(&raw, first + 3, 1), 0);
	assert_int_equal(rig_status(rig).leased_bytes, 2 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(raw_lease(&raw, 2, &next), 0);
	assert_int_equal(next, first + 3); /* not over the frozen ones */

	/* A child's copy-on-write view outlives the session. */
	at = raw_map(&raw, first + 1);
	memset(at, 7, HAK_SUPERSLAB_SIZE);
	assert_int_equal(hak_sys_map_private_at(at, raw.region_fd,
						(uint64_t)(first + 1) << HAK_SUPERSLAB_SHIFT,
						HAK_SUPERSLAB_SIZE),
			 0);
	raw_close(&raw);
	rig_wait_sessions(rig, 0);
	assert_int_equal(rig_status(rig).leased_bytes, 0);
	assert_int_equal(rig_status(rig).frozen_bytes, 0);
	assert_true(all_bytes(at, 7));
	raw_unmap(at);
}

static void requests_in_a_batch_are_answered_in_order(void **state)
{
	struct raw raw;

	rig_with_client(state, &raw);
	for (int round = 0; round < 20; round++) {
		uint64_t seq = raw.seq;

		for (uint32_t i = 0; i < HAK_SQ_ENTRIES; i++) {
			struct hak_sqe sqe = raw_entry(&raw, i % 4 ? HAK_OP_NOP : HAK_OP_LEASE);

			if (sqe.op == HAK_OP_LEASE) {
				sqe.count = 1;
				sqe.node = 0;
			}
			assert_int_equal(hak_ring_push(&raw.sq, &sqe), 0);
		}
		raw_wake(&raw);
		for (uint32_t i = 0; i < HAK_SQ_ENTRIES; i++) {
			struct hak_cqe cqe;

			assert_int_equal(raw_pop(&raw, &cqe), 0);
			assert_int_equal(cqe.seq, ++seq);
			assert_int_equal(cqe.result, 0);
			if (cqe.op == HAK_OP_LEASE)
				assert_int_equal(cqe.count, 1);
		}
	}
	raw_close(&raw);
}

static void indices_may_wrap_around_the_rings(void **state)
{
	struct raw raw;
	uint32_t first;

	rig_with_client(state, &raw);
	for (uint32_t i = 0; i < 3 * HAK_CQ_ENTRIES + 7; i++) {
		assert_int_equal(raw_lease(&raw, 1 + i % 3, &first), 0);
		assert_int_equal(raw_return(&raw, first, 1 + i % 3), 0);
	}
	raw_close(&raw);
}

static void a_full_completion_ring_stops_its_session_only(void **state)
{
	struct raw raw, bystander;
	struct rig *rig = rig_with_client(state, &raw);
	struct hak_report_session records[2];
	struct hak_cqe cqe;
	uint64_t answered = 0;

	assert_int_equal(raw_open(&bystander, rig->socket), 0);
	/* Twice as many as the ring holds, none taken out. */
	for (uint32_t i = 0; i < 2 * HAK_CQ_ENTRIES;) {
		const struct hak_sqe sqe = { .op = HAK_OP_NOP, .seq = i + 1 };

		if (raw_push(&raw, &sqe) == 0)
			i++;
		else if (i >= HAK_CQ_ENTRIES + HAK_SQ_ENTRIES)
			break; /* both are full */
		else
			assert_int_equal(raw_nop(&bystander), 0);
	}
	for (int i = 0; i < 100; i++)
		assert_int_equal(raw_nop(&bystander), 0);
	assert_int_equal(raw_sessions(rig->socket, records, 2), 2);
	assert_int_equal(records[0].requests, HAK_CQ_ENTRIES);
	/* It goes on when there is room. */
	while (answered < HAK_CQ_ENTRIES + HAK_SQ_ENTRIES) {
		assert_int_equal(raw_pop(&raw, &cqe), 0);
		assert_int_equal(cqe.seq, ++answered);
	}
	raw_close(&raw);
	raw_close(&bystander);
}

static void many_sessions_are_served_side_by_side(void **state)
{
	enum {
		COUNT = 300
	}; /* more than two waiter threads take */
	struct rig *rig = *state;
	static struct raw raws[COUNT];
	uint32_t first;

	for (int i = 0; i < COUNT; i++)
		assert_int_equal(raw_open(&raws[i], rig->socket), 0);
	for (int round = 0; round < 3; round++) {
		for (int i = COUNT; i-- > 0;)
			assert_int_equal(raw_lease(&raws[i], 1, &first), 0);
	}
	assert_int_equal(rig_status(rig).leased_bytes, 3 * COUNT * HAK_SUPERSLAB_SIZE);
	for (int i = 0; i < COUNT; i++)
		raw_close(&raws[i]);
	rig_wait_sessions(rig, 0);
	rig_wait_leased(rig, 0);
}

static int setup_with(void **state, const char *way)
{
	char config[64];

	(void)snprintf(config, sizeof(config), "[daemon]\nring-wait = %s\n", way);
	*state = rig_start(config);
	return 0;
}

static int setup_io_uring(void **state)
{
	return setup_with(state, "io_uring");
}

static int setup_threads(void **state)
{
	return setup_with(state, "threads");
}

#define BOTH(test)                                                        \
	{ #test "_io_uring", test, setup_io_uring, rig_teardown, NULL },  \
	{                                                                 \
#test "_threads", test, setup_threads, rig_teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_nop_comes_back),
		BOTH(leased_memory_is_zero_and_keeps_what_is_written),
		BOTH(returned_memory_is_zero_when_it_is_leased_again),
		BOTH(part_of_a_lease_can_be_returned),
		BOTH(a_large_lease_is_built_around_what_its_owner_writes),
		BOTH(a_large_lease_can_be_returned_at_once),
		BOTH(frozen_memory_stays_until_the_session_ends),
		BOTH(requests_in_a_batch_are_answered_in_order),
		BOTH(indices_may_wrap_around_the_rings),
		BOTH(a_full_completion_ring_stops_its_session_only),
		BOTH(many_sessions_are_served_side_by_side),
	};

	return cmocka_run_group_tests_name("rings", tests, NULL, NULL);
}
