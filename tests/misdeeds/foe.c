/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/misdeeds/foe.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libclient/include/hakmem.h"
#include "shared/sys.h"
#include "tools/audit.h"

#define KEPT         64u
#define BACK_NS      UINT64_C(2000000000)
#define WAIT_MAX_NS  UINT64_C(1000000000)
#define ROUNDS       50u /* of the bystander while a misdeed is done, at least */
#define RSS_SLACK_KB 4096u
#define CASES_MAX    128u

/* Shared by test and bystander. */
struct board {
	_Atomic uint64_t rounds;
	_Atomic uint64_t longest_ns;
	_Atomic uint32_t quiet; /* 1: is to check its data and stop asking; 2: did so */
	uint64_t raw_id, domain;
	uint32_t has;
};

static struct board *board;

/* ---- the bystander ---- */

struct kept {
	unsigned char *at[KEPT];
};

static size_t kept_size(unsigned i)
{
	return 16 + i * i * 7 % 9000;
}

static void fill(unsigned char *at, size_t size, unsigned salt)
{
	for (size_t i = 0; i < size; i++)
		at[i] = (unsigned char)(i * 31 + i / 251 + salt);
}

static void check(const unsigned char *at, size_t size, unsigned salt)
{
	for (size_t i = 0; i < size; i++)
		must(at[i] == (unsigned char)(i * 31 + i / 251 + salt));
}

static void ask(struct raw *raw, uint64_t round)
{
	const uint64_t before = hak_sys_now_ns();
	uint64_t ns;
	uint32_t first;

	must(!raw_nop(raw));
	if (round % 8 == 0) {
		must(!raw_lease(raw, 1, &first));
		must(!raw_return(raw, first, 1));
	}
	ns = hak_sys_now_ns() - before;
	if (ns > board->longest_ns)
		board->longest_ns = ns;
}

static void be_bystander(struct rig *rig, void *arg)
{
	const struct hak_options options = { .size = sizeof(options),
					     .socket = rig->socket,
					     .mode = HAK_INFO_DAEMON };
	const struct hak_domain_attr attr = { .size = sizeof(attr),
					      .max_size = 64 * HAK_SUPERSLAB_SIZE };
	struct kept heap, shared;
	unsigned char *large;
	hak_domain *domain;
	struct raw raw;

	must(!hak_init(&options));
	must(!hak_domain_open(&domain, "bystander", HAK_CREATE, &attr));
	for (unsigned i = 0; i < KEPT; i++) {
		must((heap.at[i] = hak_malloc(kept_size(i))));
		fill(heap.at[i], kept_size(i), i);
		must((shared.at[i] = hak_domain_alloc(domain, kept_size(i))));
		fill(shared.at[i], kept_size(i), i + 1);
	}
	must(!raw_open(&raw, rig->socket) && !raw_lease(&raw, 1, &board->has));
	must((large = raw_map(&raw, board->has)));
	fill(large, HAK_SUPERSLAB_SIZE, 7);
	board->raw_id = raw.session_id;
	rig_tell();
	for (uint64_t round = 0;; round++) {
		if (board->quiet == 0) {
			ask(&raw, round);
			board->rounds = round + 1;
		} else if (board->quiet == 1) {
			for (unsigned i = 0; i < KEPT; i++) {
				check(heap.at[i], kept_size(i), i);
				check(shared.at[i], kept_size(i), i + 1);
			}
			check(large, HAK_SUPERSLAB_SIZE, 7);
			board->quiet = 2;
		}
		(void)poll(NULL, 0, 1); /* one that asks now and then */
	}
}

/* ---- what must hold ---- */

struct level {
	struct hak_report_status status;
	uint64_t rss;
	uint64_t domains;
};

static struct level look(struct rig *rig)
{
	static struct hak_report_domain records[512];
	struct level level = { .status = rig_status(rig), .rss = rig_proc_number(rig, "VmRSS:") };
	int n = raw_domains(rig->socket, records, 512);

