/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls that domains need. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#define PAGE ((uint64_t)4096)

static void a_file_is_mapped_where_nothing_is(void **state)
{
	void *at;
	char *p;
	int fd;

	(void)state;
	assert_int_equal(hak_sys_memfd(&fd, "test-sys", 2 * PAGE, true), 0);
	assert_int_equal(hak_sys_reserve(&at, NULL, 2 * PAGE, 0), 0);
	p = at;
	errno = EDOM;
	assert_int_equal(hak_sys_map_shared_at(at, fd, 2 * PAGE, true), -EEXIST);
	assert_int_equal(hak_sys_unmap(at, 2 * PAGE), 0);
	assert_int_equal(hak_sys_map_shared_at(at, fd, 2 * PAGE, true), 0);
	strcpy(p, "shared");
	assert_int_equal(hak_sys_unmap(at, 2 * PAGE), 0);
	assert_int_equal(hak_sys_map_shared_at(at, fd, 2 * PAGE, false), 0);
	assert_string_equal(p, "shared");
	/* Read-only: the kernel does not write there either. */
	assert_int_equal(pread(fd, p, 1, 0), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(hak_sys_unmap(at, 2 * PAGE), 0);
	hak_sys_close(fd);
}

static void a_drained_eventfd_says_nothing(void **state)
{
	uint64_t n = 3;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	(void)state;
	assert_int_equal(write(fd, &n, sizeof(n)), sizeof(n));
	errno = EDOM;
	hak_sys_drain(fd);
	hak_sys_drain(fd);
	hak_sys_drain(-1);
	assert_int_equal(errno, EDOM);
	assert_int_equal(read(fd, &n, sizeof(n)), -1);
	assert_int_equal(errno, EAGAIN);
	hak_sys_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_mapped_where_nothing_is),
		cmocka_unit_test(a_drained_eventfd_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
