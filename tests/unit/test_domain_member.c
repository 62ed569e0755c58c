/* SPDX-License-Identifier: Apache-2.0 */
/* What a member does with a domain by itself; test_domain_owners.c has two of them. No daemon. */
#include "tests/unit/domain_local.h"

#include <pthread.h>
#include <sys/wait.h>

#include "libclient/heap.h"

static void blocks_of_all_sizes_are_distinct(void **state)
{
	hak_domain *d = local.d;
	static unsigned char *p[4000];
	uint32_t n = 0;

	(void)state;
	for (size_t size = 1; size <= ((size_t)32 << 20); size += 1 + size / 7) {
		p[n] = hak_domain_alloc(d, size);
		assert_non_null(p[n]);
		assert_true(hak_domain_has(d, p[n]) && !((uintptr_t)p[n] & 15));
		assert_true(hak_domain_usable_size(d, p[n]) >= size);
		if (size > (4u << 20)) {
			hak_domain_free(d, p[n]);
			continue;
		}
		memset(p[n], (int)(n % 251), hak_domain_usable_size(d, p[n]));
		n++;
	}
	for (uint32_t i = 0; i < n; i++) {
		size_t usable = hak_domain_usable_size(d, p[i]);

		for (size_t k = 0; k < usable; k += k + 64 < usable ? 64 : usable - k)
			assert_int_equal(p[i][k], i % 251);
		assert_int_equal(p[i][usable - 1], i % 251);
		hak_domain_free(d, p[i]);
	}
	hak_domain_free(d, NULL);
	assert_all_free(d);
}

static void blocks_are_aligned_as_asked(void **state)
{
	hak_domain *d = local.d;

	(void)state;
	for (size_t align = 1; align <= ((size_t)64 << 20); align *= 2) {
		for (size_t size = 1; size <= ((size_t)4 << 20); size = size * 5 + 3) {
			void *p = hak_domain_aligned_alloc(d, align, size);

			assert_non_null(p);
			assert_int_equal((uintptr_t)p & (align - 1), 0);
			assert_true(hak_domain_usable_size(d, p) >= size);
			hak_domain_free(d, p);
		}
	}
	errno = 0;
	assert_null(hak_domain_aligned_alloc(d, 48, 1));
	assert_int_equal(errno, EINVAL);
	assert_all_free(d);
}

static void a_full_domain_says_so_and_goes_on(void **state)
{
	hak_domain *d = local.d;
	void **list = NULL, *p;
	uint64_t n = 0;

	(void)state;
	while ((p = hak_domain_alloc(d, 3000))) {
		*(void **)p = (void *)list;
		list = p;
		n++;
	}
	assert_int_equal(errno, ENOMEM);
	assert_true(n > (uint64_t)SUPERS * HAK_SUPERSLAB_SIZE / 3500);
	while ((p = list)) {
		list = *(void **)p;
		hak_domain_free(d, p);
	}
	p = hak_domain_alloc(d, (size_t)SUPERS << (HAK_SUPERSLAB_SHIFT - 1));
	assert_non_null(p);
	hak_domain_free(d, p);
	assert_all_free(d);
}

static void *use_and_leave(void *arg)
{
	hak_domain *d = arg;
	void *p[200];

	for (int i = 0; i < 200; i++) {
		p[i] = hak_domain_alloc(d, (size_t)i * 7);
		must(p[i]);
	}
	for (int i = 0; i < 200; i++)
		hak_free(p[i]);
	return NULL;
}