	assert_true(n >= 0);
	level.domains = (uint64_t)n;
	return level;
}

static const char *more(const struct level *now, const struct level *before)
{
	if (now->status.sessions > before->status.sessions)
		return "sessions";
	if (now->domains > before->domains)
		return "domains";
	if (now->status.leased_bytes > before->status.leased_bytes)
		return "leased bytes";
	if (now->status.frozen_bytes > before->status.frozen_bytes)
		return "frozen bytes";
	if (now->status.open_fds > before->status.open_fds)
		return "descriptors";
	if (now->rss > before->rss + RSS_SLACK_KB)
		return "memory of the daemon's own";
	return NULL;
}

static void all_is_back(struct rig *rig, const struct level *before)
{
	const uint64_t until = hak_sys_now_ns() + BACK_NS;
	const char *what;

	for (;;) {
		struct level now = look(rig);

		what = more(&now, before);
		if (!what)
			return;
		if (hak_sys_now_ns() > until)
			fail_msg("after two seconds there are more %s; the daemon said: %s", what,
				 rig->log);
		(void)poll(NULL, 0, 5);
	}
}

static void adds_up(struct rig *rig)
{
	struct audit audit;
	char text[160];

	if (audit_run(&audit, rig->socket))
		fail_msg("no audit: %s", audit.error);
	for (uint64_t i = 0; i < audit.n; i++) {
		if (!audit.rows[i].fault)
			continue;
		audit_fault_text(text, sizeof(text), &audit.rows[i]);
		fail_msg("audit: %s", text);
	}
	for (uint64_t i = 0; i < audit.n_books; i++) {
		if (audit.books[i].fault[0] || audit.books[i].error[0])
			fail_msg("audit of %s: %s%s", audit.books[i].name, audit.books[i].fault,
				 audit.books[i].error);
	}
	assert_int_equal(audit.faults, 0);
	audit_deinit(&audit);
}

/* Waits until the bystander has come so far, or has checked its data. */
static void bystander_gets(const struct foe *foe, uint64_t rounds)
{
	const uint64_t until = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);
	int status;

	while (rounds ? board->rounds < rounds : board->quiet != 2) {
		if (waitpid(foe->bystander, &status, WNOHANG) == foe->bystander)
			fail_msg("the bystander found fault; the daemon said: %s", foe->rig->log);
		if (hak_sys_now_ns() > until)
			fail_msg("the bystander hangs; the daemon said: %s", foe->rig->log);
		(void)poll(NULL, 0, 2);
	}
}

static void bystander_checks(const struct foe *foe)
{
	board->quiet = 1;
	bystander_gets(foe, 0);
}

/* ---- a case ---- */

struct running {
	struct foe foe;
	const struct foe_case *c;
};

static void be_foe(struct rig *rig, void *arg)
{
	const struct running *run = arg;

	rig_tell();
	run->c->fn(&run->foe, run->c->arg);
}

static void begin(struct running *run, const struct foe_case *c)
{
	char config[512];
	void *at;
	int fd;

	assert_int_equal(hak_sys_memfd(&fd, "board", sizeof(*board), false), 0);
	assert_int_equal(hak_sys_map_shared(&at, NULL, fd, 0, sizeof(*board)), 0);
	close(fd);
	board = at;
	(void)snprintf(config, sizeof(config), "[stock]\nsessions = 0\n%s",
		       c->config ? c->config : "");
	run->c = c;
	run->foe.rig = rig_start(config);
	assert_int_equal(chmod(run->foe.rig->dir, 0711), 0); /* for other users */
	run->foe.bystander = rig_client(run->foe.rig, be_bystander, NULL);
	run->foe.bystander_id = board->raw_id;
	run->foe.bystander_has = board->has;
}

