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

#include "tests/must.h"
#include "tests/proc/domains.h"

#define MAKE HAK_WIRE_CREATE

static void a_domain_is_made_once_and_joined(void **state)
{
	struct rig *rig = *state;
	struct raw first = domains_connect(rig), second = domains_connect(rig);
	struct raw_domain a, b;
	struct hak_report_domain report;

	assert_int_equal(raw_domain_open(&first, &a, "orders", 0, NULL), -ENOENT);
	assert_string_equal(a.text, "there is no such domain");
	assert_int_equal(raw_domain_open(&first, &a, "orders", MAKE, NULL), 0);
	assert_true(a.created);
	b = domains_open(&second, "orders", NULL);
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
	report = domains_report(rig, a.id);
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
	struct raw raw = domains_connect(rig);
	struct raw_domain a = domains_open(&raw, "orders", NULL), b, reader;

	b = domains_open(&raw, "orders", NULL);
	assert_int_equal(a.member, b.member);
	assert_int_equal(raw_domain_open(&raw, &reader, "orders", HAK_WIRE_RDONLY, NULL), 0);
	assert_int_equal(a.member, reader.member);
	assert_int_equal(domains_report(rig, a.id).members, 1);
	raw_domain_drop(&b);
	raw_domain_drop(&reader);
	assert_int_equal(raw_domain_close(&raw, &a), 0);
	assert_int_equal(domains_report(rig, a.id).members, 0);
	assert_int_equal(raw_domain_close(&raw, &a), -ENOENT);
	assert_string_equal(a.text, "not a member of such a domain");
	raw_close(&raw);
}

