/* SPDX-License-Identifier: Apache-2.0 */
/* Domains by frames alone: who may open what, how they end, and what they may hold. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/raw/raw_domain.h"
#include "shared/sys.h"
#include "tests/must.h"
#include "tests/proc/rig.h"

#define MAKE HAK_WIRE_CREATE

static struct raw connect_to(struct rig *rig)
{
	struct raw raw;

	assert_int_equal(raw_open(&raw, rig->socket), 0);
	return raw;
}

static struct raw_domain open_ok(struct raw *raw, const char *name, uint32_t flags,
				 const struct hak_wire_domain_attr *attr)
{
	struct raw_domain d;
	int r = raw_domain_open(raw, &d, name, flags, attr);

	if (r < 0)
		fail_msg("open %s: %d, %s", name, r, d.text);
	return d;
}

/* The report of a domain; bytes UINT64_MAX: there is none of that id. */
static struct hak_report_domain report_of(struct rig *rig, uint64_t id)
{
	struct hak_report_domain records[128];
	int n = raw_domains(rig->socket, records, hak_array_size(records));

	for (int i = 0; i < n; i++) {
		if (records[i].id == id)
			return records[i];
	}
	return (struct hak_report_domain){ .bytes = UINT64_MAX };
}

static void wait_gone(struct rig *rig, uint64_t id)
{
	uint64_t until = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);

	while (report_of(rig, id).bytes != UINT64_MAX) {
		if (hak_sys_now_ns() > until)
			fail_msg("domain %llu stays", (unsigned long long)id);
	}
}

static void a_domain_is_made_once_and_joined(void **state)
{
	struct rig *rig = *state;
	struct raw first = connect_to(rig), second = connect_to(rig);
	struct raw_domain a, b;
	struct hak_report_domain report;

	assert_int_equal(raw_domain_open(&first, &a, "orders", 0, NULL), -ENOENT);
	assert_string_equal(a.text, "there is no such domain");
	a = open_ok(&first, "orders", MAKE, NULL);
	assert_true(a.created);
	b = open_ok(&second, "orders", MAKE, NULL);
	assert_false(b.created);
	assert_int_equal(a.id, b.id);
	assert_int_equal(a.base, b.base);
	assert_int_equal(a.base % (UINT64_C(1) << 30), 0);
	assert_true(a.base >= HAK_DOMAIN_AREA_FIRST && a.base < HAK_DOMAIN_AREA_END);
	assert_int_equal(a.member, (1 << 16) + 1);
	assert_int_equal(b.member, (2 << 16) + 2);
	assert_int_equal(a.state->member[2].id, b.member);
	assert_int_equal(a.state->member[2].state, HAK_MEMBER_ALIVE);
	assert_int_equal(a.state->member[2].pid, getpid());
	assert_int_equal(a.state->magic, HAK_STATE_MAGIC);
	assert_string_equal(a.state->name, "orders");
	assert_true(a.state->tag >= 1 && a.state->tag <= HAK_REF_TAGS);
	report = report_of(rig, a.id);
	assert_string_equal(report.name, "orders");
	assert_int_equal(report.uid, getuid());
	assert_int_equal(report.mode, 0600);
	assert_int_equal(report.members, 2);
	assert_int_equal(report.max_size, UINT64_C(16) << 30);
	assert_int_equal(report.quota, report.max_size);
	assert_int_equal(report.base, a.base);
	assert_int_equal(raw_domain_open(&second, &b, "orders", MAKE | HAK_WIRE_EXCL, NULL),
			 -EEXIST);
	raw_domain_drop(&a);
	raw_close(&first);
	raw_close(&second);
}

