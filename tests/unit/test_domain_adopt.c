/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon that ends before any store into a domain's book: the next one has all of it, once. */
#include "daemon/domain_adopt.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "daemon/account.h"
#include "daemon/audit.h"
#include "daemon/daemon.h"
#include "daemon/domain.h"
#include "daemon/member.h"
#include "daemon/os.h"
#include "daemon/session.h"
#include "daemon/shrink.h"
#include "tests/must.h"
#include "tests/unit/line.h"
#include "tests/unit/unit.h"

#define SUPERSLABS 16u
#define SESSIONS   2u
#define THROUGH    77 /* the child came to its end */

struct world {
	struct daemon daemon;
	struct store store;
	struct session session[SESSIONS];
	struct hak_report_audit rows[64];
};

static void setup(struct world *w, uint32_t sessions)
{
	struct daemon *daemon = &w->daemon;

	*w = (struct world){ 0 };
	config_init(&daemon->config, UINT64_C(1) << 34);
	daemon->config.stock_decay_ms = 0;
	line_begin(daemon, &w->store, 7);
	daemon->numa.parts = 1;
	daemon->tick.in_flight = true;
	list_init(&daemon->sessions);
	list_init(&daemon->conns);
	domains_init(&daemon->domains, daemon);
	accounts_init(&daemon->accounts, &daemon->config, 4096);
	placement_init(&daemon->placement, &daemon->numa, &daemon->config);
	for (uint32_t i = 0; i < sessions; i++) {
		struct session *session = &w->session[i];

		session->daemon = daemon;
		session->id = i + 1;
		session->state = SESSION_DETACHED;
		session->peer.pid = (pid_t)(100 + i);
		list_init(&session->link);
		list_init(&session->members);
		must(account_open(&daemon->accounts, 0, &session->account) == 0);
		list_add(&daemon->sessions, &session->link);
	}
}

static bool turn(void *context)
{
	struct daemon *daemon = context;
	struct list *at, *tmp;

	list_for_each(at, tmp, &daemon->domains.all)
	{
		const struct domain *domain = hak_container_of(at, struct domain, link);

		if (domain->task.in_flight || domain->closing)
			return false;
	}
	loop_stop(daemon->loop);
	return false;
}

static void start(struct world *w)
{
	must(loop_new(&w->daemon.loop) == 0);
	must(workers_new(&w->daemon.workers, w->daemon.loop, &w->daemon.numa, false) == 0);
}

static void settle(struct world *w)
{
	must(loop_run(w->daemon.loop, turn, &w->daemon) == 0);
}

static bool ended(void *context)
{
	struct daemon *daemon = context;

	if (!domains_in_flight(&daemon->domains)) {
		workers_stop(daemon->workers);
		if (!workers_in_flight(daemon->workers))
			loop_stop(daemon->loop);
	}
	return false;
}

static void stop(struct world *w)
{
	for (uint32_t i = 0; i < SESSIONS; i++) {
		if (w->session[i].daemon)
			members_leave(&w->session[i], true);
	}
	domains_stop(&w->daemon.domains);
	must(loop_run(w->daemon.loop, ended, &w->daemon) == 0);
	w->daemon.workers = workers_free(w->daemon.workers);
	w->daemon.loop = loop_free(w->daemon.loop);
	for (uint32_t i = 0; i < SESSIONS; i++)
		(void)account_close(&w->daemon.accounts, w->session[i].account);
	accounts_deinit(&w->daemon.accounts);
}

static struct domain *make(struct world *w, uint32_t lifetime)
{
	struct hak_wire_domain_attr attr = { .max_size = SUPERSLABS * HAK_SUPERSLAB_SIZE,
					     .lifetime = lifetime,
					     .orphan_policy = HAK_WIRE_ORPHAN_HEIR };
	struct domain *domain;

	must(!domain_attr_fault(&w->daemon, &attr));
	must(domain_new(&domain, &w->session[0], "orders", &attr) == 0);
	return domain;
}

