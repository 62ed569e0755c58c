/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/audit.h"

#include <string.h>

#include "daemon/daemon.h"
#include "daemon/limits.h"
#include "daemon/member.h"
#include "daemon/os.h"
#include "daemon/session.h"
#include "shared/check.h"

#define WORD_BITS 64u

/* ---- records ---- */

void audit_row(struct audit *audit, const struct hak_report_audit *row)
{
	hak_assert(audit->n < audit->max);
	audit->records[audit->n++] = *row;
}

static void fault_row(struct audit *audit, const struct hak_report_audit *row,
		      enum hak_audit_fault fault, uint64_t left, uint64_t right)
{
	struct hak_report_audit record = {
		.scope = row->scope,
		.fault = fault,
		.owner = row->owner,
		.left = left,
		.right = right,
		.pid = row->pid,
		.uid = row->uid,
	};

	memcpy(record.name, row->name, sizeof(record.name));
	audit_row(audit, &record);
}

void audit_equal(struct audit *audit, const struct hak_report_audit *row,
		 enum hak_audit_fault fault, uint64_t left, uint64_t right)
{
	if (left != right)
		fault_row(audit, row, fault, left, right);
}

void audit_within(struct audit *audit, const struct hak_report_audit *row,
		  enum hak_audit_fault fault, uint64_t left, uint64_t right)
{
	if (left > right)
		fault_row(audit, row, fault, left, right);
}

/* ---- a session ---- */

/* What a region's bitmaps say, counted. */
struct region_bits {
	uint64_t taken, frozen, frozen_free, huge, huge_unbuilt, warm, used;
};

static struct region_bits count_region(const struct region *region)
{
	const uint64_t *taken = region->runs.bits, *frozen = region->frozen;
	const uint64_t *built = region->built, *huge = region->huge;
	struct region_bits n = { 0 };

	for (uint32_t i = 0; i < hak_runs_bytes(region->runs.total) / sizeof(*taken); i++) {
		if (!(taken[i] | frozen[i] | built[i] | huge[i]))
			continue;
		n.taken += (uint64_t)__builtin_popcountll(taken[i]);
		n.frozen += (uint64_t)__builtin_popcountll(frozen[i]);
		n.frozen_free += (uint64_t)__builtin_popcountll(frozen[i] & ~taken[i]);
		n.huge += (uint64_t)__builtin_popcountll(huge[i] & taken[i]);
		n.huge_unbuilt += (uint64_t)__builtin_popcountll(huge[i] & ~built[i]);
		n.warm += (uint64_t)__builtin_popcountll(built[i] & ~taken[i]);
		n.used += (uint64_t)__builtin_popcountll(built[i] | taken[i]);
	}
	return n;
}

/* Taken by nobody else, and not frozen: what a grant or a lease in the making must be. */
static bool is_clean(const struct region *region, uint32_t first, uint32_t count)
{
	return region_leased(region, first, count) && !region_any_frozen(region, first, count);
}

/* Slots with a grant; what is wrong with these is added up. */
static uint64_t count_reserve(const struct region *region, const struct reserve *reserve,
			      uint64_t *ret_wrong)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < HAK_RESERVE_SLOTS; i++) {
		uint32_t superslab = hak_reserve_superslab(reserve->text->granted[i]);
		bool twice = false;

		if (!reserve->text->granted[i])
			continue;
		for (uint32_t j = 0; j < i; j++)
			twice |= reserve->text->granted[j] &&
				 hak_reserve_superslab(reserve->text->granted[j]) == superslab;
		*ret_wrong += twice || !is_clean(region, superslab, 1);
		n++;
	}
	return n;
}

static uint64_t sum_placed(const struct placed *placed)
{
	uint64_t n = 0;

	for (uint32_t p = 0; p < HAK_PARTS_MAX; p++)
		n += placed->held[p];
	return n;
}

/* A worker may be filling or punching meanwhile, but only what is taken or warm until it is
 * through. `fd` -1: the file is being closed. */
