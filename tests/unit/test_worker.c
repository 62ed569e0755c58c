/* SPDX-License-Identifier: Apache-2.0 */
/* Workers with a loop of their own: what a task did, what cancelling leaves, who comes first. */
#include <sys/stat.h>

#include "daemon/loop.h"
#include "daemon/numa.h"
#include "daemon/worker.h"
#include "shared/layout.h"
#include "shared/sys.h"
#include "tests/unit/unit.h"

#define FILE_SUPERSLABS 64u

struct bench {
	struct loop *loop;
	struct numa numa;
	struct workers *workers;
	int fd;
	unsigned waiting; /* tasks whose function was not called yet */
	unsigned order;
	bool stopping;
};

struct job {
	struct task task;
	struct bench *bench;
	unsigned came; /* as which one its function was called */
};

static void on_task(struct task *task)
{
	struct job *job = hak_container_of(task, struct job, task);

	assert_false(task->in_flight);
	job->came = ++job->bench->order;
	job->bench->waiting--;
}

static bool turn(void *context)
{
	struct bench *bench = context;

	if (!bench->waiting && bench->stopping)
		workers_stop(bench->workers);
	if (!bench->waiting && (!bench->stopping || !workers_in_flight(bench->workers)))
		loop_stop(bench->loop);
	return false;
}

static void setup(struct bench *bench)
{
	*bench = (struct bench){ .numa = { .parts = 1 } };
	assert_int_equal(loop_new(&bench->loop), 0);
	assert_int_equal(workers_new(&bench->workers, bench->loop, &bench->numa, true), 0);
	assert_int_equal(
		hak_sys_memfd(&bench->fd, "test", FILE_SUPERSLABS * HAK_SUPERSLAB_SIZE, true), 0);
}

static void teardown(struct bench *bench)
{
	bench->stopping = true;
	assert_int_equal(loop_run(bench->loop, turn, bench), 0);
	bench->workers = workers_free(bench->workers);
	bench->loop = loop_free(bench->loop);
	hak_sys_close(bench->fd);
}

static _Atomic uint32_t called_with;

static void call(struct task *task)
{
	called_with += task->first + task->count;
	task->result = -7;
}

static void submit(struct bench *bench, struct job *job, enum task_op op, uint32_t first,
		   uint32_t count, bool urgent)
{
	task_init(&job->task, on_task);
	job->bench = bench;
	job->task.op = op;
	job->task.fd = bench->fd;
	job->task.call = call;
	job->task.first = first;
	job->task.count = count;
	bench->waiting++;
	workers_submit(bench->workers, 0, &job->task, urgent);
}

static void run(struct bench *bench)
{
	assert_int_equal(loop_run(bench->loop, turn, bench), 0);
}

static uint64_t file_superslabs(const struct bench *bench)
{
	struct stat st;

	assert_int_equal(fstat(bench->fd, &st), 0);
	return (uint64_t)st.st_blocks * 512 / HAK_SUPERSLAB_SIZE;
}

static void a_task_fills_and_another_empties(void **state)
{
	struct bench bench;
	struct job job = { 0 };

	setup(&bench);
	submit(&bench, &job, TASK_BUILD, 4, 6, true);
	run(&bench);
	assert_int_equal(job.task.result, 0);
	assert_int_equal(job.task.done, 6);
	assert_int_equal(job.task.huge & ~UINT64_C(0x3f), 0);
	assert_int_equal(file_superslabs(&bench), 6);
	submit(&bench, &job, TASK_PUNCH, 5, 4, false);
	run(&bench);
	assert_int_equal(job.task.result, 0);
	assert_int_equal(job.task.done, 4);
	assert_int_equal(file_superslabs(&bench), 2);
	teardown(&bench);
}

