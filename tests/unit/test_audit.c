/* SPDX-License-Identifier: Apache-2.0 */
/* Each equation of an audit has a table that is spoilt so that it alone (or what follows from it)
 * fails; a daemon that is whole has none. And how long one answer takes. */
#include "daemon/audit.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/daemon.h"
#include "daemon/limits.h"
#include "daemon/member.h"
#include "daemon/session.h"
#include "shared/sys.h"
#include "tests/must.h"
#include "tests/unit/region_local.h"
#include "tests/unit/unit.h"

#define ROWS        4000u
#define FIRST       64u /* superslab of the lease */
#define DOMAIN_SIZE 128u

/* A daemon of one user with a session, a domain of it with a member, and a connection. Nothing of
 * it runs. */
struct whole {
	struct daemon daemon;
	struct session session;
	struct domain domain;
	struct member member;
	struct conn conn;
	struct account account;
	struct hak_domain_state *state;
	uint64_t bits[3][DOMAIN_SIZE / 64];
	uint8_t part[DOMAIN_SIZE];
	struct hak_report_audit rows[ROWS];
	uint64_t n;
};

/* Leases ten, of which two are frozen, three ready in the reserve, and one a lease in the making;
 * four are warm. */
static void make_session(struct whole *w)
{
	struct session *session = &w->session;
	struct region *region = &session->region;
	uint32_t first;

	session->daemon = &w->daemon;
	session->id = 12;
	session->account = &w->account;
	session->member_count = 1;
	list_init(&session->link);
	list_init(&session->members);
	must(region_init(region, &w->daemon.numa) == 0);
	must(region_take(region, &w->daemon.numa, 0, REGION_ANY_PART, 10, &first) && first == 0);
	for (uint32_t i = 0; i < 14; i++)
		region_set_built(region, i, i % 2);
	region_freeze(region, 0, 2);
	session->reserve.text = &session_text(session)->reserve;
	for (uint32_t i = 0; i < 3; i++)
		session->reserve.text->granted[i] = hak_reserve_word(HAK_RESERVE_READY, 1, 2 + i);
	session->reserve.ready = 3;
	session->job = (struct job){ .op = HAK_OP_LEASE,
				     .started = true,
				     .cqe = { .first = 5, .count = 1 } };
	session->placed.held[0] = 10;
	list_add(&w->daemon.sessions, &session->link);
	w->daemon.session_count = 1;
}

/* Seven taken: four granted, two waste, one that the session has asked for. */
static void make_domain(struct whole *w)
{
	struct domain *domain = &w->domain;
	uint32_t first;

	domain->daemon = &w->daemon;
	domain->id = 3;
	domain->account = &w->account;
	domain->attr.max_size = DOMAIN_SIZE * HAK_SUPERSLAB_SIZE;
	domain->part = w->part;
	domain->held = w->bits[1];
	domain->waste = w->bits[2];
	domain->state = w->state;
	must(hak_sys_memfd(&domain->data_fd, "test", domain->attr.max_size, false) == 0);
	list_init(&domain->link);
	list_init(&domain->members);
	hak_runs_init(&domain->runs, w->bits[0], DOMAIN_SIZE, 1);
	must(hak_runs_take(&domain->runs, 0, 7, &first) && first == 0);
	domain->placed.held[0] = 7;
	hak_bits_fill(domain->held, 0, 4, true);
	hak_bits_fill(domain->waste, 4, 2, true);
	domain->granted = 4;
	domain->waste_count = 2;
	w->state->granted = 4;
	w->session.grow.domain = domain;
	w->session.grow.first = 6;
	w->session.grow.count = 1;
	list_init(&w->member.link);
	list_add(&domain->members, &w->member.link);
	domain->alive = 1;
	domain->numbers[0] = 2;
	list_add(&w->daemon.domains.all, &domain->link);
	w->daemon.domains.count = 1;
}

static void make_accounts(struct whole *w)
{
	struct accounts *accounts = &w->daemon.accounts;
	const uint32_t fds =
		LIMIT_SESSION_FDS + LIMIT_MEMBER_FDS + LIMIT_DOMAIN_FDS + LIMIT_CONN_FDS;

	w->account = (struct account){ .uid = 1000,
				       .superslabs = 17,
				       .sessions = 2,
				       .domains = 1,
				       .addresses = DOMAIN_SIZE * HAK_SUPERSLAB_SIZE,
				       .descriptors = fds };
	list_init(&w->account.link);
	list_add(&accounts->all, &w->account.link);
	accounts->superslabs = 17;
	accounts->sessions = 2;
	accounts->domains = 1;
	accounts->descriptors = fds;
	w->daemon.placement.held[0] = 17;
	w->conn.account = &w->account;
	list_init(&w->conn.link);
	list_add(&w->daemon.conns, &w->conn.link);
}

