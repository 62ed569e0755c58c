/* SPDX-License-Identifier: Apache-2.0 */
/* A domain's bytes are all in one state; books that do not add up are told. */
#include "tools/audit_books.h"

#include <errno.h>
#include <string.h>

#include "tests/domain_map.h"
#include "tests/unit/unit.h"

#define MIB    (UINT64_C(1) << 20)
#define HOLDER 9u
#define OTHER  64u

static struct hak_domain_view view;
static struct hak_domain_state head;

static void lease(uint32_t holder, uint32_t first, uint32_t class, uint32_t n)
{
	uint32_t at;

	must(hak_lease_claim(&view, holder, view.superslabs, first, n, &at) && at == first);
	hak_lease_commit(&view, holder, first, class ? HAK_LEASE_BLOCKS : HAK_LEASE_SPAN, class, n);
}

/* A run of blocks of 32 KiB with one of each state, a span of an orphan's, a claim. */
static int map(void **state)
{
	uint32_t first;

	domain_map(&view, 2, 1);
	memset(&head, 0, sizeof(head));
	head.granted = 1;
	head.superslabs = 2;
	head.high = 2;
	head.member[HOLDER].state = HAK_MEMBER_ALIVE;
	head.member[OTHER].state = HAK_MEMBER_ALIVE;
	lease(HOLDER, 0, hak_class_of(32768), 4);
	hak_lease_except(&view, 0);
	view.half[hak_domain_index(0, 0)] = HAK_HALF_PUBLISHED;
	view.half[hak_domain_index(0, 1)] = OTHER;
	view.half[hak_domain_index(0, 2)] = HAK_HALF_T | HOLDER;
	view.half[hak_domain_index(0, 3)] = HAK_HALF_CHANNEL | 200;
	view.half[hak_domain_index(0, 4)] = HAK_HALF_FREED;
	view.channels[200].ring = 1;
	lease(HAK_HOLDER_ORPHAN, 4, 0, 2);
	must(hak_lease_claim(&view, OTHER, 1, 6, 1, &first));
	return 0;
}

static int unmap(void **state)
{
	domain_unmap(&view);
	return 0;
}

static void every_byte_is_in_one_state(void **state)
{
	struct audit_bytes b;
	char fault[128] = "";

	assert_int_equal(audit_books_add(&b, &view, &head, fault, sizeof(fault)), 0);
	assert_int_equal(b.granted, 2 * MIB);
	assert_int_equal(b.published, 32768);
	assert_int_equal(b.owned, 32768);
	assert_int_equal(b.changing, 32768);
	assert_int_equal(b.moving, 32768);
	assert_int_equal(b.freed, 32768);
	assert_int_equal(b.holders, (hak_class[hak_class_of(32768)].blocks - 5u) * 32768);
	assert_int_equal(b.orphaned, 2 * HAK_SLAB_SIZE);
	assert_int_equal(b.claimed, HAK_SLAB_SIZE);
	assert_int_equal(b.free, 25 * HAK_SLAB_SIZE);
	assert_int_equal(b.waste, 0);
}

static void expect_fault(const char *text)
{
	struct audit_bytes b;
	char fault[128] = "";

	assert_int_equal(audit_books_add(&b, &view, &head, fault, sizeof(fault)), -EUCLEAN);
	if (!strstr(fault, text))
		fail_msg("\"%s\" is not in \"%s\"", text, fault);
}

static void books_that_do_not_add_up_are_told(void **state)
{
	head.granted = 2; /* more than its lease words say */
	expect_fault("granted 4194304 bytes != 2097152 in all states");
	head.granted = 1;
	view.lease[40] = hak_lease_make(HAK_HOLDER_NONE, HAK_LEASE_FREE, 0, 0, 0);
	expect_fault("granted 2097152 bytes != 2162688 in all states");
	view.lease[40] = 0;
	view.half[hak_domain_index(0, 1)] = 77; /* nobody */
	expect_fault("slab 0: half-word of no living member");
	view.half[hak_domain_index(0, 1)] = OTHER;
	head.member[OTHER].state = HAK_MEMBER_NONE;
	expect_fault("no living member");
}

static void what_the_daemon_takes_back_is_not_granted(void **state)
{
	struct audit_bytes b;
	char fault[128] = "";

	for (uint32_t slab = 32; slab < 64; slab++)
		view.lease[slab] = hak_lease_make(HAK_HOLDER_DAEMON, HAK_LEASE_CLAIM, 0, 0, 1);
	assert_int_equal(audit_books_add(&b, &view, &head, fault, sizeof(fault)), 0);
	assert_int_equal(b.waste, 2 * MIB);
	assert_int_equal(b.granted, 2 * MIB);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, map, unmap)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_byte_is_in_one_state),
		TEST(books_that_do_not_add_up_are_told),
		TEST(what_the_daemon_takes_back_is_not_granted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
