/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What breaks the rules of the rings. After every case: that session is over, for the reason that
 * the log names; a bystander's session works on; the daemon has back what the offender held.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/sys.h"
#include "tests/proc/rig.h"

/* Newer than Debian 12's headers. */
#define SEAL_EXEC 0x0020

/* One entry that is wrong. Superslabs [0, 4) are leased, 3 is frozen, 4 and 5 were returned. */
static const struct {
	const char *name;
	struct hak_sqe sqe; /* seq 0: the next one */
	const char *reason;
} bad_entries[] = {
	{ "op 0", { .op = 0 }, "unknown operation" },
	{ "op 7", { .op = 7 }, "unknown operation" },
	{ "op max", { .op = UINT32_MAX }, "unknown operation" },
	{ "op 2^31", { .op = 1u << 31 }, "unknown operation" },
	{ "flags", { .op = HAK_OP_NOP, .flags = 1 }, "unknown flags" },
	{ "flags high", { .op = HAK_OP_NOP, .flags = 1u << 31 }, "unknown flags" },
	{ "reserved0", { .op = HAK_OP_NOP, .reserved0 = 1 }, "reserved bytes are set" },
	{ "reserved first", { .op = HAK_OP_NOP, .reserved = { 1 } }, "reserved bytes are set" },
	{ "reserved last",
	  { .op = HAK_OP_NOP, .reserved = { 0, 0, 0, UINT64_C(1) << 63 } },
	  "reserved bytes are set" },
	{ "seq again", { .op = HAK_OP_NOP, .seq = 1 }, "sequence number did not increase" },
	{ "nop count", { .op = HAK_OP_NOP, .count = 1 }, "count out of range" },
	{ "nop first", { .op = HAK_OP_NOP, .first = 1 }, "first superslab where none is used" },
	{ "nop node", { .op = HAK_OP_NOP, .node = 1 }, "node out of range" },
	{ "lease 0", { .op = HAK_OP_LEASE, .count = 0 }, "count out of range" },
	{ "lease max + 1",
	  { .op = HAK_OP_LEASE, .count = HAK_LEASE_MAX + 1 },
	  "count out of range" },
	{ "lease 2^32 - 1", { .op = HAK_OP_LEASE, .count = UINT32_MAX }, "count out of range" },
	{ "lease first", { .op = HAK_OP_LEASE, .count = 1, .first = 1 }, "where none is used" },
	{ "lease node", { .op = HAK_OP_LEASE, .count = 1, .node = 1024 }, "node out of range" },
	{ "lease node max - 1",
	  { .op = HAK_OP_LEASE, .count = 1, .node = UINT32_MAX - 1 },
	  "node out of range" },
	{ "return 0", { .op = HAK_OP_RETURN, .first = 0, .count = 0 }, "count out of range" },
	{ "return twice", { .op = HAK_OP_RETURN, .first = 4, .count = 1 }, "not leased" },
	{ "return half", { .op = HAK_OP_RETURN, .first = 2, .count = 3 }, "not leased" },
	{ "return never", { .op = HAK_OP_RETURN, .first = 77, .count = 1 }, "not leased" },
	{ "return last",
	  { .op = HAK_OP_RETURN, .first = (1u << 18) - 1, .count = 1 },
	  "not leased" },
	{ "return outside", { .op = HAK_OP_RETURN, .first = 1u << 18, .count = 1 }, "not leased" },
	{ "return overflow",
	  { .op = HAK_OP_RETURN, .first = UINT32_MAX, .count = 2 },
	  "not leased" },
	{ "return 2^31", { .op = HAK_OP_RETURN, .first = 1u << 31, .count = 1 }, "not leased" },
	{ "return all", { .op = HAK_OP_RETURN, .count = HAK_LEASE_MAX }, "not leased" },
	{ "return frozen", { .op = HAK_OP_RETURN, .first = 3, .count = 1 }, "frozen" },
	{ "return with frozen", { .op = HAK_OP_RETURN, .first = 2, .count = 2 }, "frozen" },
	{ "return node", { .op = HAK_OP_RETURN, .count = 1, .node = 1 }, "node out of range" },
	{ "reserve 33", { .op = HAK_OP_RESERVE, .count = 33 }, "count out of range" },
	{ "reserve max", { .op = HAK_OP_RESERVE, .count = UINT32_MAX }, "count out of range" },
	{ "reserve first", { .op = HAK_OP_RESERVE, .first = 1 }, "where none is used" },
	{ "reserve node", { .op = HAK_OP_RESERVE, .node = 1024 }, "node out of range" },
	{ "grow max + 1",
	  { .op = HAK_OP_DOMAIN_GROW, .count = HAK_LEASE_MAX + 1 },
	  "count out of range" },
	{ "grow first", { .op = HAK_OP_DOMAIN_GROW, .first = 1 }, "where none is used" },
	{ "grow node", { .op = HAK_OP_DOMAIN_GROW, .node = 1024 }, "node out of range" },
	{ "grow reserved",
	  { .op = HAK_OP_DOMAIN_GROW, .count = 1, .reserved = { 1, 1 } },
	  "reserved bytes are set" },
	{ "lease with a domain",
	  { .op = HAK_OP_LEASE, .count = 1, .reserved = { 1 } },
	  "reserved bytes are set" },
	{ "freeze 0", { .op = HAK_OP_FREEZE, .count = 0 }, "count out of range" },
	{ "freeze twice", { .op = HAK_OP_FREEZE, .first = 3, .count = 1 }, "frozen" },
	{ "freeze returned", { .op = HAK_OP_FREEZE, .first = 5, .count = 1 }, "not leased" },
	{ "freeze overflow",
	  { .op = HAK_OP_FREEZE, .first = 1, .count = UINT32_MAX },
	  "out of range" },
};

