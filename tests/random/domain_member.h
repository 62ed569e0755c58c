/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_member.h - a member as small as can be: leases, bitmaps, and the order of writes that
 * domain.h asks for. Each write can be its last, see domain_steps.h; so what it knows by itself is
 * changed after what others see, or does not matter.
 */
#pragma once

#include <string.h>

#include "shared/channel.h"
#include "shared/domain.h"
#include "tests/domain_steps.h"

#define SUPERS   2u
#define SLABS    (SUPERS * HAK_SLABS_PER_SUPERSLAB)
#define CHANNEL  7u
#define CAPACITY 8u

struct member {
	uint32_t number;
	bool holds[SLABS]; /* runs, by their first slab */
	uint64_t free[SLABS][4096 / 64];
};

static inline void half_set(const struct hak_domain_view *view, uint64_t i, uint16_t half)
{
	atomic_store_explicit(&view->half[i], half, memory_order_release);
}

static inline bool half_change(const struct hak_domain_view *view, uint64_t i, uint16_t from,
			       uint16_t to)
{
	return atomic_compare_exchange_strong_explicit(&view->half[i], &from, to,
						       memory_order_acq_rel, memory_order_relaxed);
}

static inline uint32_t member_slots(const struct hak_domain_view *view, uint32_t first)
{
	return hak_lease_slots(view->lease[first]);
}

static inline void member_set_free(struct member *m, uint32_t first, uint32_t slot)
{
	m->free[first][slot / 64] |= UINT64_C(1) << (slot % 64);
}

