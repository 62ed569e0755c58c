/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/torture/torture.h"

#include <fnmatch.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/raw/raw_domain.h"
#include "shared/sys.h"
#include "tests/must.h"
#include "tools/audit.h"

#define KEPT       64u
#define HEAP_KEPT  32u
#define PATHS_MAX  32u
#define SAMPLES    4096u
#define STEPS_MAX  400000u
#define QUIET_NS   UINT64_C(30000000000)
#define AFTER_CALL 400u /* instructions behind a system call, at the most */
#define BEHIND     8u   /* kills behind a path's end */
#define VARIES     32u  /* instructions by which a path may differ */

static struct {
	struct rig *rig;
	struct peer survivor;
	uint64_t seed;
	uint64_t leased; /* by the survivor */
	bool all;
	uint64_t ns[SAMPLES]; /* from kill to quiet */
	uint32_t n_ns;
} run;

static uint64_t next_random(void)
{
	run.seed = run.seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return run.seed >> 33;
}

/* ---- the survivor ---- */

static void *kept[KEPT], *heap_kept[HEAP_KEPT];

static size_t kept_size(unsigned i)
{
	return 16 + i * i * 7 % 9000;
}

static int64_t takes_its_things(uint64_t unused)
{
	for (unsigned i = 0; i < KEPT; i++) {
		must((kept[i] = hak_domain_alloc(peer_domain, kept_size(i))));
		peer_fill(kept[i], kept_size(i), i);
	}
	for (unsigned i = 0; i < HEAP_KEPT; i++) {
		must((heap_kept[i] = hak_malloc(kept_size(i))));
		peer_fill(heap_kept[i], kept_size(i), i);
	}
	peer_board->word[TORTURE_SURVIVOR] = hak_self(peer_domain);
	return 0;
}

static int64_t has_its_things(uint64_t unused)
{
	struct hak_event event;

	for (unsigned i = 0; i < KEPT; i++)
		must(peer_is_filled(kept[i], kept_size(i), i) &&
		     hak_owner(peer_domain, kept[i]) == hak_self(peer_domain));
	for (unsigned i = 0; i < HEAP_KEPT; i++)
		must(peer_is_filled(heap_kept[i], kept_size(i), i));
	while (hak_event_next(peer_domain, &event) == 0)
		;
	return 0;
}

/* ---- the victim ---- */

static const char *victims_socket;
static bool victim_is_heap;

static void become_victim(void)
{
	const struct hak_options options = { .size = sizeof(options),
					     .socket = victims_socket,
					     .mode = victim_is_heap ? HAK_INFO_DAEMON : 0 };

	(void)close_range(3, ~0U, 0);
	must(!hak_init(&options));
	if (!victim_is_heap && peer_join(0) < 0)
		stepper_again();
}

/* ---- audit ---- */

static const struct hak_report_audit *find(const struct audit *audit, uint32_t scope)
{
	for (uint64_t i = 0; i < audit->n; i++) {
		if (audit->rows[i].scope == scope && !audit->rows[i].fault)
			return &audit->rows[i];
	}
	return NULL;
}

static void say_faults(const struct audit *audit)
{
	char text[256];

	for (uint64_t i = 0; i < audit->n; i++) {
		if (!audit->rows[i].fault)
			continue;
		audit_fault_text(text, sizeof(text), &audit->rows[i]);
		print_message("# fault: %s\n", text);
	}
	for (uint64_t i = 0; i < audit->n_books; i++) {
		if (*audit->books[i].fault || *audit->books[i].error)
			print_message("# books of %s: %s%s\n", audit->books[i].name,
				      audit->books[i].fault, audit->books[i].error);
	}
}

/* Nothing is left but the survivor. */
static bool is_quiet(void)
{
	struct hak_report_domain d[4];

	if (rig_status(run.rig).sessions != 1)
		return false;
	return raw_domains(run.rig->socket, d, 4) == 1 && d[0].members == 1 && !d[0].dying;
}

static void await_quiet(const char *what, uint32_t at)
{
	uint64_t from = hak_sys_now_ns();

	while (!is_quiet()) {
		if (hak_sys_now_ns() - from > QUIET_NS)
			fail_msg("%s: killed at %u, not swept within 30 s", what, at);
	}
	run.ns[run.n_ns++ % SAMPLES] = hak_sys_now_ns() - from;
}

/* True if nothing is left but the survivor and its domain, down to what the kernel closes for the
 * daemon. Whatever else is wrong fails at once. */
