/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/shrink.h"

#include "daemon/daemon.h"
#include "daemon/domain.h"
#include "daemon/limits.h"
#include "daemon/log.h"
#include "daemon/os.h"
#include "daemon/sweep.h"
#include "shared/check.h"

static uint64_t look(const struct domain *domain, uint32_t slab)
{
	/* Relaxed: a look; what is decided by it is decided by compare-and-swap. */
	return atomic_load_explicit(&domain->view.lease[slab], memory_order_relaxed);
}

static bool is_free(const struct domain *domain, uint32_t index)
{
	uint32_t first = index * HAK_SLABS_PER_SUPERSLAB;

	for (uint32_t i = 0; i < HAK_SLABS_PER_SUPERSLAB; i++) {
		if (hak_lease_kind(look(domain, first + i)) != HAK_LEASE_FREE)
			return false;
	}
	return true;
}

/* Acquire: what the last holder did to the slab was done. A failure has nothing to order. */
static bool claim(struct domain *domain, uint32_t slab)
{
	uint64_t word = look(domain, slab);
	uint64_t claimed = hak_lease_make(HAK_HOLDER_DAEMON, HAK_LEASE_CLAIM, 0,
					  hak_lease_generation(word), 0);

	return hak_lease_kind(word) == HAK_LEASE_FREE &&
	       atomic_compare_exchange_strong_explicit(&domain->view.lease[slab], &word, claimed,
						       memory_order_acquire, memory_order_relaxed);
}

/* Takes a superslab away from the members, all of its slabs or none. */
static bool take(struct domain *domain, uint32_t index)
{
	uint32_t first = index * HAK_SLABS_PER_SUPERSLAB, n = 0;

	while (n < HAK_SLABS_PER_SUPERSLAB && claim(domain, first + n))
		n++;
	if (n == HAK_SLABS_PER_SUPERSLAB) {
		book_begin_store();
		for (uint32_t i = 0; i < n; i++)
			domain->generation[first + i] =
				(uint16_t)hak_lease_generation(look(domain, first + i));
		book_end_store();
		return true;
	}
	while (n--) {
		uint32_t generation = hak_lease_generation(look(domain, first + n));

		/* Release: as whoever frees a slab. */
		atomic_store_explicit(&domain->view.lease[first + n],
				      hak_lease_make(HAK_HOLDER_NONE, HAK_LEASE_FREE, 0, generation,
						     0),
				      memory_order_release);
	}
	return false;
}

/* One superslab of a pass. */
static void visit(struct domain *domain, uint32_t index)
{
	/* Its words may claim to be FREE while it is just being filled, or punched. */
	if (!(domain->held[index / 64] >> (index % 64) & 1) || !is_free(domain, index))
		return;
	if (domain->give && take(domain, index)) {
		domain->give--;
		domain_ungrant(domain, index);
		domain_waste(domain, index, 1);
		return;
	}
	domain->look_free++;
}

/* True: there is more than is to be kept. */
static bool end_pass(struct domain *domain)
{
	uint64_t now = hak_sys_boottime_ns();
	uint32_t keep = domain->granted / LIMIT_DOMAIN_KEEP_PART;
	uint32_t n = domain->look_free;
	bool again = domain->look_again;

	domain->look_again = false;
	keep = keep > LIMIT_DOMAIN_KEEP_MIN ? keep : LIMIT_DOMAIN_KEEP_MIN;
	domain->look_at = domain->high;
	domain->look_free = 0;
	domain->give = 0;
	if (n <= keep) {
		domain->excess_ns = 0;
		return again;
	}
	if (!domain->excess_ns)
		domain->excess_ns = now;
	if (now - domain->excess_ns >= domain->daemon->config.stock_decay_ms * UINT64_C(1000000))
		domain->give = n - keep;
	return true;
}

void shrink_look(struct domain *domain)
{
	domain->look_again = domain->look;
	if (!domain->look) {
		domain->look = true;
		domain->look_at = domain->high;
		domain->look_free = 0;
		domain->give = 0;
		domain->excess_ns = 0;
	}
	daemon_want_tick(domain->daemon);
}

bool shrink_tick(struct domain *domain)
{
	uint32_t n = domain->look_at < LIMIT_DOMAIN_LOOK ? domain->look_at : LIMIT_DOMAIN_LOOK;

	if (!domain->look)
		return false;
	while (n--)
		visit(domain, --domain->look_at);
	if (!domain->look_at)
		domain->look = end_pass(domain);
	return domain->look;
}

/* ---- what is waste ---- */

static void punch(struct domain *domain, uint64_t off, uint64_t each)
{
	const struct task *task = &domain->task;

	/* Zero by the invariant; whatever a member wrote there goes with the memory. */
	(void)hak_sys_punch(domain->meta_fd, off + task->first * each, task->count * each);
}

/* In the worker's thread. */
static void step(struct task *task)
{
	struct domain *domain = hak_container_of(task, struct domain, task);

	task->result = factory_punch(task->fd, task->first, task->count);
	punch(domain, hak_meta_generations(domain->view.superslabs), HAK_SUPERSLAB_BLOCKS);
	punch(domain, hak_meta_halves(domain->view.superslabs), HAK_SUPERSLAB_BLOCKS * 2);
}

bool shrink_punch(struct domain *domain)
{
	struct task *task = &domain->task;
	uint32_t total = domain->view.superslabs, n = 1;

	if (!domain->waste_count)
		return false;
	task->first = hak_bits_find_run(domain->waste, true, 0, total, 1);
	while (n < TASK_MAX && task->first + n < total &&
	       hak_bits_find_run(domain->waste, true, task->first + n, task->first + n + 1, 1) !=
		       HAK_NO_RUN)
		n++;
	task->count = n;
	task->op = TASK_CALL;
	task->call = step;
	task->fd = domain->data_fd;
	domain->work = DOMAIN_PUNCH;
	workers_submit(domain->daemon->workers, sweep_part(domain), task, false);
	return true;
}

void shrink_punch_done(struct domain *domain)
{
	const struct task *task = &domain->task;

	if (!task->done) /* cancelled */
		return;
	/* It can't fail on a memfd of ours; were it to, the next grant would not be zeroed. */
	if (task->result < 0)
		log_event(LOG_AT_ERROR, "punch-failed", "domain=%s first=%u count=%u error=\"%s\"",
			  domain->name, task->first, task->count, os_text(task->result));
	hak_assert(task->result == 0);
	for (uint32_t i = 0; i < task->count * HAK_SLABS_PER_SUPERSLAB; i++)
		/* Relaxed: nobody takes anything from a slab that is ABSENT. */
		atomic_store_explicit(
			&domain->view.lease[task->first * HAK_SLABS_PER_SUPERSLAB + i], 0,
			memory_order_relaxed);
	domain_wasted(domain, task->first, task->count);
}
