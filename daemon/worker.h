/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h - memory work beside the loop: one thread per NUMA node, bound to it, that fills and
 * punches superslabs, so that serving rings never waits for the kernel's page work.
 *
 * A task is embedded in its owner and is one pass over at most TASK_MAX neighbouring superslabs of
 * one file. From workers_submit() until its function was called, in the loop's thread, it is in
 * flight: owner and file stay. Cancelling is a request: what is under way is finished, the rest
 * is left, the function is called.
 *
 * Between two superslabs a worker looks for more urgent work: a lease that somebody may be waiting
 * for comes before what is done ahead of need. After four urgent steps in a row it does one of the
 * others, so that neither kind starves the other.
 *
 * THREADS  the loop's thread submits, cancels and gets the results; a worker owns `done`, `huge`
 * and `result` of the task that it is at. The lock is held for list moves only.
 */
#pragma once

#include <stdatomic.h>

#include "daemon/factory.h"
#include "daemon/list.h"
#include "daemon/loop.h"

struct numa;
struct task;
struct workers;

#define TASK_MAX 64u

enum task_op {
	TASK_BUILD, /* fill; those of `skip` are filled already */
	TASK_PUNCH, /* give the memory back */
	TASK_CALL,  /* whatever `call` does with all of them, in one go; it sets `result` */
};

typedef void task_fn(struct task *task);

struct task {
	struct list link;
	task_fn *fn;
	enum task_op op;
	bool in_flight;
	_Atomic bool cancelled;

	int fd;
	uint32_t first, count; /* superslabs of the file */
	uint64_t skip;         /* bit i: first + i */
	uint32_t part;         /* BUILD: for whose node, or FACTORY_BY_INDEX */
	task_fn *call;         /* TASK_CALL; runs in the worker's thread */

	uint32_t done; /* how many of them */
	uint64_t huge; /* bit i: it is one 2 MiB page now */
	int result;    /* 0, or the negative errno that ended it early */
};

int workers_new(struct workers **ret_workers, struct loop *loop, const struct numa *numa,
		bool huge);
/* No task may be in flight, and the loop must have run since workers_stop(). Returns NULL. */
struct workers *workers_free(struct workers *workers);
/* No task may be in flight: takes their own operation out of the loop. May be called again. */
void workers_stop(struct workers *workers);
bool workers_in_flight(const struct workers *workers);
/* Waits until no worker is in the middle of a step (a superslab, or a call), and lets none begin
 * another one before workers_resume(). Tasks stay where they are. */
void workers_pause(struct workers *workers);
void workers_resume(struct workers *workers);
/* Whether superslabs are tried as 2 MiB pages, from the next one on. */
void workers_set_huge(struct workers *workers, bool huge);

void task_init(struct task *task, task_fn *fn);
/* The other fields are set by the owner. `part`: whose worker; `urgent`: somebody waits. */
void workers_submit(struct workers *workers, uint32_t part, struct task *task, bool urgent);
/* Nothing if it is not in flight. */
void task_cancel(struct task *task);
/* True from then until it is submitted again. */
bool task_cancelled(const struct task *task);