static void check_file(struct audit *audit, struct hak_report_audit *row, int fd, uint64_t used)
{
	if (fd < 0)
		return;
	row->file = os_file_bytes(fd);
	used *= HAK_SUPERSLAB_SIZE;
	row->touched = row->file > used ? row->file - used : 0;
	audit_within(audit, row, HAK_AUDIT_TOUCHED_OVER, row->file, used);
}

static void check_building(struct audit *audit, struct hak_report_audit *row,
			   const struct region *region, const struct audit_building building[2])
{
	uint64_t wrong = 0;

	for (uint32_t i = 0; i < 2; i++) {
		row->building += building[i].count;
		if (building[i].count && !is_clean(region, building[i].first, building[i].count))
			wrong += building[i].count;
	}
	audit_equal(audit, row, HAK_AUDIT_BUILDING_FREE, wrong, 0);
}

void audit_region(struct audit *audit, struct hak_report_audit *row, const struct region *region,
		  const struct reserve *reserve, const struct audit_building building[2],
		  const struct placed *placed)
{
	struct region_bits n = count_region(region);
	uint64_t wrong = 0, kept;

	row->total = region->runs.total;
	row->charged = region->runs.taken;
	row->frozen = n.frozen;
	row->warm = n.warm;
	row->absent = region->runs.total - n.used;
	if (reserve) {
		row->reserve = count_reserve(region, reserve, &wrong);
		audit_equal(audit, row, HAK_AUDIT_RESERVE, reserve->ready, row->reserve);
		audit_equal(audit, row, HAK_AUDIT_RESERVE_FREE, wrong, 0);
	}
	check_building(audit, row, region, building);
	kept = row->frozen + row->reserve + row->building;
	row->leased = n.taken > kept ? n.taken - kept : 0;
	audit_equal(audit, row, HAK_AUDIT_TAKEN, region->runs.taken, n.taken);
	audit_equal(audit, row, HAK_AUDIT_FROZEN, region->frozen_count, n.frozen);
	audit_equal(audit, row, HAK_AUDIT_FROZEN_FREE, n.frozen_free, 0);
	audit_equal(audit, row, HAK_AUDIT_HUGE, region->huge_count, n.huge);
	audit_equal(audit, row, HAK_AUDIT_HUGE_UNBUILT, n.huge_unbuilt, 0);
	audit_equal(audit, row, HAK_AUDIT_WARM, region->warm, n.warm);
	audit_within(audit, row, HAK_AUDIT_STATES_OVER, kept, n.taken);
	if (placed)
		audit_equal(audit, row, HAK_AUDIT_PLACED, sum_placed(placed), n.taken);
	check_file(audit, row, row->ending ? -1 : region->fd, n.used);
	audit_row(audit, row);
}

void audit_session(struct audit *audit, const struct session *session)
{
	const struct job *job = &session->job;
	const struct task *task = &session->task;
	bool leases = job->op == HAK_OP_LEASE && job->started && job->cqe.result == 0;
	bool fills = task->in_flight && session->purpose == FOR_RESERVE;
	const struct audit_building building[2] = {
		{ job->cqe.first, leases ? job->cqe.count : 0 },
		{ task->first, fills ? task->count : 0 },
	};
	struct hak_report_audit row = {
		.scope = HAK_SCOPE_SESSION,
		.owner = session->id,
		.pid = (uint32_t)session->peer.pid,
		.uid = session->peer.uid,
		.descriptors = LIMIT_SESSION_FDS + session->member_count * LIMIT_MEMBER_FDS,
		.sessions = 1,
		.domains = session->member_count,
		.ending = session->state == SESSION_DRAINING,
	};

	memcpy(row.name, session->comm, sizeof(session->comm));
	audit_region(audit, &row, &session->region, &session->reserve, building, &session->placed);
}

/* ---- a domain ---- */

struct domain_bits {
	uint64_t taken, granted, granted_free, waste, waste_held;
	uint64_t part[HAK_PARTS_MAX];
};

static void count_parts(struct domain_bits *n, const struct domain *domain, uint32_t word)
{
	for (uint64_t bits = domain->runs.bits[word]; bits; bits &= bits - 1) {
		uint32_t i = word * WORD_BITS + (uint32_t)__builtin_ctzll(bits);

		n->part[domain->part[i] % HAK_PARTS_MAX]++;
	}
}

