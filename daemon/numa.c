/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/numa.h"

#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/limits.h"
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

/* For a node without memory of its own; the first part for HAK_NODE_ANY and what is no node. */
static uint32_t nearest(const struct numa *numa, uint32_t node)
{
	uint32_t best = 0;
	int least = INT32_MAX;

	for (uint32_t p = 0; p < numa->parts && node < LIMIT_NODE_NUMBERS; p++) {
		int d = numa_distance((int)node, (int)numa->node[p]);

		if (d > 0 && d < least) { /* 0: not known */
			least = d;
			best = p;
		}
	}
	return best;
}

uint32_t numa_part_of(const struct numa *numa, uint32_t node)
{
	if (numa->policy == NUMA_PREFERRED)
		return numa->preferred;
	for (uint32_t p = 0; p < numa->parts && numa->policy != NUMA_INTERLEAVE; p++) {
		if (numa->node[p] == node)
			return p;
	}
	return numa->policy == NUMA_INTERLEAVE ? 0 : nearest(numa, node);
}

/* Also: libnuma reads which CPUs a node has when it is first asked, and is not ready for two
 * threads that ask at once. */
static void find_starts(struct numa *numa)
{
	int cpus = numa->parts > 1 ? numa_num_possible_cpus() : 0;

	numa->starts[numa_part_of(numa, HAK_NODE_ANY)] = true; /* who can't be located */
	for (int cpu = 0; cpu < cpus; cpu++) {
		int node = numa_node_of_cpu(cpu);

		if (node >= 0)
			numa->starts[numa_part_of(numa, (uint32_t)node)] = true;
	}
}

static const char *policy_fault(struct numa *numa, const struct config *config)
{
	if (config->numa_policy == NUMA_PREFERRED) {
		while (numa->preferred < numa->parts &&
		       numa->node[numa->preferred] != config->numa_node)
			numa->preferred++;
		if (numa->preferred == numa->parts)
			return "the node has no memory";
	}
	if (config->numa_policy != NUMA_LOCAL && numa->parts > 1 && !numa->binds)
		return "mbind() is not permitted";
	return NULL;
}

int numa_set_policy(struct numa *numa, const struct config *config)
{
	static const char *const names[] = { "local", "preferred", "interleave", "strict" };
	const char *fault = policy_fault(numa, config);

	numa->policy = config->numa_policy;
	if (!fault) {
		find_starts(numa);
		return 0;
	}
	log_plain("numa policy %s, node %u: %s", names[config->numa_policy], config->numa_node,
		  fault);
	return -EINVAL;
}

uint32_t numa_node_of(const struct numa *numa, uint32_t part)
{
	return numa->policy == NUMA_INTERLEAVE ? HAK_NODE_ANY : numa->node[part];
}

/* The superslabs of a region that belong to a part: as runs.c cuts them. */
static uint32_t part_first(const struct numa *numa, uint32_t part)
{
	return part == numa->parts ? HAK_REGION_SUPERSLABS
				   : HAK_REGION_SUPERSLABS / numa->parts * part;
}

uint32_t numa_part_at(const struct numa *numa, uint32_t index)
{
	uint32_t part = index / (HAK_REGION_SUPERSLABS / numa->parts);

	if (numa->policy == NUMA_INTERLEAVE)
		return index % numa->parts;
	return part < numa->parts ? part : numa->parts - 1;
}

uint32_t numa_share(const struct numa *numa, uint32_t part, uint32_t first, uint32_t count)
{
	uint32_t lo = part_first(numa, part), hi = part_first(numa, part + 1), end = first + count;

	if (numa->policy == NUMA_INTERLEAVE) {
		uint32_t steps = (part + numa->parts - first % numa->parts) % numa->parts;

		return count / numa->parts + (steps < count % numa->parts);
	}
	lo = lo > first ? lo : first;
	hi = hi < end ? hi : end;
	return hi > lo ? hi - lo : 0;
}

/* [at, at + size) on a part's node before others, or on all nodes in turn. */
static int place(const struct numa *numa, uint32_t part, bool in_turn, void *at, uint64_t size)
{
	struct bitmask *mask;
	int r;

	if (!numa->binds)
		return 0;
	mask = numa_allocate_nodemask();
	if (!mask)
		return -ENOMEM;
	for (uint32_t p = 0; p < numa->parts; p++) {
		if (in_turn || p == part)
			(void)numa_bitmask_setbit(mask, numa->node[p]);
	}
	r = os_result(mbind(at, size, in_turn ? MPOL_INTERLEAVE : MPOL_PREFERRED, mask->maskp,
			    mask->size + 1, 0));
	numa_bitmask_free(mask);
	return r;
}

int numa_prefer(const struct numa *numa, uint32_t part, void *at, uint64_t size)
{
	return place(numa, part, numa->policy == NUMA_INTERLEAVE, at, size);
}

int numa_spread(const struct numa *numa, uint32_t index, void *at)
{
	if (numa->policy != NUMA_INTERLEAVE)
		return 0;
	return place(numa, numa_part_at(numa, index), false, at, HAK_SUPERSLAB_SIZE);
}

bool numa_in_place(const struct numa *numa, uint32_t part, void *at, uint32_t pages)
{
	int wanted = (int)numa->node[part];
	void *page[64];
	int node[64];

	if (!numa->binds)
		return true;
	for (uint32_t done = 0, n; done < pages; done += n) {
		n = pages - done < 64 ? pages - done : 64;
		for (uint32_t i = 0; i < n; i++)
			page[i] = hak_at(at, (done + i) * UINT64_C(4096));
		if (os_result(move_pages(0, n, page, NULL, node, 0)) < 0)
			return false;
		for (uint32_t i = 0; i < n; i++) {
			if (node[i] != wanted)
				return false;
		}
	}
	return true;
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
