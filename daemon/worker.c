/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "daemon/factory.h"
#include "daemon/numa.h"
#include "daemon/os.h"
#include "shared/check.h"
#include "shared/sys.h"

#define STACK_BYTES (64u * 1024u)
/* Urgent steps in a row while something else waits. */
#define URGENT_ROW 4u

enum {
	URGENT,
	LATER,
	QUEUES
};

struct worker {
	struct workers *workers;
	uint32_t part;
	pthread_t thread;
	bool started;
	pthread_cond_t wake;
	struct list queue[QUEUES];
	uint32_t urgent; /* steps in a row, while LATER waits */
	struct factory factory;
};

struct workers {
	const struct numa *numa;
	_Atomic bool huge;
	pthread_mutex_t lock;
	bool stop;
	bool paused;
	uint32_t busy; /* workers in a step */
	pthread_cond_t rest;
	struct list done; /* tasks whose function is to be called */
	int fd;
	struct loop_op op;
	bool stopping;
	uint32_t count;
	struct worker worker[];
};

/* One superslab of the task. */
static void step(struct worker *worker, struct task *task)
{
	uint32_t at = task->done, index = task->first + at;
	uint64_t bit = UINT64_C(1) << at;
	bool huge = false;
	int r = 0;

	if (task->op == TASK_PUNCH) {
		/* As one piece: it is the pages that cost, and the kernel's locks are per file. */
		r = factory_punch(task->fd, index, task->count - at);
		if (r == 0)
			task->done = task->count;
		task->result = r;
		return;
	}
	if (task->op == TASK_CALL) {
		task->call(task);
		task->done = task->count;
		return;
	}
	if (!(task->skip & bit)) {
		/* Relaxed: a flag that publishes nothing else. */
		worker->factory.huge =
			atomic_load_explicit(&worker->workers->huge, memory_order_relaxed);
		worker->factory.part = task->part;
		r = factory_build(&worker->factory, task->fd, index, &huge);
	}
	if (r == 0)
		task->done++;
	if (huge)
		task->huge |= bit;
	task->result = r;
}

static bool is_through(const struct task *task)
{
	return task->result || task->done == task->count || task_cancelled(task);
}

/* Under the lock. */
static struct task *next_task(struct worker *worker)
{
	bool urgent = !list_empty(&worker->queue[URGENT]);
	bool later = !list_empty(&worker->queue[LATER]);

	if (!urgent && !later)
		return NULL;
	if (later && worker->urgent >= URGENT_ROW)
		urgent = false;
	worker->urgent = urgent && later ? worker->urgent + 1 : 0;
	return hak_container_of(worker->queue[urgent ? URGENT : LATER].next, struct task, link);
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct workers *workers = worker->workers;
	struct task *task;

	numa_bind_thread(workers->numa, worker->part);
	(void)pthread_mutex_lock(&workers->lock);
	while (!workers->stop) {
		task = workers->paused ? NULL : next_task(worker);
		if (!task) {
			(void)pthread_cond_wait(&worker->wake, &workers->lock);
			continue;
		}
		workers->busy++;
		(void)pthread_mutex_unlock(&workers->lock);
		if (!is_through(task))
			step(worker, task);
		(void)pthread_mutex_lock(&workers->lock);
		workers->busy--;
		(void)pthread_cond_signal(&workers->rest);
		if (is_through(task)) {
			list_add(&workers->done, &task->link);
			os_event_set(workers->fd);
		}
	}
	(void)pthread_mutex_unlock(&workers->lock);
	return NULL;
}

static void on_done(struct loop_op *op, int result, bool more)
{
	struct workers *workers = hak_container_of(op, struct workers, op);
	struct list done, *at, *tmp;

	(void)result;
	(void)more;
	list_init(&done);
	if (!workers->stopping)
		loop_poll(op, workers->fd);
	os_event_clear(workers->fd);
	(void)pthread_mutex_lock(&workers->lock);
	list_for_each(at, tmp, &workers->done) list_add(&done, at);
	(void)pthread_mutex_unlock(&workers->lock);
	list_for_each(at, tmp, &done)
	{
		struct task *task = hak_container_of(at, struct task, link);

		list_del(at);
		task->in_flight = false;
		task->fn(task);
	}
}

static int worker_start(struct worker *worker)
{
	pthread_attr_t attr;
	int r;

	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = -pthread_create(&worker->thread, &attr, worker_main, worker);
	(void)pthread_attr_destroy(&attr);
	worker->started = r == 0;
	return r;
}