/* ---- the one that ends ---- */

static uint32_t stores_left;

static void count_down(void)
{
	if (!stores_left--)
		_exit(0);
}

struct story {
	struct world *w;
	struct domain *domain;
	struct member *a, *b;
};

static void take(struct story *story, uint32_t count)
{
	uint32_t first, part;

	must(domain_take(story->domain, 0, count, &first, &part) == 0);
	domain_grant(story->domain, first, count);
}

static void joins(struct story *story)
{
	must(member_join(&story->a, story->domain, &story->w->session[0], false) == 0);
	must(member_join(&story->b, story->domain, &story->w->session[1], false) == 0);
	member_set_heir(story->a, story->b->id);
}

static void grows(struct story *story)
{
	take(story, 5);
}

static void leaves(struct story *story)
{
	member_leave(story->a, true);
	settle(story->w);
}

static void shrinks(struct story *story)
{
	for (int i = 0; i < 3; i++)
		(void)shrink_tick(story->domain);
	settle(story->w);
}

static void ends(struct story *story)
{
	take(story, 2);
	must(member_join(&story->a, story->domain, &story->w->session[0], true) == 0);
	domain_refused(story->domain, HAK_REFUSAL_DOMAIN_BYTES);
	member_leave(story->a, false);
	domain_unlink(story->domain);
}

enum {
	JOINS,
	GROWS,
	LEAVES,
	SHRINKS,
	ENDS,
	DEEDS
};
static void (*const deeds[])(struct story *) = { joins, grows, leaves, shrinks, ends };

/* Of a story, the deeds that may be cut off; those before them are done as a whole. */
struct part {
	unsigned first, end; /* before the first that is not done */
	uint32_t sessions;   /* that are there afterwards: all, or none */
	uint32_t lifetime;   /* of the domain */
};

static void live(struct world *w, struct domain *domain, const struct part *part, uint32_t stores)
{
	struct story story = { .w = w, .domain = domain };

	start(w);
	w->daemon.domains.daemon = &w->daemon;
	domain->close.loop = w->daemon.loop;
	for (unsigned i = 0; i < part->end; i++) {
		if (i == part->first) {
			stores_left = stores;
			book_before_store = count_down;
		}
		deeds[i](&story);
	}
	_exit(THROUGH);
}

/* ---- the next one ---- */

static void check_words(const struct domain *domain)
{
	for (uint32_t i = 0; i < domain->high; i++) {
		if (!(domain->held[0] >> i & 1))
			continue;
		for (uint32_t k = 0; k < HAK_SLABS_PER_SUPERSLAB; k++) {
			uint64_t word = domain->view.lease[i * HAK_SLABS_PER_SUPERSLAB + k];

			assert_int_equal(hak_lease_kind(word), HAK_LEASE_FREE);
		}
	}
}

/* Each member that ever was has joined, and each that is no more was swept. */
static void check_events(const struct domain *domain)
{
	const struct hak_domain_state *state = domain->state;

	assert_int_equal(state->last_event, domain->last_event);
	assert_int_equal(state->event_futex, (uint32_t)domain->last_event);
	for (uint32_t i = 1; i < 8; i++) {
		const struct member_text *text = &domain->text->member[i];
		unsigned joined = 0, swept = 0;

		for (uint64_t n = 1; n <= domain->last_event; n++) {
			const struct hak_event_entry *event = &state->event[n % HAK_EVENTS];

			assert_int_equal(event->seq, n);
			joined += event->member == text->id && event->kind == HAK_EVENT_KIND_JOINED;
			swept += event->member == text->id && event->kind == HAK_EVENT_KIND_SWEPT;
		}
		if (text->told)
			assert_true(joined >= 1);
		if (text->told && text->state == HAK_MEMBER_NONE)
			assert_true(swept >= 1);
	}
}

