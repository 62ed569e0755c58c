/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/workloads/shared/memory_hakmem.h"

#include "bench/workloads/daemon_side.h"

#define ROOMY (UINT64_C(16) << 30) /* addresses cost nothing */

hak_domain *memory_domain;

void memory_join(struct side *side, uint64_t bytes, size_t largest)
{
	struct hak_domain_attr attr = {
		.size = sizeof(attr),
		.max_size = bytes > ROOMY / 2 ? 2 * bytes : ROOMY,
		.lifetime = HAK_LIFETIME_MEMBERS,
	};

	(void)largest;
	(void)daemon_socket(); /* or the reason why there is none */
	if (!side->member)
		daemon_must(hak_domain_open(&memory_domain, side->name, HAK_CREATE | HAK_EXCL,
					    &attr),
			    "making a domain");
	side_meet(side);
	if (side->member)
		daemon_must(hak_domain_open(&memory_domain, side->name, 0, NULL),
			    "joining the domain");
	side_meet(side);
}

void memory_leave(struct side *side)
{
	side_meet(side);
	memory_domain = hak_domain_close(memory_domain);
}

uint64_t memory_self(void)
{
	return hak_self(memory_domain);
}
