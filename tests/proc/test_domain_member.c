/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that share a domain: what they allocate, pass on, name and free; how they open and
 * leave it.
 */
#include "tests/proc/peer.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

/* ---- blocks ---- */

static int64_t self(uint64_t unused)
{
	return (int64_t)hak_self(peer_domain);
}

/* Allocates blocks of 1 byte to 64 MiB and gives them to a member; how many. */
static int64_t gives_all_sizes(uint64_t to)
{
	int64_t n = 0;

	for (size_t size = 1; size <= 64 * MIB; size += 1 + size / 3) {
		void *p = hak_domain_alloc(peer_domain, size);

		must(p && hak_domain_usable_size(peer_domain, p) >= size);
		peer_fill(p, size, 1);
		must(hak_give(peer_domain, p, to) == 0);
		peer_board->word[n++] = (uintptr_t)p;
		peer_board->word[n++] = size;
	}
	return n;
}

static int64_t frees_what_it_got(uint64_t n)
{
	for (uint64_t i = 0; i < n; i += 2) {
		void *p = (void *)(uintptr_t)peer_board->word[i];

		must(hak_owner(peer_domain, p) == hak_self(peer_domain));
		must(peer_is_filled(p, peer_board->word[i + 1], 1));
		if (i % 4)
			hak_free(p);
		else
			hak_domain_free(peer_domain, p);
	}
	return 0;
}

static int64_t granted(uint64_t unused)
{
	return (int64_t)peer_stat().granted_bytes;
}

static void blocks_of_all_sizes_pass_between_processes(void **state)
{
	struct peer a = peer_member(*state, HAK_INFO_EMBEDDED);
	struct peer b = peer_member(*state, HAK_INFO_DAEMON);
	uint64_t to = (uint64_t)peer_do(&b, self, 0);
	int64_t first = 0;

	for (int round = 0; round < 3; round++) {
		int64_t n = peer_do(&a, gives_all_sizes, to);

		assert_int_equal(peer_do(&b, frees_what_it_got, (uint64_t)n), 0);
		if (!round)
			first = peer_do(&a, granted, 0);
	}
	/* What was freed abroad is used again: there is no need for twice as much. */
	assert_true(peer_do(&a, granted, 0) < first + first / 2);
	peer_end(&a);
	peer_end(&b);
}

/* Blocks of one size go round: allocated here, freed there, a thousand times what there is room
 * for. */
static int64_t gives_many(uint64_t to)
{
	for (uint64_t i = 0; i < 4000; i++) {
		void *p = hak_domain_alloc(peer_domain, 200);

		must(p);
		must(hak_give(peer_domain, p, to) == 0);
		peer_board->word[2 * i] = (uintptr_t)p;
	}
	return 4000;
}

static int64_t frees_many(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		hak_domain_free(peer_domain, (void *)(uintptr_t)peer_board->word[2 * i]);
	return 0;
}

static void a_producers_memory_comes_back(void **state)
{
	struct peer a = peer_member(*state, 0), b = peer_member(*state, 0);
	uint64_t to = (uint64_t)peer_do(&b, self, 0);
	int64_t enough = 0;

	for (int round = 0; round < 50; round++) {
		assert_int_equal(peer_do(&a, gives_many, to), 4000);
		assert_int_equal(peer_do(&b, frees_many, 4000), 0);
		if (round == 3)
			enough = peer_do(&a, granted, 0);
	}
	assert_int_equal(peer_do(&a, granted, 0), enough);
	peer_end(&a);
	peer_end(&b);
}

/* ---- published ---- */

static int64_t publishes(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		void *p = hak_domain_alloc(peer_domain, 1 + i * 37 % 50000);

		must(p && hak_publish(peer_domain, p) == 0);
		peer_board->word[i] = (uintptr_t)p;
	}
	return 0;
}

/* Waits for the others, then takes what it can get; how much. */
static int64_t claims(uint64_t n)
{
	_Atomic uint64_t *ready = &peer_board->word[PEER_WORDS - 3];
	int64_t got = 0;

	(*ready)++;
	while (*ready < 3)
		;
	for (uint64_t i = 0; i < n; i++) {
		void *p = (void *)(uintptr_t)peer_board->word[i];
		int r = hak_claim(peer_domain, p);

		must(r == 0 || r == -EALREADY || r == -EINVAL);
		got += !r;
		if (!r && i % 2)
			hak_domain_free(peer_domain, p);
	}
	return got;
}

static void a_published_block_is_claimed_once(void **state)
{
	struct peer peers[3];
	int64_t got = 0;

	for (int i = 0; i < 3; i++)
		peers[i] = peer_member(*state, 0);
	assert_int_equal(peer_do(&peers[0], publishes, 2000), 0);
	for (int i = 0; i < 3; i++)
		peer_begin(&peers[i], claims, 2000);
	for (int i = 0; i < 3; i++)
		got += peer_result(&peers[i]);
	assert_int_equal(got, 2000);
	for (int i = 0; i < 3; i++)
		peer_end(&peers[i]);
}

/* ---- names ---- */

static int64_t names_it(uint64_t unused)
{
	char *p = hak_domain_alloc(peer_domain, 100);

	strcpy(p, "what is new");
	return hak_root_set(peer_domain, "news", hak_ref_of(peer_domain, p), 0);
}

static int64_t reads_it(uint64_t unused)
{
	const char *p = hak_ref_get(peer_domain, hak_root_get(peer_domain, "news"));

	return p && !strcmp(p, "what is new");
}

