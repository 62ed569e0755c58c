/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/pagemap.h"

#include <sys/mman.h>
#include <unistd.h>

#include "shared/domain.h"
#include "shared/sys.h"
#include "tiny/tiny.h"

/* What libc's blocks may lie around: this far below and above where it takes memory now. */
#define BELOW ((uint64_t)32 << 30)
#define ABOVE ((uint64_t)32 << 30)
#define TRIES 16

/* Where hints lie: out of the way of domains, which are at the same place in all processes. */
#define BELOW_ALL (UINT64_C(2) << 40)
#define ABOVE_ALL (UINT64_C(10) << 40)
static_assert(ABOVE_ALL <= HAK_DOMAIN_AREA_FIRST, "a heap in the way of domains");

/* Into the first page: the byte of a block that starts on a page boundary is not to lie in the
 * cache set of page starts, which such blocks use most (see heap.c). */
#define OFFSET 3072

void *hak_address_hint(uint64_t size, uint64_t align)
{
	uint64_t room = ABOVE_ALL - BELOW_ALL - size;
	uint64_t at = BELOW_ALL + hak_sys_random() % room;

	return (void *)(uintptr_t)(at & ~(align - 1));
}

/* The part of a map at `base` that pointers around `around` are looked up in. */
struct part {
	uintptr_t at;
	uint64_t size;
};

static struct part part_around(uintptr_t base, uintptr_t around)
{
	uint64_t top = (UINT64_C(1) << HAK_ADDRESS_BITS) - 1;
	uint64_t lo = around > BELOW ? around - BELOW : 0;
	uint64_t hi = around < top - ABOVE ? around + ABOVE : top;

	lo = lo >> HAK_SLAB_SHIFT & ~UINT64_C(4095);
	hi = hak_align_up((hi >> HAK_SLAB_SHIFT) + 1, 4096);
	return (struct part){ base + lo, hi - lo };
}

/*
 * The map need not be whole: a page of it answers for 256 MiB of addresses, and under a limit on
 * address space libc's memory lies close to its break and to its latest mapping. Unmapped pages
 * do not count against the limit.
 */
static int map_parts(uintptr_t base, const uintptr_t *around, unsigned n)
{
	struct part parts[3];

	for (unsigned i = 0; i < n; i++) {
		uintptr_t end;

		parts[i] = part_around(base, around[i]);
		end = parts[i].at + parts[i].size;
		for (uintptr_t at = parts[i].at; at < end; at += 4096) {
			unsigned before = 0;
			int r;

			while (before < i && at - parts[before].at >= parts[before].size)
				before++;
			if (before < i) /* an earlier part has it */
				continue;
			r = hak_sys_map_zero_at((void *)at, 4096);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int hak_pagemap_reserve(uint8_t **ret_map)
{
	static void *whole = MAP_FAILED; /* not NULL: so it lies with the data that is touched */
	int r = whole != MAP_FAILED ? 0 : hak_sys_map_zero(&whole, HAK_PAGEMAP_SIZE + 4096);

	if (!r)
		*ret_map = hak_at(whole, OFFSET);
	return r;
}

int hak_pagemap_init_zero(void)
{
	uintptr_t around[3];
	uint8_t *map;
	void *base;
	int r = hak_pagemap_reserve(&map);

	if (!r) {
		hak_pagemap = map;
		return 0;
	}
	r = hak_sys_map_zero(&base, 4096);
	if (r < 0)
		return r;
	around[0] = (uintptr_t)base;
	around[1] = (uintptr_t)sbrk(0);
	around[2] = 0; /* NULL */
	for (int i = 0; i < TRIES; i++) {
		base = hak_address_hint(HAK_PAGEMAP_SIZE, 4096);
		r = map_parts((uintptr_t)base, around, 3);
		if (!r) {
			hak_pagemap = base;
			return 0;
		}
	}
	return r;
}
