/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#define PAGE ((uint64_t)4096)
#define MIB  ((uint64_t)1 << 20)

static void memfd_is_private_sealed_and_of_its_size(void **state)
{
	for (int all = 0; all <= 1; all++) {
		struct stat st;
		int fd, seals;

		(void)state;
		assert_int_equal(hak_sys_memfd(&fd, "test-sys", 3 * PAGE, all), 0);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_size, 3 * PAGE);
		assert_int_equal(st.st_blocks, 0); /* sparse */
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		seals = fcntl(fd, F_GET_SEALS);
		assert_int_equal(seals & (F_SEAL_SHRINK | F_SEAL_GROW),
				 F_SEAL_SHRINK | F_SEAL_GROW);
		assert_int_equal(!!(seals & F_SEAL_SEAL), all);
		assert_int_equal(ftruncate(fd, 0), -1);
		assert_int_equal(ftruncate(fd, (off_t)(4 * PAGE)), -1);
		assert_int_equal(hak_sys_add_seals(fd, F_SEAL_WRITE), all ? -EPERM : 0);
		hak_sys_close(fd);
	}
}

static void memfd_failures_leave_no_descriptor(void **state)
{
	unsigned before = unit_count_fds();
	int fd = -7;

	(void)state;
	assert_int_equal(hak_sys_memfd(&fd, "test-sys", UINT64_MAX, true), -EINVAL);
	assert_int_equal(fd, -7);
	assert_int_equal(unit_count_fds(), before);
}

/* How /proc/self/maps describes the mapping that holds an address: "rw-p" and so on. */
static void mapped_as(const void *at, const char *must)
{
	static char text[1 << 20];
	char perms[5] = "none";

	assert_true(hak_sys_read_file("/proc/self/maps", text, sizeof(text)) > 0);
	for (char *line = text; line && *line; line = strchr(line, '\n'), line += line ? 1 : 0) {
		char *end, *rest;
		uintptr_t from = strtoull(line, &end, 16);
		uintptr_t to = strtoull(end + 1, &rest, 16);

		if ((uintptr_t)at >= from && (uintptr_t)at < to)
			memcpy(perms, rest + 1, 4);
	}
	assert_string_equal(perms, must);
}

static void reservations_are_aligned_and_empty(void **state)
{
	static const uint64_t aligns[] = { 0, 1, PAGE, 65536, 2 * MIB, 64 * MIB };

	(void)state;
	for (size_t i = 0; i < hak_array_size(aligns); i++) {
		uint64_t align = aligns[i] ? aligns[i] : 1;
		void *base, *hint;

		assert_int_equal(hak_sys_reserve(&base, NULL, 3 * MIB, aligns[i]), 0);
		assert_int_equal((uintptr_t)base % align, 0);
		mapped_as(base, "---p");
		mapped_as((char *)base + 3 * MIB - 1, "---p");
		assert_int_equal(hak_sys_unmap(base, 3 * MIB), 0);

		hint = base; /* free now */
		assert_int_equal(hak_sys_reserve(&base, hint, 3 * MIB, aligns[i]), 0);
		assert_ptr_equal(base, hint);
		/* Taken: it goes elsewhere and leaves what is there alone. */
		assert_int_equal(hak_sys_reserve(&base, hint, 3 * MIB, aligns[i]), 0);
		assert_ptr_not_equal(base, hint);
		assert_int_equal((uintptr_t)base % align, 0);
		mapped_as(hint, "---p");
		assert_int_equal(hak_sys_unmap(base, 3 * MIB), 0);
		assert_int_equal(hak_sys_unmap(hint, 3 * MIB), 0);
		mapped_as(base, "none");
		mapped_as((char *)base + 3 * MIB - 1, "none");
	}
}

