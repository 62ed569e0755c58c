/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/stock.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/daemon.h"
#include "daemon/log.h"
#include "daemon/os.h"
#include "daemon/region.h"
#include "daemon/worker.h"
#include "shared/check.h"
#include "shared/sys.h"

struct stocked {
	struct list link;
	struct stock *stock;
	uint32_t part;
	struct region region;
	struct task task;
};

static uint32_t shelf_max(const struct stock *stock)
{
	return stock->daemon->config.stock_sessions;
}

/* Without demand: one near every node that processes run on, and are served from. */
static uint32_t shelf_min(const struct stock *stock, uint32_t part)
{
	return shelf_max(stock) && stock->daemon->numa.starts[part] ? 1 : 0;
}

static uint32_t warm_count(const struct stock *stock)
{
	uint64_t n = stock->daemon->config.stock_session_bytes / HAK_SUPERSLAB_SIZE;

	return n < TASK_MAX ? (uint32_t)n : TASK_MAX;
}

static void stocked_free(struct stocked *stocked)
{
	list_del(&stocked->link);
	region_deinit(&stocked->region);
	free(stocked);
}

static void fill(struct stock *stock, uint32_t part);

static void on_built(struct task *task)
{
	struct stocked *stocked = hak_container_of(task, struct stocked, task);
	struct stock *stock = stocked->stock;
	uint32_t part = stocked->part;
	struct stock_shelf *shelf = &stock->shelf[part];

	for (uint32_t i = 0; i < task->done; i++)
		region_set_built(&stocked->region, task->first + i, task->huge >> i & 1);
	shelf->n_making--;
	if (task->result < 0) {
		log_limited(LOG_AT_WARNING, "stock-stopped", "error=\"%s\"", os_text(task->result));
		shelf->target = 0; /* until somebody comes again */
	}
	/* Not wanted any more, or not like this. */
	if (stock->stopping || shelf->n_ready >= shelf->target || task_cancelled(task)) {
		stocked_free(stocked);
	} else {
		list_add(&shelf->ready, &stocked->link);
		shelf->n_ready++;
	}
	fill(stock, part);
}

/* One more; a negative errno: there is no memory or no descriptor for it. */
static int make_one(struct stock *stock, uint32_t part)
{
	struct stock_shelf *shelf = &stock->shelf[part];
	struct stocked *stocked = calloc(1, sizeof(*stocked));
	int r;

	if (!stocked)
		return -ENOMEM;
	*stocked = (struct stocked){ .stock = stock, .part = part, .region = REGION_NULL };
	list_init(&stocked->link);
	r = region_init(&stocked->region, &stock->daemon->numa);
	if (r < 0) {
		stocked_free(stocked);
		return r;
	}
	task_init(&stocked->task, on_built);
	stocked->task.op = TASK_BUILD;
	stocked->task.fd = stocked->region.fd;
	stocked->task.first = region_part_first(&stocked->region, part);
	stocked->task.count = warm_count(stock);
	list_add(&shelf->making, &stocked->link);
	shelf->n_making++;
	workers_submit(stock->daemon->workers, part, &stocked->task, false);
	return 0;
}

static void fill(struct stock *stock, uint32_t part)
{
	struct stock_shelf *shelf = &stock->shelf[part];

	if (stock->stopping || !warm_count(stock))
		return;
	/* One after the other: a burst of processes is served first. */
	if (!shelf->n_making && shelf->n_ready < shelf->target && make_one(stock, part) < 0)
		shelf->target = 0;
}

void stock_init(struct stock *stock, struct daemon *daemon)
{
	*stock = (struct stock){ .daemon = daemon };
	for (uint32_t p = 0; p < HAK_PARTS_MAX; p++) {
		list_init(&stock->shelf[p].ready);
		list_init(&stock->shelf[p].making);
	}
}

void stock_start(struct stock *stock)
{
	for (uint32_t p = 0; p < stock->daemon->numa.parts; p++) {
		stock->shelf[p].target = shelf_min(stock, p);
		fill(stock, p);
	}
}

static void shrink(struct stock_shelf *shelf, uint32_t n)
{
	while (shelf->n_ready > n) {
		stocked_free(hak_container_of(shelf->ready.next, struct stocked, link));
		shelf->n_ready--;
	}
}

