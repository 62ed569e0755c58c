/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/placement.h"

#include "daemon/config.h"
#include "daemon/numa.h"
#include "shared/check.h"
#include "shared/layout.h"

void placement_init(struct placement *placement, const struct numa *numa,
		    const struct config *config)
{
	*placement = (struct placement){ .numa = numa };
	placement_limit(placement, config);
}

void placement_limit(struct placement *placement, const struct config *config)
{
	placement->max_node = config_node_bytes(config) / HAK_SUPERSLAB_SIZE;
}

uint64_t placement_allowed(const struct placement *placement, uint32_t part, uint32_t count)
{
	const struct numa *numa = placement->numa;
	bool in_turn = numa->policy == NUMA_INTERLEAVE;
	/* In turn, a node may get one more than another. */
	uint32_t each = in_turn ? (count + numa->parts - 1) / numa->parts : count;
	uint64_t allowed = 0;

	for (uint32_t p = 0; p < numa->parts; p++) {
		if (numa->policy == NUMA_STRICT && p != part)
			continue;
		if (placement->held[p] + each <= placement->max_node)
			allowed |= UINT64_C(1) << p;
		else if (in_turn)
			return 0;
	}
	return allowed;
}

void placement_refused(struct placement *placement, uint32_t part, uint64_t *ret_limit,
		       uint64_t *ret_used)
{
	const struct numa *numa = placement->numa;

	/* In turn, the fullest is the one that is in the way. */
	for (uint32_t p = 0; numa->policy == NUMA_INTERLEAVE && p < numa->parts; p++) {
		if (placement->held[p] > placement->held[part])
			part = p;
	}
	placement->hits[part]++;
	*ret_limit = placement->max_node * HAK_SUPERSLAB_SIZE;
	*ret_used = placement->held[part] * HAK_SUPERSLAB_SIZE;
}

void placement_charge(struct placement *placement, struct placed *placed, uint32_t first,
		      uint32_t count)
{
	for (uint32_t p = 0; p < placement->numa->parts; p++) {
		uint32_t n = numa_share(placement->numa, p, first, count);

		placed->held[p] += n;
		placement->held[p] += n;
	}
}

static void release(struct placement *placement, struct placed *placed, uint32_t part, uint32_t n)
{
	hak_assert(n <= placed->held[part] && n <= placement->held[part]);
	placed->held[part] -= n;
	placement->held[part] -= n;
}

void placement_release(struct placement *placement, struct placed *placed, uint32_t first,
		       uint32_t count)
{
	for (uint32_t p = 0; p < placement->numa->parts; p++)
		release(placement, placed, p, numa_share(placement->numa, p, first, count));
}

void placement_charge_part(struct placement *placement, struct placed *placed, uint32_t part,
			   uint32_t count)
{
	placed->held[part] += count;
	placement->held[part] += count;
}

void placement_release_part(struct placement *placement, struct placed *placed, uint32_t part,
			    uint32_t count)
{
	release(placement, placed, part, count);
}

void placement_release_all(struct placement *placement, struct placed *placed)
{
	for (uint32_t p = 0; p < placement->numa->parts; p++)
		release(placement, placed, p, placed->held[p]);
}
