/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DPDK: a mempool, which has objects of one size, with the largest cache that a processor may have.
 * Without huge pages, devices or other processes; the pool is this thread's alone and has no lock.
 */
#include "bench/workloads/shared/memory_alone.h"

#include <rte_eal.h>
#include <rte_mempool.h>

#define OBJECTS 8191 /* a power of two less one suits its ring best */
#define OPTIONS (int)(sizeof(options) / sizeof(*options))

static char options[][24] = {
	"--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "--log-level=error", "-m", "64",
};

static struct rte_mempool *pool;

void memory_join(struct side *side, uint64_t bytes, size_t largest)
{
	char *args[1 + OPTIONS] = { side->name };

	(void)bytes;
	for (int i = 0; i < OPTIONS; i++)
		args[1 + i] = options[i];
	if (rte_eal_init(1 + OPTIONS, args) < 0)
		work_die("DPDK does not start");
	pool = rte_mempool_create("hakbench", OBJECTS, (unsigned)largest,
				  RTE_MEMPOOL_CACHE_MAX_SIZE, 0, NULL, NULL, NULL, NULL,
				  SOCKET_ID_ANY, RTE_MEMPOOL_F_SP_PUT | RTE_MEMPOOL_F_SC_GET);
	if (!pool)
		work_die("there is no mempool");
}

void memory_leave(struct side *side)
{
	(void)side;
	rte_mempool_free(pool);
	(void)rte_eal_cleanup();
}

void *memory_alloc(size_t size)
{
	void *p;

	(void)size;
	return rte_mempool_get(pool, &p) ? NULL : p;
}

void memory_free(void *p)
{
	rte_mempool_put(pool, p);
}