/* Again in the same process: descriptors, but not another member. */
static void a_session_is_a_member_once(void **state)
{
	struct rig *rig = *state;
	struct raw raw = connect_to(rig);
	struct raw_domain a = open_ok(&raw, "orders", MAKE, NULL), b, reader;

	b = open_ok(&raw, "orders", 0, NULL);
	assert_int_equal(a.member, b.member);
	reader = open_ok(&raw, "orders", HAK_WIRE_RDONLY, NULL);
	assert_int_equal(a.member, reader.member);
	assert_int_equal(report_of(rig, a.id).members, 1);
	raw_domain_drop(&b);
	raw_domain_drop(&reader);
	assert_int_equal(raw_domain_close(&raw, &a), 0);
	assert_int_equal(report_of(rig, a.id).members, 0);
	assert_int_equal(raw_domain_close(&raw, &a), -ENOENT);
	assert_string_equal(a.text, "not a member of such a domain");
	raw_close(&raw);
}

static void what_a_reader_has_can_not_be_written(void **state)
{
	struct rig *rig = *state;
	struct raw writer = connect_to(rig), raw = connect_to(rig);
	struct raw_domain a = open_ok(&writer, "orders", MAKE, NULL);
	struct raw_domain b = open_ok(&raw, "orders", HAK_WIRE_RDONLY, NULL), c;
	const int fds[] = { b.data_fd, b.meta_fd, b.state_fd, a.state_fd };
	struct hak_cqe cqe;

	assert_int_equal(a.state->member[hak_member_number(b.member)].state, HAK_MEMBER_READER);
	for (size_t i = 0; i < hak_array_size(fds); i++) {
		assert_ptr_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fds[i], 0), MAP_FAILED);
		assert_int_equal(pwrite(fds[i], "x", 1, 0), -1);
		assert_int_equal(
			fallocate(fds[i], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
		assert_int_equal(ftruncate(fds[i], 0), -1);
	}
	assert_int_equal(raw_domain_grow(&raw, b.id, 1, &cqe), -EACCES);
	assert_int_equal(raw_domain_open(&raw, &c, "orders", 0, NULL), -EBUSY);
	raw_domain_drop(&a);
	raw_domain_drop(&b);
	raw_close(&writer);
	raw_close(&raw);
}

