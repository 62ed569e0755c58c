/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded heap below the family's names: spans, alignment, growth in place, what is kept and
 * what goes back. "PROGRAM --child" is the process without address space.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "libclient/heap.h"
#include "libclient/include/hakmem.h"
#include "tests/random/random.h"
#include "tiny/central.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

/* A sanitizer's shadow needs address space itself, so its programs can't be kept from it. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

static bool heap_sound(void)
{
	bool ok;

	pthread_mutex_lock(&hak_heap.lock);
	ok = hak_carve_check(&hak_heap.carve);
	pthread_mutex_unlock(&hak_heap.lock);
	return ok;
}

static struct hak_info info_now(void)
{
	struct hak_info info = { .size = sizeof(info) };

	assert_int_equal(hak_info_get(&info), 0);
	return info;
}

static int setup(void **state)
{
	struct hak_info info = info_now();

	assert_int_equal(info.mode, HAK_INFO_EMBEDDED);
	return 0;
}

/* Every test gives back all that it took. */
static int teardown(void **state)
{
	assert_true(heap_sound());
	(void)hak_trim();
	assert_int_equal(hak_heap.stats.spans, 0);
	assert_int_equal(hak_heap.stats.span_bytes, 0);
	assert_int_equal(info_now().held_bytes, 0);
	assert_int_equal(info_now().kept_bytes, 0);
	return 0;
}

static void touch(char *p, size_t size, char value)
{
	for (size_t at = 0; at < size; at += 4096)
		p[at] = value;
	p[size - 1] = value;
}

static bool touched(const char *p, size_t size, char value)
{
	for (size_t at = 0; at < size; at += 4096) {
		if (p[at] != value)
			return false;
	}
	return p[size - 1] == value;
}

static bool is_zero(const char *p, size_t size)
{
	return !size || (!p[0] && !memcmp(p, p + 1, size - 1));
}

static void spans_of_all_sizes(void **state)
{
	for (size_t size = 32 * KIB + 1; size <= 64 * MIB; size += size / 3 + 1) {
		char *p = hak_malloc(size), *q = hak_malloc(size);

		assert_non_null(p);
		assert_non_null(q);
		assert_int_equal((uintptr_t)p % HAK_SLAB_SIZE, 0);
		assert_true(hak_usable_size(p) >= size);
		assert_true(hak_usable_size(p) < size + HAK_SLAB_SIZE);
		assert_true(hak_owns(p) && hak_owns(p + size - 1));
		touch(p, hak_usable_size(p), 1);
		touch(q, hak_usable_size(q), 2);
		assert_true(touched(p, hak_usable_size(p), 1));
		hak_free(p);
		assert_true(touched(q, hak_usable_size(q), 2));
		hak_free(q);
	}
}

static void alignments_up_to_a_gibibyte(void **state)
{
	static const size_t sizes[] = { 0, 1, 100, 5000, 40000, 3 * MIB };

	for (size_t align = 1; align <= GIB; align *= 2) {
		for (size_t i = 0; i < hak_array_size(sizes); i++) {
			char *p = hak_aligned_alloc(align, sizes[i]);

			assert_non_null(p);
			assert_int_equal((uintptr_t)p % align, 0);
			assert_true(hak_usable_size(p) >= sizes[i]);
			if (sizes[i])
				touch(p, sizes[i], 3);
			hak_free(p);
		}
	}
	errno = 0;
	assert_ptr_equal(hak_aligned_alloc(2 * GIB, 1), NULL);
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_ptr_equal(hak_aligned_alloc(48, 1), NULL);
	assert_int_equal(errno, EINVAL);
}

