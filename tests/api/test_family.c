/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Return values, errno, zero sizes, overflow: what each function of the family answers, taken from
 * glibc 2.36. The same program passes without any preload.
 */
#include "tests/api/family.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* errno before each call: no call may set this, so a changed errno is seen. */
#define UNTOUCHED EDOM

static const size_t some_sizes[] = {
	0,    1,    7,     8,     9,     16,     24,     100,     1000,    1024,    1025,
	4096, 5000, 32768, 65535, 65536, 100000, 262144, 2 << 20, 3000000, 8 << 20, 64 << 20,
};

/* Rounded up to a class, a page or an alignment, each wraps around or passes PTRDIFF_MAX. */
static const size_t impossible_sizes[] = {
	SIZE_MAX,
	SIZE_MAX - 1,
	SIZE_MAX - 7,
	SIZE_MAX - 15,
	SIZE_MAX - 63,
	SIZE_MAX - 4095,
	SIZE_MAX - 4096,
	SIZE_MAX - 65535,
	SIZE_MAX - (2 << 20),
	SIZE_MAX / 2 + 2,
	(size_t)PTRDIFF_MAX + 1,
	PTRDIFF_MAX,
	PTRDIFF_MAX - 8,
	PTRDIFF_MAX - 4096,
	PTRDIFF_MAX - (2 << 20),
	(size_t)1 << 62,
};

static void zero_size_gives_a_unique_block(void **state)
{
	void *block[API_COUNT(families) * 100];
	size_t n = 0;

	(void)state;
	for (size_t round = 0; round < 100; round++)
		for (size_t f = 0; f < API_COUNT(families); f++) {
			block[n] = families[f].allocate(0);
			assert_non_null(block[n]);
			assert_true(family_aligned(block[n], families[f].align));
			n++;
		}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			assert_ptr_not_equal(block[i], block[k]);
	for (size_t i = 0; i < n; i++)
		free(block[i]);
}

static void calloc_of_zero_items_gives_a_block(void **state)
{
	void *p = calloc(0, api_hide_size(8)), *q = calloc(8, api_hide_size(0));
	void *r = calloc(0, api_hide_size(SIZE_MAX)),
	     *s = reallocarray(NULL, 0, api_hide_size(SIZE_MAX));

	(void)state;
	assert_non_null(p);
	assert_non_null(q);
	assert_non_null(r);
	assert_non_null(s);
	free(p);
	free(q);
	free(r);
	free(s);
}

static void success_leaves_errno_alone(void **state)
{
	(void)state;
	for (size_t f = 0; f < API_COUNT(families); f++)
		for (size_t i = 0; i < API_COUNT(some_sizes); i++) {
			void *p, *q;

			errno = UNTOUCHED;
			p = families[f].allocate(some_sizes[i]);
			assert_non_null(p);
			assert_int_equal(errno, UNTOUCHED);
			q = realloc(p, some_sizes[i] * 2 + 1);
			assert_non_null(q);
			assert_int_equal(errno, UNTOUCHED);
			assert_true(malloc_usable_size(q) >= some_sizes[i] * 2 + 1);
			free(q);
			assert_int_equal(errno, UNTOUCHED);
		}
	errno = UNTOUCHED;
	free(NULL);
	assert_int_equal(errno, UNTOUCHED);
}

static void impossible_size_is_ENOMEM(void **state)
{
	(void)state;
	for (size_t f = 0; f < API_COUNT(families); f++)
		for (size_t i = 0; i < API_COUNT(impossible_sizes); i++) {
			errno = UNTOUCHED;
			assert_null(families[f].allocate(impossible_sizes[i]));
			assert_int_equal(errno, ENOMEM);
		}
}

static void realloc_to_impossible_size_keeps_the_block(void **state)
{
	(void)state;
	for (size_t s = 0; s < API_COUNT(some_sizes) - 1; s++) {
		void *p = malloc(some_sizes[s]);

		assert_non_null(p);
		api_fill(p, some_sizes[s], s);
		for (size_t i = 0; i < API_COUNT(impossible_sizes); i++) {
			errno = UNTOUCHED;
			assert_null(realloc(api_hide(p), api_hide_size(impossible_sizes[i])));
			assert_int_equal(errno, ENOMEM);
			errno = UNTOUCHED;
			assert_null(
				reallocarray(api_hide(p), api_hide_size(impossible_sizes[i]), 1));
			assert_int_equal(errno, ENOMEM);
		}
		assert_true(api_filled(p, some_sizes[s], s));
		free(p);
	}
}