static void an_aligned_reservation_leaves_nothing_beside_it(void **state)
{
	static char before[1 << 20], after[1 << 20];
	void *base;

	(void)state;
	assert_true(hak_sys_read_file("/proc/self/maps", before, sizeof(before)) > 0);
	for (unsigned i = 0; i < 32; i++) {
		assert_int_equal(hak_sys_reserve(&base, NULL, 5 * PAGE, 2 * MIB), 0);
		assert_int_equal(hak_sys_unmap(base, 5 * PAGE), 0);
	}
	assert_true(hak_sys_read_file("/proc/self/maps", after, sizeof(after)) > 0);
	assert_string_equal(before, after);
}

static void a_misaligned_hint_is_not_taken(void **state)
{
	void *free_place, *base;

	(void)state;
	assert_int_equal(hak_sys_reserve(&free_place, NULL, 8 * MIB, 2 * MIB), 0);
	assert_int_equal(hak_sys_unmap(free_place, 8 * MIB), 0);
	assert_int_equal(hak_sys_reserve(&base, (char *)free_place + PAGE, 2 * MIB, 2 * MIB), 0);
	assert_int_equal((uintptr_t)base % (2 * MIB), 0);
	assert_int_equal(hak_sys_unmap(base, 2 * MIB), 0);
}

static void impossible_mappings_fail_and_touch_nothing(void **state)
{
	void *base = &base;

	(void)state;
	assert_int_equal(hak_sys_reserve(&base, NULL, UINT64_C(1) << 60, 0), -ENOMEM);
	assert_int_equal(hak_sys_map_anon(&base, UINT64_C(1) << 60), -ENOMEM);
	assert_int_equal(hak_sys_map_shared(&base, NULL, -1, 0, PAGE), -EBADF);
	assert_int_equal(hak_sys_map_readonly(&base, -1, PAGE), -EBADF);
	assert_ptr_equal(base, &base);
	assert_int_equal(hak_sys_unmap((void *)(uintptr_t)1, PAGE), -EINVAL);
}

static void mappings_are_of_their_kind(void **state)
{
	void *base, *again, *ro;
	uint8_t *p;
	int fd;

	(void)state;
	assert_int_equal(hak_sys_memfd(&fd, "test-sys", 4 * PAGE, true), 0);
	assert_int_equal(hak_sys_reserve(&base, NULL, 4 * PAGE, 0), 0);
	p = base;
	assert_int_equal(hak_sys_map_shared(&again, base, fd, PAGE, PAGE), 0);
	assert_ptr_equal(again, base);
	mapped_as(p, "rw-s");
	mapped_as(p + PAGE, "---p");
	p[0] = 1;
	assert_int_equal(hak_sys_map_readonly(&ro, fd, 4 * PAGE), 0);
	mapped_as(ro, "r--s");
	assert_int_equal(((uint8_t *)ro)[PAGE], 1);

	/* Copy on write over the same page keeps what was written and hides what follows. */
	assert_int_equal(hak_sys_map_private_at(p, fd, PAGE, PAGE), 0);
	mapped_as(p, "rw-p");
	assert_int_equal(p[0], 1);
	p[0] = 2;
	assert_int_equal(((uint8_t *)ro)[PAGE], 1);

	assert_int_equal(hak_sys_map_anon_at(p, PAGE), 0);
	assert_int_equal(p[0], 0);
	assert_int_equal(hak_sys_map_none_at(p, PAGE), 0);
	mapped_as(p, "---p");
	assert_int_equal(hak_sys_protect_rw(p, PAGE), 0);
	p[0] = 3;
	assert_int_equal(hak_sys_protect_none(p, PAGE), 0);
	mapped_as(p, "---p");
	assert_int_equal(hak_sys_protect_rw(p, PAGE), 0);
	assert_int_equal(p[0], 3);
	assert_int_equal(hak_sys_unmap(base, 4 * PAGE), 0);
	assert_int_equal(hak_sys_unmap(ro, 4 * PAGE), 0);
	hak_sys_close(fd);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* The kernel gives fallocate() up when anything is pending for the thread; for the daemon that is
 * every event of its ring, too, and a client would be told that there is no memory. */
static void building_goes_on_after_a_signal(void **state)
{
	const struct sigaction act = { .sa_handler = on_alarm };
	struct itimerval once = { 0 };
	struct sigaction before;
	int fd;

	(void)state;
	assert_int_equal(sigaction(SIGALRM, &act, &before), 0);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(hak_sys_memfd(&fd, "t", 8192 * PAGE, false), 0);
		once.it_value.tv_usec = 20 + 20 * i;
		assert_int_equal(setitimer(ITIMER_REAL, &once, NULL), 0);
		assert_int_equal(hak_sys_fallocate(fd, 0, 8192 * PAGE), 0);
		hak_sys_close(fd);
	}
	assert_int_equal(setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL), 0);
	assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
}

