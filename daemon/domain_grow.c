/* SPDX-License-Identifier: Apache-2.0 */
/* domain_grow.c - the part of domain.h that is about superslabs. */
#include "daemon/account.h"
#include "daemon/daemon.h"
#include "daemon/domain.h"
#include "daemon/limits.h"
#include "daemon/shrink.h"
#include "shared/check.h"
#include "shared/sys.h"

uint64_t domain_max(const struct domain *domain)
{
	uint64_t quota = domain->attr.quota / HAK_SUPERSLAB_SIZE;
	uint64_t max = domain->daemon->accounts.max_domain;

	return quota < max ? quota : max;
}

/* In turn, superslab by superslab, as the factory spreads them; else as it was chosen. */
static uint32_t part_of(const struct numa *numa, uint32_t part, uint32_t index)
{
	return numa->policy == NUMA_INTERLEAVE ? index % numa->parts : part;
}

/* The nearest part that may have them. */
static uint32_t choose_part(const struct numa *numa, uint32_t part, uint64_t allowed)
{
	for (uint32_t i = 0; i < numa->parts; i++) {
		if (allowed >> numa->order[part][i] & 1)
			return numa->order[part][i];
	}
	return part;
}

/* Memory for the words that say whose it is: shortage is to show here, not as SIGBUS. */
static int make_words(const struct domain *domain, uint32_t first, uint32_t count)
{
	uint64_t slab = (uint64_t)first * HAK_SLABS_PER_SUPERSLAB;
	uint64_t n = (uint64_t)count * HAK_SLABS_PER_SUPERSLAB;
	int r = hak_sys_fallocate(domain->meta_fd, HAK_META_LEASES + slab * sizeof(uint64_t),
				  n * sizeof(uint64_t));

	if (r == 0)
		r = hak_sys_fallocate(domain->meta_fd,
				      hak_meta_hints(domain->view.superslabs) + slab, n);
	if (r == 0)
		r = hak_sys_fallocate(domain->meta_fd,
				      hak_meta_since(domain->view.superslabs) +
					      slab * sizeof(uint32_t),
				      n * sizeof(uint32_t));
	return r;
}

static void give(struct domain *domain, uint32_t first, uint32_t count)
{
	struct placement *placement = &domain->daemon->placement;

	hak_assert(hak_runs_taken(&domain->runs, first, count));
	book_fill(domain->runs.bits, first, count, false);
	hak_runs_given(&domain->runs, first, count);
	account_release(&domain->daemon->accounts, domain->account, count);
	for (uint32_t i = first; i < first + count; i++)
		placement_release_part(placement, &domain->placed, domain->part[i], 1);
}

uint32_t domain_take(struct domain *domain, uint32_t part, uint32_t count, uint32_t *ret_first,
		     uint32_t *ret_part)
{
	struct daemon *daemon = domain->daemon;
	uint64_t allowed = placement_allowed(&daemon->placement, part, count);
	int r;

	r = account_charge_domain(&daemon->accounts, domain->account, domain->runs.taken,
				  domain_max(domain), count);
	if (r)
		return (uint32_t)r;
	if (!allowed || !hak_runs_find(&domain->runs, 0, count, ret_first)) {
		account_release(&daemon->accounts, domain->account, count);
		return allowed ? HAK_REFUSAL_ADDRESSES : HAK_REFUSAL_NODE_BYTES;
	}
	*ret_part = choose_part(&daemon->numa, part, allowed);
	for (uint32_t i = *ret_first; i < *ret_first + count; i++) {
		book_begin_store();
		domain->part[i] = (uint8_t)part_of(&daemon->numa, *ret_part, i);
		book_end_store();
		placement_charge_part(&daemon->placement, &domain->placed, domain->part[i], 1);
	}
	book_fill(domain->runs.bits, *ret_first, count, true);
	domain->runs.taken += count;
	if (make_words(domain, *ret_first, count) == 0)
		return 0;
	give(domain, *ret_first, count);
	return HAK_REFUSAL_MEMORY;
}

void domain_grant(struct domain *domain, uint32_t first, uint32_t count)
{
	struct hak_domain_state *state = domain->state;
	uint32_t end = first + count;

	/* First: nobody may claim what the next daemon would take for waste. */
	if (domain->high < end) {
		domain->high = end;
		book_set32(&domain->text->high, end);
	}
	book_fill(domain->held, first, count, true);
	for (uint32_t slab = first * HAK_SLABS_PER_SUPERSLAB; slab < end * HAK_SLABS_PER_SUPERSLAB;
	     slab++)
		/* Release: pairs with the acquire of who claims it; its memory is zero. */
		atomic_store_explicit(&domain->view.lease[slab],
				      hak_lease_make(HAK_HOLDER_NONE, HAK_LEASE_FREE, 0,
						     domain->generation[slab], 0),
				      memory_order_release);
	domain->granted += count;
	/* Relaxed: a number for reports. */
	atomic_store_explicit(&state->granted, domain->granted, memory_order_relaxed);
	/* Release: who sees the new end sees the words before it. */
	atomic_store_explicit(&state->high, domain->high, memory_order_release);
	shrink_look(domain);
}

void domain_ungrant(struct domain *domain, uint32_t index)
{
	book_fill(domain->held, index, 1, false);
	domain->granted--;
	/* Relaxed: a number for reports. */
	atomic_store_explicit(&domain->state->granted, domain->granted, memory_order_relaxed);
}

void domain_waste(struct domain *domain, uint32_t first, uint32_t count)
{
	book_fill(domain->waste, first, count, true);
	domain->waste_count += count;
	domain_work(domain);
}

void domain_wasted(struct domain *domain, uint32_t first, uint32_t count)
{
	hak_assert(count <= domain->waste_count);
	book_fill(domain->waste, first, count, false);
	domain->waste_count -= count;
	give(domain, first, count);
}

struct hak_domain_view domain_view_granted(const struct domain *domain)
{
	struct hak_domain_view view = domain->view;

	/* Of a domain that nothing was granted to there is one superslab to look at. */
	view.superslabs = domain->high ? domain->high : 1;
	return view;
}

void domain_refused(struct domain *domain, uint32_t refusal)
{
	struct daemon *daemon = domain->daemon;

	book_set64(&domain->text->needs, ++domain->needs);
	domain->hits += refusal == HAK_REFUSAL_DOMAIN_BYTES;
	/* Members that see the number move give slabs up, as orphans. */
	domain_has_orphans(domain);
	shrink_look(domain);
	/* Relaxed: a hint. */
	atomic_store_explicit(&domain->state->needs, (uint32_t)domain->needs, memory_order_relaxed);
	/* Those that sleep, too. Who is refused again and again is not to have a thousand processes
	 * run each time; if nobody is refused after this time, nobody needs it any more. */
	if (domain->need_told && daemon->now_ns - domain->need_told_ns < LIMIT_NEED_TOLD_NS)
		return;
	domain->need_told = domain->needs;
	domain->need_told_ns = daemon->now_ns;
	domain->told = false;
	daemon->domains.told = false;
}

void domain_has_orphans(struct domain *domain)
{
	domain->orphans = true;
	domain->orphans_seen = true;
}
