/* SPDX-License-Identifier: Apache-2.0 */
/* Whose a block is, between two members, by refs and roots, and after a death; no daemon. */
#include "tests/unit/domain_local.h"

#include "tests/death.h"

static void frees_the_word(hak_domain *d)
{
	char *p = (char *)*local.word;

	must(hak_owner(d, p) == MEMBER(2));
	must(strcmp(p, "for you") == 0);
	hak_domain_free(d, p);
}

static void what_was_given_comes_back(void **state)
{
	static const size_t sizes[] = { 16, 40, 100, 1000, 5000, 20000, 100000, 3000000 };
	hak_domain *d = local.d;

	(void)state;
	for (unsigned i = 0; i < hak_array_size(sizes); i++) {
		char *p = hak_domain_alloc(d, sizes[i]);

		assert_int_equal(hak_owner(d, p), hak_self(d));
		memcpy(p, "for you", 8);
		assert_int_equal(hak_give(d, p, MEMBER(2)), 0);
		assert_int_equal(hak_owner(d, p), MEMBER(2));
		assert_int_equal(hak_give(d, p, MEMBER(3)), -EPERM);
		assert_int_equal(hak_publish(d, p), -EPERM);
		assert_int_equal(stat_of(d).adopted, 1);
		*local.word = (uintptr_t)p;
		as_another(frees_the_word);
		assert_int_equal(stat_of(d).freed, 1);
		assert_is_sound(d);
		give_everything_back(d);
		assert_int_equal(stat_of(d).freed, 0);
	}
	assert_all_free(d);
}

static void what_is_given_to_nobody_stays(void **state)
{
	hak_domain *d = local.d;
	char *p = hak_domain_alloc(d, 100);

	(void)state;
	assert_int_equal(hak_give(d, p, MEMBER(9)), -ESRCH);
	assert_int_equal(hak_give(d, p, MEMBER(2) + (1 << 16)), -ESRCH);
	assert_int_equal(hak_give(d, p + 16, MEMBER(2)), -EINVAL);
	assert_int_equal(hak_give(d, &d, MEMBER(2)), -EINVAL);
	assert_int_equal(hak_owner(d, p), hak_self(d));
	hak_domain_free(d, p);
	assert_int_equal(hak_give(d, p, MEMBER(9)), -ESRCH); /* in a magazine: as good as in use */
	give_everything_back(d);
	assert_int_equal(hak_give(d, p, MEMBER(2)), -EINVAL);
	assert_all_free(d);
}

static void claims_the_word(hak_domain *d)
{
	char *p = (char *)*local.word;

	must(hak_owner(d, p) == 0);
	must(hak_claim(d, p) == 0);
	must(hak_claim(d, p) == -EALREADY);
	must(hak_owner(d, p) == MEMBER(2));
	must(hak_publish(d, p) == 0);
}

static void a_published_block_is_anybodys_once(void **state)
{
	hak_domain *d = local.d;
	char *p = hak_domain_alloc(d, 100);

	(void)state;
	assert_int_equal(hak_claim(d, p), -EALREADY);
	assert_int_equal(hak_publish(d, p), 0);
	assert_int_equal(hak_publish(d, p), -EPERM);
	assert_int_equal(stat_of(d).published, 1);
	*local.word = (uintptr_t)p;
	as_another(claims_the_word);
	assert_int_equal(hak_claim(d, p), 0);
	assert_int_equal(hak_owner(d, p), hak_self(d));
	assert_int_equal(hak_publish(d, p), 0);
	hak_domain_free(d, p); /* a published one is freed by anybody */
	assert_all_free(d);
}

static void a_ref_is_stale_once_its_block_is_freed(void **state)
{
	hak_domain *d = local.d;
	char *p = hak_domain_alloc(d, 100), *q;
	hak_ref ref = hak_ref_of(d, p), next;

	(void)state;
	assert_true(ref);
	assert_true(hak_ref_of(d, p) == ref);
	assert_ptr_equal(hak_ref_get(d, ref), p);
	assert_true(hak_ref_of(d, p + 16) == 0);
	hak_domain_free(d, p);
	errno = 0;
	assert_null(hak_ref_get(d, ref));
	assert_int_equal(errno, ESTALE);
	q = hak_domain_alloc(d, 100);
	assert_ptr_equal(q, p);
	next = hak_ref_of(d, q);
	assert_true(next && next != ref);
	assert_null(hak_ref_get(d, ref));
	assert_ptr_equal(hak_ref_get(d, next), q);
	errno = 0;
	assert_null(hak_ref_get(d, 0));
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_null(hak_ref_get(d, next ^ UINT64_C(1) << 60));
	assert_int_equal(errno, EINVAL);
	hak_domain_free(d, q);
	assert_all_free(d);
	assert_null(hak_ref_get(d, next));
}

static void a_ref_claims_its_own_block_only(void **state)
{
	hak_domain *d = local.d;
	char *p = hak_domain_alloc(d, 100), *q;
	hak_ref ref = hak_ref_of(d, p);
	void *got = NULL;

	(void)state;
	assert_int_equal(hak_claim_ref(d, ref, &got), -EALREADY);
	assert_int_equal(hak_publish(d, p), 0);
	assert_int_equal(hak_claim_ref(d, ref, &got), 0);
	assert_true(got == p && hak_owner(d, p) == hak_self(d));
	hak_domain_free(d, p);
	give_everything_back(d);
	q = hak_domain_alloc(d, 100);
	assert_int_equal(hak_publish(d, q), 0);
	got = NULL;
	assert_int_equal(hak_claim_ref(d, ref, &got), -ESTALE);
	assert_int_equal(hak_claim_ref(d, 0, &got), -EINVAL);
	assert_null(got);
	assert_int_equal(stat_of(d).published, 1);
	hak_domain_free(d, q);
	assert_all_free(d);
}

