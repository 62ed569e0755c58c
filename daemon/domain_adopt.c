/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/domain_adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/account.h"
#include "daemon/daemon.h"
#include "daemon/domain_make.h"
#include "daemon/log.h"
#include "daemon/member.h"
#include "daemon/os.h"
#include "daemon/shrink.h"
#include "shared/check.h"

static bool has_bit(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

/* ---- the files ---- */

/* Whose size nobody can change, or -1. */
static int find_file(const int *fds, unsigned n, const struct hak_fd_id *id, uint64_t size)
{
	const int sealed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct stat st;

	for (unsigned i = 0; i < n; i++) {
		int seals;

		if (!hak_sys_fd_is(fds[i], id))
			continue;
		seals = os_result(fcntl(fds[i], F_GET_SEALS));
		if (fstat(fds[i], &st) < 0 || (uint64_t)st.st_size != size || seals < 0 ||
		    (seals & sealed) != sealed)
			return -1;
		return fds[i];
	}
	return -1;
}

static const char *find_files(struct domain *domain, const int *fds, unsigned n)
{
	const struct domain_text *text = domain->text;
	uint64_t meta = hak_meta_size(domain->view.superslabs);

	domain->data_fd = find_file(fds, n, &text->data, domain->attr.max_size);
	domain->meta_fd = find_file(fds, n, &text->meta, meta);
	domain->state_fd = find_file(fds, n, &text->state, HAK_STATE_SIZE);
	if (domain->data_fd < 0 || domain->meta_fd < 0 || domain->state_fd < 0)
		return "its files are not those that it had";
	return NULL;
}

static const char *state_fault(const struct domain *domain)
{
	const struct hak_domain_state *state = domain->state;

	if (state->magic != HAK_STATE_MAGIC || state->version != HAK_DOMAIN_VERSION ||
	    state->id != domain->id || state->base != domain->base ||
	    state->superslabs != domain->view.superslabs || state->tag != domain->view.tag)
		return "its state page is another's";
	return NULL;
}

static const char *others_fault(const struct domain *domain)
{
	const struct domains *domains = &domain->daemon->domains;
	struct list *at, *tmp;

	if (domain_in_the_way(domains, domain->base, domain->attr.max_size))
		return "its addresses are another's";
	if (!domain->text->unlinked && domain_find(domains, domain->name))
		return "its name is another's";
	list_for_each(at, tmp, &domains->all)
	{
		if (hak_container_of(at, struct domain, link)->id == domain->id)
			return "its id is another's";
	}
	return NULL;
}

/* ---- what it has ---- */

static uint32_t count_bits(const uint64_t *bits, uint32_t total)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < (total + 63) / 64; i++)
		n += (uint32_t)__builtin_popcountll(bits[i]);
	return n;
}

/* Taken and not held: a job was to grant it, or it was being punched. It is punched again. */
static void take_stock(struct domain *domain)
{
	struct domain_text *text = domain->text;
	uint32_t total = domain->view.superslabs;

	for (uint32_t i = 0; i < (total + 63) / 64; i++) {
		uint64_t waste = domain->runs.bits[i] & ~domain->held[i];

		if (waste != domain->waste[i])
			book_set64(&domain->waste[i], waste);
	}
	domain->runs.taken = count_bits(domain->runs.bits, total);
	domain->granted = count_bits(domain->held, total);
	domain->waste_count = domain->runs.taken - domain->granted;
	domain->high = text->high;
	domain->needs = text->needs;
	domain->unlinked = text->unlinked;
	domain->last_number = text->last_number;
	domain->members_total = text->members_total;
}

/* The grant was not finished: they become FREE now. */
static bool finish_grant(struct domain *domain, uint32_t index)
{
	uint32_t first = index * HAK_SLABS_PER_SUPERSLAB;
	bool ours = false;

	for (uint32_t slab = first; slab < first + HAK_SLABS_PER_SUPERSLAB; slab++) {
		/* Relaxed: looked at again by who decides. */
		uint64_t word =
			atomic_load_explicit(&domain->view.lease[slab], memory_order_relaxed);

		ours |= hak_lease_holder(word) == HAK_HOLDER_DAEMON;
		if (hak_lease_kind(word) != HAK_LEASE_ABSENT)
			continue;
		/* Release: pairs with the acquire of who claims it; its memory is zero. */
		atomic_store_explicit(&domain->view.lease[slab],
				      hak_lease_make(HAK_HOLDER_NONE, HAK_LEASE_FREE, 0,
						     domain->generation[slab], 0),
				      memory_order_release);
	}
	return ours;
}

/* What the earlier daemon held itself, to give it back to the machine or to gather it, is swept as
 * a dead member's. Members go on meanwhile: the engine knows how. */
static void finish_grants(struct domain *domain)
{
	struct hak_domain_view view = domain_view_granted(domain);
	struct hak_sweep sweep = { .member = HAK_HOLDER_DAEMON, .fate = HAK_FATE_FREE };

	for (uint32_t i = 0; i < domain->high; i++) {
		if (has_bit(domain->held, i) && finish_grant(domain, i))
			hak_domain_sweep(&view, &sweep, i, 1);
	}
}