static void too_much_is_enomem(void **state)
{
	static const size_t sizes[] = { (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX, SIZE_MAX,
					HAK_WINDOW_SIZE + 1, HAK_WINDOW_SIZE };

	for (size_t i = 0; i < hak_array_size(sizes); i++) {
		errno = 0;
		assert_ptr_equal(hak_malloc(sizes[i]), NULL);
		assert_int_equal(errno, ENOMEM);
	}
	assert_true(heap_sound());
}

/* Whatever the flag says must hold, whatever was written before. */
static void zeroed_means_zero(void **state)
{
	unsigned said_so = 0;

	for (unsigned round = 0; round < 4; round++) {
		for (size_t size = 40 * KIB; size <= 6 * MIB; size += size / 2) {
			bool zeroed = false;
			char *p = hak_heap_alloc(size, 1, &zeroed);

			assert_non_null(p);
			said_so += zeroed;
			if (zeroed)
				assert_true(is_zero(p, size));
			memset(p, 0xee, hak_usable_size(p));
			hak_free(p);
			p = hak_calloc(1, size);
			assert_true(is_zero(p, size));
			memset(p, 0xee, hak_usable_size(p));
			hak_free(p);
		}
		if (round == 1)
			(void)hak_trim();
	}
	assert_true(said_so > 0); /* or calloc() never gains anything */
}

static void calloc_of_blocks_is_zero(void **state)
{
	for (size_t size = 1; size <= 32 * KIB; size += size / 4 + 1) {
		void *p[8];

		for (int i = 0; i < 8; i++) {
			p[i] = hak_calloc(1, size);
			assert_true(is_zero(p[i], size));
			memset(p[i], 0xee, hak_usable_size(p[i]));
		}
		hak_free_batch(8, p);
	}
}

static void spans_grow_and_shrink_where_they_are(void **state)
{
	char *p = hak_malloc(3 * MIB), *behind;
	struct hak_slab *span = hak_slab_of(p);

	memset(p, 0x11, 3 * MIB);
	assert_true(hak_heap_resize(span, 5 * MIB));
	assert_int_equal(hak_usable_size(p), 5 * MIB);
	touch(p + 3 * MIB, 2 * MIB, 0x22);
	assert_true(heap_sound());
	assert_true(hak_heap_resize(span, 100 * KIB));
	assert_int_equal(hak_usable_size(p), 128 * KIB);
	assert_true(heap_sound());
	/* What was given up serves others, and then blocks the way. */
	behind = hak_malloc(1 * MIB);
	assert_ptr_equal(behind, p + 128 * KIB);
	memset(behind, 0x33, MIB);
	assert_false(hak_heap_resize(span, 256 * KIB));
	assert_int_equal(hak_usable_size(p), 128 * KIB);
	assert_true(heap_sound());
	assert_true(touched(p, 100 * KIB, 0x11));
	hak_free(behind);
	assert_ptr_equal(hak_realloc(p, 256 * KIB), p); /* although the cache has what is behind */
	hak_free(p);
}

static void realloc_keeps_contents_and_place(void **state)
{
	char *p = hak_malloc(2 * MIB), *q;

	memset(p, 0x44, 2 * MIB);
	q = hak_realloc(p, 20 * MIB); /* there is nothing behind it */
	assert_ptr_equal(q, p);
	assert_true(touched(q, 2 * MIB, 0x44));
	memset(q, 0x55, 20 * MIB);
	q = hak_realloc(p, 40 * KIB);
	assert_ptr_equal(q, p);
	assert_true(touched(q, 40 * KIB, 0x55));
	q = hak_realloc(p, 1000); /* no span any more */
	assert_ptr_not_equal(q, p);
	assert_int_equal(q[0], 0x55);
	memset(q, 0x66, 1000);
	p = hak_realloc(q, 70 * KIB);
	assert_true(p[0] == 0x66 && p[999] == 0x66);
	errno = 0;
	assert_ptr_equal(hak_realloc(p, SIZE_MAX), NULL);
	assert_int_equal(errno, ENOMEM);
	assert_true(p[0] == 0x66 && p[999] == 0x66);
	hak_free(p);
}

/* Empty memory that is kept: 16 superslabs, an eighth of what is in use, and what was needed again
 * right after it had been given back; half as much again. */
static uint64_t keep_bound(void)
{
	uint64_t used = info_now().held_bytes / HAK_SUPERSLAB_SIZE;

	/* One superslab's worth of spans is the thread's. */
	return ((16 + used / 8 + hak_heap.regret) * 3 / 2 + 1) * HAK_SUPERSLAB_SIZE;
}

static void info_tells_slabs_and_blocks_apart(void **state)
{
	uint64_t before = info_now().block_bytes;
	static void *p[4000];
	struct hak_info info;

	for (int i = 0; i < 4000; i++) {
		p[i] = hak_malloc(1000);
		assert_non_null(p[i]);
	}
	info = info_now();
	assert_true(info.block_bytes >= before + 4000 * 1024 - 128 * 1024); /* a magazine's */
	assert_true(info.slab_bytes >= info.block_bytes);
	assert_int_equal(info.mixed_bytes, 0);
	for (int i = 0; i < 4000; i++)
		hak_free(p[i]);
	(void)hak_trim();
	assert_true(info_now().slab_bytes < info.slab_bytes - 3900 * 1024);
}

static void what_is_kept_is_bounded(void **state)
{
	void *p[64];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 64; i++) {
			p[i] = hak_malloc(2 * MIB);
			assert_non_null(p[i]);
			*(char *)p[i] = 1;
		}
		assert_int_equal(info_now().held_bytes, 64 * HAK_SUPERSLAB_SIZE);
		for (int i = 0; i < 64; i++) {
			hak_free(p[i]);
			assert_true(info_now().kept_bytes <= keep_bound());
		}
		assert_int_equal(info_now().held_bytes, 0);
		assert_true(info_now().kept_bytes > 0); /* something is kept */
		assert_true(hak_heap.regret <= 64);
	}
}