static int make(void **state)
{
	struct whole *w = calloc(1, sizeof(*w));

	must(w);
	w->state = calloc(1, sizeof(*w->state));
	must(w->state);
	w->daemon.numa = (struct numa){ .parts = 1 };
	list_init(&w->daemon.accounts.all);
	list_init(&w->daemon.sessions);
	list_init(&w->daemon.conns);
	list_init(&w->daemon.domains.all);
	for (uint32_t p = 0; p < HAK_PARTS_MAX; p++) {
		list_init(&w->daemon.stock.shelf[p].ready);
		list_init(&w->daemon.stock.shelf[p].making);
	}
	make_session(w);
	make_domain(w);
	make_accounts(w);
	*state = w;
	return 0;
}

static int unmake(void **state)
{
	struct whole *w = *state;

	region_deinit(&w->session.region);
	hak_sys_close(w->domain.data_fd);
	free(w->state);
	free(w);
	return 0;
}

static void audit(struct whole *w)
{
	must(audit_max(&w->daemon) <= ROWS);
	w->n = audit_fill(w->rows, &w->daemon, 0);
}

static const struct hak_report_audit *row(const struct whole *w, uint32_t scope)
{
	for (uint64_t i = 0; i < w->n; i++) {
		if (w->rows[i].scope == scope && !w->rows[i].fault)
			return &w->rows[i];
	}
	fail_msg("no row of scope %u", scope);
	return NULL;
}

/* There is this fault; all that there are, in bits. */
static uint64_t faults(struct whole *w)
{
	uint64_t found = 0;

	audit(w);
	for (uint64_t i = 0; i < w->n; i++) {
		if (w->rows[i].fault)
			found |= UINT64_C(1) << w->rows[i].fault;
	}
	return found;
}

#define BIT(fault) (UINT64_C(1) << HAK_AUDIT_##fault)

static void a_whole_daemon_has_no_fault_and_every_superslab_a_place(void **state)
{
	struct whole *w = *state;
	const struct hak_report_audit *r;

	assert_int_equal(faults(w), 0);
	r = row(w, HAK_SCOPE_SESSION);
	assert_int_equal(r->owner, 12);
	assert_int_equal(r->frozen, 2);
	assert_int_equal(r->reserve, 3);
	assert_int_equal(r->building, 1);
	assert_int_equal(r->leased, 4);
	assert_int_equal(r->warm, 4);
	assert_int_equal(r->charged, r->leased + r->frozen + r->reserve + r->building);
	assert_int_equal(r->charged + r->warm + r->absent, r->total);
	r = row(w, HAK_SCOPE_DOMAIN);
	assert_int_equal(r->leased, 4);
	assert_int_equal(r->waste, 2);
	assert_int_equal(r->building, 1);
	assert_int_equal(r->charged + r->absent, r->total);
	assert_int_equal(row(w, HAK_SCOPE_UID)->charged, 17);
	assert_int_equal(row(w, HAK_SCOPE_NODE)->charged, 17);
}

/* One word is changed, the faults are these, and gone when it is as before. */
#define SPOILT(w, place, value, expected)                   \
	do {                                                \
		__typeof__((place) + 0) before = (place);   \
                                                            \
		(place) = (__typeof__((place) + 0))(value); \
		assert_int_equal(faults(w), expected);      \
		(place) = before;                           \
		assert_int_equal(faults(w), 0);             \
	} while (0)

static void a_session_whose_tables_are_spoilt(void **state)
{
	struct whole *w = *state;
	struct session *s = &w->session;
	struct region *r = &s->region;

	SPOILT(w, r->runs.taken, 11,
	       BIT(TAKEN) | BIT(UID_CHARGED)); /* the account is asked for what is counted */
	SPOILT(w, r->runs.bits[0], r->runs.bits[0] | UINT64_C(1) << 40, BIT(TAKEN) | BIT(PLACED));
	SPOILT(w, r->frozen_count, 3, BIT(FROZEN));
	SPOILT(w, r->frozen[0], r->frozen[0] | UINT64_C(1) << 60, BIT(FROZEN) | BIT(FROZEN_FREE));
	SPOILT(w, r->huge_count, 9, BIT(HUGE));
	SPOILT(w, r->huge[0], r->huge[0] | UINT64_C(1) << 60, BIT(HUGE_UNBUILT));
	SPOILT(w, r->warm, 3, BIT(WARM));
	SPOILT(w, r->built[0], r->built[0] | UINT64_C(1) << 60, BIT(WARM));
	SPOILT(w, s->reserve.ready, 2, BIT(RESERVE));
	SPOILT(w, s->reserve.text->granted[0], hak_reserve_word(HAK_RESERVE_READY, 1, 50),
	       BIT(RESERVE_FREE)); /* free */
	SPOILT(w, s->reserve.text->granted[0], hak_reserve_word(HAK_RESERVE_READY, 1, 1),
	       BIT(RESERVE_FREE)); /* frozen */
	SPOILT(w, s->reserve.text->granted[0], hak_reserve_word(HAK_RESERVE_READY, 1, 3),
	       BIT(RESERVE_FREE)); /* twice */
	SPOILT(w, s->job.cqe.first, 9000, BIT(BUILDING_FREE));
	SPOILT(w, s->job.cqe.first, 1, BIT(BUILDING_FREE)); /* frozen */
	SPOILT(w, s->job.cqe.count, 6, BIT(STATES_OVER) | BIT(BUILDING_FREE));
	SPOILT(w, s->placed.held[0], 9, BIT(PLACED) | BIT(NODE_HELD));
}