static void a_thread_that_ends_leaves_nothing_behind(void **state)
{
	pthread_t thread;

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(pthread_create(&thread, NULL, use_and_leave, local.d), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	assert_null(local.d->threads);
	assert_all_free(local.d);
}

static void free_and_realloc_know_domains(void **state)
{
	hak_domain *d = local.d;
	char *p = hak_domain_alloc(d, 20);

	(void)state;
	assert_false(hak_owns(p));
	assert_int_equal(hak_usable_size(p), 32);
	strcpy(p, "some words");
	p = hak_realloc(p, 5000);
	assert_true(hak_domain_has(d, p));
	assert_string_equal(p, "some words");
	p = hak_realloc(p, 500000);
	assert_true(hak_domain_has(d, p));
	assert_string_equal(p, "some words");
	assert_null(hak_realloc(p, 0));
	assert_all_free(d);
}

static void a_childs_handle_is_dead(void **state)
{
	hak_domain *d = local.d;
	char *p = hak_domain_alloc(d, 100);
	struct hak_event event;
	pid_t pid = fork();
	int status;

	(void)state;
	if (!pid) {
		errno = 0;
		must(!hak_domain_alloc(d, 100) && errno == EOWNERDEAD);
		errno = 0;
		must(!hak_domain_alloc(d, 100000) && errno == EOWNERDEAD);
		must(hak_publish(d, p) == -EOWNERDEAD && hak_claim(d, p) == -EOWNERDEAD);
		must(hak_event_next(d, &event) == -EOWNERDEAD);
		must(hak_ref_of(d, p) == 0 && hak_owner(d, p) == 0 && !hak_domain_has(d, p));
		must(hak_event_fd(d) == -EOWNERDEAD);
		errno = 0;
		must(!hak_realloc(p, 5000) && errno == EOWNERDEAD);
		hak_domain_free(d, p);
		hak_free(p);
		must(!hak_domain_close(d));
		_Exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	hak_domain_free(d, p);
	assert_all_free(d);
}

static void tell(uint32_t kind, hak_member member)
{
	uint64_t seq = local.state->last_event + 1, one = 1;
	struct hak_event_entry *e = &local.state->event[seq % HAK_EVENTS];

	e->member = member;
	e->kind = kind;
	e->seq = seq;
	local.state->last_event = seq;
	must(write(local.fds[HAK_DOMAIN_FD_EVENTS], &one, sizeof(one)) == sizeof(one));
}

static void events_of_others_come_in_order(void **state)
{
	hak_domain *d = local.d;
	struct hak_event e;
	uint64_t count;

	(void)state;
	assert_true(hak_event_fd(d) >= 0);
	assert_int_equal(hak_event_next(d, &e), -EAGAIN);
	tell(HAK_EVENT_KIND_JOINED, MEMBER(2));
	tell(HAK_EVENT_KIND_JOINED, MEMBER(1));
	tell(HAK_EVENT_KIND_DIED, MEMBER(2));
	assert_int_equal(hak_event_next(d, &e), 0);
	assert_int_equal(e.type, HAK_EVENT_JOINED);
	assert_true(e.member == MEMBER(2));
	assert_int_equal(hak_event_next(d, &e), 0);
	assert_int_equal(e.type, HAK_EVENT_DIED);
	assert_int_equal(hak_event_next(d, &e), -EAGAIN);
	assert_int_equal(read(hak_event_fd(d), &count, sizeof(count)), -1);
	for (int i = 0; i < 300; i++)
		tell(HAK_EVENT_KIND_JOINED, MEMBER(3));
	assert_int_equal(hak_event_next(d, &e), 0);
	assert_int_equal(e.type, HAK_EVENT_LOST);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(hak_event_next(d, &e), 0);
		assert_int_equal(e.type, HAK_EVENT_JOINED);
	}
}

static void without_a_daemon_nothing_opens(void **state)
{
	hak_domain *d = NULL;

	(void)state;
	assert_int_equal(hak_domain_open(&d, "test", HAK_CREATE, NULL), -ENOTCONN);
	assert_string_equal(hak_detail(), "there is no hakmemd");
	assert_int_equal(hak_domain_open(&d, "no name", HAK_CREATE, NULL), -EINVAL);
	assert_int_equal(hak_domain_unlink("test"), -ENOTCONN);
	assert_null(d);
	/* And the next one may try. */
	assert_int_equal(hak_heap.session.state, HAK_SESSION_NONE);
}

static void trim_gives_up_what_is_free(void **state)
{
	void *p = hak_domain_alloc(local.d, 100);

	(void)state;
	hak_domain_free(local.d, p);
	assert_int_equal(stat_of(local.d).own_bytes, HAK_SLAB_SIZE);
	(void)hak_trim();
	assert_int_equal(stat_of(local.d).own_bytes, 0);
}

/* For people who look for what was forgotten: none of its blocks is in use for longer. */
static void a_run_says_since_when_it_is_in_use(void **state)
{
	static const size_t sizes[] = { 100, 20000, 100000 };
	hak_domain *d = local.d;

	(void)state;
	for (unsigned i = 0; i < hak_array_size(sizes); i++) {
		uint32_t before = hak_since_of(hak_sys_boottime_ns()), since;
		struct hak_place place;
		void *p = hak_domain_alloc(d, sizes[i]);

		assert_int_equal(hak_domain_find(d, p, &place), 0);
		since = d->view.since[place.slab];
		assert_in_range(since, before, hak_since_of(hak_sys_boottime_ns()));
		assert_true(hak_since_ns(since) <= hak_sys_boottime_ns());
		/* Not that of the last block, but of the first. */
		d->view.since[place.slab] = 1;
		hak_domain_free(d, hak_domain_alloc(d, sizes[i]));
		hak_domain_thread_flush(d);
		assert_int_equal(d->view.since[place.slab], 1);
		hak_domain_free(d, p);
		hak_domain_thread_flush(d);
		assert_int_equal(d->view.since[place.slab], 0); /* kept, and wholly free */
		assert_ptr_equal(hak_domain_alloc(d, sizes[i]), p);
		assert_true(d->view.since[place.slab] >= before);
		hak_domain_free(d, p);
		give_everything_back(d);
	}
	assert_all_free(d);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(blocks_of_all_sizes_are_distinct),
		TEST(blocks_are_aligned_as_asked),
		TEST(a_full_domain_says_so_and_goes_on),
		TEST(a_thread_that_ends_leaves_nothing_behind),
		TEST(free_and_realloc_know_domains),
		TEST(a_childs_handle_is_dead),
		TEST(events_of_others_come_in_order),
		TEST(trim_gives_up_what_is_free),
		TEST(a_run_says_since_when_it_is_in_use),
		TEST(without_a_daemon_nothing_opens),
	};
	const struct hak_options options = { .size = sizeof(options),
					     .socket = "/nowhere/hakmemd.sock",
					     .mode = HAK_INFO_EMBEDDED };

	if (hak_init(&options))
		return 1;

	return cmocka_run_group_tests(tests, NULL, NULL);
}
