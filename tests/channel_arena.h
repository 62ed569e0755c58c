/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel_arena.h - a domain without a daemon, to send blocks through: one superslab, of which
 * member ARENA_HOLDER leases all slabs as blocks of ARENA_SIZE. Memory that forked children share.
 */
#pragma once

#include <string.h>

#include "shared/channel.h"
#include "shared/sys.h"

#define ARENA_HOLDER 1u
#define ARENA_SIZE   1024u
#define ARENA_BLOCKS (HAK_SUPERSLAB_SIZE / ARENA_SIZE)

struct channel_arena {
	struct hak_domain_view domain;
	void *meta, *data;
};

/* 0 or a negative errno. */
static inline int channel_arena_init(struct channel_arena *a)
{
	uint32_t class = hak_class_of(ARENA_SIZE);
	int meta, data, r;

	r = hak_sys_memfd(&meta, "meta", hak_meta_size(1), true);
	if (r < 0)
		return r;
	r = hak_sys_map_shared(&a->meta, NULL, meta, 0, hak_meta_size(1));
	hak_sys_close(meta);
	if (r < 0)
		return r;
	r = hak_sys_memfd(&data, "data", HAK_SUPERSLAB_SIZE, true);
	if (r < 0)
		return r;
	r = hak_sys_map_shared(&a->data, NULL, data, 0, HAK_SUPERSLAB_SIZE);
	hak_sys_close(data);
	if (r < 0)
		return r;
	hak_domain_view_init(&a->domain, a->meta, a->data, 1, 1);
	for (uint32_t slab = 0; slab < HAK_SLABS_PER_SUPERSLAB; slab++) {
		a->domain.lease[slab] = hak_lease_make(0, HAK_LEASE_FREE, 0, 0, 0);
		hak_lease_commit(&a->domain, ARENA_HOLDER, slab, HAK_LEASE_BLOCKS, class, 1);
		hak_lease_except(&a->domain, slab);
	}
	return 0;
}

static inline void channel_arena_deinit(struct channel_arena *a)
{
	(void)hak_sys_unmap(a->meta, hak_meta_size(1));
	(void)hak_sys_unmap(a->data, HAK_SUPERSLAB_SIZE);
}

static inline uint64_t channel_arena_offset(uint32_t block)
{
	return (uint64_t)block * ARENA_SIZE;
}

static inline struct hak_place channel_arena_place(const struct channel_arena *a, uint64_t offset)
{
	struct hak_place place;
	int r = hak_domain_place(&a->domain, offset, &place);

	assert(r == 0);
	(void)r;
	return place;
}

static inline _Atomic uint16_t *channel_arena_half(const struct channel_arena *a, uint64_t offset)
{
	return &a->domain.half[channel_arena_place(a, offset).index];
}

static inline int channel_arena_open(const struct channel_arena *a, const char *name,
				     uint32_t capacity, struct hak_channel_view *ret)
{
	uint32_t number;
	int r = hak_channel_find(&a->domain, name, true, &number);

	if (r < 0)
		return r;
	hak_channel_set_up(&a->domain, number, capacity, false);
	return hak_channel_view_init(ret, &a->domain, number) ? 0 : -1;
}

static inline int channel_arena_put(const struct channel_arena *a,
				    const struct hak_channel_view *channel, uint32_t me,
				    uint64_t offset)
{
	struct hak_place place = channel_arena_place(a, offset);

	return hak_channel_put(channel, me, &place, offset);
}
