/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/workloads/hist.h: what percentiles of the benchmarks are made of.
 */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "bench/workloads/hist.h"

static struct hist *make(void)
{
	struct hist *hist = calloc(1, sizeof(*hist));

	assert_non_null(hist);
	return hist;
}

static void every_bucket_holds_its_own_middle(void **state)
{
	for (uint32_t i = 0; i < HIST_BUCKETS; i++)
		assert_int_equal(hist_bucket(hist_value(i)), i);
	assert_int_equal(hist_bucket(HIST_MAX), HIST_BUCKETS - 1);
}

static void buckets_are_in_order_and_narrow(void **state)
{
	uint32_t before = 0;

	for (uint64_t value = 1; value <= HIST_MAX / 3; value += 1 + value / 97) {
		uint32_t bucket = hist_bucket(value);
		uint64_t middle = hist_value(bucket);
		uint64_t off = middle > value ? middle - value : value - middle;

		assert_true(bucket >= before);
		assert_true(off * 128 <= value);
		before = bucket;
	}
}

static void quantiles_of_known_values(void **state)
{
	struct hist *hist = make();

	assert_int_equal(hist_quantile(hist, 0.5), 0);
	for (uint64_t value = 1; value <= 1000; value++)
		hist_add(hist, value * 1000);
	assert_int_equal(hist->n, 1000);
	assert_true(hist_mean(hist) > 500499 && hist_mean(hist) < 500501);
	assert_in_range(hist_quantile(hist, 0.5), 500000 - 500000 / 64, 500000 + 500000 / 64);
	assert_in_range(hist_quantile(hist, 0.99), 990000 - 990000 / 64, 990000 + 990000 / 64);
	assert_in_range(hist_quantile(hist, 0.001), 1000 - 1000 / 64, 1000 + 1000 / 64);
	assert_true(hist_quantile(hist, 1) <= 1000000);
	assert_in_range(hist_quantile(hist, 1), 1000000 - 1000000 / 64, 1000000);
	free(hist);
}

static void an_outlier_is_the_last_quantile_only(void **state)
{
	struct hist *hist = make();

	for (int i = 0; i < 999; i++)
		hist_add(hist, 7);
	hist_add(hist, UINT64_MAX);
	assert_int_equal(hist_quantile(hist, 0.5), 7);
	assert_int_equal(hist_quantile(hist, 0.999), 7);
	assert_true(hist_quantile(hist, 1) > HIST_MAX - HIST_MAX / 64);
	assert_int_equal(hist->max, HIST_MAX);
	free(hist);
}

static void merging_is_adding_all(void **state)
{
	struct hist *a = make(), *b = make(), *both = make();

	for (uint64_t value = 1; value < 5000; value += 3) {
		hist_add(value % 2 ? a : b, value);
		hist_add(both, value);
	}
	hist_merge(a, b);
	assert_memory_equal(a, both, sizeof(*a));
	free(a);
	free(b);
	free(both);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bucket_holds_its_own_middle),
		cmocka_unit_test(buckets_are_in_order_and_narrow),
		cmocka_unit_test(quantiles_of_known_values),
		cmocka_unit_test(an_outlier_is_the_last_quantile_only),
		cmocka_unit_test(merging_is_adding_all),
	};

	return cmocka_run_group_tests_name("hist", tests, NULL, NULL);
}