int workers_new(struct workers **ret_workers, struct loop *loop, const struct numa *numa, bool huge)
{
	size_t size = sizeof(struct workers) + numa->parts * sizeof(struct worker);
	struct workers *workers = calloc(1, size);
	int r;

	if (!workers)
		return -ENOMEM;
	workers->numa = numa;
	workers_set_huge(workers, huge);
	workers->count = numa->parts;
	(void)pthread_mutex_init(&workers->lock, NULL);
	(void)pthread_cond_init(&workers->rest, NULL);
	list_init(&workers->done);
	loop_op_init(&workers->op, loop, on_done);
	r = os_eventfd(&workers->fd);
	if (r < 0)
		workers->fd = -1;
	for (uint32_t p = 0; p < workers->count; p++) {
		struct worker *worker = &workers->worker[p];

		worker->workers = workers;
		worker->part = p;
		(void)pthread_cond_init(&worker->wake, NULL);
		for (int q = 0; q < QUEUES; q++)
			list_init(&worker->queue[q]);
		if (r == 0)
			r = factory_init(&worker->factory, huge);
		worker->factory.numa = numa;
		if (r == 0)
			r = worker_start(worker);
	}
	if (r < 0) {
		workers_free(workers);
		return r;
	}
	*ret_workers = workers;
	return 0;
}

/* Under the lock. */
static void wake_all(struct workers *workers)
{
	for (uint32_t p = 0; p < workers->count; p++)
		(void)pthread_cond_signal(&workers->worker[p].wake);
}

struct workers *workers_free(struct workers *workers)
{
	if (!workers)
		return NULL;
	(void)pthread_mutex_lock(&workers->lock);
	workers->stop = true;
	wake_all(workers);
	(void)pthread_mutex_unlock(&workers->lock);
	for (uint32_t p = 0; p < workers->count; p++) {
		struct worker *worker = &workers->worker[p];

		if (worker->started)
			(void)pthread_join(worker->thread, NULL);
		hak_assert(!next_task(worker));
		(void)pthread_cond_destroy(&worker->wake);
		factory_deinit(&worker->factory);
	}
	hak_assert(list_empty(&workers->done));
	loop_op_deinit(&workers->op);
	hak_sys_close(workers->fd);
	(void)pthread_cond_destroy(&workers->rest);
	(void)pthread_mutex_destroy(&workers->lock);
	free(workers);
	return NULL;
}

void workers_stop(struct workers *workers)
{
	workers->stopping = true;
	loop_cancel(&workers->op);
}

bool workers_in_flight(const struct workers *workers)
{
	return workers->op.in_flight;
}

void workers_pause(struct workers *workers)
{
	(void)pthread_mutex_lock(&workers->lock);
	workers->paused = true;
	while (workers->busy)
		(void)pthread_cond_wait(&workers->rest, &workers->lock);
	(void)pthread_mutex_unlock(&workers->lock);
}

void workers_resume(struct workers *workers)
{
	(void)pthread_mutex_lock(&workers->lock);
	workers->paused = false;
	wake_all(workers);
	(void)pthread_mutex_unlock(&workers->lock);
}

void workers_set_huge(struct workers *workers, bool huge)
{
	atomic_store_explicit(&workers->huge, huge, memory_order_relaxed);
}

void task_init(struct task *task, task_fn *fn)
{
	*task = (struct task){ .fn = fn, .part = FACTORY_BY_INDEX };
	list_init(&task->link);
}

void workers_submit(struct workers *workers, uint32_t part, struct task *task, bool urgent)
{
	struct worker *worker = &workers->worker[part];

	hak_assert(!task->in_flight && part < workers->count);
	hak_assert(task->count && task->count <= TASK_MAX);
	task->in_flight = true;
	task->done = 0;
	task->huge = 0;
	task->result = 0;
	atomic_store_explicit(&task->cancelled, false, memory_order_relaxed);
	if (!workers->op.in_flight)
		loop_poll(&workers->op, workers->fd);
	(void)pthread_mutex_lock(&workers->lock);
	list_add(&worker->queue[urgent ? URGENT : LATER], &task->link);
	(void)pthread_cond_signal(&worker->wake);
	(void)pthread_mutex_unlock(&workers->lock);
}

void task_cancel(struct task *task)
{
	atomic_store_explicit(&task->cancelled, true, memory_order_relaxed);
}

bool task_cancelled(const struct task *task)
{
	return atomic_load_explicit(&task->cancelled, memory_order_relaxed);
}
