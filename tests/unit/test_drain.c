/* SPDX-License-Identifier: Apache-2.0 */
/* A session whose file is just being closed, and the daemon's tick. */
#include "daemon/daemon.h"
#include "daemon/session.h"
#include "daemon/worker.h"
#include "tests/unit/region_local.h"
#include "tests/unit/unit.h"

static const struct numa one_node = { .parts = 1 };

static void on_task(struct task *task)
{
	(void)task;
	fail_msg("a task for a file that is being closed");
}

/* Idle for long, with a warm superslab: what the tick gives back, while the session lives. */
static void session_init(struct session *session, struct daemon *daemon, enum session_state state)
{
	uint32_t first;

	*session = (struct session){ .daemon = daemon, .state = state, .region = REGION_NULL };
	assert_int_equal(region_init(&session->region, &one_node), 0);
	assert_true(region_take(&session->region, &one_node, 0, REGION_ANY_PART, 1, &first));
	region_set_built(&session->region, first, false);
	region_unlease(&session->region, first, 1);
	assert_int_equal(session->region.warm, 1);
	task_init(&session->task, on_task);
}

static void a_closing_file_is_left_alone_by_the_tick(void **state)
{
	struct daemon daemon = { 0 };
	struct session session;

	(void)state;
	session_init(&session, &daemon, SESSION_DRAINING);
	assert_false(session_tick(&session));
	assert_false(session.task.in_flight);
	assert_int_equal(session.region.warm, 1);
	region_deinit(&session.region);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_closing_file_is_left_alone_by_the_tick),
	};

	unit_watchdog();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
