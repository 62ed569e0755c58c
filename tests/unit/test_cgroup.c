/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of control groups, in a directory that looks like theirs. */
#include "daemon/cgroup.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/sys.h"
#include "tests/unit/unit.h"

static char root[] = "/tmp/hakmem-cgroup-XXXXXX";
static const char *const files[] = { "/a/b/memory.max", "/a/memory.max", "/memory.max", "/self" };

static void put(const char *name, const char *text)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s%s", root, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	hak_sys_write(fd, text, strlen(text));
	hak_sys_close(fd);
}

static uint64_t limit(const char *self)
{
	char path[128];

	put("/self", self);
	(void)snprintf(path, sizeof(path), "%s/self", root);
	return cgroup_memory_max(root, path);
}

static int make(void **state)
{
	char path[128];

	if (!mkdtemp(root))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/a", root);
	(void)mkdir(path, 0700);
	(void)snprintf(path, sizeof(path), "%s/a/b", root);
	return mkdir(path, 0700);
}

static int drop(void **state)
{
	char path[128];

	for (size_t i = 0; i < hak_array_size(files); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", root, files[i]);
		(void)unlink(path);
	}
	(void)snprintf(path, sizeof(path), "%s/a/b", root);
	(void)rmdir(path);
	(void)snprintf(path, sizeof(path), "%s/a", root);
	(void)rmdir(path);
	return rmdir(root);
}

static void the_lowest_limit_above_counts(void **state)
{
	assert_true(limit("0::/a/b\n") == UINT64_MAX); /* no files */
	put("/a/b/memory.max", "max\n");
	assert_true(limit("0::/a/b\n") == UINT64_MAX);
	put("/a/memory.max", "8192\n");
	assert_int_equal(limit("0::/a/b\n"), 8192);
	put("/a/b/memory.max", "16384\n");
	assert_int_equal(limit("0::/a/b\n"), 8192);
	put("/a/b/memory.max", "4096\n");
	assert_int_equal(limit("0::/a/b\n"), 4096);
	assert_int_equal(limit("0::/a\n"), 8192);
}

static void a_container_sees_its_own_group_as_the_root(void **state)
{
	assert_true(limit("0::/\n") == UINT64_MAX);
	put("/memory.max", "12288\n");
	assert_int_equal(limit("0::/\n"), 12288);
	assert_int_equal(limit("0::/a\n"), 8192);
}

static void other_lines_are_passed_over(void **state)
{
	assert_int_equal(limit("4:memory:/x\n1:name=systemd:/y\n0::/a/b\n"), 4096);
	assert_true(limit("4:memory:/a/b\n") == UINT64_MAX);
	assert_true(limit("") == UINT64_MAX);
	assert_true(cgroup_memory_max(root, "/nowhere/at/all") == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lowest_limit_above_counts),
		cmocka_unit_test(a_container_sees_its_own_group_as_the_root),
		cmocka_unit_test(other_lines_are_passed_over),
	};

	return cmocka_run_group_tests(tests, make, drop);
}