static void charge(struct domain *domain)
{
	struct placement *placement = &domain->daemon->placement;

	for (uint32_t i = 0; i < domain->view.superslabs; i++) {
		if (has_bit(domain->runs.bits, i))
			placement_charge_part(placement, &domain->placed, domain->part[i], 1);
	}
}

/* ---- what others see ---- */

/* The book's number is written before the page's: that one event may have been seen by nobody. */
static void show_events(struct domain *domain)
{
	struct hak_domain_state *state = domain->state;
	uint64_t last = domain->text->last_event;
	/* Relaxed: nobody but the daemon writes to it. */
	uint64_t shown = atomic_load_explicit(&state->last_event, memory_order_relaxed);

	if (last && shown == last - 1)
		last = shown;
	domain->last_event = last;
	/* Release: as where it is told. */
	atomic_store_explicit(&state->last_event, last, memory_order_release);
	atomic_store_explicit(&state->event_futex, (uint32_t)last, memory_order_release);
	hak_sys_futex_wake(&state->event_futex, INT_MAX);
}

static void show_members(struct domain *domain)
{
	for (uint32_t i = 0; i < HAK_MEMBERS; i++) {
		const struct member_text *text = &domain->text->member[i];
		struct hak_member_entry *entry = &domain->state->member[i];
		uint32_t state = text->state;

		if (state == HAK_MEMBER_ALIVE && text->read_only)
			state = HAK_MEMBER_READER;
		if (state != HAK_MEMBER_NONE)
			member_show(domain, text);
		/* Release: who sees the state sees the id. */
		atomic_store_explicit(&entry->state, state, memory_order_release);
	}
}

static void show(struct domain *domain)
{
	struct hak_domain_state *state = domain->state;

	memcpy(state->name, domain->name, sizeof(state->name));
	state->orphan_policy = domain->attr.orphan_policy;
	state->quota = domain->attr.quota;
	/* Relaxed: numbers for reports and hints. */
	atomic_store_explicit(&state->granted, domain->granted, memory_order_relaxed);
	atomic_store_explicit(&state->needs, (uint32_t)domain->needs, memory_order_relaxed);
	/* Release: who sees the new end sees the words before it. */
	atomic_store_explicit(&state->high, domain->high, memory_order_release);
	show_members(domain);
	show_events(domain);
}

/* ---- the whole ---- */

/* Up to here nothing was changed that is not the domain's own memory. */
static int look_at(struct domain *domain, const int *fds, unsigned n, const char **ret_fault)
{
	int book = -1, r;
	struct book_head head;

	for (unsigned i = 0; i < n; i++) {
		if (book_look(fds[i], &head))
			book = fds[i];
	}
	r = domain_book_open(domain, book, ret_fault);
	if (r < 0)
		return r;
	*ret_fault = n == 4 ? find_files(domain, fds, n) : "it has not four files";
	if (!*ret_fault)
		*ret_fault = domain_book_fault(domain);
	if (!*ret_fault)
		*ret_fault = members_fault(domain);
	if (!*ret_fault)
		*ret_fault = others_fault(domain);
	if (*ret_fault)
		return -EINVAL;
	r = domain_map_meta(domain);
	if (r == 0)
		r = domain_map_state(domain);
	*ret_fault = r < 0 ? "can't be mapped" : state_fault(domain);
	return *ret_fault && r == 0 ? -EINVAL : r;
}

/* The descriptors stay the caller's. */
static int discard(struct domain *domain, int error)
{
	members_discard(domain);
	domain->data_fd = domain->meta_fd = domain->state_fd = domain->book.fd = -1;
	domain_unmap(domain);
	free(domain);
	return error;
}

int domain_adopt(struct daemon *daemon, const int *fds, unsigned n, struct domain_sign *signs,
		 unsigned n_signs, const char **ret_fault)
{
	struct domain *domain = domain_alloc(daemon);
	struct account *account;
	int r;

	*ret_fault = "no memory";
	if (!domain)
		return -ENOMEM;
	r = look_at(domain, fds, n, ret_fault);
	if (r < 0)
		return discard(domain, r);
	*ret_fault = "no memory, or no descriptors";
	r = members_adopt(domain, signs, n_signs);
	if (r == 0)
		r = account_adopt_domain(&daemon->accounts, domain->uid, domain->attr.max_size,
					 count_bits(domain->runs.bits, domain->view.superslabs),
					 &account);
	if (r < 0)
		return discard(domain, r);
	*ret_fault = NULL;
	take_stock(domain);
	charge(domain);
	domain_enlist(domain, account);
	members_attach(domain, signs, n_signs);
	finish_grants(domain);
	show(domain);
	log_limited(LOG_AT_DEBUG, "domain-adopted", "name=%s id=%llu members=%u superslabs=%u",
		    domain->name, (unsigned long long)domain->id, domain->alive,
		    domain->runs.taken);
	return 0;
}

void domains_adopted(struct daemon *daemon)
{
	struct list *at, *tmp;

	list_for_each(at, tmp, &daemon->domains.all)
	{
		struct domain *domain = hak_container_of(at, struct domain, link);

		members_adopted(domain);
		domain_has_orphans(domain);
		domain_work(domain);
		shrink_look(domain);
		domain_settle(domain);
	}
}
