/* SPDX-License-Identifier: Apache-2.0 */
/* Against the same questions asked bit by bit. */
#include "tiny/bits.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

#define WORDS 5u
#define END   (WORDS * 64)

static bool bit(const uint64_t *bits, uint32_t at)
{
	return bits[at / 64] >> (at % 64) & 1;
}

static uint32_t plain_find(const uint64_t *bits, uint32_t from, uint32_t len)
{
	uint32_t run = 0;

	for (uint32_t at = from; at < END; at++) {
		run = bit(bits, at) ? run + 1 : 0;
		if (run == len)
			return at + 1 - len;
	}
	return END;
}

static uint32_t plain_end(const uint64_t *bits, uint32_t at)
{
	while (at < END && bit(bits, at))
		at++;
	return at;
}

static uint32_t plain_start(const uint64_t *bits, uint32_t at)
{
	while (at && bit(bits, at - 1))
		at--;
	return at;
}

static void compare(const uint64_t *bits)
{
	static const uint32_t lengths[] = { 1,  2,  3,  7,   8,   31,  32,  33,  62,  63,
					    64, 65, 96, 127, 128, 129, 200, 256, 319, END };

	for (uint32_t at = 0; at <= END; at++) {
		assert_int_equal(hak_bits_run_start(bits, at), plain_start(bits, at));
		if (at == END)
			break;
		assert_int_equal(hak_bits_run_end(bits, at, END), plain_end(bits, at));
		for (size_t i = 0; i < hak_array_size(lengths); i++)
			assert_int_equal(hak_bits_find(bits, at, END, lengths[i]),
					 plain_find(bits, at, lengths[i]));
	}
}

static void all_and_none(void **state)
{
	uint64_t none[WORDS] = { 0 }, all[WORDS];

	memset(all, 0xff, sizeof(all));
	compare(none);
	compare(all);
}

static void one_run_wherever_it_lies(void **state)
{
	for (uint32_t from = 0; from < END; from += 13) {
		for (uint32_t to = from + 1; to <= END; to += 31) {
			uint64_t bits[WORDS] = { 0 };

			for (uint32_t w = from / 64; w * 64 < to; w++)
				bits[w] |= hak_bits_mask(w, from, to);
			for (uint32_t at = 0; at < END; at++)
				assert_int_equal(bit(bits, at), at >= from && at < to);
			compare(bits);
			for (uint32_t w = 0; w < WORDS; w++)
				bits[w] = ~bits[w];
			compare(bits);
		}
	}
}

static void random_words(void **state)
{
	unsigned seed = 7;

	for (int i = 0; i < 200; i++) {
		uint64_t bits[WORDS];

		/* From few set bits to nearly all of them. */
		for (uint32_t w = 0; w < WORDS; w++) {
			bits[w] = ~UINT64_C(0);
			for (int j = i % 8; j > 0; j--) {
				uint64_t word = (uint64_t)(unsigned)rand_r(&seed) << 33 ^
						(uint64_t)(unsigned)rand_r(&seed) << 11 ^
						(unsigned)rand_r(&seed);

				bits[w] = j % 3 ? bits[w] & word : bits[w] | word;
			}
		}
		compare(bits);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_and_none),
		cmocka_unit_test(one_run_wherever_it_lies),
		cmocka_unit_test(random_words),
	};

	unit_watchdog();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