static void a_client_that_touched_what_it_was_never_granted(void **state)
{
	struct whole *w = *state;
	const char byte = 1;
	uint64_t one = HAK_SUPERSLAB_SIZE;

	/* All that may be there is. */
	must(hak_sys_fallocate(w->session.region.fd, 0, 14 * one) == 0);
	assert_int_equal(faults(w), 0);
	assert_int_equal(row(w, HAK_SCOPE_SESSION)->file, 14 * one);
	must(pwrite(w->session.region.fd, &byte, 1, (off_t)(500 * one)) == 1);
	assert_int_equal(faults(w), BIT(TOUCHED_OVER));
	assert_true(row(w, HAK_SCOPE_SESSION)->touched >= 4096);
	must(hak_sys_punch(w->session.region.fd, 500 * one, one) == 0);
	assert_int_equal(faults(w), 0);
	must(hak_sys_fallocate(w->domain.data_fd, 100 * one, 8 * one) == 0);
	assert_int_equal(faults(w), BIT(TOUCHED_OVER));
	assert_int_equal(row(w, HAK_SCOPE_DOMAIN)->touched, one);
}

static void a_domain_whose_tables_are_spoilt(void **state)
{
	struct whole *w = *state;
	struct domain *d = &w->domain;
	const uint64_t bit = UINT64_C(1) << 50;

	SPOILT(w, d->runs.taken, 8, BIT(TAKEN) | BIT(UID_CHARGED));
	SPOILT(w, d->runs.bits[0], d->runs.bits[0] | bit,
	       BIT(TAKEN) | BIT(DOMAIN_TAKEN) | BIT(PLACED) | BIT(DOMAIN_PART));
	SPOILT(w, d->granted, 5, BIT(GRANTED));
	SPOILT(w, d->held[0], d->held[0] | bit,
	       BIT(GRANTED) | BIT(GRANTED_FREE) | BIT(GRANTED_SHOWN) | BIT(DOMAIN_TAKEN));
	SPOILT(w, w->state->granted, 5, BIT(GRANTED_SHOWN));
	SPOILT(w, d->waste_count, 1, BIT(WASTE));
	SPOILT(w, d->waste[0], d->waste[0] | 1,
	       BIT(WASTE) | BIT(WASTE_HELD) | BIT(DOMAIN_TAKEN)); /* granted */
	SPOILT(w, d->waste[0], d->waste[0] | bit,
	       BIT(WASTE) | BIT(WASTE_HELD) | BIT(DOMAIN_TAKEN)); /* not taken */
	SPOILT(w, w->session.grow.count, 0, BIT(DOMAIN_TAKEN));
	SPOILT(w, d->placed.held[0], 6, BIT(PLACED) | BIT(DOMAIN_PART) | BIT(NODE_HELD));
	SPOILT(w, d->part[2], 1, BIT(DOMAIN_PART));
	SPOILT(w, d->alive, 2, BIT(MEMBERS));
	SPOILT(w, w->member.dying, true, BIT(MEMBERS));
	SPOILT(w, d->numbers[3], 1, BIT(NUMBERS));
}

static void sums_that_do_not_add_up(void **state)
{
	struct whole *w = *state;
	struct daemon *d = &w->daemon;

	SPOILT(w, w->account.superslabs, 18, BIT(UID_CHARGED) | BIT(TOTAL_CHARGED));
	SPOILT(w, w->account.sessions, 3, BIT(UID_SESSIONS) | BIT(TOTAL_SESSIONS));
	SPOILT(w, w->account.domains, 0, BIT(UID_DOMAINS) | BIT(TOTAL_DOMAINS));
	SPOILT(w, w->account.addresses, 1, BIT(UID_ADDRESSES));
	SPOILT(w, w->account.descriptors, 1, BIT(UID_DESCRIPTORS) | BIT(TOTAL_DESCRIPTORS));
	SPOILT(w, d->accounts.superslabs, 16, BIT(TOTAL_CHARGED));
	SPOILT(w, d->accounts.sessions, 16, BIT(TOTAL_SESSIONS));
	SPOILT(w, d->accounts.domains, 16, BIT(TOTAL_DOMAINS));
	SPOILT(w, d->accounts.descriptors, 16, BIT(TOTAL_DESCRIPTORS));
	SPOILT(w, d->placement.held[0], 16, BIT(NODE_HELD));
	SPOILT(w, d->session_count, 2, BIT(SESSION_COUNT));
	SPOILT(w, d->domains.count, 2, BIT(DOMAIN_COUNT));
	SPOILT(w, d->stock.shelf[0].n_ready, 1, BIT(STOCK_COUNT));
}

