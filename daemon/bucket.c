/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/bucket.h"

/* Of the interval that counts: a longer one fills any bucket. 10^7 a second times 10^9 ns fit. */
#define FULL_NS UINT64_C(1000000000)

void bucket_fill(struct bucket *bucket, uint64_t rate, uint64_t now_ns)
{
	uint64_t full = rate * BUCKET_ONE;
	uint64_t passed = now_ns - bucket->at_ns;

	if (passed > FULL_NS)
		passed = FULL_NS;
	bucket->at_ns = now_ns;
	bucket->credit += passed * rate;
	if (bucket->credit > full)
		bucket->credit = full;
}

uint64_t bucket_wait_ns(const struct bucket *bucket, uint64_t rate)
{
	if (bucket_has(bucket, rate))
		return 0;
	return (BUCKET_ONE - bucket->credit + rate - 1) / rate;
}

uint64_t bucket_used(const struct bucket *bucket, uint64_t rate, uint64_t now_ns)
{
	struct bucket now = *bucket;

	bucket_fill(&now, rate, now_ns);
	return (rate * BUCKET_ONE - now.credit + BUCKET_ONE - 1) / BUCKET_ONE;
}