static size_t resident(void *p, size_t size)
{
	static unsigned char pages[64 * MIB / 4096];
	size_t n = 0;

	assert_int_equal(mincore(p, size, pages), 0);
	for (size_t i = 0; i < size / 4096; i++)
		n += pages[i] & 1;
	return n * 4096;
}

static void trim_gives_memory_back(void **state)
{
	char *p = hak_malloc(16 * MIB), *small[200];
	size_t freed;

	memset(p, 1, 16 * MIB);
	for (int i = 0; i < 200; i++) {
		small[i] = hak_malloc(20 * KIB);
		memset(small[i], 1, 20 * KIB);
	}
	assert_int_equal(resident(p, 16 * MIB), 16 * MIB);
	hak_free(p);
	for (int i = 0; i < 200; i++)
		hak_free(small[i]);
	freed = hak_trim();
	assert_true(freed >= 16 * MIB);
	assert_int_equal(freed % HAK_SLAB_SIZE, 0);
	assert_int_equal(resident(p, 16 * MIB), 0);
	assert_int_equal(info_now().kept_bytes, 0);
	assert_int_equal(hak_trim(), 0);
	/* And it can be used again, and is zero. */
	p = hak_calloc(16, MIB);
	assert_true(is_zero(p, 16 * MIB));
	hak_free(p);
}

#define SLOTS 48u

struct slot {
	unsigned char *p;
	size_t size;
	unsigned char value;
};

static void slot_check(const struct slot *s)
{
	for (size_t at = 0; at < s->size; at += 64 * KIB)
		assert_int_equal(s->p[at], s->value);
	assert_int_equal(s->p[s->size - 1], s->value);
}

static void slot_mark(struct slot *s, struct random_run *run)
{
	s->value = (unsigned char)random_next(run);
	for (size_t at = 0; at < s->size; at += 64 * KIB)
		s->p[at] = s->value;
	s->p[s->size - 1] = s->value;
}

static void random_step(struct random_run *run, struct slot *s)
{
	size_t size = 32 * KIB + random_skewed(run, 12 * MIB);
	size_t align = random_below(run, 4) ? 1 : (size_t)1 << random_below(run, 24);

	if (!s->p) {
		s->p = hak_aligned_alloc(align, size);
		assert_non_null(s->p);
		assert_int_equal((uintptr_t)s->p % align, 0);
		s->size = size;
	} else if (random_below(run, 2)) {
		slot_check(s);
		hak_free(s->p);
		s->p = NULL;
		return;
	} else {
		unsigned char *q = hak_realloc(s->p, size);

		assert_non_null(q);
		assert_int_equal(q[0], s->value);
		s->p = q;
		s->size = size;
	}
	slot_mark(s, run);
}