/* A session with something of everything. */
static void open_offender(struct rig *rig, struct raw *ret_raw)
{
	uint32_t first;

	assert_int_equal(raw_open(ret_raw, rig->socket), 0);
	assert_int_equal(raw_lease(ret_raw, 6, &first), 0);
	assert_int_equal(first, 0);
	assert_int_equal(raw_freeze(ret_raw, 3, 1), 0);
	assert_int_equal(raw_return(ret_raw, 4, 2), 0);
}

/* The offence was noticed, and harmed nobody else; ends the offender. */
static void expect_eviction(struct rig *rig, struct raw *raw, struct raw *bystander,
			    const char *reason, uint64_t evicted)
{
	char text[HAK_WIRE_TEXT];
	uint32_t first;
	int code, r = raw_wait_refused(raw->sock, &code, text);

	if (r < 0)
		fail_msg("not evicted for '%s': %s", reason, strerror(-r));
	assert_int_equal(code, -EPROTO);
	if (!strstr(text, reason))
		fail_msg("evicted for '%s' instead of '%s'", text, reason);
	assert_int_equal(rig_status(rig).evicted_total, evicted);
	/* What it may still be using stays, until its memory is gone. */
	assert_int_equal(rig_status(rig).sessions, 2);
	assert_int_equal(rig_status(rig).leased_bytes, 4 * HAK_SUPERSLAB_SIZE);
	for (int i = 0; i < 20; i++)
		assert_int_equal(raw_nop(bystander), 0);
	assert_int_equal(raw_lease(bystander, 2, &first), 0);
	assert_int_equal(raw_return(bystander, first, 2), 0);
	raw_close(raw);
}

static void a_wrong_entry_ends_its_session_only(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(bad_entries) / sizeof(bad_entries[0]); i++) {
		struct raw raw, bystander;
		struct hak_sqe sqe = bad_entries[i].sqe;
		uint64_t evicted = rig_status(rig).evicted_total;

		assert_int_equal(raw_open(&bystander, rig->socket), 0);
		open_offender(rig, &raw);
		if (!sqe.seq)
			sqe.seq = ++raw.seq;
		assert_int_equal(raw_push(&raw, &sqe), 0);
		expect_eviction(rig, &raw, &bystander, bad_entries[i].reason, evicted + 1);
		raw_close(&bystander);
		rig_wait_sessions(rig, 0);
		rig_wait_leased(rig, 0);
	}
}

/* ---- indices and flags, as only a scribbler writes them ---- */

static void tail_ahead(struct raw *raw)
{
	atomic_store(&raw->sq.ring->tail, raw->sq.mine + HAK_SQ_ENTRIES + 1);
}