static void punching_gives_memory_back_and_zeroes(void **state)
{
	struct stat st;
	void *map;
	int fd;

	(void)state;
	assert_int_equal(hak_sys_memfd(&fd, "test-sys", 4 * PAGE, true), 0);
	assert_int_equal(hak_sys_map_shared(&map, NULL, fd, 0, 4 * PAGE), 0);
	assert_int_equal(hak_sys_fallocate(fd, 0, 2 * PAGE), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_blocks, 2 * PAGE / 512);
	memset(map, 0xff, PAGE);
	assert_int_equal(hak_sys_punch(fd, 0, 4 * PAGE), 0);
	assert_int_equal(*(uint8_t *)map, 0);
	assert_int_equal(hak_sys_unmap(map, 4 * PAGE), 0);
	hak_sys_close(fd);
}

static void closing_tells_descriptors_from_none(void **state)
{
	unsigned before = unit_count_fds();
	int fd;

	(void)state;
	assert_int_equal(hak_sys_close(-1), -1);
	assert_int_equal(hak_sys_memfd(&fd, "test-sys", PAGE, true), 0);
	hak_sys_closep(&fd);
	assert_int_equal(fd, -1);
	hak_sys_closep(&fd); /* twice is fine */
	assert_int_equal(unit_count_fds(), before);
}

static void a_reused_number_is_not_the_same_descriptor(void **state)
{
	struct hak_fd_id id;
	int fd, other;

	(void)state;
	assert_int_equal(hak_sys_memfd(&fd, "test-sys", PAGE, true), 0);
	assert_int_equal(hak_sys_memfd(&other, "test-sys", PAGE, true), 0);
	assert_int_equal(hak_sys_fd_id(&id, fd), 0);
	assert_true(hak_sys_fd_is(fd, &id));
	assert_int_equal(dup2(other, fd), fd);
	assert_false(hak_sys_fd_is(fd, &id));
	hak_sys_close(fd);
	assert_false(hak_sys_fd_is(fd, &id));
	assert_false(hak_sys_fd_is(-1, &id));
	assert_int_equal(hak_sys_fd_id(&id, fd), -EBADF);
	hak_sys_close(other);
}

static void descriptors_move_out_of_the_way(void **state)
{
	static const rlim_t limits[] = { 20, 64, 256, 1024 };
	struct rlimit old, small;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	for (size_t i = 0; i < hak_array_size(limits); i++) {
		unsigned before = unit_count_fds();
		struct hak_fd_id id;
		int fd, high;

		small = old;
		small.rlim_cur = limits[i];
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
		assert_int_equal(hak_sys_memfd(&fd, "test-sys", PAGE, true), 0);
		assert_int_equal(hak_sys_fd_id(&id, fd), 0);
		high = hak_sys_move_high(fd);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		assert_true(high >= (int)(limits[i] - limits[i] / 16 - 1));
		assert_true(hak_sys_fd_is(high, &id));
		assert_false(hak_sys_fd_is(fd, &id));
		assert_int_equal(fcntl(high, F_GETFD), FD_CLOEXEC);
		hak_sys_close(high);
		assert_int_equal(unit_count_fds(), before);
	}
	assert_int_equal(hak_sys_move_high(-1), -1);
}

