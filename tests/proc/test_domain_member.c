/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that share a domain: what they allocate, pass on, name and free.
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
	hak_domain *d = NULL;

	errno = 0;
	must(!hak_domain_alloc(peer_domain, 100) && errno == EROFS);
	must(hak_claim(peer_domain, p) == -EROFS);
	must(hak_root_set(peer_domain, "news", 0, 0) == -EROFS);
	must(hak_domain_usable_size(peer_domain, p) >= 100);
	must(hak_member_alive(peer_domain, hak_self(peer_domain)));
	must(hak_domain_open(&d, "test", 0, NULL) == -EBUSY && !d);
	must(hak_domain_open(&d, "test", HAK_RDONLY, NULL) == 0 && d == peer_domain);
	must(!hak_domain_close(d));
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

/* Whatever the threads held when it came to be, the child can become a member. */
static int64_t forks_while_threads_churn(uint64_t n)
{
	pthread_t thread[3];
	int status;

	for (uintptr_t i = 0; i < 3; i++)
		must(!pthread_create(&thread[i], NULL, churn, (void *)(i + 1)));
	for (uint64_t i = 0; i < n; i++) {
		pid_t pid = fork();

		if (!pid) {
			hak_domain *inherited = peer_domain;
			void *p;

			(void)alarm(60);
			must(peer_join(0) == 0 && peer_domain != inherited);
			p = hak_domain_alloc(peer_domain, 1000);
			must(p && hak_owner(peer_domain, p) == hak_self(peer_domain));
			if (i % 2)
				must(hak_publish(peer_domain, p) == 0);
			hak_free(p);
			must(!hak_domain_close(inherited));
			_exit(0);
		}
		must(waitpid(pid, &status, 0) == pid && !status);
	}
	for (int i = 0; i < 3; i++)
		must(!pthread_join(thread[i], NULL));
	return 0;
}

static void forks_beside_busy_threads(void **state)
{
	for (unsigned mode = HAK_INFO_LIBC; mode <= HAK_INFO_DAEMON; mode++) {
		struct peer a = peer_member(*state, mode);

		assert_int_equal(peer_do(&a, forks_while_threads_churn, 20), 0);
		peer_end(&a);
	}
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
		TEST(forks_beside_busy_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