static void tail_far_ahead(struct raw *raw)
{
	atomic_store(&raw->sq.ring->tail, raw->sq.mine + (1u << 31));
}

static void tail_backwards(struct raw *raw)
{
	atomic_store(&raw->sq.ring->tail, raw->sq.mine - 1);
}

static void tail_zeroed(struct raw *raw)
{
	atomic_store(&raw->sq.ring->tail, 0);
}

static void page_of_indices_punched(struct raw *raw)
{
	assert_int_equal(hak_sys_punch(raw->segment_fd, HAK_SEGMENT_SQ_OFF, 4096), 0);
}

static void all_random(struct raw *raw)
{
	uint64_t *at = hak_at(raw->segment, HAK_SEGMENT_SQES_OFF);

	for (size_t i = 0; i < 4096 / 8; i++)
		at[i] = hak_sys_random();
	atomic_store(&raw->sq.ring->tail, raw->sq.mine + HAK_SQ_ENTRIES);
}

static void a_tail_that_cannot_be_ends_its_session_only(void **state)
{
	static const struct {
		void (*scribble)(struct raw *raw);
		const char *reason;
	} cases[] = {
		{ tail_ahead, "tail cannot be" },
		{ tail_far_ahead, "tail cannot be" },
		{ tail_backwards, "tail cannot be" },
		{ tail_zeroed, "tail cannot be" },
		{ page_of_indices_punched, "tail cannot be" },
		{ all_random, "" },
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct raw raw, bystander;

		assert_int_equal(raw_open(&bystander, rig->socket), 0);
		open_offender(rig, &raw);
		cases[i].scribble(&raw);
		hak_sys_futex_wake(&raw.sq.ring->tail, 1);
		expect_eviction(rig, &raw, &bystander, cases[i].reason, i + 1);
		raw_close(&bystander);
		rig_wait_sessions(rig, 0);
	}
	rig_wait_leased(rig, 0);
}

static void what_the_daemon_owns_in_the_segment_may_be_scribbled_over(void **state)
{
	struct rig *rig = *state;
	struct raw raw;
	uint32_t first;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	for (uint32_t i = 0; i < 200; i++) {
		struct hak_cqe cqe;
		struct hak_sqe sqe = raw_entry(&raw, HAK_OP_NOP);

		/* Its heads, tails, flags and the header; our own indices stay as they are. */
		memset(raw.segment, (int)i, sizeof(*raw.segment));
		atomic_store(&raw.cq.ring->tail, raw.cq.mine); /* as it should be, if idle */
		atomic_store(&raw.sq.ring->sleeper, i % 2);
		assert_int_equal(raw_push(&raw, &sqe), 0);
		hak_sys_futex_wake(&raw.sq.ring->tail, 1); /* we took its flag away */
		assert_int_equal(raw_pop(&raw, &cqe), 0);
		assert_int_equal(cqe.seq, sqe.seq);
		atomic_store(&raw.sq.ring->head, raw.sq.mine);
	}
	assert_int_equal(raw_lease(&raw, 1, &first), 0);
	raw_close(&raw);
	rig_wait_leased(rig, 0);
}

static void wake_storms_and_false_flags_cost_nobody_else(void **state)
{
	struct rig *rig = *state;
	struct raw raw, bystander;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_open(&bystander, rig->socket), 0);
	for (int i = 0; i < 5000; i++)
		hak_sys_futex_wake(&raw.sq.ring->tail, 1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(raw_nop(&bystander), 0);
	assert_int_equal(raw_nop(&raw), 0);
	assert_int_equal(rig_status(rig).evicted_total, 0);
	raw_close(&raw);
	raw_close(&bystander);
}

/* Entries that are nearly right, in any order, some published in ways that are not. */
static void random_entry(uint64_t *seed, struct raw *raw, struct hak_sqe *ret)
{
	uint64_t r = *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	struct hak_sqe sqe = raw_entry(raw, (enum hak_op)(1 + (r >> 20) % 5));

	sqe.count = sqe.op == HAK_OP_NOP ? 0 : 1 + (uint32_t)(r >> 30) % 3;
	sqe.first = sqe.op == HAK_OP_RETURN || sqe.op == HAK_OP_FREEZE ? (r >> 40) % 6 : 0;
	if (r >> 60 == 0) /* one byte in 16 entries is anything */
		((uint8_t *)&sqe)[(r >> 44) % sizeof(sqe)] = (uint8_t)(r >> 52);
	*ret = sqe;
}

