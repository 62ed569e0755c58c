/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/node.h"

#include <errno.h>
#include <stdio.h>

#include "shared/sys.h"
#include "tools/os.h"
#include "tools/text.h"

/* The kernel's largest configuration; the set must be as large as the kernel's own. */
#define CPUS 8192u

static cpu_set_t *as_set(uint64_t *words)
{
	return (cpu_set_t *)(void *)words;
}

int node_bind(unsigned node)
{
	uint64_t wanted[CPUS / 64], allowed[CPUS / 64];
	char path[64], list[8192];
	ssize_t n;
	int r;

	static_assert(sizeof(wanted) == CPUS / 8, "CPU_ALLOC_SIZE(CPUS)");
	(void)snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/cpulist", node);
	n = hak_sys_read_file(path, list, sizeof(list));
	if (n < 0) {
		/* Without any nodes in sysfs (a kernel without NUMA) the machine is node 0. */
		r = (int)hak_sys_read_file("/sys/devices/system/node/online", list, sizeof(list));
		return r == -ENOENT && node == 0 ? 0 : (int)n;
	}
	if (!text_parse_cpus(as_set(wanted), CPUS, list))
		return -EINVAL;
	r = os_get_cpus(as_set(allowed), sizeof(allowed));
	if (r < 0)
		return r;
	CPU_AND_S(sizeof(wanted), as_set(wanted), as_set(wanted), as_set(allowed));
	if (!CPU_COUNT_S(sizeof(wanted), as_set(wanted)))
		return -ENODEV;
	return os_set_cpus(as_set(wanted), sizeof(wanted));
}