/* What was given back. The hint goes first: what comes after the look sets it again. */
static inline void member_collect(const struct hak_domain_view *view, struct member *m,
				  uint32_t first)
{
	atomic_store_explicit(&view->hint[first], 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	for (uint32_t slot = 0; slot < member_slots(view, first); slot++) {
		uint64_t i = hak_domain_index(first, slot);

		if (view->half[i] == HAK_HALF_FREED) {
			half_set(view, i, 0);
			member_set_free(m, first, slot);
		}
	}
}

static inline void member_adopt(const struct hak_domain_view *view, struct member *m,
				uint32_t first)
{
	memset(m->free[first], 0, sizeof(m->free[first]));
	for (uint32_t slot = 0; slot < member_slots(view, first); slot++) {
		if (!view->half[hak_domain_index(first, slot)])
			member_set_free(m, first, slot);
	}
	member_collect(view, m, first);
	m->holds[first] = true;
}

static inline void member_lease(const struct hak_domain_view *view, struct member *m,
				uint32_t first, uint32_t class, uint32_t n)
{
	hak_lease_commit(view, m->number, first, class ? HAK_LEASE_BLOCKS : HAK_LEASE_SPAN, class,
			 n);
	memset(m->free[first], 0, sizeof(m->free[first]));
	for (uint32_t slot = 0; slot < member_slots(view, first); slot++)
		member_set_free(m, first, slot);
	m->holds[first] = true;
}

static inline bool member_take(const struct hak_domain_view *view, struct member *m, uint32_t first,
			       struct hak_place *ret)
{
	for (uint32_t w = 0; w < hak_array_size(m->free[first]); w++) {
		uint64_t bits = m->free[first][w];
		uint32_t slot = w * 64 + (bits ? (uint32_t)__builtin_ctzll(bits) : 0);
		uint32_t class = hak_lease_class(view->lease[first]);

		if (!bits)
			continue;
		m->free[first][w] &= bits - 1;
		return hak_domain_place(view,
					first * HAK_SLAB_SIZE +
						(class ? slot * hak_class[class].size : 0),
					ret) == 0;
	}
	return false;
}

/* From what it holds, then from orphans, then from what is free. False: there is none. */
static inline bool member_alloc(const struct hak_domain_view *view, struct member *m,
				uint32_t class, uint32_t n, uint32_t from, struct hak_place *ret)
{
	uint32_t first;

	for (uint32_t s = 0; s < SLABS; s++) {
		uint64_t word = view->lease[s];
		bool fits = hak_lease_class(word) == class && hak_lease_length(word) == n &&
			    (hak_lease_kind(word) == HAK_LEASE_BLOCKS ||
			     hak_lease_kind(word) == HAK_LEASE_SPAN);

		if (fits && !m->holds[s] && hak_lease_adopt(view, m->number, s, word))
			member_adopt(view, m, s);
		if (!fits || !m->holds[s])
			continue;
		if (view->hint[s])
			member_collect(view, m, s);
		if (member_take(view, m, s, ret))
			return true;
	}
	if (!hak_lease_claim(view, m->number, SUPERS, from, n, &first))
		return false;
	member_lease(view, m, first, class, n);
	return member_take(view, m, first, ret);
}

/* Its half-word is about to be another than 0, or its generation. In slabs of others it is. */
static inline void member_mark(const struct hak_domain_view *view, struct member *m,
			       const struct hak_place *place)
{
	if (m->holds[place->slab])
		hak_lease_except(view, place->slab);
}

static inline void member_free(const struct hak_domain_view *view, struct member *m,
			       const struct hak_place *place)
{
	uint8_t generation = view->generation[place->index];

	if (generation)
		atomic_store_explicit(&view->generation[place->index],
				      (uint8_t)(generation == 255 ? 1 : generation + 1),
				      memory_order_relaxed);
	if (m->holds[place->slab]) {
		if (view->half[place->index])
			half_set(view, place->index, 0);
		member_set_free(m, place->slab, place->slot);
	} else {
		half_set(view, place->index, HAK_HALF_FREED);
		atomic_store_explicit(&view->hint[place->slab], 1, memory_order_release);
	}
}

/* Gives up a run of which nothing is in use. */
static inline void member_shrink(const struct hak_domain_view *view, struct member *m,
				 uint32_t first)
{
	uint32_t n = 0;

	if (!m->holds[first])
		return;
	member_collect(view, m, first);
	for (uint32_t w = 0; w < hak_array_size(m->free[first]); w++)
		n += (uint32_t)__builtin_popcountll(m->free[first][w]);
	if (n != member_slots(view, first))
		return;
	m->holds[first] = false;
	hak_lease_release(view, first);
}

/* As hak_channel_put() and hak_channel_take(), but for their order and waiting. False: full, and
 * the block is as it was; empty. */
static inline bool member_send(const struct hak_domain_view *view, struct member *m,
			       const struct hak_place *place, uint64_t offset, uint32_t from)
{
	_Atomic uint64_t *ring = hak_channel_ring(view, CHANNEL);

	for (uint32_t i = 0; i < CAPACITY; i++) {
		_Atomic uint64_t *at = &ring[(from + i) % CAPACITY];
		uint64_t word = *at;

		if (word & HAK_CHANNEL_FULL)
			continue;
		member_mark(view, m, place);
		half_set(view, place->index, (uint16_t)(HAK_HALF_T | m->number));
		atomic_store_explicit(at, hak_channel_word_full(hak_channel_word_lap(word), offset),
				      memory_order_release);
		half_set(view, place->index, HAK_HALF_CHANNEL | CHANNEL);
		return true;
	}
	return false;
}

static inline bool member_receive(const struct hak_domain_view *view, struct member *m,
				  uint32_t from, uint64_t *ret_offset)
{
	_Atomic uint64_t *ring = hak_channel_ring(view, CHANNEL);

	for (uint32_t i = 0; i < CAPACITY; i++) {
		_Atomic uint64_t *at = &ring[(from + i) % CAPACITY];
		uint64_t word = *at;
		struct hak_place place;

		if (!(word & HAK_CHANNEL_FULL) ||
		    hak_domain_place(view, hak_channel_word_offset(word), &place) < 0 ||
		    !half_change(view, place.index, HAK_HALF_CHANNEL | CHANNEL,
				 (uint16_t)m->number))
			continue;
		atomic_store_explicit(at, hak_channel_word_empty(hak_channel_word_lap(word) + 1),
				      memory_order_release);
		*ret_offset = hak_channel_word_offset(word);
		return true;
	}
	return false;
}