static void drop(struct stock_shelf *shelf)
{
	struct list *at, *tmp;

	shrink(shelf, 0);
	list_for_each(at, tmp, &shelf->making)
		task_cancel(&hak_container_of(at, struct stocked, link)->task);
}

void stock_drop(struct stock *stock)
{
	for (uint32_t p = 0; p < HAK_PARTS_MAX; p++) {
		stock->shelf[p].target = 0;
		drop(&stock->shelf[p]);
	}
}

void stock_configure(struct stock *stock, bool anew)
{
	uint32_t max = shelf_max(stock);

	for (uint32_t p = 0; p < stock->daemon->numa.parts; p++) {
		struct stock_shelf *shelf = &stock->shelf[p];

		if (shelf->target > max)
			shelf->target = max;
		else if (!shelf->target)
			shelf->target = shelf_min(stock, p);
		if (anew)
			drop(shelf);
		shrink(shelf, shelf->target);
		fill(stock, p);
	}
}

void stock_stop(struct stock *stock)
{
	stock->stopping = true;
	stock_drop(stock);
}

bool stock_in_flight(const struct stock *stock)
{
	for (uint32_t p = 0; p < HAK_PARTS_MAX; p++) {
		if (stock->shelf[p].n_making)
			return true;
	}
	return false;
}

int stock_take(struct stock *stock, pid_t pid, struct region *ret_region)
{
	const struct numa *numa = &stock->daemon->numa;
	uint32_t part = numa->parts > 1 ? numa_part_of(numa, numa_node_of_process(pid)) : 0;
	struct stock_shelf *shelf = &stock->shelf[part];
	struct stocked *stocked;
	uint32_t max = shelf_max(stock);

	shelf->taken++;
	if (!shelf->n_ready) {
		shelf->target = shelf->target ? shelf->target * 2 : 1;
		if (shelf->target > max)
			shelf->target = max;
		fill(stock, part);
		if (shelf->target > 1)
			daemon_want_tick(stock->daemon);
		return region_init(ret_region, numa);
	}
	/* The newest: its memory was touched last. */
	stocked = hak_container_of(shelf->ready.prev, struct stocked, link);
	shelf->n_ready--;
	*ret_region = stocked->region;
	stocked->region = (struct region)REGION_NULL;
	stocked_free(stocked);
	fill(stock, part);
	if (shelf->target > 1)
		daemon_want_tick(stock->daemon);
	return 0;
}

bool stock_tick(struct stock *stock)
{
	uint64_t now = hak_sys_now_ns();
	bool again = false;

	if (now - stock->looked_ns < stock->daemon->config.stock_decay_ms * UINT64_C(1000000)) {
		for (uint32_t p = 0; p < stock->daemon->numa.parts; p++)
			again |= stock->shelf[p].target > 1;
		return again;
	}
	stock->looked_ns = now;
	for (uint32_t p = 0; p < stock->daemon->numa.parts; p++) {
		struct stock_shelf *shelf = &stock->shelf[p];

		if (!shelf->taken && shelf->target > 1)
			shelf->target = 1;
		shelf->taken = 0;
		shrink(shelf, shelf->target);
		again |= shelf->target > 1;
	}
	return again;
}

uint64_t stock_superslabs(const struct stock *stock)
{
	uint64_t n = 0;

	for (uint32_t p = 0; p < HAK_PARTS_MAX; p++) {
		struct list *at, *tmp;

		list_for_each(at, tmp, &stock->shelf[p].ready) n +=
			hak_container_of(at, struct stocked, link)->region.warm;
	}
	return n;
}

uint64_t stock_regions(const struct stock *stock)
{
	uint64_t n = 0;

	for (uint32_t p = 0; p < HAK_PARTS_MAX; p++)
		n += stock->shelf[p].n_ready;
	return n;
}

void stock_each(const struct stock *stock, stock_fn *fn, void *arg)
{
	for (uint32_t p = 0; p < HAK_PARTS_MAX; p++) {
		struct list *at, *tmp;

		list_for_each(at, tmp, &stock->shelf[p].ready)
			fn(arg, &hak_container_of(at, struct stocked, link)->region, false);
		list_for_each(at, tmp, &stock->shelf[p].making)
			fn(arg, &hak_container_of(at, struct stocked, link)->region, true);
	}
}
