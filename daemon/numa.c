/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/numa.h"

#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/os.h"
#include "shared/layout.h"
#include "shared/sys.h"

/* Nodes that have memory, lowest first. */
static void find_nodes(struct numa *numa)
{
	for (int node = 0; node <= numa_max_node() && numa->parts < HAK_PARTS_MAX; node++) {
		if (numa_node_size64(node, NULL) > 0)
			numa->node[numa->parts++] = (uint32_t)node;
	}
}

static int distance(const struct numa *numa, uint32_t from, uint32_t to)
{
	int d = from == to ? 0 : numa_distance((int)numa->node[from], (int)numa->node[to]);

	return d > 0 || from == to ? d : INT32_MAX; /* 0: the firmware does not say */
}

/* Insertion by distance; equal ones stay in their order. */
static void sort_parts(struct numa *numa, uint32_t from)
{
	uint8_t *order = numa->order[from];

	for (uint32_t n = 0; n < numa->parts; n++) {
		uint32_t at = n;

		while (at && distance(numa, from, order[at - 1]) > distance(numa, from, n)) {
			order[at] = order[at - 1];
			at--;
		}
		order[at] = (uint8_t)n;
	}
}

/* Containers may forbid mbind(), and libnuma hides that: try it. */
static bool probe_mbind(void)
{
	uint64_t size = (uint64_t)sysconf(_SC_PAGESIZE);
	void *page;
	int r;

	if (hak_sys_map_anon(&page, size) < 0)
		return false;
	r = os_result(mbind(page, size, MPOL_DEFAULT, NULL, 0, 0));
	(void)hak_sys_unmap(page, size);
	if (r < 0)
		log_event(LOG_AT_WARNING, "numa-no-mbind",
			  "error=\"%s\" effect=\"memory is placed where it is first touched\"",
			  os_text(r));
	return r == 0;
}

void numa_init(struct numa *numa)
{
	*numa = (struct numa){ 0 };
	if (numa_available() >= 0)
		find_nodes(numa);
	if (!numa->parts)
		numa->parts = 1; /* node 0, the only one */
	for (uint32_t p = 0; p < numa->parts; p++)
		sort_parts(numa, p);
	numa->binds = numa->parts > 1 && probe_mbind();
}

uint32_t numa_part_of(const struct numa *numa, uint32_t node)
{
	for (uint32_t p = 0; p < numa->parts; p++) {
		if (numa->node[p] == node)
			return p;
	}
	return 0; /* HAK_NODE_ANY, or a node without memory of its own */
}

int numa_prefer(const struct numa *numa, uint32_t part, void *at, uint64_t size)
{
	struct bitmask *mask;
	int r;

	if (!numa->binds)
		return 0;
	mask = numa_allocate_nodemask();
	if (!mask)
		return -ENOMEM;
	(void)numa_bitmask_setbit(mask, numa->node[part]);
	r = os_result(mbind(at, size, MPOL_PREFERRED, mask->maskp, mask->size + 1, 0));
	numa_bitmask_free(mask);
	return r;
}

void numa_bind_thread(const struct numa *numa, uint32_t part)
{
	/* A node without CPUs, a cpuset that leaves none of them: it runs where it may. */
	if (numa->parts > 1)
		(void)numa_run_on_node((int)numa->node[part]);
}

uint32_t numa_node_of_process(pid_t pid)
{
	int cpu = os_last_cpu(pid);
	int node = cpu < 0 ? -1 : numa_node_of_cpu(cpu);

	return node < 0 ? HAK_NODE_ANY : (uint32_t)node;
}