static bool adds_up(const char *what, uint32_t at)
{
	const struct hak_report_audit *whole, *domain, *session;
	const struct audit_bytes *b;
	struct audit audit;
	bool settled;

	if (audit_run(&audit, run.rig->socket) < 0)
		fail_msg("%s: audit: %s", what, audit.error);
	whole = find(&audit, HAK_SCOPE_DAEMON);
	domain = find(&audit, HAK_SCOPE_DOMAIN);
	session = find(&audit, HAK_SCOPE_SESSION);
	say_faults(&audit);
	if (audit.faults || !whole || !domain || !session || audit.n_books != 1 ||
	    *audit.books[0].error)
		fail_msg("%s: killed at %u: the books do not add up", what, at);
	b = &audit.books[0].bytes;
	if (b->published || b->moving || b->changing || b->owned || b->claimed)
		fail_msg("%s: killed at %u: bytes that are nobody's: published %llu, moving %llu, "
			 "changing %llu, owned %llu, claimed %llu",
			 what, at, (unsigned long long)b->published, (unsigned long long)b->moving,
			 (unsigned long long)b->changing, (unsigned long long)b->owned,
			 (unsigned long long)b->claimed);
	settled = whole->domains == 1 && whole->charged == session->charged + domain->charged;
	if (settled && run.leased && session->leased != run.leased)
		fail_msg("%s: killed at %u: the survivor has %llu superslabs, %llu before", what,
			 at, (unsigned long long)session->leased, (unsigned long long)run.leased);
	run.leased = session->leased;
	audit_deinit(&audit);
	return settled;
}

static void audit_all(const char *what, uint32_t at)
{
	uint64_t from = hak_sys_now_ns();

	while (!adds_up(what, at)) {
		if (hak_sys_now_ns() - from > QUIET_NS)
			fail_msg("%s: killed at %u, still charged after 30 s", what, at);
		(void)hak_sys_poll(NULL, 0, 1);
	}
}

/* ---- a path ---- */

/* A victim at the beginning of its path; false: none can be had. */
static bool begin(struct stepper *victim, const struct torture_path *path)
{
	if (path->before)
		(void)peer_do(&run.survivor, path->before, 0);
	for (unsigned tries = 0; tries < 100; tries++) {
		stepper_start(victim, &path->step, become_victim);
		if (victim->where == STEPPER_INSIDE)
			return true;
		must(victim->where != STEPPER_EXITED);
		if (victim->where == STEPPER_DENIED)
			break;
	}
	return false;
}

/* One life and death; true: the path was through before. */
static bool kill_at(const struct torture_path *path, uint32_t calls, uint32_t steps,
		    int64_t *ret_seen)
{
	struct stepper victim;
	bool over;

	must(begin(&victim, path));
	for (uint32_t i = 0; i < calls; i++)
		stepper_to_syscall(&victim);
	for (uint32_t i = 0; i < steps && victim.where == STEPPER_INSIDE; i++)
		stepper_step(&victim);
	over = victim.where != STEPPER_INSIDE;
	stepper_kill(&victim);
	await_quiet(path->step.name, calls ? calls : steps);
	*ret_seen = path->after ? peer_do(&run.survivor, path->after, over) : over;
	(void)peer_do(&run.survivor, has_its_things, 0);
	audit_all(path->step.name, calls ? calls : steps);
	return over;
}

/* How long the path is, in instructions or in beginnings and ends of system calls. */
static uint32_t measure(const struct torture_path *path)
{
	struct stepper victim;
	uint32_t n = 0;

	if (!begin(&victim, path))
		return 0;
	while (victim.where == STEPPER_INSIDE && n < STEPS_MAX) {
		if (path->step.is_short)
			stepper_step(&victim);
		else
			stepper_to_syscall(&victim);
		n++;
	}
	must(victim.where != STEPPER_INSIDE);
	stepper_kill(&victim);
	await_quiet(path->step.name, n);
	if (path->after)
		(void)peer_do(&run.survivor, path->after, 1);
	audit_all(path->step.name, n);
	return n;
}

/*
 * From the first on, until some are behind the path: its length may differ a little from one life
 * to the next. What was seen done is to be seen done by all that come further; of paths with
 * several shapes, which have to be made one by their preparation, this is what would not hold.
 */
static uint32_t every_instruction(const struct torture_path *path, uint32_t *ret_first)
{
	uint32_t at = 0, behind = 0;
	int64_t seen;

	for (; behind < BEHIND; at++) {
		must(at < STEPS_MAX);
		behind += kill_at(path, 0, at, &seen);
		if (seen && at < *ret_first)
			*ret_first = at;
		if (!seen && at > (uint64_t)*ret_first + VARIES)
			fail_msg("%s: killed at %u, not done; at %u, done", path->step.name, at,
				 *ret_first);
	}
	return at;
}

