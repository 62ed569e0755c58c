/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon finds in its descriptor store, and what it does about it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/life.h"
#include "shared/sys.h"
#include "tests/proc/manager.h"

static unsigned count_of(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

static void the_epoch_goes_on_and_ids_are_not_reused(void **state)
{
	struct manager *manager = *state;
	uint64_t epoch = rig_status(manager->rig).epoch, id = 0;
	struct raw raw;

	for (unsigned how = 0; how < MANAGER_HOWS; how++) {
		assert_int_equal(raw_open(&raw, manager->rig->socket), 0);
		assert_int_equal(raw.epoch, epoch);
		assert_true(raw.session_id > id);
		id = raw.session_id;
		raw_close(&raw);
		rig_wait_sessions(manager->rig, 0);
		manager_restart(manager, how);
		assert_int_equal(rig_status(manager->rig).epoch, ++epoch);
	}
}

static void what_is_foreign_is_closed_with_one_line(void **state)
{
	static const char *const names[] = { "others", "s99", "d7", "m7.1", "s", "m7" };
	struct manager *manager = *state;
	uint64_t fds = rig_status(manager->rig).open_fds;
	unsigned stored = manager_count(manager);

	manager_end(manager, MANAGER_PARK);
	for (unsigned i = 0; i < 6; i++)
		manager_store(manager, names[i], memfd_create("foreign", MFD_CLOEXEC));
	manager_start(manager);
	assert_int_equal(count_of(manager->rig->log, "adopt-refused"), 6);
	rig_wait_fds(manager->rig, fds);
	/* Those with names like ours are dropped from the store, too. */
	assert_int_equal(manager_count(manager), stored + 3);
	for (unsigned i = 1; i < 4; i++)
		assert_int_equal(manager_find(manager, names[i], NULL, 0), 0);
}

static void an_empty_store_begins_another_line(void **state)
{
	struct manager *manager = *state;
	uint64_t epoch = rig_status(manager->rig).epoch;
	struct raw raw, again;

	assert_int_equal(raw_open(&raw, manager->rig->socket), 0);
	manager_end(manager, MANAGER_KILL);
	manager_drop(manager, NULL);
	manager_start(manager);
	assert_int_not_equal(rig_status(manager->rig).epoch, epoch + 1);
	assert_int_equal(rig_status(manager->rig).sessions, 0);
	assert_int_equal(raw_resume(&again, manager->rig->socket, raw.session_id), -ESTALE);
	assert_int_equal(raw_open(&again, manager->rig->socket), 0);
	assert_int_equal(raw_nop(&again), 0);
	raw_close(&again);
	raw_close(&raw);
}

/* Nothing of a line whose page can't be read is used: whose it is can't be known. */
static void a_damaged_life_page_costs_all_but_the_service(void **state)
{
	struct manager *manager = *state;
	struct life_page *page;
	struct raw raw, other;
	void *at;
	int fd;

	assert_int_equal(raw_open(&raw, manager->rig->socket), 0);
	assert_int_equal(manager_find(manager, "life", &fd, 1), 1);
	assert_int_equal(hak_sys_map_shared(&at, NULL, fd, 0, sizeof(*page)), 0);
	page = at;
	page->head.id ^= 1;
	(void)hak_sys_unmap(at, sizeof(*page));
	manager_restart(manager, MANAGER_KILL);
	assert_non_null(strstr(manager->rig->log, "adopt-refused what=life"));
	assert_int_equal(rig_status(manager->rig).sessions, 0);
	assert_int_equal(raw_open(&other, manager->rig->socket), 0);
	assert_int_equal(raw_nop(&other), 0);
	raw_close(&other);
	raw_close(&raw);
}

static void what_ends_leaves_the_store(void **state)
{
	struct manager *manager = *state;
	unsigned stored = manager_count(manager);
	struct raw raw;

	assert_int_equal(raw_open(&raw, manager->rig->socket), 0);
	assert_true(manager_count(manager) > stored);
	raw_close(&raw);
	rig_wait_sessions(manager->rig, 0);
	assert_int_equal(manager_count(manager), stored);
}

/* SIGINT is an end, with a store, too. */
static void an_end_is_an_end(void **state)
{
	struct manager *manager = *state;
	struct raw raw;

	assert_int_equal(raw_open(&raw, manager->rig->socket), 0);
	assert_int_equal(kill(manager->rig->pid, SIGINT), 0);
	assert_int_equal(rig_wait_exit(manager->rig), 0);
	assert_int_equal(manager_count(manager), 0);
	assert_int_equal(raw_wait_hangup(raw.sock), 0);
	raw_close(&raw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_epoch_goes_on_and_ids_are_not_reused,
						manager_setup, manager_teardown),
		cmocka_unit_test_setup_teardown(what_is_foreign_is_closed_with_one_line,
						manager_setup, manager_teardown),
		cmocka_unit_test_setup_teardown(an_empty_store_begins_another_line, manager_setup,
						manager_teardown),
		cmocka_unit_test_setup_teardown(a_damaged_life_page_costs_all_but_the_service,
						manager_setup, manager_teardown),
		cmocka_unit_test_setup_teardown(what_ends_leaves_the_store, manager_setup,
						manager_teardown),
		cmocka_unit_test_setup_teardown(an_end_is_an_end, manager_setup, manager_teardown),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