static void product_overflow_is_ENOMEM(void **state)
{
	static const size_t factor[][2] = {
		{ SIZE_MAX, 2 },
		{ 2, SIZE_MAX },
		{ SIZE_MAX, SIZE_MAX },
		{ SIZE_MAX / 2 + 1, 2 },              /* the product is 0 */
		{ (size_t)1 << 32, (size_t)1 << 32 }, /* too */
		{ ((size_t)1 << 33) + 1, (size_t)1 << 31 },
		{ SIZE_MAX / 16 + 2, 16 }, /* the product is 16 */
		{ PTRDIFF_MAX, 2 },
		{ (size_t)1 << 31, (size_t)1 << 32 }, /* PTRDIFF_MAX + 1: no overflow, too large */
	};
	void *kept = malloc(100);

	(void)state;
	assert_non_null(kept);
	api_fill(kept, 100, 1);
	for (size_t i = 0; i < API_COUNT(factor); i++) {
		size_t n = api_hide_size(factor[i][0]), size = api_hide_size(factor[i][1]);

		errno = UNTOUCHED;
		assert_null(calloc(n, size));
		assert_int_equal(errno, ENOMEM);
		errno = UNTOUCHED;
		assert_null(reallocarray(api_hide(kept), n, size));
		assert_int_equal(errno, ENOMEM);
		errno = UNTOUCHED;
		assert_null(reallocarray(NULL, n, size));
		assert_int_equal(errno, ENOMEM);
	}
	assert_true(api_filled(kept, 100, 1));
	free(kept);
}

/* Pages of address space that this process has. */
static size_t address_space_pages(void)
{
	char text[64];
	FILE *file = fopen("/proc/self/statm", "re");
	size_t pages;

	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	(void)fclose(file);
	pages = strtoul(text, NULL, 10);
	assert_true(pages > 0);
	return pages;
}

static void realloc_to_zero_frees_and_returns_null(void **state)
{
	static const size_t freed_sizes[] = { 8, 1000, 20000, 100000, 1 << 20, 8 << 20 };
	size_t before = address_space_pages();

	(void)state;
	for (size_t i = 0; i < API_COUNT(freed_sizes); i++)
		for (size_t round = 0; round < 1000; round++) {
			void *p = malloc(freed_sizes[i]), *q = malloc(freed_sizes[i]);

			assert_non_null(p);
			assert_non_null(q);
			errno = UNTOUCHED;
			assert_null(realloc(p, api_hide_size(0)));
			assert_null(reallocarray(q, round % 2 ? 0 : 8, round % 2 ? 8 : 0));
			assert_int_equal(errno, UNTOUCHED);
		}
	/* Had they been kept, it would be 18 GB. */
	assert_true(address_space_pages() - before < (size_t)1 << 30 >> 12 ||
		    address_space_pages() < before);
}

static void posix_memalign_refuses_bad_alignment(void **state)
{
	static const size_t bad[] = { 0,           1,   2,    3,    4,        5,
				      7,           9,   12,   20,   24,       40,
				      48,          100, 4095, 4097, SIZE_MAX, SIZE_MAX - 7,
				      SIZE_MAX / 2 };
	static const size_t good[] = { 8, 16, 32, 4096, 1 << 20 };
	char there;

	(void)state;
	for (size_t i = 0; i < API_COUNT(bad); i++)
		for (size_t s = 0; s < API_COUNT(some_sizes); s++) {
			void *p = &there;

			assert_int_equal(posix_memalign(&p, api_hide_size(bad[i]), some_sizes[s]),
					 EINVAL);
			assert_ptr_equal(p, &there);
		}
	for (size_t i = 0; i < API_COUNT(good); i++)
		for (size_t s = 0; s < API_COUNT(impossible_sizes); s++) {
			void *p = &there;

			assert_int_equal(posix_memalign(&p, good[i],
							api_hide_size(impossible_sizes[s])),
					 ENOMEM);
			assert_ptr_equal(p, &there);
		}
}

static void impossible_alignment_is_refused(void **state)
{
	static const size_t aligns[] = { SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 2 };

	(void)state;
	for (size_t i = 0; i < API_COUNT(aligns); i++) {
		errno = UNTOUCHED;
		assert_null(memalign(api_hide_size(aligns[i]), 100));
		assert_int_equal(errno, EINVAL);
		errno = UNTOUCHED;
		assert_null(aligned_alloc(api_hide_size(aligns[i]), 100));
		assert_int_equal(errno, EINVAL);
	}
	errno = UNTOUCHED;
	assert_null(memalign(api_hide_size(SIZE_MAX / 2 + 1), 100));
	assert_int_equal(errno, ENOMEM);
	errno = UNTOUCHED;
	assert_null(memalign(api_hide_size(1 << 21), api_hide_size(SIZE_MAX - (1 << 21))));
	assert_int_equal(errno, ENOMEM);
}