static void check(struct world *w, const struct part *part)
{
	struct domain *domain;

	settle(w);
	if (list_empty(&w->daemon.domains.all)) {
		assert_true(part->end == DEEDS || part->lifetime == HAK_WIRE_LIFETIME_MEMBERS);
		return;
	}
	domain = hak_container_of(w->daemon.domains.all.next, struct domain, link);
	assert_int_equal(domain->waste_count, 0);
	assert_int_equal(domain->runs.taken, domain->granted);
	assert_int_equal(domain->account->superslabs, domain->runs.taken);
	assert_int_equal(w->daemon.placement.held[0], domain->runs.taken);
	assert_true(hak_runs_check(&domain->runs));
	assert_int_equal(domain->state->granted, domain->granted);
	assert_true(domain->alive <= part->sessions);
	for (uint32_t i = 0; i < SESSIONS; i++)
		assert_true(w->session[i].member_count <= 1);
	for (uint32_t i = 1; i < HAK_MEMBERS; i++)
		assert_int_not_equal(domain->text->member[i].state, HAK_MEMBER_DYING);
	check_words(domain);
	check_events(domain);
}

/* True: the child came to its end. */
static bool cut(const struct part *part, uint32_t stores)
{
	struct world *old = calloc(1, sizeof(*old)), *new = calloc(1, sizeof(*new));
	struct domain *domain;
	const char *fault = NULL;
	int fds[4], status = 0;
	pid_t pid;

	must(old && new);
	setup(old, SESSIONS);
	domain = make(old, part->lifetime);
	fds[0] = domain->book.fd;
	fds[1] = domain->state_fd;
	fds[2] = domain->data_fd;
	fds[3] = domain->meta_fd;
	for (int i = 0; i < 4; i++)
		fds[i] = dup(fds[i]);
	pid = fork();
	must(pid >= 0);
	if (!pid)
		live(old, domain, part, stores);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == THROUGH);
	setup(new, part->sessions);
	start(new);
	assert_int_equal(domain_adopt(&new->daemon, fds, 4, NULL, 0, &fault), 0);
	domains_adopted(&new->daemon);
	check(new, part);
	stop(new);
	free(new);
	/* The old one's copy was only to be looked at. */
	start(old);
	domain->close.loop = old->daemon.loop;
	stop(old);
	free(old);
	return WEXITSTATUS(status) == THROUGH;
}

static void cut_anywhere(unsigned first, unsigned end, uint32_t least)
{
	const struct part parts[] = {
		{ first, end, SESSIONS, HAK_WIRE_LIFETIME_UNLINKED },
		{ first, end, 0, HAK_WIRE_LIFETIME_UNLINKED }, /* members died meanwhile */
		{ first, end, 0, HAK_WIRE_LIFETIME_MEMBERS },
	};

	unit_watchdog();
	for (unsigned i = 0; i < 3; i++) {
		uint32_t n = 0;

		while (!cut(&parts[i], n))
			n++;
		assert_in_range(n, least, 1000);
		print_message("# stores: %u\n", n);
	}
}

static void joins_cut_off_anywhere(void **state)
{
	(void)state;
	cut_anywhere(JOINS, JOINS + 1, 4);
}

static void grows_cut_off_anywhere(void **state)
{
	(void)state;
	cut_anywhere(GROWS, GROWS + 1, 4);
}

static void leaves_cut_off_anywhere(void **state)
{
	(void)state;
	cut_anywhere(LEAVES, LEAVES + 1, 4);
}

static void shrinks_cut_off_anywhere(void **state)
{
	(void)state;
	cut_anywhere(SHRINKS, SHRINKS + 1, 4);
}

static void a_story_cut_off_anywhere(void **state)
{
	(void)state;
	cut_anywhere(0, DEEDS, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(joins_cut_off_anywhere),
		cmocka_unit_test(grows_cut_off_anywhere),
		cmocka_unit_test(leaves_cut_off_anywhere),
		cmocka_unit_test(shrinks_cut_off_anywhere),
		cmocka_unit_test(a_story_cut_off_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