/* Both ways, while the workers run; where the kernel makes no such pages nothing is to be seen. */
static void huge_pages_can_be_turned_off_and_on(void **state)
{
	struct bench bench;
	struct job job = { 0 };
	uint64_t before;

	setup(&bench);
	submit(&bench, &job, TASK_BUILD, 0, 4, true);
	run(&bench);
	before = job.task.huge;
	workers_set_huge(bench.workers, false);
	submit(&bench, &job, TASK_BUILD, 4, 4, true);
	run(&bench);
	assert_int_equal(job.task.done, 4);
	assert_int_equal(job.task.huge, 0);
	workers_set_huge(bench.workers, true);
	submit(&bench, &job, TASK_BUILD, 8, 4, true);
	run(&bench);
	assert_int_equal(job.task.done, 4);
	assert_int_equal(!job.task.huge, !before);
	teardown(&bench);
}

static void what_is_filled_already_is_skipped(void **state)
{
	struct bench bench;
	struct job job = { 0 };

	setup(&bench);
	task_init(&job.task, on_task);
	job.bench = &bench;
	job.task.fd = bench.fd;
	job.task.count = 4;
	job.task.skip = 0x5;
	bench.waiting++;
	workers_submit(bench.workers, 0, &job.task, true);
	run(&bench);
	assert_int_equal(job.task.done, 4);
	assert_int_equal(job.task.huge & 0x5, 0);
	assert_int_equal(file_superslabs(&bench), 2);
	teardown(&bench);
}

/* Both are queued before the worker can be through with 60 superslabs. */
static void an_urgent_task_overtakes(void **state)
{
	struct bench bench;
	struct job slow = { 0 }, urgent = { 0 };

	setup(&bench);
	submit(&bench, &slow, TASK_BUILD, 0, 60, false);
	submit(&bench, &urgent, TASK_BUILD, 60, 1, true);
	run(&bench);
	assert_int_equal(slow.task.done, 60);
	assert_int_equal(urgent.task.done, 1);
	assert_int_equal(urgent.came, 1);
	teardown(&bench);
}

/* As above, but there is more urgent work than others must wait for. */
static void a_later_task_is_not_starved(void **state)
{
	struct bench bench;
	struct job urgent = { 0 }, later = { 0 };

	setup(&bench);
	submit(&bench, &urgent, TASK_BUILD, 0, 60, true);
	submit(&bench, &later, TASK_BUILD, 60, 1, false);
	run(&bench);
	assert_int_equal(urgent.task.done, 60);
	assert_int_equal(later.task.done, 1);
	assert_int_equal(later.came, 1);
	teardown(&bench);
}

static void a_cancelled_task_comes_back_early(void **state)
{
	struct bench bench;
	struct job job = { 0 };

	setup(&bench);
	submit(&bench, &job, TASK_BUILD, 0, 64, false);
	task_cancel(&job.task);
	run(&bench);
	assert_int_equal(job.task.result, 0);
	assert_true(job.task.done < 64);
	assert_int_equal(file_superslabs(&bench), job.task.done);
	teardown(&bench);
}

/* A file that can't grow, and past its end. */
static void a_failure_is_reported_with_what_was_done(void **state)
{
	struct bench bench;
	struct job job = { 0 };

	setup(&bench);
	submit(&bench, &job, TASK_BUILD, FILE_SUPERSLABS - 2, 4, true);
	run(&bench);
	assert_true(job.task.result < 0);
	assert_int_equal(job.task.done, 2);
	teardown(&bench);
}

static void a_call_is_made_once_for_all(void **state)
{
	struct bench bench;
	struct job job;

	setup(&bench);
	submit(&bench, &job, TASK_CALL, 100, 64, true);
	assert_int_equal(loop_run(bench.loop, turn, &bench), 0);
	assert_int_equal(called_with, 164);
	assert_int_equal(job.task.done, 64);
	assert_int_equal(job.task.result, -7);
	teardown(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_is_made_once_for_all),
		cmocka_unit_test(a_task_fills_and_another_empties),
		cmocka_unit_test(huge_pages_can_be_turned_off_and_on),
		cmocka_unit_test(what_is_filled_already_is_skipped),
		cmocka_unit_test(an_urgent_task_overtakes),
		cmocka_unit_test(a_later_task_is_not_starved),
		cmocka_unit_test(a_cancelled_task_comes_back_early),
		cmocka_unit_test(a_failure_is_reported_with_what_was_done),
	};

	unit_watchdog();
	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
