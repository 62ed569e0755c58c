/* SPDX-License-Identifier: Apache-2.0 */
/* What is ready before anybody asks: that it is there, is used, grows with demand, and goes. */
#include <sys/stat.h>
#include <unistd.h>

#include "tests/proc/rig.h"

#define HOGS 4

static uint64_t superslabs(uint64_t bytes)
{
	return bytes / HAK_SUPERSLAB_SIZE;
}

static uint64_t in_file(const struct raw *raw)
{
	struct stat st;

	assert_int_equal(fstat(raw->region_fd, &st), 0);
	return superslabs((uint64_t)st.st_blocks * 512);
}

static void a_region_is_ready_before_anybody_comes(void **state)
{
	struct rig *rig = *state;

	rig_wait_stock(rig, 1, 2);
	assert_int_equal(rig_status(rig).leased_bytes, 0);
}

static void the_first_leases_find_filled_memory(void **state)
{
	struct rig *rig = *state;
	struct raw raw;
	uint32_t first;

	rig_wait_stock(rig, 1, 2);
	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(in_file(&raw), 2); /* before it has asked for anything */
	assert_int_equal(rig_status(rig).leased_bytes, 0);
	assert_int_equal(raw_lease(&raw, 2, &first), 0);
	assert_int_equal(first, 0);
	assert_int_equal(in_file(&raw), 2);
	assert_int_equal(superslabs(rig_status(rig).leased_bytes), 2);
	/* The next one is filled for it. */
	assert_int_equal(raw_lease(&raw, 1, &first), 0);
	assert_int_equal(first, 2);
	assert_int_equal(in_file(&raw), 3);
	/* Meanwhile there is another region for the next process. */
	rig_wait_stock(rig, 1, 2);
	raw_close(&raw);
}

static void what_a_process_does_not_come_for_goes(void **state)
{
	struct rig *rig = *state;
	struct raw raw;
	uint32_t first;

	rig_wait_stock(rig, 1, 2);
	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_lease(&raw, 1, &first), 0);
	rig_wait_stock(rig, 1, 2); /* its own second superslab is not in it any more */
	assert_int_equal(in_file(&raw), 1);
	assert_int_equal(raw_lease(&raw, 1, &first), 0);
	assert_int_equal(first, 1);
	assert_int_equal(in_file(&raw), 2);
	raw_close(&raw);
}

static void stock_follows_demand_up_and_down(void **state)
{
	enum {
		CROWD = 24
	};
	struct rig *rig = *state;
	static struct raw raws[CROWD];

	rig_wait_stock(rig, 1, 2);
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(raw_open(&raws[i], rig->socket), 0);
	/* Back to one, all that the crowd has not leased is gone as well. */
	rig_wait_stock(rig, 1, 2);
	for (int i = 0; i < CROWD; i++) {
		assert_int_equal(in_file(&raws[i]), 0);
		raw_close(&raws[i]);
	}
}

static void none_is_kept_where_none_is_wanted(void **state)
{
	struct rig *rig = *state;
	struct raw raw;
	uint32_t first;

	assert_int_equal(rig_status(rig).stock_regions, 0);
	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(in_file(&raw), 0);
	assert_int_equal(raw_lease(&raw, 1, &first), 0);
	assert_int_equal(in_file(&raw), 1);
	assert_int_equal(rig_status(rig).stock_regions, 0);
	raw_close(&raw);
}

/* What it returned waits its turn behind what the worker fills for others. */
static void death_behind_a_busy_worker(struct rig *rig, void *arg)
{
	struct raw raw, *hogs = arg;
	struct hak_sqe sqe;
	uint32_t first;

	if (raw_open(&raw, rig->socket) < 0 || raw_lease(&raw, 1, &first) < 0)
		_exit(1);
	for (int i = 0; i < HOGS;
	     i++) { /* their memory is filled ahead of them, after the answer */
		if (raw_lease(&hogs[i], 64, &sqe.first) < 0)
			_exit(1);
	}
	sqe = raw_entry(&raw, HAK_OP_RETURN);
	sqe.first = first;
	sqe.count = 1;
	(void)raw_push(&raw, &sqe);
	while (hak_ring_room(&raw.sq) < HAK_SQ_ENTRIES) /* until the daemon has taken it */
		continue;
	rig_tell();
	_exit(0);
}

static void a_return_that_its_client_did_not_live_to_see(void **state)
{
	struct rig *rig = *state;
	struct raw hogs[HOGS];

	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < HOGS; i++)
			assert_int_equal(raw_open(&hogs[i], rig->socket), 0);
		(void)rig_reap(rig_client(rig, death_behind_a_busy_worker, hogs));
		rig_wait_sessions(rig, HOGS);
		for (int i = 0; i < HOGS; i++) {
			const struct hak_wire_frame bye = hak_wire_make(HAK_WIRE_BYE);

			assert_int_equal(raw_send(hogs[i].sock, &bye, sizeof(bye), NULL, 0), 0);
			raw_close(&hogs[i]);
		}
		rig_wait_sessions(rig, 0);
	}
	assert_int_equal(rig_status(rig).leased_bytes, 0);
}

static int setup_slow(void **state)
{
	*state = rig_start("[stock]\nsession-bytes = 4 MiB\ndecay = 3600 s\n");
	return 0;
}

static int setup_quick(void **state)
{
	*state = rig_start("[stock]\nsession-bytes = 4 MiB\ndecay = 100 ms\n");
	return 0;
}

static int setup_none(void **state)
{
	*state = rig_start("[stock]\nsessions = 0\n");
	return 0;
}

#define SLOW(name)  cmocka_unit_test_setup_teardown(name, setup_slow, rig_teardown)
#define QUICK(name) cmocka_unit_test_setup_teardown(name, setup_quick, rig_teardown)
#define NONE(name)  cmocka_unit_test_setup_teardown(name, setup_none, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SLOW(a_region_is_ready_before_anybody_comes),
		SLOW(the_first_leases_find_filled_memory),
		QUICK(what_a_process_does_not_come_for_goes),
		QUICK(stock_follows_demand_up_and_down),
		SLOW(a_return_that_its_client_did_not_live_to_see),
		NONE(none_is_kept_where_none_is_wanted),
	};

	return cmocka_run_group_tests_name("stock", tests, NULL, NULL);
}