static void random_entries_never_harm_a_bystander(void **state)
{
	struct rig *rig = *state;
	const uint64_t fds = rig_status(rig).open_fds;
	uint64_t seed = hak_sys_random();
	struct raw bystander;
	uint32_t first;
	uint8_t *at;

	print_message("# seed %llu\n", (unsigned long long)seed);
	assert_int_equal(raw_open(&bystander, rig->socket), 0);
	assert_int_equal(raw_lease(&bystander, 1, &first), 0);
	at = raw_map(&bystander, first);
	memset(at, 0x77, HAK_SUPERSLAB_SIZE);
	for (int i = 0; i < 150; i++) {
		struct raw raw;
		struct hak_sqe sqe;
		struct hak_cqe cqe;
		int r = 0;

		assert_int_equal(raw_open(&raw, rig->socket), 0);
		for (int n = 0; n < 200 && r == 0; n++) {
			random_entry(&seed, &raw, &sqe);
			r = raw_push(&raw, &sqe);
			if (r == 0)
				r = raw_pop(&raw, &cqe);
		}
		assert_true(r == 0 || r == -ENOTCONN);
		assert_int_equal(raw_nop(&bystander), 0);
		raw_close(&raw);
	}
	for (size_t i = 0; i < HAK_SUPERSLAB_SIZE; i += 4096)
		assert_int_equal(at[i], 0x77);
	raw_unmap(at);
	raw_close(&bystander);
	rig_wait_sessions(rig, 0);
	rig_wait_leased(rig, 0);
	rig_wait_fds(rig, fds);
	assert_true(rig_status(rig).evicted_total > 50);
}

/* ---- the files ---- */

static void files_cannot_be_resized_sealed_or_executed(void **state)
{
	struct rig *rig = *state;
	struct raw raw;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	for (int i = 0; i < 2; i++) {
		int fd = i ? raw.segment_fd : raw.region_fd;

		assert_int_equal(ftruncate(fd, 0), -1);
		assert_int_equal(ftruncate(fd, INT64_C(1) << 40), -1);
		assert_int_equal(hak_sys_add_seals(fd, F_SEAL_WRITE), -EPERM);
		assert_int_equal(hak_sys_add_seals(fd, F_SEAL_FUTURE_WRITE), -EPERM);
		if (fcntl(fd, F_GET_SEALS) & SEAL_EXEC) /* since Linux 6.3 */
			assert_int_equal(fchmod(fd, 0777), -1);
	}
	assert_int_equal(ftruncate(raw.presence_fd, 0), -1);
	assert_int_equal(raw_nop(&raw), 0);
	raw_close(&raw);
}

static void a_report_cannot_be_changed(void **state)
{
	struct rig *rig = *state;
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_QUERY);
	int fds[HAK_WIRE_FDS_MAX];
	unsigned n_fds = 0;
	int sock = raw_connect(rig->socket);

	assert_true(sock >= 0);
	frame.query.what = HAK_QUERY_STATUS;
	for (int i = 0; i < 50; i++) { /* many times on one connection */
		struct hak_wire_frame answer;

		assert_int_equal(raw_send(sock, &frame, sizeof(frame), NULL, 0), 0);
		assert_int_equal(raw_recv(sock, &answer, fds, &n_fds), 0);
		assert_int_equal(answer.type, HAK_WIRE_REPORT);
		assert_int_equal(n_fds, 1);
		assert_int_equal(write(fds[0], "x", 1), -1);
		assert_int_equal(hak_sys_punch(fds[0], 0, 4096), -EPERM);
		assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0) ==
			    MAP_FAILED);
		close(fds[0]);
	}
	close(sock);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_wrong_entry_ends_its_session_only),
		TEST(a_tail_that_cannot_be_ends_its_session_only),
		TEST(what_the_daemon_owns_in_the_segment_may_be_scribbled_over),
		TEST(wake_storms_and_false_flags_cost_nobody_else),
		TEST(random_entries_never_harm_a_bystander),
		TEST(files_cannot_be_resized_sealed_or_executed),
		TEST(a_report_cannot_be_changed),
	};

	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
