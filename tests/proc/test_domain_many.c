/* SPDX-License-Identifier: Apache-2.0 */
/* As many members of one domain as there can be, all at once. */
#include "tests/proc/domains.h"

#include <errno.h>
#include <sys/resource.h>

#include "shared/sys.h"

#define MEMBERS HAK_MEMBER_MAX

static struct raw raw[MEMBERS + 1];

/* Files of a session that a test must not run out of. */
static int setup(void **state)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -1;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) ? -1 : rig_setup(state);
}

static void a_thousand_members_and_no_more(void **state)
{
	struct rig *rig = *state;
	uint64_t until = hak_sys_now_ns() + RIG_DEADLINE_MS * UINT64_C(1000000);
	struct raw_domain d, e;
	int r;

	for (uint32_t i = 0; i < MEMBERS; i++) {
		raw[i] = domains_connect(rig);
		e = domains_open(&raw[i], "orders", NULL);
		assert_int_equal(hak_member_number(e.member), i + 1);
		if (i)
			raw_domain_drop(&e);
		else
			d = e;
	}
	for (uint32_t number = 1; number <= MEMBERS; number++)
		assert_int_equal(d.state->member[number].state, HAK_MEMBER_ALIVE);
	assert_int_equal(domains_report(rig, d.id).members, MEMBERS);
	raw[MEMBERS] = domains_connect(rig);
	assert_int_equal(raw_domain_open(&raw[MEMBERS], &e, "orders", 0, NULL), -EDQUOT);
	assert_string_equal(e.text, "the domain has 1000 members");
	/* The place of one that has gone, once it is swept. */
	raw_close(&raw[500]);
	while ((r = raw_domain_open(&raw[MEMBERS], &e, "orders", 0, NULL)) == -EDQUOT ||
	       r == -EAGAIN)
		assert_true(hak_sys_now_ns() < until);
	assert_int_equal(r, 0);
	raw_domain_drop(&e);
	raw_domain_drop(&d);
	for (uint32_t i = 0; i <= MEMBERS; i++) {
		if (i != 500)
			raw_close(&raw[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_thousand_members_and_no_more, setup,
						rig_teardown),
	};

	return cmocka_run_group_tests_name("domain_many", tests, NULL, NULL);
}