static void more_descriptors_than_anybody_accounts_for(void **state)
{
	struct whole *w = *state;
	int fds[LIMIT_SPARE_FDS + 16];

	for (unsigned i = 0; i < hak_array_size(fds); i++)
		must((fds[i] = dup(w->domain.data_fd)) >= 0);
	assert_int_equal(faults(w), BIT(OPEN_OVER));
	for (unsigned i = 0; i < hak_array_size(fds); i++)
		hak_sys_close(fds[i]);
	assert_int_equal(faults(w), 0);
}

static void stock_that_somebody_has(void **state)
{
	struct whole *w = *state;
	struct audit audit = { .records = w->rows, .max = ROWS };
	static const struct audit_building none[2];
	struct hak_report_audit row = { .scope = HAK_SCOPE_STOCK };

	/* The shelf's own regions are stock.c's; what is asked of them is asked here. */
	audit_region(&audit, &row, &w->session.region, NULL, none, NULL);
	audit_equal(&audit, &row, HAK_AUDIT_STOCK_TAKEN, row.charged, 0);
	assert_int_equal(audit.n, 2);
	assert_int_equal(audit.records[1].fault, HAK_AUDIT_STOCK_TAKEN);
	assert_int_equal(audit.records[1].left, 10);
}

/* Some sessions an answer; all of them in the end, in the order of their ids. */
static void a_long_answer_comes_in_parts(void **state)
{
	struct whole *w = *state;
	struct session *more = calloc(3 * LIMIT_AUDIT_STEP, sizeof(*more));
	uint64_t after = 0, last = 0, seen = 0, answers = 0;

	must(more);
	for (uint32_t i = 0; i < 3 * LIMIT_AUDIT_STEP; i++) {
		/* Adopted ones come in any order. */
		more[i] = w->session;
		more[i].id = 1000 - i;
		list_init(&more[i].link);
		list_add(&w->daemon.sessions, &more[i].link);
	}
	do {
		uint64_t n = audit_fill(w->rows, &w->daemon, after);

		after = 0;
		answers++;
		for (uint64_t i = 0; i < n; i++) {
			if (w->rows[i].scope == HAK_SCOPE_MORE)
				after = w->rows[i].owner;
			if (w->rows[i].scope != HAK_SCOPE_SESSION || w->rows[i].fault)
				continue;
			assert_true(w->rows[i].owner > last);
			last = w->rows[i].owner;
			seen++;
		}
	} while (after);
	assert_int_equal(seen, 3 * LIMIT_AUDIT_STEP + 1);
	assert_true(answers >= 4);
	for (uint32_t i = 0; i < 3 * LIMIT_AUDIT_STEP; i++)
		list_del(&more[i].link);
	free(more);
}

/* All of a region's tables are in use; said, not asserted: the machine may be loaded. */
static void what_an_answer_takes(void **state)
{
	struct whole *w = *state;
	struct region *r = &w->session.region;
	uint64_t best = UINT64_MAX;

	for (uint32_t i = 0; i < HAK_REGION_SUPERSLABS; i += 3)
		hak_bits_fill(r->runs.bits, i, 1, true);
	for (int i = 0; i < 20; i++) {
		struct audit audit = { .records = w->rows, .max = ROWS };
		uint64_t from = hak_sys_now_ns();

		audit_session(&audit, &w->session);
		from = hak_sys_now_ns() - from;
		best = from < best ? from : best;
	}
	print_message("# a session with all of its tables: %llu us\n",
		      (unsigned long long)best / 1000);
	/* An answer's worth must stay far below what a client waits for. */
	assert_true(best * LIMIT_AUDIT_STEP < 100000000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, unmake)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_whole_daemon_has_no_fault_and_every_superslab_a_place),
		TEST(a_session_whose_tables_are_spoilt),
		TEST(a_client_that_touched_what_it_was_never_granted),
		TEST(a_domain_whose_tables_are_spoilt),
		TEST(sums_that_do_not_add_up),
		TEST(more_descriptors_than_anybody_accounts_for),
		TEST(stock_that_somebody_has),
		TEST(a_long_answer_comes_in_parts),
		TEST(what_an_answer_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