static struct domain_bits count_domain(const struct domain *domain)
{
	const uint64_t *taken = domain->runs.bits, *held = domain->held, *waste = domain->waste;
	struct domain_bits n = { 0 };

	for (uint32_t i = 0; i < hak_runs_bytes(domain->runs.total) / sizeof(*taken); i++) {
		if (!(taken[i] | held[i] | waste[i]))
			continue;
		n.taken += (uint64_t)__builtin_popcountll(taken[i]);
		n.granted += (uint64_t)__builtin_popcountll(held[i]);
		n.granted_free += (uint64_t)__builtin_popcountll(held[i] & ~taken[i]);
		n.waste += (uint64_t)__builtin_popcountll(waste[i]);
		n.waste_held += (uint64_t)__builtin_popcountll(waste[i] & (held[i] | ~taken[i]));
		count_parts(&n, domain, i);
	}
	return n;
}

static uint64_t count_building(const struct domain *domain)
{
	struct list *at, *tmp;
	uint64_t n = 0;

	list_for_each(at, tmp, &domain->daemon->sessions)
	{
		const struct grow *grow = &hak_container_of(at, struct session, link)->grow;

		n += grow->domain == domain ? grow->count : 0;
	}
	return n;
}

static void check_members(struct audit *audit, const struct hak_report_audit *row,
			  const struct domain *domain)
{
	uint64_t alive = 0, all = 0, numbers = 0;
	struct list *at, *tmp;

	list_for_each(at, tmp, &domain->members)
	{
		alive += !hak_container_of(at, struct member, link)->dying;
		all++;
	}
	for (uint32_t i = 0; i < HAK_MEMBERS / WORD_BITS; i++)
		numbers += (uint64_t)__builtin_popcountll(domain->numbers[i]);
	audit_equal(audit, row, HAK_AUDIT_MEMBERS, domain->alive, alive);
	audit_equal(audit, row, HAK_AUDIT_NUMBERS, numbers, all);
}

void audit_domain(struct audit *audit, const struct domain *domain)
{
	struct domain_bits n = count_domain(domain);
	struct hak_report_audit row = {
		.scope = HAK_SCOPE_DOMAIN,
		.owner = domain->id,
		.uid = domain->uid,
		.total = domain->runs.total,
		.charged = domain->runs.taken,
		.leased = n.granted,
		.building = count_building(domain),
		.waste = n.waste,
		.absent = domain->runs.total - n.taken,
		.sessions = domain->alive,
		.domains = 1,
		.descriptors = LIMIT_DOMAIN_FDS,
		.unlinked = domain->unlinked,
		.ending = domain->closing,
	};

	memcpy(row.name, domain->name, sizeof(row.name));
	audit_equal(audit, &row, HAK_AUDIT_TAKEN, domain->runs.taken, n.taken);
	audit_equal(audit, &row, HAK_AUDIT_GRANTED, domain->granted, n.granted);
	audit_equal(audit, &row, HAK_AUDIT_GRANTED_FREE, n.granted_free, 0);
	/* Relaxed: this thread alone writes it. */
	audit_equal(audit, &row, HAK_AUDIT_GRANTED_SHOWN,
		    atomic_load_explicit(&domain->state->granted, memory_order_relaxed), n.granted);
	audit_equal(audit, &row, HAK_AUDIT_WASTE, domain->waste_count, n.waste);
	audit_equal(audit, &row, HAK_AUDIT_WASTE_HELD, n.waste_held, 0);
	audit_equal(audit, &row, HAK_AUDIT_DOMAIN_TAKEN, n.taken,
		    n.granted + n.waste + row.building);
	audit_equal(audit, &row, HAK_AUDIT_PLACED, sum_placed(&domain->placed), n.taken);
	for (uint32_t p = 0; p < HAK_PARTS_MAX; p++)
		audit_equal(audit, &row, HAK_AUDIT_DOMAIN_PART, domain->placed.held[p], n.part[p]);
	check_members(audit, &row, domain);
	check_file(audit, &row, domain->closing ? -1 : domain->data_fd, n.taken);
	audit_row(audit, &row);
}
