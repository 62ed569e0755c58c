/* SPDX-License-Identifier: Apache-2.0 */
/* A domain whose book or files are damaged, or another's, is refused: nothing is taken by guess. */
#include <stdlib.h>
#include <string.h>

#include "daemon/account.h"
#include "daemon/daemon.h"
#include "daemon/domain.h"
#include "daemon/domain_adopt.h"
#include "daemon/domain_make.h"
#include "daemon/session.h"
#include "tests/must.h"
#include "tests/unit/line.h"
#include "tests/unit/unit.h"

#define SUPERSLABS 8u

struct world {
	struct daemon daemon;
	struct store store;
	struct session session;
	struct domain *domain;
	int fds[4];
};

static void setup_daemon(struct daemon *daemon, struct store *store)
{
	config_init(&daemon->config, UINT64_C(1) << 34);
	line_begin(daemon, store, 7);
	daemon->numa.parts = 1;
	daemon->tick.in_flight = true;
	list_init(&daemon->sessions);
	domains_init(&daemon->domains, daemon);
	accounts_init(&daemon->accounts, &daemon->config, 4096);
	placement_init(&daemon->placement, &daemon->numa, &daemon->config);
}

static void make(struct world *w)
{
	struct hak_wire_domain_attr attr = { .max_size = SUPERSLABS * HAK_SUPERSLAB_SIZE };
	uint32_t first, part;

	*w = (struct world){ .session = { .daemon = &w->daemon, .id = 1 } };
	setup_daemon(&w->daemon, &w->store);
	must(account_open(&w->daemon.accounts, 0, &w->session.account) == 0);
	must(!domain_attr_fault(&w->daemon, &attr));
	must(domain_new(&w->domain, &w->session, "orders", &attr) == 0);
	must(domain_take(w->domain, 0, 3, &first, &part) == 0);
	domain_grant(w->domain, first, 3);
	w->fds[0] = w->domain->data_fd;
	w->fds[1] = w->domain->meta_fd;
	w->fds[2] = w->domain->state_fd;
	w->fds[3] = w->domain->book.fd;
}

/* Every one is refused, so there is never anything to free. */
static void refused(const int *fds, unsigned n, uint64_t life)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));
	unsigned open = unit_count_fds();
	const char *fault = NULL;
	struct store store;

	must(daemon);
	setup_daemon(daemon, &store);
	line_renumber(daemon, life);
	assert_true(domain_adopt(daemon, fds, n, NULL, 0, &fault) < 0);
	assert_non_null(fault);
	assert_int_equal(daemon->domains.count, 0);
	line_end(daemon);
	assert_int_equal(unit_count_fds(), open);
	accounts_deinit(&daemon->accounts); /* asserts that nothing is charged */
	free(daemon);
}

static void any_bit_of_head_and_fixed_part(void **state)
{
	static struct world w; /* no loop closes its domain: it stays */
	uint8_t *bytes;

	(void)state;
	make(&w);
	bytes = w.domain->book.at;
	for (size_t i = 0; i < DOMAIN_TEXT_FIXED * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
		refused(w.fds, 4, 7);
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
	}
}

static void files_that_are_not_its_own(void **state)
{
	static struct world w, other; /* no loop closes their domains: they stay */
	int fds[4];

	(void)state;
	make(&w);
	make(&other);
	refused(w.fds, 4, 8); /* a foreign life */
	for (unsigned i = 0; i < 4; i++) {
		memcpy(fds, w.fds, sizeof(fds));
		fds[i] = other.fds[i];
		refused(fds, 4, 7);
		fds[i] = w.fds[(i + 1) % 4];
		refused(fds, 4, 7);
		refused(w.fds, i, 7);
	}
	w.domain->state->id++;
	refused(w.fds, 4, 7);
}

#define SPOIL(what, value)                          \
	do {                                        \
		__typeof__(what) was = (what);      \
		(what) = (__typeof__(what))(value); \
		refused(w.fds, 4, 7);               \
		(what) = was;                       \
	} while (0)

static void tables_that_contradict(void **state)
{
	struct domain_text *text;
	struct member_text *m;
	static struct world w; /* no loop closes its domain: it stays */

	(void)state;
	make(&w);
	text = w.domain->text;
	SPOIL(w.domain->held[0], 15);
	SPOIL(w.domain->waste[0], 1);
	SPOIL(w.domain->waste[0], 16);
	SPOIL(w.domain->runs.bits[0], 3);
	SPOIL(w.domain->runs.bits[0], 7 | 1 << SUPERSLABS);
	SPOIL(w.domain->part[1], 1);
	SPOIL(text->high, 2);
	SPOIL(text->high, SUPERSLABS + 1);
	SPOIL(text->unlinked, 2);
	SPOIL(text->last_number, HAK_MEMBER_MAX + 1);
	text->had[0] = 2;
	text->members_total = 1;
	m = &text->member[1];
	*m = (struct member_text){
		.id = 1 << 16 | 1, .session = 9, .order = 1, .how = HAK_EVENT_KIND_DIED, .state = 3
	};
	SPOIL(m->state, HAK_MEMBER_READER);
	SPOIL(m->state, 9);
	SPOIL(m->id, 2 << 16 | 1);
	SPOIL(m->id, 1 << 16 | 2);
	SPOIL(m->session, 0);
	SPOIL(m->order, 0);
	SPOIL(m->how, HAK_EVENT_KIND_JOINED);
	SPOIL(m->told, 5);
	SPOIL(m->read_only, 2);
	SPOIL(text->had[0], 0);
	text->member[HAK_MEMBER_MAX + 1] = *m;
	refused(w.fds, 4, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_bit_of_head_and_fixed_part),
		cmocka_unit_test(files_that_are_not_its_own),
		cmocka_unit_test(tables_that_contradict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
