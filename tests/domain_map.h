/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_map.h - the meta memory of a domain without daemon and file, for tests: all of it, sparse,
 * in this process alone.
 */
#pragma once

#include <string.h>
#include <sys/mman.h>

#include "shared/domain.h"
#include "tests/must.h"

#define DOMAIN_MAP_TAG 77u

/* The first `granted` superslabs are FREE, the others ABSENT. */
static inline void domain_map(struct hak_domain_view *ret, uint32_t superslabs, uint32_t granted)
{
	void *meta = mmap(NULL, hak_meta_size(superslabs), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	must(meta != MAP_FAILED);
	hak_domain_view_init(ret, meta, NULL, superslabs, DOMAIN_MAP_TAG);
	for (uint32_t i = 0; i < granted * HAK_SLABS_PER_SUPERSLAB; i++)
		ret->lease[i] = hak_lease_make(HAK_HOLDER_NONE, HAK_LEASE_FREE, 0, 0, 0);
}

static inline void domain_unmap(struct hak_domain_view *view)
{
	must(munmap(view->roots, hak_meta_size(view->superslabs)) == 0);
}