static void reads_the_root(hak_domain *d)
{
	char *p = hak_ref_get(d, hak_root_get(d, "news"));

	must(p && strcmp(p, "hello") == 0);
	must(hak_owner(d, p) == 0);
	must(hak_root_set(d, "news", 0, 1) == -EAGAIN);
	must(hak_root_set(d, "news", 0, hak_root_get(d, "news")) == 0);
	hak_domain_free(d, p);
}

static void a_root_publishes_what_it_names(void **state)
{
	hak_domain *d = local.d;
	char *p = hak_domain_alloc(d, 100), *q = hak_domain_alloc(d, 100);
	hak_ref ref = hak_ref_of(d, p);

	(void)state;
	strcpy(p, "hello");
	assert_true(hak_root_get(d, "news") == 0);
	assert_int_equal(hak_root_set(d, "no name!", ref, 0), -EINVAL);
	assert_int_equal(hak_root_set(d, "news", ref, 1), -EAGAIN);
	assert_int_equal(hak_owner(d, p), hak_self(d));
	assert_int_equal(hak_root_set(d, "news", ref, 0), 0);
	assert_int_equal(hak_owner(d, p), 0);
	assert_int_equal(hak_root_set(d, "news", hak_ref_of(d, q), 0), -EAGAIN);
	assert_int_equal(hak_owner(d, q), hak_self(d));
	hak_domain_free(d, q);
	as_another(reads_the_root);
	assert_true(hak_root_get(d, "news") == 0);
	assert_null(hak_ref_get(d, ref));
	assert_all_free(d);
}

static void leaves_a_slab(hak_domain *d)
{
	char *first = hak_domain_alloc(d, 256), *p;

	for (int i = 0; i < 600; i++) {
		p = hak_domain_alloc(d, 256);
		must(p);
		memset(p, 'x', 256);
	}
	strcpy(first, "kept");
	must(hak_publish(d, first) == 0);
	*local.word = (uintptr_t)first;
}

static void a_dead_members_slab_is_adopted(void **state)
{
	struct hak_sweep sweep = { .member = 2, .fate = HAK_FATE_FREE };
	hak_domain *d = local.d;
	struct hak_place place;
	char *kept, *p[300];
	uint32_t slab;
	bool same = false;

	(void)state;
	as_another(leaves_a_slab);
	hak_domain_sweep_names(&d->view, &sweep, 0, HAK_CHANNELS);
	hak_domain_sweep(&d->view, &sweep, 0, SUPERS);
	kept = (char *)*local.word;
	slab = (uint32_t)((uintptr_t)kept >> HAK_SLAB_SHIFT);
	assert_string_equal(kept, "kept");
	assert_int_equal(stat_of(d).orphaned_bytes, HAK_SLAB_SIZE);
	assert_int_equal(hak_domain_find(d, kept, &place), 0);
	d->view.since[place.slab] = 5;
	for (int i = 0; i < 300; i++) {
		p[i] = hak_domain_alloc(d, 256);
		assert_ptr_not_equal(p[i], kept);
		memset(p[i], 'y', 256);
		same = same || (uint32_t)((uintptr_t)p[i] >> HAK_SLAB_SHIFT) == slab;
	}
	assert_true(same);
	assert_int_equal(stat_of(d).orphaned_bytes, 0);
	/* What outlived the other one is in use for as long as before. */
	assert_int_equal(d->view.since[place.slab], 5);
	assert_string_equal(kept, "kept");
	for (int i = 0; i < 300; i++)
		hak_domain_free(d, p[i]);
	hak_domain_free(d, kept);
	assert_all_free(d);
}

static void frees_twice(void *arg)
{
	hak_domain *d = enter(2, 1);

	hak_domain_free(d, arg);
}

static void anothers_block_is_not_freed(void **state)
{
	char *p = hak_domain_alloc(local.d, 100);

	(void)state;
	hak_expect_death_f(frees_twice, p, "free of %p in domain test, which member 1 owns",
			   (void *)p);
	hak_expect_death_f(frees_twice, p + 16,
			   "free of %p in domain test, which is no block of it", (void *)(p + 16));
	hak_domain_free(local.d, p);
	assert_all_free(local.d);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_given_comes_back),
		TEST(what_is_given_to_nobody_stays),
		TEST(a_published_block_is_anybodys_once),
		TEST(a_ref_is_stale_once_its_block_is_freed),
		TEST(a_ref_claims_its_own_block_only),
		TEST(a_root_publishes_what_it_names),
		TEST(a_dead_members_slab_is_adopted),
		TEST(anothers_block_is_not_freed),
	};
	const struct hak_options options = { .size = sizeof(options),
					     .socket = "/nowhere/hakmemd.sock",
					     .mode = HAK_INFO_EMBEDDED };

	if (hak_init(&options))
		return 1;

	return cmocka_run_group_tests(tests, NULL, NULL);
}
