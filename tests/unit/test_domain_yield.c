/* SPDX-License-Identifier: Apache-2.0 */
/* A member that holds what others need gives way; no daemon. */
#include "tests/unit/domain_local.h"

#include <pthread.h>

/* Of member 1's slabs that are mostly free others get the rest. */
#define KEPT_EACH 8

static void needs_blocks(hak_domain *d)
{
	char *kept = (char *)*local.word, *p;
	uint32_t slab = (uint32_t)((uintptr_t)kept >> HAK_SLAB_SHIFT);
	bool same = false;

	for (int i = 0; i < 3000; i++) {
		p = hak_domain_alloc(d, 64);
		must(p);
		must(strcmp(p, "kept") != 0);
		memset(p, 'z', 64);
		same = same || (uint32_t)((uintptr_t)p >> HAK_SLAB_SHIFT) == slab;
	}
	must(same);
}

static void *frees_the_argument(void *arg)
{
	hak_free(arg);
	return NULL;
}

static void little_used_slabs_give_way_to_who_is_in_need(void **state)
{
	struct hak_sweep sweep = { .member = 2, .fate = HAK_FATE_FREE };
	hak_domain *d = local.d;
	static char *p[4096];
	pthread_t thread;
	uint64_t left;
	char *cached;

	(void)state;
	for (int i = 0; i < 4096; i++) {
		p[i] = hak_domain_alloc(d, 64);
		assert_non_null(p[i]);
		strcpy(p[i], "kept");
	}
	for (int i = 0; i < 4096; i++) {
		if (i % KEPT_EACH)
			hak_domain_free(d, memset(p[i], 0, 64));
	}
	hak_domain_thread_flush(d);
	/* In a magazine when its slab goes. */
	cached = hak_domain_alloc(d, 64);
	hak_domain_free(d, cached);
	local.state->needs++;
	assert_true(hak_domain_is_wanted(d));
	pthread_mutex_lock(&d->mutex);
	hak_domain_give_way(d);
	pthread_mutex_unlock(&d->mutex);
	assert_false(hak_domain_is_wanted(d));
	assert_true(stat_of(d).orphaned_bytes >= 4 * HAK_SLAB_SIZE);
	*local.word = (uintptr_t)p[1024];
	as_another(needs_blocks);

	hak_domain_thread_flush(d);
	for (int i = 0; i < 4096; i += KEPT_EACH) {
		assert_string_equal(p[i], "kept");
		assert_int_equal(hak_owner(d, p[i]), hak_self(d));
	}
	hak_domain_sweep_names(&d->view, &sweep, 0, HAK_CHANNELS);
	hak_domain_sweep(&d->view, &sweep, 0, SUPERS);
	for (int i = 0; i < 4096; i += KEPT_EACH) {
		assert_string_equal(p[i], "kept");
		assert_int_equal(pthread_create(&thread, NULL, frees_the_argument, p[i]), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	(void)hak_domain_gather(&d->view, 0, SUPERS, &left);
	assert_all_free(d);
}

/* Given away, in vain or not, while the slab is somebody else's by now. */
static void what_gave_way_is_given_and_published_as_before(void **state)
{
	hak_domain *d = local.d;
	void *p = hak_domain_alloc(d, 64), *q = hak_domain_alloc(d, 64);
	uint64_t left;

	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		local.state->needs++;
		pthread_mutex_lock(&d->mutex);
		hak_domain_give_way(d);
		pthread_mutex_unlock(&d->mutex);
	}
	assert_int_equal(stat_of(d).own_bytes, 0);
	assert_int_equal(hak_give(d, p, MEMBER(2) + 65536), -ESRCH);
	assert_int_equal(hak_owner(d, p), hak_self(d));
	assert_int_equal(hak_publish(d, q), 0);
	assert_int_equal(hak_claim(d, q), 0);
	hak_domain_free(d, p);
	hak_domain_free(d, q);
	hak_domain_thread_flush(d); /* two more lie in the magazine */
	(void)hak_domain_gather(&d->view, 0, SUPERS, &left);
	assert_all_free(d);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(little_used_slabs_give_way_to_who_is_in_need),
		TEST(what_gave_way_is_given_and_published_as_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