static void do_case(struct running *run)
{
	struct rig *rig = run->foe.rig;
	const struct foe_case *c = run->c;
	struct hak_report_domain domain;
	struct level before;
	uint64_t rounds, longest, evicted;
	pid_t pid;
	int end;

	bystander_gets(&run->foe, ROUNDS);
	bystander_checks(&run->foe);
	assert_int_equal(raw_domains(rig->socket, &domain, 1), 1);
	run->foe.domain = domain.id;
	before = look(rig);
	board->longest_ns = 0;
	rounds = board->rounds;
	board->quiet = 0;
	pid = rig_client(rig, be_foe, run);
	bystander_gets(&run->foe, rounds + ROUNDS);
	end = rig_reap(pid);
	longest = board->longest_ns;
	bystander_checks(&run->foe);
	if (end != c->end)
		fail_msg("the offender ended with %d; the daemon said: %s", end, rig->log);
	all_is_back(rig, &before);
	adds_up(rig);
	assert_int_equal(rig_status(rig).pid, (uint64_t)rig->pid);
	if (c->log)
		rig_wait_log(rig, c->log);
	evicted = rig_status(rig).evicted_total;
	if (c->evicted >= 0 && (c->evicted ? evicted < (uint64_t)c->evicted : evicted != 0))
		fail_msg("%llu sessions were evicted; the daemon said: %s",
			 (unsigned long long)evicted, rig->log);
	print_message("# %s: the bystander waited %llu us at the most\n", c->name,
		      (unsigned long long)longest / 1000);
	assert_true(longest < WAIT_MAX_NS);
}

static void run_case(void **state)
{
	const struct foe_case *c = *state;
	struct running run = { 0 };

	if (c->root && geteuid() != 0) {
		print_message("# %s: needs root\n", c->name);
		skip();
	}
	begin(&run, c);
	do_case(&run);
	(void)kill(run.foe.bystander, SIGKILL);
	(void)rig_reap(run.foe.bystander);
	(void)rig_stop(run.foe.rig);
	(void)hak_sys_unmap(board, sizeof(*board));
}

int foe_main(const char *group, const struct foe_case *cases, size_t n)
{
	struct CMUnitTest tests[CASES_MAX];

	assert_true(n <= CASES_MAX);
	for (size_t i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest){ .name = cases[i].name,
						.test_func = run_case,
						.initial_state = (void *)(uintptr_t)&cases[i] };
	return _cmocka_run_group_tests(group, tests, n, NULL, NULL);
}

/* ---- for misdeeds ---- */

struct raw foe_session(const struct foe *foe)
{
	struct raw raw;

	must(!raw_open(&raw, foe->rig->socket));
	return raw;
}

struct raw foe_offender(const struct foe *foe)
{
	struct raw raw = foe_session(foe);
	uint32_t first;

	must(!raw_lease(&raw, 6, &first) && first == 0);
	must(!raw_freeze(&raw, 3, 1) && !raw_return(&raw, 4, 2));
	return raw;
}

void foe_expect_refused(int sock, int code, const char *text)
{
	char got[HAK_WIRE_TEXT];
	int got_code = 0, r = raw_wait_refused(sock, &got_code, got);

	if (r < 0 || got_code != code || !strstr(got, text)) {
		(void)fprintf(stderr, "expected %d '%s', got %d, %d '%s'\n", code, text, r,
			      got_code, r < 0 ? "" : got);
		_exit(98);
	}
}

void foe_expect_evicted(const struct raw *raw, const char *reason)
{
	foe_expect_refused(raw->sock, -EPROTO, reason);
}

int foe_in_child(const struct foe *foe, foe_fn *fn, const void *arg)
{
	int status = 0;
	pid_t pid = fork();

	must(pid >= 0);
	if (!pid) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		fn(foe, arg);
		_exit(0);
	}
	must(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void foe_become(unsigned uid)
{
	must(!setgroups(0, NULL) && !setresgid(uid, uid, uid) && !setresuid(uid, uid, uid));
}