static void usable_size_of_null_is_zero(void **state)
{
	(void)state;
	assert_int_equal(malloc_usable_size(NULL), 0);
}

/* glibc 2.36 has neither; whoever replaces malloc must, for programs built against C23. */
static void sized_free_of_c23_frees(void **state)
{
	void (*free_sized)(void *, size_t) = (void (*)(void *, size_t))api_symbol("free_sized");
	void (*free_aligned_sized)(void *, size_t, size_t) =
		(void (*)(void *, size_t, size_t))api_symbol("free_aligned_sized");

	(void)state;
	if (!free_sized || !free_aligned_sized) {
		assert_false(api_preloaded());
		return;
	}
	errno = UNTOUCHED;
	free_sized(NULL, 0);
	free_aligned_sized(NULL, 64, 0);
	for (size_t i = 0; i < API_COUNT(some_sizes); i++) {
		void *p = malloc(some_sizes[i]), *q = aligned_alloc(64, some_sizes[i]);

		assert_non_null(p);
		assert_non_null(q);
		free_sized(p, some_sizes[i]);
		free_aligned_sized(q, 64, some_sizes[i]);
	}
	assert_int_equal(errno, UNTOUCHED);
}

/* Only programs linked before glibc 2.26 call it, and they still run. */
static void cfree_frees(void **state)
{
	void (*cfree_)(void *) = (void (*)(void *))api_symbol("cfree");
	size_t before = address_space_pages();

	(void)state;
	if (!cfree_) {
		assert_false(api_preloaded());
		cfree_ = (void (*)(void *))dlvsym(RTLD_DEFAULT, "cfree", "GLIBC_2.2.5");
	}
	if (!cfree_)
		return; /* a glibc without that past */
	errno = UNTOUCHED;
	cfree_(NULL);
	for (size_t i = 0; i < 2000; i++) {
		void *p = malloc(1 << 20), *q = malloc(i);

		assert_non_null(p);
		assert_non_null(q);
		cfree_(p);
		cfree_(q);
	}
	assert_int_equal(errno, UNTOUCHED);
	assert_true(address_space_pages() < before + ((size_t)1 << 30 >> 12));
}

static void blocks_made_by_libc_are_freed_by_free(void **state)
{
	char *copy = strdup("a copy made inside libc"), *text = NULL, *line = NULL, *stream = NULL;
	size_t line_size = 0, stream_size = 0;
	FILE *file = open_memstream(&stream, &stream_size), *self = fopen("/proc/self/maps", "re");

	(void)state;
	assert_non_null(copy);
	assert_true(asprintf(&text, "%0*d", 5000, 7) == 5000);
	assert_non_null(self);
	assert_true(getline(&line, &line_size, self) > 0);
	assert_non_null(file);
	for (int i = 0; i < 10000; i++)
		(void)fprintf(file, "%d ", i);
	(void)fclose(file);
	(void)fclose(self);
	assert_non_null(stream);
	/* libc calls the same malloc as we do, whoever that is. */
	assert_int_equal(api_owns(copy), api_owns(text));
	free(stream);
	free(line);
	free(text);
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zero_size_gives_a_unique_block),
		cmocka_unit_test(calloc_of_zero_items_gives_a_block),
		cmocka_unit_test(success_leaves_errno_alone),
		cmocka_unit_test(impossible_size_is_ENOMEM),
		cmocka_unit_test(realloc_to_impossible_size_keeps_the_block),
		cmocka_unit_test(product_overflow_is_ENOMEM),
		cmocka_unit_test(realloc_to_zero_frees_and_returns_null),
		cmocka_unit_test(posix_memalign_refuses_bad_alignment),
		cmocka_unit_test(impossible_alignment_is_refused),
		cmocka_unit_test(usable_size_of_null_is_zero),
		cmocka_unit_test(sized_free_of_c23_frees),
		cmocka_unit_test(cfree_frees),
		cmocka_unit_test(blocks_made_by_libc_are_freed_by_free),
	};

	return cmocka_run_group_tests_name("family", tests, NULL, NULL);
}