/* One by chance of each piece. */
static uint32_t some_instructions(const struct torture_path *path, uint32_t n, uint32_t *ret_first)
{
	int64_t seen;

	for (uint32_t i = 0; i < path->points; i++) {
		uint32_t from = (uint32_t)((uint64_t)i * n / path->points);
		uint32_t to = (uint32_t)((uint64_t)(i + 1) * n / path->points);
		uint32_t at = from + (uint32_t)(next_random() % (to - from));

		(void)kill_at(path, 0, at, &seen);
		if (seen && at < *ret_first)
			*ret_first = at;
	}
	return path->points;
}

static uint32_t every_call(const struct torture_path *path, uint32_t n)
{
	uint32_t kills = 0, whole = run.all ? n : path->points * 2 / 3;
	int64_t seen;

	for (uint32_t i = 0; i <= n && kills <= whole; i++) {
		if (n > whole && next_random() % n >= whole)
			continue;
		(void)kill_at(path, i, 0, &seen);
		kills++;
	}
	for (uint32_t i = 0; i < (run.all ? 4 * n : path->points / 3); i++) {
		(void)kill_at(path, (uint32_t)(next_random() % (n + 1)),
			      1 + (uint32_t)(next_random() % AFTER_CALL), &seen);
		kills++;
	}
	return kills;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void say_times(void)
{
	uint32_t n = run.n_ns < SAMPLES ? run.n_ns : SAMPLES;

	qsort(run.ns, n, sizeof(run.ns[0]), compare);
	print_message("#   from kill to all given back, asked for: p50 %llu us, p99 %llu us, most "
		      "%llu us\n",
		      (unsigned long long)run.ns[n / 2] / 1000,
		      (unsigned long long)run.ns[n * 99 / 100] / 1000,
		      (unsigned long long)run.ns[n - 1] / 1000);
}

/* CMocka has no argument for a test beside the group's state. */
static const struct torture_path *in_turn[PATHS_MAX], **turn = in_turn;

static void run_path(void **state)
{
	const struct torture_path *path = *turn++;
	uint64_t from = hak_sys_now_ns();
	uint32_t n, kills, first = UINT32_MAX;

	victim_is_heap = path->is_heap;
	run.n_ns = 0;
	/* Twice: the first time, there may be more to do. */
	n = measure(path) ? measure(path) : 0;
	if (!n) {
		print_message("# no tracing here\n");
		skip();
	}
	if (path->step.is_short) {
		int64_t seen;

		kills = run.all || n <= path->points ? every_instruction(path, &first)
						     : some_instructions(path, n, &first);
		/* And right behind it, by when it is done. */
		must(kill_at(path, 0, STEPS_MAX, &seen) && seen);
		print_message("#   %u instructions, %u kills%s", n, kills + 1,
			      path->after ? "" : "\n");
		if (path->after)
			print_message(", seen done from %u on\n", first);
	} else {
		kills = every_call(path, n);
		print_message("#   %u beginnings and ends of system calls, %u kills\n", n, kills);
	}
	say_times();
	print_message("#   %llu ms\n", (unsigned long long)(hak_sys_now_ns() - from) / 1000000);
}

/* ---- set-up ---- */

static int begin_all(void **state)
{
	const char *seed = getenv("TORTURE_SEED"), *all = getenv("TORTURE");

	if (peer_setup(state))
		return -1;
	memset(&run, 0, sizeof(run));
	run.rig = *state;
	run.seed = seed ? strtoull(seed, NULL, 0) : hak_sys_now_ns();
	run.all = all && !strcmp(all, "all");
	victims_socket = run.rig->socket;
	print_message("# TORTURE_SEED=%llu\n", (unsigned long long)run.seed);
	/* Where the machine is overrun, another one may have more luck. */
	for (run.survivor = peer_new(run.rig, HAK_INFO_DAEMON);
	     peer_do(&run.survivor, peer_join, 0) < 0;
	     run.survivor = peer_new(run.rig, HAK_INFO_DAEMON))
		peer_kill(&run.survivor);
	assert_int_equal(peer_do(&run.survivor, takes_its_things, 0), 0);
	return 0;
}

static int end_all(void **state)
{
	peer_end(&run.survivor);
	return peer_teardown(state);
}

int torture_main(const struct torture_path *paths, size_t n)
{
	const char *only = getenv("TORTURE_ONLY");
	struct CMUnitTest tests[PATHS_MAX];
	size_t chosen = 0;

	must(n <= PATHS_MAX);
	for (size_t i = 0; i < n; i++) {
		if (only && fnmatch(only, paths[i].step.name, 0))
			continue;
		in_turn[chosen] = &paths[i];
		tests[chosen++] =
			(struct CMUnitTest){ .name = paths[i].step.name, .test_func = run_path };
	}
	return _cmocka_run_group_tests("torture", tests, chosen, begin_all, end_all);
}