static void a_full_table_keeps_the_descriptor_where_it_is(void **state)
{
	struct rlimit old, tight;
	struct hak_fd_id id;
	int fd;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(hak_sys_memfd(&fd, "test-sys", PAGE, true), 0);
	assert_int_equal(hak_sys_fd_id(&id, fd), 0);
	tight = old;
	tight.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	assert_int_equal(hak_sys_move_high(fd), fd);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_true(hak_sys_fd_is(fd, &id));
	hak_sys_close(fd);
}

static void a_futex_times_out_or_sees_the_change(void **state)
{
	_Atomic uint32_t word = 5;
	uint64_t start = hak_sys_now_ns();

	(void)state;
	assert_int_equal(hak_sys_futex_wait(&word, 5, 20000000), -ETIMEDOUT);
	assert_true(hak_sys_now_ns() - start >= 20000000);
	assert_int_equal(hak_sys_futex_wait(&word, 5, 0), -ETIMEDOUT);
	assert_int_equal(hak_sys_futex_wait(&word, 4, -1),
			 0);          /* another value: not even for ever */
	hak_sys_futex_wake(&word, 1); /* nobody waits */
}

static void *wake_until_told(void *arg)
{
	_Atomic uint32_t *words = arg;

	/* The waiter may not wait yet; the word is unchanged, so only a wake-up ends its wait. */
	while (!atomic_load(&words[1]))
		hak_sys_futex_wake(&words[0], 1);
	return NULL;
}

static void a_futex_is_woken(void **state)
{
	_Atomic uint32_t words[2] = { 7, 0 };
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, wake_until_told, words), 0);
	assert_int_equal(hak_sys_futex_wait(&words[0], 7, UNIT_DEADLINE_NS), 0);
	atomic_store(&words[1], 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void a_pidfd_tells_of_the_end(void **state)
{
	int fd, pipes[2];
	struct pollfd p;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (!pid) {
		char c;

		close(pipes[1]);
		_exit((int)read(pipes[0], &c, 1)); /* until the parent closes its end */
	}
	close(pipes[0]);
	assert_int_equal(hak_sys_pidfd_open(&fd, pid), 0);
	p = (struct pollfd){ .fd = fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 0), 0);
	close(pipes[1]);
	assert_int_equal(poll(&p, 1, (int)(UNIT_DEADLINE_NS / 1000000)), 1);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	hak_sys_close(fd);
	assert_int_equal(hak_sys_pidfd_open(&fd, pid), -ESRCH);
	assert_int_equal(hak_sys_pidfd_open(&fd, -1), -EINVAL);
}