/* As another user; exit status: what the open says. */
static int open_as(struct rig *rig, uid_t uid, gid_t gid, uint32_t flags)
{
	struct raw_domain d;
	struct raw raw;
	pid_t pid = fork();
	int status;

	if (!pid) {
		must(!setresgid(gid, gid, gid) && !setresuid(uid, uid, uid));
		must(!raw_open(&raw, rig->socket));
		_exit(-raw_domain_open(&raw, &d, "orders", flags, NULL));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void the_mode_says_who_may(void **state)
{
	const struct hak_wire_domain_attr attr = { .mode = 0640 };
	struct rig *rig = *state;
	struct raw_domain d;
	struct raw raw;
	int status;
	pid_t pid;

	if (getuid())
		skip();
	assert_int_equal(chmod(rig->dir, 0711), 0);
	pid = fork();
	if (!pid) { /* made by somebody who is not root, and goes away */
		must(!setresgid(1001, 1001, 1001) && !setresuid(1001, 1001, 1001));
		must(!raw_open(&raw, rig->socket));
		_exit(raw_domain_open(&raw, &d, "orders", MAKE, &attr) != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(open_as(rig, 1001, 1001, 0), 0);
	assert_int_equal(open_as(rig, 1001, 1001, HAK_WIRE_RDONLY), 0);
	assert_int_equal(open_as(rig, 1002, 1001, 0), -EACCES);
	assert_int_equal(open_as(rig, 1002, 1001, HAK_WIRE_RDONLY), 0);
	assert_int_equal(open_as(rig, 1002, 1002, HAK_WIRE_RDONLY), -EACCES);
	assert_int_equal(open_as(rig, 1002, 1002, MAKE), -EACCES);
	assert_int_equal(open_as(rig, 0, 0, 0), 0);
	pid = fork();
	if (!pid) {
		must(!setresgid(1001, 1001, 1001) && !setresuid(1002, 1002, 1002));
		must(!raw_open(&raw, rig->socket));
		_exit(-raw_domain_unlink(&raw, "orders"));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), EACCES);
	assert_int_equal(raw_open(&raw, rig->socket), 0);
	assert_int_equal(raw_domain_unlink(&raw, "orders"), 0); /* root may */
	assert_int_equal(raw_domain_unlink(&raw, "orders"), -ENOENT);
	raw_close(&raw);
}

static void what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *name;
		uint32_t flags;
		struct hak_wire_domain_attr attr;
		const char *text;
	} cases[] = {
		{ "", MAKE, { 0 }, "name: 1 to 31 of [A-Za-z0-9._-], no dot first" },
		{ ".orders", MAKE, { 0 }, "name: 1 to 31 of [A-Za-z0-9._-], no dot first" },
		{ "a/b", MAKE, { 0 }, "name: 1 to 31 of [A-Za-z0-9._-], no dot first" },
		{ "orders", 8 | MAKE, { 0 }, "flags: unknown ones" },
		{ "orders", HAK_WIRE_EXCL, { 0 }, "flags: HAK_EXCL without HAK_CREATE" },
		{ "orders", MAKE, { .max_size = 4096 }, "max_size: not n * 2 MiB, up to 2 TiB" },
		{ "orders",
		  MAKE,
		  { .max_size = (UINT64_C(2) << 40) + HAK_SUPERSLAB_SIZE },
		  "max_size: not n * 2 MiB, up to 2 TiB" },
		{ "orders", MAKE, { .quota = 1 }, "quota: not n * 2 MiB, up to 2 TiB" },
		{ "orders",
		  MAKE,
		  { .max_size = HAK_SUPERSLAB_SIZE, .quota = 2 * HAK_SUPERSLAB_SIZE },
		  "quota: more than max_size" },
		{ "orders", MAKE, { .mode = 01000 }, "mode: more than 0777" },
		{ "orders", MAKE, { .node = 1000 }, "node: there is none with memory" },
		{ "orders", MAKE, { .page_policy = 1 }, "page_policy: none is known but 0" },
		{ "orders", MAKE, { .orphan_policy = 4 }, "orphan_policy: unknown" },
		{ "orders", MAKE, { .lifetime = 3 }, "lifetime: unknown" },
	};
	struct rig *rig = *state;
	struct raw raw = connect_to(rig);
	struct raw_domain d;

	for (size_t i = 0; i < hak_array_size(cases); i++) {
		assert_int_equal(raw_domain_open(&raw, &d, cases[i].name, cases[i].flags,
						 &cases[i].attr),
				 -EINVAL);
		assert_string_equal(d.text, cases[i].text);
	}
	/* None of them ended anything, and none was left for the next one. */
	d = open_ok(&raw, "orders", MAKE, NULL);
	assert_true(d.created);
	raw_domain_drop(&d);
	raw_close(&raw);
}

static void the_largest_domain_can_be_had(void **state)
{
	const struct hak_wire_domain_attr attr = { .max_size = UINT64_C(2) << 40 };
	struct rig *rig = *state;
	struct raw raw = connect_to(rig);
	struct raw_domain d = open_ok(&raw, "large", MAKE, &attr);

	assert_int_equal(d.answer.superslabs, 1u << 20);
	raw_domain_drop(&d);
	raw_close(&raw);
}

static void domains_have_addresses_of_their_own(void **state)
{
	struct rig *rig = *state;
	struct raw raw = connect_to(rig);
	struct raw_domain d[65];
	char name[16];

	for (uint32_t i = 0; i < 65; i++) {
		const struct hak_wire_domain_attr attr = { .max_size = (1 + i % 3) << 30 };

		(void)snprintf(name, sizeof(name), "d%u", i);
		if (i == 64) {
			assert_int_equal(raw_domain_open(&raw, &d[i], name, MAKE, &attr), -EMFILE);
			break;
		}
		d[i] = open_ok(&raw, name, MAKE, &attr);
		for (uint32_t j = 0; j < i; j++)
			assert_true(d[i].base + attr.max_size <= d[j].base ||
				    d[j].base + ((UINT64_C(1) + j % 3) << 30) <= d[i].base);
	}
	assert_int_equal(rig_status(rig).sessions, 1);
	for (uint32_t i = 0; i < 64; i++) {
		(void)snprintf(name, sizeof(name), "d%u", i);
		assert_int_equal(raw_domain_close(&raw, &d[i]), 0);
		assert_int_equal(raw_domain_unlink(&raw, name), 0);
		wait_gone(rig, d[i].id);
	}
	raw_close(&raw);
}

static void an_unlinked_domain_stays_with_its_members(void **state)
{
	struct rig *rig = *state;
	uint64_t fds = rig_status(rig).open_fds;
	struct raw first = connect_to(rig), second = connect_to(rig);
	struct raw_domain a = open_ok(&first, "orders", MAKE, NULL), b, c;
	struct hak_cqe cqe;

	b = open_ok(&second, "orders", 0, NULL);
	assert_int_equal(raw_domain_unlink(&first, "orders"), 0);
	assert_int_equal(report_of(rig, a.id).unlinked, 1);
	assert_int_equal(raw_domain_open(&first, &c, "orders", 0, NULL), -ENOENT);
	assert_int_equal(raw_domain_grow(&first, a.id, 1, &cqe), 0);
	c = open_ok(&first, "orders", MAKE, NULL);
	assert_true(c.created);
	assert_int_not_equal(c.id, a.id);
	assert_int_equal(raw_domain_close(&first, &a), 0);
	assert_int_equal(report_of(rig, a.id).members, 1);
	assert_int_equal(raw_domain_close(&second, &b), 0);
	wait_gone(rig, a.id);
	assert_int_equal(report_of(rig, c.id).members, 1);
	assert_int_equal(raw_domain_unlink(&first, "orders"), 0);
	raw_domain_drop(&c);
	raw_close(&first);
	raw_close(&second);
	rig_wait_sessions(rig, 0);
	wait_gone(rig, c.id);
	rig_wait_leased(rig, 0);
	rig_wait_fds(rig, fds);
}

static void one_for_its_members_goes_with_them(void **state)
{
	const struct hak_wire_domain_attr attr = { .lifetime = HAK_WIRE_LIFETIME_MEMBERS };
	struct rig *rig = *state;
	struct raw raw = connect_to(rig);
	struct raw_domain d = open_ok(&raw, "orders", MAKE, &attr);
	struct hak_cqe cqe;

	assert_int_equal(raw_domain_grow(&raw, d.id, 2, &cqe), 0);
	raw_domain_drop(&d);
	raw_close(&raw);
	wait_gone(rig, d.id);
	rig_wait_leased(rig, 0);
}

/* Killed while it grows: everything that was taken comes back. */
static void grow_and_stall(struct rig *rig, void *arg)
{
	struct raw_domain d;
	struct hak_sqe sqe;
	struct raw raw;

	(void)arg;
	must(!raw_open(&raw, rig->socket));
	must(!raw_domain_open(&raw, &d, "orders", MAKE, NULL));
	sqe = raw_entry(&raw, HAK_OP_DOMAIN_GROW);
	sqe.count = 512;
	sqe.node = HAK_NODE_ANY;
	sqe.reserved[0] = d.id;
	must(!raw_push(&raw, &sqe));
	rig_tell();
	rig_stall();
}

static void who_dies_while_it_asks_leaves_nothing(void **state)
{
	struct rig *rig = *state;
	pid_t pid = rig_client(rig, grow_and_stall, NULL);
	struct hak_report_domain records[2];
	struct raw raw;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(rig_reap(pid), -SIGKILL);
	rig_wait_sessions(rig, 0);
	raw = connect_to(rig);
	assert_int_equal(raw_domains(rig->socket, records, 2), 1);
	assert_int_equal(raw_domain_unlink(&raw, "orders"), 0);
	wait_gone(rig, records[0].id);
	rig_wait_leased(rig, 0);
	raw_close(&raw);
}

static void grown_memory_is_free_and_zero(void **state)
{
	struct rig *rig = *state;
	struct raw raw = connect_to(rig);
	struct raw_domain d = open_ok(&raw, "orders", MAKE, NULL);
	struct hak_cqe cqe;

	assert_int_equal(raw_domain_map(&d), 0);
	assert_int_equal(raw_domain_grow(&raw, d.id, 3, &cqe), 0);
	assert_int_equal(cqe.first, 0);
	assert_int_equal(cqe.count, 3);
	assert_int_equal(d.state->granted, 3);
	assert_int_equal(d.state->high, 3);
	for (uint32_t slab = 0; slab < 4 * HAK_SLABS_PER_SUPERSLAB; slab++)
		assert_int_equal(hak_lease_kind(d.view.lease[slab]),
				 slab < 3 * HAK_SLABS_PER_SUPERSLAB ? HAK_LEASE_FREE
								    : HAK_LEASE_ABSENT);
	for (uint64_t i = 0; i < 3 * HAK_SUPERSLAB_SIZE; i += 4096)
		assert_int_equal(d.view.data[i], 0);
	assert_int_equal(raw_domain_grow(&raw, d.id + 1, 1, &cqe), -ENOENT);
	assert_int_equal(raw_domain_grow(&raw, d.id, 0, &cqe), 0);
	raw_domain_drop(&d);
	raw_close(&raw);
}

static void a_quota_is_exact(void **state)
{
	const struct hak_wire_domain_attr attr = { .max_size = 100 * HAK_SUPERSLAB_SIZE,
						   .quota = 10 * HAK_SUPERSLAB_SIZE };
	struct rig *rig = *state;
	struct raw raw = connect_to(rig);
	struct raw_domain d = open_ok(&raw, "orders", MAKE, &attr);
	struct hak_report_limit limit;
	struct hak_cqe cqe;

	assert_int_equal(raw_domain_grow(&raw, d.id, 11, &cqe), -EDQUOT);
	assert_int_equal(cqe.refusal, HAK_REFUSAL_DOMAIN_BYTES);
	assert_int_equal(cqe.limit, 10 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(cqe.used, 0);
	assert_int_equal(d.state->needs, 1);
	assert_int_equal(raw_domain_grow(&raw, d.id, 9, &cqe), 0);
	assert_int_equal(raw_domain_grow(&raw, d.id, 2, &cqe), -EDQUOT);
	assert_int_equal(cqe.used, 9 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(raw_domain_grow(&raw, d.id, 1, &cqe), 0);
	assert_int_equal(report_of(rig, d.id).bytes, 10 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(report_of(rig, d.id).refused, 2);
	assert_int_equal(rig_status(rig).leased_bytes, 10 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(rig_status(rig).refusal, HAK_REFUSAL_DOMAIN_BYTES);
	assert_true(raw_limit(rig->socket, "domain-bytes", d.id, &limit));
	assert_int_equal(limit.limit, 10 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(limit.used, limit.limit);
	assert_int_equal(limit.hits, 2);
	rig_wait_log(rig, "domain=orders superslabs=2 limit=domain-bytes max=10 used=9");
	raw_domain_drop(&d);
	raw_close(&raw);
}

/* In the account of who made it, also when he has gone. */
static void limits_bind_domains_too(void **state)
{
	struct rig *rig = rig_start("[limits]\nuid-bytes = 16 MiB\ndomain-bytes = 12 MiB\n"
				    "domains = 2\nuid-domains = 1\n[stock]\nsessions = 0\n");
	struct raw raw, other;
	struct raw_domain d, e;
	struct hak_cqe cqe;
	uint32_t first;

	*state = rig;
	raw = connect_to(rig);
	d = open_ok(&raw, "orders", MAKE, NULL);
	assert_int_equal(raw_domain_open(&raw, &e, "more", MAKE, NULL), -EDQUOT);
	assert_string_equal(e.text, "limit reached: uid-domains");
	assert_int_equal(raw_domain_grow(&raw, d.id, 7, &cqe), -EDQUOT);
	assert_int_equal(cqe.refusal, HAK_REFUSAL_DOMAIN_BYTES);
	assert_int_equal(cqe.limit, 6 * HAK_SUPERSLAB_SIZE);
	assert_int_equal(raw_domain_grow(&raw, d.id, 5, &cqe), 0);
	raw_domain_drop(&d);
	raw_close(&raw);
	rig_wait_sessions(rig, 0);
	other = connect_to(rig);
	assert_int_equal(raw_lease(&other, 4, &first), -EDQUOT);
	assert_int_equal(raw_lease(&other, 3, &first), 0);
	d = open_ok(&other, "orders", 0, NULL);
	assert_int_equal(raw_domain_grow(&other, d.id, 1, &cqe), -EDQUOT);
	assert_int_equal(cqe.refusal, HAK_REFUSAL_UID_BYTES);
	raw_domain_drop(&d);
	raw_close(&other);
}

static void an_older_client_knows_no_domains(void **state)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_DOMAIN_OPEN);
	struct rig *rig = *state;
	char text[HAK_WIRE_TEXT];
	struct raw raw;
	int code, sock;

	(void)snprintf(frame.domain_open.name, sizeof(frame.domain_open.name), "orders");
	frame.domain_open.flags = MAKE;
	assert_int_equal(raw_open_version(&raw, rig->socket, 2), 0);
	assert_int_equal(raw_send(raw.sock, &frame, sizeof(frame), NULL, 0), 0);
	assert_int_equal(raw_wait_refused(raw.sock, &code, text), 0);
	assert_string_equal(text, "a frame of a later protocol version");
	raw_close(&raw);
	sock = raw_connect(rig->socket);
	assert_true(sock >= 0);
	assert_int_equal(raw_send(sock, &frame, sizeof(frame), NULL, 0), 0);
	assert_int_equal(raw_wait_refused(sock, &code, text), 0);
	assert_string_equal(text, "a domain without a session");
	close(sock);
	assert_int_equal(raw_open_version(&raw, rig->socket, 2), 0);
	{
		struct hak_sqe sqe = raw_entry(&raw, HAK_OP_DOMAIN_GROW);

		sqe.count = 1;
		sqe.reserved[0] = 1;
		assert_int_equal(raw_push(&raw, &sqe), 0);
		assert_int_equal(raw_wait_refused(raw.sock, &code, text), 0);
		assert_string_equal(text, "unknown operation");
	}
	raw_close(&raw);
	assert_int_equal(rig_status(rig).evicted_total, 2);
}

#define WITH(setup, name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(rig_setup, a_domain_is_made_once_and_joined),
		WITH(rig_setup, a_session_is_a_member_once),
		WITH(rig_setup, what_a_reader_has_can_not_be_written),
		WITH(rig_setup, the_mode_says_who_may),
		WITH(rig_setup, what_is_wrong_is_said),
		WITH(rig_setup, the_largest_domain_can_be_had),
		WITH(rig_setup, domains_have_addresses_of_their_own),
		WITH(rig_setup, an_unlinked_domain_stays_with_its_members),
		WITH(rig_setup, one_for_its_members_goes_with_them),
		WITH(rig_setup, who_dies_while_it_asks_leaves_nothing),
		WITH(rig_setup, grown_memory_is_free_and_zero),
		WITH(rig_setup, a_quota_is_exact),
		WITH(NULL, limits_bind_domains_too),
		WITH(rig_setup, an_older_client_knows_no_domains),
	};

	return cmocka_run_group_tests_name("domain", tests, NULL, NULL);
}
