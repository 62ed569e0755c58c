/* SPDX-License-Identifier: Apache-2.0 */
/* How processes open and leave domains, and what bounds them. */
#include "tests/proc/peer.h"

#include <errno.h>
#include <string.h>

#define MIB ((size_t)1 << 20)

static int64_t opens_in_all_ways(uint64_t unused)
{
	struct hak_domain_attr attr = { .size = sizeof(attr) };
	hak_domain *d = NULL, *again = NULL;

	must(hak_domain_open(&d, "none", 0, NULL) == -ENOENT && *hak_detail());
	must(hak_domain_open(&d, ".dot", HAK_CREATE, NULL) == -EINVAL);
	must(hak_domain_open(&d, "", HAK_CREATE, NULL) == -EINVAL);
	must(hak_domain_open(&d, "x", HAK_EXCL, NULL) == -EINVAL);
	must(hak_domain_open(&d, "x", 64, NULL) == -EINVAL);
	attr.size = 3;
	must(hak_domain_open(&d, "x", HAK_CREATE, &attr) == -EINVAL);
	must(!d);
	must(hak_domain_open(&d, "x", HAK_CREATE | HAK_EXCL, NULL) == 0);
	must(hak_domain_open(&again, "x", HAK_CREATE | HAK_EXCL, NULL) == -EEXIST);
	must(hak_domain_open(&again, "x", 0, NULL) == 0 && again == d);
	must(hak_domain_alloc(d, 10));
	must(!hak_domain_close(again));
	must(hak_domain_alloc(d, 10));
	must(hak_domain_unlink("x") == 0);
	must(hak_domain_unlink("x") == -ENOENT);
	must(hak_domain_alloc(d, 10)); /* it lives as long as its members */
	must(hak_domain_open(&again, "x", HAK_CREATE, NULL) == 0 && again != d);
	must(hak_domain_alloc(again, 10));
	must(!hak_domain_close(d) && !hak_domain_close(again) && !hak_domain_close(NULL));
	must(hak_domain_unlink("x") == 0);
	return 0;
}

static void opening_says_what_is_wrong(void **state)
{
	struct peer a = peer_new(*state, HAK_INFO_EMBEDDED);

	for (int i = 0; i < 3; i++)
		assert_int_equal(peer_do(&a, opens_in_all_ways, 0), 0);
	peer_end(&a);
}

static int64_t opens_many(uint64_t unused)
{
	struct hak_domain_attr attr = { .size = sizeof(attr), .lifetime = HAK_LIFETIME_MEMBERS };
	hak_domain *d[65];
	char name[16];
	void *p[64];

	for (int i = 0; i < 65; i++) {
		(void)snprintf(name, sizeof(name), "d%d", i);
		must(hak_domain_open(&d[i], name, HAK_CREATE, &attr) == (i < 64 ? 0 : -EMFILE));
	}
	for (int round = 0; round < 300; round++) {
		for (int i = 0; i < 64; i++) {
			p[i] = hak_domain_alloc(d[i], 50);
			must(p[i] && hak_domain_has(d[i], p[i]));
			peer_fill(p[i], 50, (unsigned)i);
		}
		for (int i = 0; i < 64; i++) {
			must(peer_is_filled(p[i], 50, (unsigned)i));
			hak_domain_free(d[i], p[i]);
		}
	}
	/* A place that was left is another's: this thread's magazines are not mixed up. */
	for (int i = 0; i < 64; i++) {
		d[i] = hak_domain_close(d[i]);
		(void)snprintf(name, sizeof(name), "e%d", i);
		must(hak_domain_open(&d[i], name, HAK_CREATE, &attr) == 0);
		p[i] = hak_domain_alloc(d[i], 50);
		must(p[i] && hak_domain_has(d[i], p[i]));
	}
	for (int i = 0; i < 64; i++)
		(void)hak_domain_close(d[i]);
	return 0;
}

static void a_process_has_64_domains_open(void **state)
{
	struct peer a = peer_new(*state, HAK_INFO_EMBEDDED);

	assert_int_equal(peer_do(&a, opens_many, 0), 0);
	peer_end(&a);
}

/* A heap that is embedded stays so, whatever domains need. */
static int64_t heap_is(uint64_t mode)
{
	struct hak_info info = { .size = sizeof(info) };
	void *p = hak_malloc(20 * MIB);

	must(p);
	memset(p, 1, 20 * MIB);
	must(!hak_info_get(&info));
	hak_free(p);
	must(info.mode == mode && (mode == HAK_INFO_DAEMON || !info.shared_bytes));
	return info.session != 0;
}

static void a_domain_does_not_change_the_heap(void **state)
{
	struct peer a = peer_member(*state, HAK_INFO_EMBEDDED);
	struct peer b = peer_member(*state, HAK_INFO_DAEMON);

	assert_int_equal(peer_do(&a, heap_is, HAK_INFO_EMBEDDED), 1);
	assert_int_equal(peer_do(&b, heap_is, HAK_INFO_DAEMON), 1);
	peer_end(&a);
	peer_end(&b);
}

/* ---- limits ---- */

static int64_t fills_it(uint64_t quota)
{
	void **list = NULL, *p;
	uint64_t bytes = 0;

	while ((p = hak_domain_alloc(peer_domain, 40000))) {
		*(void **)p = (void *)list;
		list = p;
		bytes += 65536;
	}
	must(errno == ENOMEM);
	must(bytes > quota - quota / 8 && bytes <= quota);
	must(strstr(hak_detail(), "quota") || strstr(hak_detail(), "domain"));
	must(!hak_domain_alloc(peer_domain, quota) && errno == ENOMEM);
	while ((p = list)) {
		list = *(void **)p;
		hak_domain_free(peer_domain, p);
	}
	p = hak_domain_alloc(peer_domain, quota / 2);
	must(p);
	hak_domain_free(peer_domain, p);
	return 0;
}

static void a_quota_is_kept_and_named(void **state)
{
	struct peer a, b;

	peer_board->word[PEER_WORDS - 1] = 32 * MIB;
	a = peer_member(*state, 0);
	b = peer_member(*state, HAK_INFO_EMBEDDED);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(peer_do(&a, fills_it, 32 * MIB), 0);
		assert_int_equal(peer_do(&b, fills_it, 32 * MIB), 0);
	}
	peer_end(&a);
	peer_end(&b);
}

/* More than the daemon takes a request for: it must not be asked. */
static int64_t asks_for_too_much(uint64_t unused)
{
	struct hak_domain_attr attr = { .size = sizeof(attr), .max_size = (size_t)1 << 39 };
	hak_domain *d = NULL;
	void *p;

	(void)unused;
	must(hak_domain_open(&d, "large", HAK_CREATE, &attr) == 0);
	errno = 0;
	must(!hak_domain_alloc(d, (size_t)257 << 30) && errno == ENOMEM);
	p = hak_domain_alloc(d, 100000); /* the session is as it was */
	must(p);
	hak_domain_free(d, p);
	must(!hak_domain_close(d));
	must(hak_domain_unlink("large") == 0);
	return 0;
}

static void a_block_too_large_is_no_offence(void **state)
{
	struct peer a = peer_member(*state, 0);

	assert_int_equal(peer_do(&a, asks_for_too_much, 0), 0);
	peer_end(&a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, peer_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(opening_says_what_is_wrong),        TEST(a_process_has_64_domains_open),
		TEST(a_domain_does_not_change_the_heap), TEST(a_quota_is_kept_and_named),
		TEST(a_block_too_large_is_no_offence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