static void the_peer_of_a_socket_is_known(void **state)
{
	struct hak_peer peer;
	int pair[2], pidfd;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(hak_sys_peer(&peer, &pidfd, pair[0]), 0);
	assert_int_equal(peer.pid, getpid());
	assert_int_equal(peer.uid, geteuid());
	assert_int_equal(peer.gid, getegid());
	assert_int_equal(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
	hak_sys_close(pidfd);
	hak_sys_close(pair[0]);
	hak_sys_close(pair[1]);
	assert_int_equal(hak_sys_peer(&peer, &pidfd, -1), -EBADF);
}

static void small_files_are_read_and_ended(void **state)
{
	char buf[64];
	int fd;
	char path[32];

	(void)state;
	assert_int_equal(hak_sys_memfd(&fd, "test-sys", 10, true), 0);
	hak_sys_write(fd, "0123456789", 10);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(hak_sys_read_file(path, buf, sizeof(buf)), 10);
	assert_string_equal(buf, "0123456789");
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(hak_sys_read_file(path, buf, 5), 4);
	assert_string_equal(buf, "0123");
	assert_int_equal(buf[5], 'x');
	assert_int_equal(hak_sys_read_file(path, buf, 1), 0);
	assert_string_equal(buf, "");
	assert_int_equal(hak_sys_read_file("/nowhere", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(hak_sys_read_file("/", buf, sizeof(buf)), -EISDIR);
	hak_sys_close(fd);
}

static void clocks_run_and_randomness_varies(void **state)
{
	uint64_t mono = hak_sys_now_ns(), boot = hak_sys_boottime_ns();
	unsigned cpu = 99999, node = 99999;

	(void)state;
	assert_true(mono > 0 && boot > 0);
	assert_true(hak_sys_now_ns() >= mono && hak_sys_boottime_ns() >= boot);
	assert_true(hak_sys_random() != hak_sys_random());
	assert_int_equal(hak_sys_getcpu(&cpu, &node), 0);
	assert_true(cpu < 99999 && node < 99999);
}

/* All of this runs inside other people's malloc, whose errno is sacred. */
static void errno_is_left_alone(void **state)
{
	_Atomic uint32_t word = 0;
	struct hak_fd_id id;
	struct hak_peer peer;
	char buf[8];
	void *p;
	int fd;

	(void)state;
	errno = EDOM;
	(void)hak_sys_memfd(&fd, "test-sys", UINT64_MAX, true);
	(void)hak_sys_reserve(&p, NULL, UINT64_C(1) << 60, 0);
	(void)hak_sys_map_anon(&p, 0);
	(void)hak_sys_map_shared(&p, NULL, -1, 0, PAGE);
	(void)hak_sys_unmap((void *)(uintptr_t)1, PAGE);
	(void)hak_sys_advise((void *)(uintptr_t)PAGE, PAGE, MADV_DONTDUMP);
	hak_sys_name(NULL, PAGE, "x");
	(void)hak_sys_punch(-1, 0, PAGE);
	(void)hak_sys_add_seals(-1, 0);
	(void)hak_sys_close(1000000);
	(void)hak_sys_move_high(1000000);
	(void)hak_sys_fd_id(&id, -1);
	(void)hak_sys_futex_wait(&word, 0, 1000);
	(void)hak_sys_pidfd_open(&fd, -1);
	(void)hak_sys_peer(&peer, &fd, -1);
	hak_sys_write(-1, "x", 1);
	(void)hak_sys_read_file("/nowhere", buf, sizeof(buf));
	(void)hak_sys_random();
	assert_int_equal(errno, EDOM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memfd_is_private_sealed_and_of_its_size),
		cmocka_unit_test(memfd_failures_leave_no_descriptor),
		cmocka_unit_test(reservations_are_aligned_and_empty),
		cmocka_unit_test(an_aligned_reservation_leaves_nothing_beside_it),
		cmocka_unit_test(a_misaligned_hint_is_not_taken),
		cmocka_unit_test(impossible_mappings_fail_and_touch_nothing),
		cmocka_unit_test(mappings_are_of_their_kind),
		cmocka_unit_test(building_goes_on_after_a_signal),
		cmocka_unit_test(punching_gives_memory_back_and_zeroes),
		cmocka_unit_test(closing_tells_descriptors_from_none),
		cmocka_unit_test(a_reused_number_is_not_the_same_descriptor),
		cmocka_unit_test(descriptors_move_out_of_the_way),
		cmocka_unit_test(a_full_table_keeps_the_descriptor_where_it_is),
		cmocka_unit_test(a_futex_times_out_or_sees_the_change),
		cmocka_unit_test(a_futex_is_woken),
		cmocka_unit_test(a_pidfd_tells_of_the_end),
		cmocka_unit_test(the_peer_of_a_socket_is_known),
		cmocka_unit_test(small_files_are_read_and_ended),
		cmocka_unit_test(clocks_run_and_randomness_varies),
		cmocka_unit_test(errno_is_left_alone),
	};

	return cmocka_run_group_tests_name("sys", tests, NULL, NULL);
}
