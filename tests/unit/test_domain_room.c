/* SPDX-License-Identifier: Apache-2.0 */
/* What the books of a domain take beside its blocks; no daemon. */
#include "tests/unit/domain_local.h"

#include <sys/stat.h>

#define BLOCKS (UINT32_C(8) * HAK_SUPERSLAB_SIZE / 64)

static uint64_t meta_bytes(void)
{
	struct stat st;

	assert_int_equal(fstat(local.fds[HAK_DOMAIN_FD_META], &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* Blocks of 64 bytes, each with all that can be written about it: published, and with a ref. */
static void books_take_a_twentieth_at_most(void **state)
{
	static void *p[BLOCKS];
	uint64_t before = meta_bytes(), plain, all;

	(void)state;
	for (uint32_t i = 0; i < BLOCKS; i++) {
		p[i] = hak_domain_alloc(local.d, 64);
		assert_non_null(p[i]);
	}
	plain = meta_bytes() - before;
	for (uint32_t i = 0; i < BLOCKS; i++) {
		assert_true(hak_ref_of(local.d, p[i]));
		assert_int_equal(hak_publish(local.d, p[i]), 0);
	}
	all = meta_bytes() - before;
	printf("# of 1,000 bytes: %u where nothing is shared, %u where all is\n",
	       (unsigned)(plain * 1000 / (BLOCKS * 64)), (unsigned)(all * 1000 / (BLOCKS * 64)));
	assert_true(plain <= BLOCKS * 64 / 1000);
	assert_true(all > BLOCKS * 3 && all <= BLOCKS * 64 / 20);
	for (uint32_t i = 0; i < BLOCKS; i++)
		hak_domain_free(local.d, p[i]);
	assert_all_free(local.d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(books_take_a_twentieth_at_most, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