static void any_order_keeps_the_engine_sound(void **state)
{
	struct random_run run = { .steps = SANITIZED ? 150 : 600 };
	struct slot slots[SLOTS] = { 0 };

	run.seed = run.state = hak_sys_random();
	print_message("# seed %" PRIu64 "\n", run.seed);
	for (; run.step < run.steps; run.step++) {
		random_step(&run, &slots[random_below(&run, SLOTS)]);
		if (!random_below(&run, 100))
			(void)hak_trim();
		assert_true(heap_sound());
	}
	for (uint32_t i = 0; i < SLOTS; i++) {
		if (slots[i].p)
			slot_check(&slots[i]);
		hak_free(slots[i].p);
	}
}

/* ---- a process without address space ---- */

static int child(void)
{
	static char status[8192];
	struct hak_info info = { .size = sizeof(info) };
	void *p = hak_malloc(100), *q = hak_calloc(1, 100 * KIB);
	const char *vm;

	if (!p || !q || hak_owns(p) || hak_owns(q) || hak_usable_size(p) < 100)
		return 3;
	p = hak_realloc(p, 5000);
	hak_free(p);
	hak_free(q);
	if (hak_info_get(&info) || info.mode != HAK_INFO_LIBC)
		return 4;
	/* Neither window nor tables are left; an empty page map of 2 GiB may be. */
	if (hak_sys_read_file("/proc/self/status", status, sizeof(status)) <= 0)
		return 5;
	vm = strstr(status, "VmSize:");
	return vm && strtoull(vm + 7, NULL, 10) < 3 * GIB / KIB ? 0 : 6;
}

static void run_limited(rlim_t limit, char *ret_err, size_t size)
{
	struct rlimit as = { limit, limit };
	int err[2], status;
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		(void)dup2(err[1], STDERR_FILENO);
		(void)setrlimit(RLIMIT_AS, &as);
		(void)execl("/proc/self/exe", "test_heap", "--child", (char *)NULL);
		_exit(127);
	}
	close(err[1]);
	while (used < size - 1 && (n = read(err[0], ret_err + used, size - 1 - used)) > 0)
		used += (size_t)n;
	ret_err[used] = 0;
	close(err[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The limits let none, one and two of the three reservations through. */
static void without_address_space_libc_serves_and_we_say_so(void **state)
{
	const rlim_t tables = HAK_WINDOW_SIZE / HAK_SLAB_SIZE * sizeof(struct hak_slab);
	const rlim_t limits[] = { 256 * MIB, HAK_WINDOW_SIZE + 512 * MIB,
				  HAK_WINDOW_SIZE + tables + GIB + 512 * MIB };

	if (SANITIZED)
		return;
	for (size_t i = 0; i < hak_array_size(limits); i++) {
		char err[512];

		run_limited(limits[i], err, sizeof(err));
		assert_string_equal(err, "hakmem: no address space for a heap (Cannot allocate "
					 "memory); using libc's malloc\n");
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct hak_options options = { .size = sizeof(options), .mode = HAK_INFO_EMBEDDED };
	const struct CMUnitTest tests[] = {
		TEST(spans_of_all_sizes),
		TEST(alignments_up_to_a_gibibyte),
		TEST(too_much_is_enomem),
		TEST(zeroed_means_zero),
		TEST(calloc_of_blocks_is_zero),
		TEST(spans_grow_and_shrink_where_they_are),
		TEST(realloc_keeps_contents_and_place),
		TEST(info_tells_slabs_and_blocks_apart),
		TEST(what_is_kept_is_bounded),
		TEST(trim_gives_memory_back),
		TEST(any_order_keeps_the_engine_sound),
		TEST(without_address_space_libc_serves_and_we_say_so),
	};

	if (argc == 2 && !strcmp(argv[1], "--child"))
		return child();
	unit_watchdog();
	if (hak_init(&options))
		return 99;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