static void what_a_reader_has_can_not_be_written(void **state)
{
	struct rig *rig = *state;
	struct raw writer = domains_connect(rig), raw = domains_connect(rig);
	struct raw_domain a = domains_open(&writer, "orders", NULL);
	struct raw_domain b, c;
	struct hak_cqe cqe;
	int fds[4];

	assert_int_equal(raw_domain_open(&raw, &b, "orders", HAK_WIRE_RDONLY, NULL), 0);
	fds[0] = b.data_fd;
	fds[1] = b.meta_fd;
	fds[2] = b.state_fd;
	fds[3] = a.state_fd;
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

/* It owns nothing: there is no sweep to wait for. */
static void a_reader_that_leaves_is_through_at_once(void **state)
{
	struct rig *rig = *state;
	struct raw writer = domains_connect(rig), raw = domains_connect(rig);
	struct raw_domain a = domains_open(&writer, "orders", NULL);
	struct raw_domain b;
	uint64_t n;

	assert_int_equal(raw_domain_open(&raw, &b, "orders", HAK_WIRE_RDONLY, NULL), 0);
	n = a.state->last_event;
	assert_int_equal(raw_domain_close(&raw, &b), 0);
	assert_int_equal(a.state->last_event, n + 2);
	assert_int_equal(domains_await(&a, n + 1).kind, HAK_EVENT_KIND_LEFT);
	assert_int_equal(domains_await(&a, n + 2).kind, HAK_EVENT_KIND_SWEPT);
	assert_int_equal(a.state->member[hak_member_number(b.member)].state, HAK_MEMBER_NONE);
	assert_int_equal(domains_report(rig, a.id).dying, 0);
	raw_domain_drop(&a);
	raw_close(&writer);
	raw_close(&raw);
}

static void a_user_has_half_of_the_addresses(void **state)
{
	const struct hak_wire_domain_attr large = { .max_size = UINT64_C(2) << 40 };
	const struct hak_wire_domain_attr half = { .max_size = UINT64_C(1) << 40 };
	struct rig *rig = *state;
	struct raw raw = domains_connect(rig);
	struct raw_domain a = domains_open(&raw, "a", &large), b, c;

	assert_int_equal(raw_domain_open(&raw, &c, "c", MAKE, &large), -EDQUOT);
	assert_string_equal(c.text, "your domains: half of all addresses");
	b = domains_open(&raw, "b", &half);
	assert_int_equal(raw_domain_open(&raw, &c, "c", MAKE, NULL), -EDQUOT);
	assert_int_equal(raw_domain_unlink(&raw, "b"), 0);
	assert_int_equal(raw_domain_close(&raw, &b), 0);
	domains_wait_gone(rig, b.id);
	raw_domain_drop(&a);
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
		{ "orders", 16 | MAKE, { 0 }, "flags: unknown ones" },
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
	struct raw raw = domains_connect(rig);
	struct raw_domain d;

	for (size_t i = 0; i < hak_array_size(cases); i++) {
		assert_int_equal(raw_domain_open(&raw, &d, cases[i].name, cases[i].flags,
						 &cases[i].attr),
				 -EINVAL);
		assert_string_equal(d.text, cases[i].text);
	}
	/* None of them ended anything, and none was left for the next one. */
	d = domains_open(&raw, "orders", NULL);
	assert_true(d.created);
	raw_domain_drop(&d);
	raw_close(&raw);
}

static void the_largest_domain_can_be_had(void **state)
{
	const struct hak_wire_domain_attr attr = { .max_size = UINT64_C(2) << 40 };
	struct rig *rig = *state;
	struct raw raw = domains_connect(rig);
	struct raw_domain d = domains_open(&raw, "large", &attr);

	assert_int_equal(d.answer.superslabs, 1u << 20);
	raw_domain_drop(&d);
	raw_close(&raw);
}

static void domains_have_addresses_of_their_own(void **state)
{
	struct rig *rig = *state;
	struct raw raw = domains_connect(rig);
	struct raw_domain d[65];
	char name[16];

	for (uint32_t i = 0; i < 65; i++) {
		const struct hak_wire_domain_attr attr = { .max_size = (1 + i % 3) << 30 };

		(void)snprintf(name, sizeof(name), "d%u", i);
		if (i == 64) {
			assert_int_equal(raw_domain_open(&raw, &d[i], name, MAKE, &attr), -EMFILE);
			break;
		}
		d[i] = domains_open(&raw, name, &attr);
		for (uint32_t j = 0; j < i; j++)
			assert_true(d[i].base + attr.max_size <= d[j].base ||
				    d[j].base + ((UINT64_C(1) + j % 3) << 30) <= d[i].base);
	}
	assert_int_equal(rig_status(rig).sessions, 1);
	for (uint32_t i = 0; i < 64; i++) {
		(void)snprintf(name, sizeof(name), "d%u", i);
		assert_int_equal(raw_domain_close(&raw, &d[i]), 0);
		assert_int_equal(raw_domain_unlink(&raw, name), 0);
		domains_wait_gone(rig, d[i].id);
	}
	raw_close(&raw);
}

static void an_unlinked_domain_stays_with_its_members(void **state)
{
	struct rig *rig = *state;
	uint64_t fds = rig_status(rig).open_fds;
	struct raw first = domains_connect(rig), second = domains_connect(rig);
	struct raw_domain a = domains_open(&first, "orders", NULL), b, c;
	struct hak_cqe cqe;

	b = domains_open(&second, "orders", NULL);
	assert_int_equal(raw_domain_unlink(&first, "orders"), 0);
	assert_int_equal(domains_report(rig, a.id).unlinked, 1);
	assert_int_equal(raw_domain_open(&first, &c, "orders", 0, NULL), -ENOENT);
	assert_int_equal(raw_domain_grow(&first, a.id, 1, &cqe), 0);
	c = domains_open(&first, "orders", NULL);
	assert_true(c.created);
	assert_int_not_equal(c.id, a.id);
	assert_int_equal(raw_domain_close(&first, &a), 0);
	assert_int_equal(domains_report(rig, a.id).members, 1);
	assert_int_equal(raw_domain_close(&second, &b), 0);
	domains_wait_gone(rig, a.id);
	assert_int_equal(domains_report(rig, c.id).members, 1);
	assert_int_equal(raw_domain_unlink(&first, "orders"), 0);
	raw_domain_drop(&c);
	raw_close(&first);
	raw_close(&second);
	rig_wait_sessions(rig, 0);
	domains_wait_gone(rig, c.id);
	rig_wait_leased(rig, 0);
	rig_wait_fds(rig, fds);
}

static void one_for_its_members_goes_with_them(void **state)
{
	const struct hak_wire_domain_attr attr = { .lifetime = HAK_WIRE_LIFETIME_MEMBERS };
	struct rig *rig = *state;
	struct raw raw = domains_connect(rig);
	struct raw_domain d = domains_open(&raw, "orders", &attr);
	struct hak_cqe cqe;

	assert_int_equal(raw_domain_grow(&raw, d.id, 2, &cqe), 0);
	raw_domain_drop(&d);
	raw_close(&raw);
	domains_wait_gone(rig, d.id);
	rig_wait_leased(rig, 0);
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
		WITH(rig_setup, a_reader_that_leaves_is_through_at_once),
		WITH(rig_setup, a_user_has_half_of_the_addresses),
		WITH(rig_setup, the_mode_says_who_may),
		WITH(rig_setup, what_is_wrong_is_said),
		WITH(rig_setup, the_largest_domain_can_be_had),
		WITH(rig_setup, domains_have_addresses_of_their_own),
		WITH(rig_setup, an_unlinked_domain_stays_with_its_members),
		WITH(rig_setup, one_for_its_members_goes_with_them),
		WITH(rig_setup, an_older_client_knows_no_domains),
	};

	return cmocka_run_group_tests_name("domain", tests, NULL, NULL);
}