static int64_t may_only_read(uint64_t unused)
{
	char *p = hak_ref_get(peer_domain, hak_root_get(peer_domain, "news"));

	errno = 0;
	must(!hak_domain_alloc(peer_domain, 100) && errno == EROFS);
	must(hak_claim(peer_domain, p) == -EROFS);
	must(hak_root_set(peer_domain, "news", 0, 0) == -EROFS);
	must(hak_domain_usable_size(peer_domain, p) >= 100);
	must(hak_member_alive(peer_domain, hak_self(peer_domain)));
	return 0;
}

static int64_t withdraws_it(uint64_t unused)
{
	hak_ref ref = hak_root_get(peer_domain, "news");
	void *p = hak_ref_get(peer_domain, ref);

	must(hak_root_set(peer_domain, "news", 0, ref) == 0);
	must(hak_claim(peer_domain, p) == 0);
	hak_domain_free(peer_domain, p);
	errno = 0;
	must(!hak_ref_get(peer_domain, ref) && errno == ESTALE);
	return 0;
}

static void a_name_outlives_who_gave_it(void **state)
{
	struct peer a = peer_member(*state, 0), b = peer_member(*state, 0);
	struct peer reader = peer_new(*state, 0);

	assert_int_equal(peer_do(&a, names_it, 0), 0);
	peer_end(&a);
	assert_int_equal(peer_do(&b, peer_await_swept, 0) > 0, 1);
	assert_int_equal(peer_do(&reader, peer_join, HAK_RDONLY), 0);
	assert_int_equal(peer_do(&reader, reads_it, 0), 1);
	assert_int_equal(peer_do(&reader, may_only_read, 0), 0);
	assert_int_equal(peer_do(&b, withdraws_it, 0), 0);
	assert_int_equal(peer_do(&reader, reads_it, 0), 0);
	peer_end(&reader);
	peer_end(&b);
}

/* ---- threads, fork ---- */

/* Blocks that drift through a table shared by the threads; contents are looked at. */
static void *churn(void *arg)
{
	static void *_Atomic table[256];
	uint64_t x = (uintptr_t)arg;

	for (int i = 0; i < 60000; i++) {
		size_t size;
		size_t *p;

		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		size = 16 + ((x >> 33) & ((1u << (4 + (x >> 61) * 2)) - 1));
		p = hak_domain_alloc(peer_domain, size);
		must(p);
		peer_fill(p + 1, size - sizeof(*p), 7);
		*p = size;
		p = atomic_exchange(&table[(x >> 20) % 256], p);
		if (!p)
			continue;
		must(peer_is_filled(p + 1, *p - sizeof(*p), 7));
		if (x >> 63)
			must(hak_publish(peer_domain, p) == 0);
		hak_free(p);
	}
	return NULL;
}

static int64_t threads_churn(uint64_t n)
{
	pthread_t thread[8];

	for (uint64_t i = 0; i < n; i++)
		must(!pthread_create(&thread[i], NULL, churn, (void *)(uintptr_t)(i + 1)));
	for (uint64_t i = 0; i < n; i++)
		must(!pthread_join(thread[i], NULL));
	return 0;
}

static void threads_of_several_processes_do_as_they_like(void **state)
{
	struct peer peers[3];

	for (unsigned i = 0; i < 3; i++)
		peers[i] = peer_member(*state, i + 1); /* libc, embedded, daemon */
	for (int i = 0; i < 3; i++)
		peer_begin(&peers[i], threads_churn, 4);
	for (int i = 0; i < 3; i++)
		assert_int_equal(peer_result(&peers[i]), 0);
	for (int i = 0; i < 3; i++)
		peer_end(&peers[i]);
}

/* The child's handle is dead; it becomes a member of its own. */
static int64_t forks(uint64_t unused)
{
	char *p = hak_domain_alloc(peer_domain, 100), *q;
	hak_domain *inherited = peer_domain;
	int status;
	pid_t pid;

	strcpy(p, "the parent's");
	pid = fork();
	if (!pid) {
		(void)alarm(60);
		errno = 0;
		must(!hak_domain_alloc(inherited, 10) && errno == EOWNERDEAD);
		hak_domain_free(inherited, p);
		must(peer_join(0) == 0);
		must(peer_domain != inherited);
		must(hak_owner(peer_domain, p) &&
		     hak_owner(peer_domain, p) != hak_self(peer_domain));
		must(!strcmp(p, "the parent's")); /* the same place, once it is mapped */
		q = hak_domain_alloc(peer_domain, 100);
		must(q && q != p);
		strcpy(q, "the child's");
		hak_domain_free(peer_domain, q);
		must(!hak_domain_close(inherited) && !hak_domain_close(peer_domain));
		_exit(0);
	}
	must(waitpid(pid, &status, 0) == pid && !status);
	must(!strcmp(p, "the parent's"));
	hak_domain_free(peer_domain, p);
	return 0;
}

static void a_forked_child_is_a_member_once_it_opens_it(void **state)
{
	for (unsigned mode = HAK_INFO_LIBC; mode <= HAK_INFO_DAEMON; mode++) {
		struct peer a = peer_member(*state, mode);

		for (int i = 0; i < 3; i++)
			assert_int_equal(peer_do(&a, forks, 0), 0);
		peer_end(&a);
	}
}

/* ---- to open and to leave ---- */

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
	must(peer_board->word[0] = (uintptr_t)hak_domain_alloc(d, 10));
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, peer_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(blocks_of_all_sizes_pass_between_processes),
		TEST(a_producers_memory_comes_back),
		TEST(a_published_block_is_claimed_once),
		TEST(a_name_outlives_who_gave_it),
		TEST(threads_of_several_processes_do_as_they_like),
		TEST(a_forked_child_is_a_member_once_it_opens_it),
		TEST(opening_says_what_is_wrong),
		TEST(a_process_has_64_domains_open),
		TEST(a_domain_does_not_change_the_heap),
		TEST(a_quota_is_kept_and_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
