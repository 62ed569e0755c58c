/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/domain.h"

#include <errno.h>

#include "shared/channel.h"

/* Acquire: pairs with the release of whoever made the word what it is; what the slab's half-words
 * and generations were then is visible. */
static uint64_t lease_load(const struct hak_domain_view *view, uint32_t slab)
{
	return atomic_load_explicit(&view->lease[slab], memory_order_acquire);
}

/* Release: pairs with lease_load(); whoever sees the word sees what was done to the slab before. */
static void lease_store(const struct hak_domain_view *view, uint32_t slab, uint64_t word)
{
	atomic_store_explicit(&view->lease[slab], word, memory_order_release);
}

static uint64_t free_word(uint32_t generation)
{
	return hak_lease_make(HAK_HOLDER_NONE, HAK_LEASE_FREE, 0, generation, 0);
}

/* ---- claim ---- */

static bool claim_one(const struct hak_domain_view *view, uint32_t member, uint32_t slab,
		      uint64_t length)
{
	/* Relaxed: a look; the compare-and-swap decides. */
	uint64_t word = atomic_load_explicit(&view->lease[slab], memory_order_relaxed);
	uint64_t claim =
		hak_lease_make(member, HAK_LEASE_CLAIM, 0, hak_lease_generation(word), length);

	if (hak_lease_kind(word) != HAK_LEASE_FREE)
		return false;
	/* Acquire: pairs with the release that made it FREE; its half-words are 0 for us, too. No
	 * release: nothing of the slab was written by us. A failure has nothing to order. */
	return atomic_compare_exchange_strong_explicit(&view->lease[slab], &word, claim,
						       memory_order_acquire, memory_order_relaxed);
}

/* What was just claimed, and never used: its generation stays. */
static void unclaim(const struct hak_domain_view *view, uint32_t first, uint64_t n)
{
	while (n--) {
		uint32_t slab = first + (uint32_t)n;
		uint64_t word = lease_load(view, slab);

		lease_store(view, slab, free_word(hak_lease_generation(word)));
	}
}

/* Claims n slabs from `first` on; returns how many of them it could: n, or less and then none is
 * left claimed. */
static uint64_t claim_run(const struct hak_domain_view *view, uint32_t member, uint32_t first,
			  uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		if (!claim_one(view, member, first + (uint32_t)i, i ? 0 : n)) {
			unclaim(view, first, i);
			return i;
		}
	}
	return n;
}

/* Runs of up to a superslab, within slabs [at, end) of one. */
static bool claim_within(const struct hak_domain_view *view, uint32_t member, uint32_t at,
			 uint32_t end, uint32_t n, uint32_t *ret_first)
{
	while (end - at >= n) {
		uint64_t got = claim_run(view, member, at, n);

		if (got == n) {
			*ret_first = at;
			return true;
		}
		at += (uint32_t)got + 1;
	}
	return false;
}

static bool claim_small(const struct hak_domain_view *view, uint32_t member, uint32_t high,
			uint32_t from, uint32_t n, uint32_t *ret_first)
{
	uint32_t start = from / HAK_SLABS_PER_SUPERSLAB;

	/* The first superslab comes twice: from `from` on, and in the end as a whole. */
	for (uint32_t i = 0; i <= high; i++) {
		uint32_t super = (uint32_t)(((uint64_t)start + i) % high);
		uint32_t at = super * HAK_SLABS_PER_SUPERSLAB;

		if (claim_within(view, member, i ? at : from, at + HAK_SLABS_PER_SUPERSLAB, n,
				 ret_first))
			return true;
	}
	return false;
}

/* Longer runs, that start at one of the superslabs [at, end) and end before `high`. */
static bool claim_large(const struct hak_domain_view *view, uint32_t member, uint32_t at,
			uint32_t end, uint32_t high, uint64_t n, uint32_t *ret_first)
{
	uint64_t supers = (n + HAK_SLABS_PER_SUPERSLAB - 1) / HAK_SLABS_PER_SUPERSLAB;

	while (at < end && supers <= high - at) {
		uint64_t got = claim_run(view, member, at * HAK_SLABS_PER_SUPERSLAB, n);

		if (got == n) {
			*ret_first = at * HAK_SLABS_PER_SUPERSLAB;
			return true;
		}
		at += (uint32_t)(got / HAK_SLABS_PER_SUPERSLAB) + 1;
	}
	return false;
}

bool hak_lease_claim(const struct hak_domain_view *view, uint32_t member, uint32_t high,
		     uint32_t from, uint64_t n, uint32_t *ret_first)
{
	uint32_t super;

	if (high > view->superslabs) /* read from a page that others write */
		high = view->superslabs;
	if (!n || n > (uint64_t)high * HAK_SLABS_PER_SUPERSLAB)
		return false;
	if (from >= high * HAK_SLABS_PER_SUPERSLAB)
		from = 0;
	if (n <= HAK_SLABS_PER_SUPERSLAB)
		return claim_small(view, member, high, from, (uint32_t)n, ret_first);
	super = from / HAK_SLABS_PER_SUPERSLAB;
	return claim_large(view, member, super, high, high, n, ret_first) ||
	       claim_large(view, member, 0, super, high, n, ret_first);
}

void hak_lease_commit(const struct hak_domain_view *view, uint32_t member, uint32_t first,
		      enum hak_lease_kind kind, uint32_t class, uint64_t n)
{
	for (uint64_t i = 1; i <= n; i++) {
		uint64_t at = i % n; /* the first one last: with it all of the run can be found */
		uint32_t slab = first + (uint32_t)at;
		uint32_t generation = hak_lease_generation(lease_load(view, slab));

		lease_store(view, slab,
			    at ? hak_lease_make(member, HAK_LEASE_INSIDE, 0, generation, at)
			       : hak_lease_make(member, kind, class, generation, n));
	}
}

/* ---- the holder's ---- */

/* Writes where there is something only: the rest of the pages is not to come into being. Relaxed:
 * the word that makes the slab FREE is stored later, with release. */
static void clear_exceptions(const struct hak_domain_view *view, uint32_t slab, uint32_t slots)
{
	for (uint32_t slot = 0; slot < slots; slot++) {
		uint64_t i = hak_domain_index(slab, slot);

		if (atomic_load_explicit(&view->half[i], memory_order_relaxed))
			atomic_store_explicit(&view->half[i], 0, memory_order_relaxed);
		if (atomic_load_explicit(&view->generation[i], memory_order_relaxed))
			atomic_store_explicit(&view->generation[i], 0, memory_order_relaxed);
	}
}

/* Is the word of a further slab, `distance` behind its first, that a holder may take apart or take
 * over? INSIDE words of an ORPHAN's are those of an adoption that was not finished. */
static bool is_inside(uint64_t word, uint32_t holder, uint64_t distance)
{
	return hak_lease_kind(word) == HAK_LEASE_INSIDE && hak_lease_length(word) == distance &&
	       (hak_lease_holder(word) == holder || hak_lease_holder(word) == HAK_HOLDER_ORPHAN);
}

/* A claimed word behind a first one: of the same claim, as far as the first one's length goes. */
static bool is_claimed(uint64_t word, uint32_t holder)
{
	return hak_lease_kind(word) == HAK_LEASE_CLAIM && hak_lease_holder(word) == holder &&
	       !hak_lease_length(word);
}

/*
 * How many slabs the run of a first slab's word really has: words that do not go with it end it, so
 * that whatever length was written there, no word is looked at for two runs.
 */
static uint64_t run_length(const struct hak_domain_view *view, uint32_t first, uint64_t word)
{
	uint32_t holder = hak_lease_holder(word);
	uint64_t n = hak_lease_length(word), left = hak_domain_slabs(view) - first;

	for (uint64_t i = 1; i < n && i < left; i++) {
		uint64_t inside = lease_load(view, first + (uint32_t)i);

		if (!is_inside(inside, holder, i) && !is_claimed(inside, holder))
			return i;
	}
	return n < left ? n : left;
}

uint64_t hak_lease_release(const struct hak_domain_view *view, uint32_t first)
{
	uint64_t word = lease_load(view, first), n;
	uint32_t generation = hak_lease_generation(word);

	/* From here on no place is found in it. The class stays beside EXCEPTED. */
	lease_store(view, first,
		    hak_lease_make(hak_lease_holder(word), HAK_LEASE_CLAIM, hak_lease_class(word),
				   generation, hak_lease_length(word)) |
			    (word & HAK_LEASE_EXCEPTED));
	if (word & HAK_LEASE_EXCEPTED)
		clear_exceptions(view, first, hak_lease_slots(word));
	n = run_length(view, first, word);
	for (uint64_t i = n; i-- > 1;) {
		uint32_t slab = first + (uint32_t)i;
		uint32_t inside = hak_lease_generation(lease_load(view, slab));

		lease_store(view, slab, free_word(inside + 1));
	}
	lease_store(view, first, free_word(generation + 1));
	return n;
}

void hak_lease_except(const struct hak_domain_view *view, uint32_t first)
{
	/* Relaxed: a look at a flag that only this process sets, and which stays. */
	if (atomic_load_explicit(&view->lease[first], memory_order_relaxed) & HAK_LEASE_EXCEPTED)
		return;
	/* Release, and an exchange, for threads of the holder may do it at the same time. The
	 * half-word is stored with release after it: who sees that one sees the flag. */
	atomic_fetch_or_explicit(&view->lease[first], HAK_LEASE_EXCEPTED, memory_order_release);
}

bool hak_lease_adopt(const struct hak_domain_view *view, uint32_t member, uint32_t first,
		     uint64_t word)
{
	uint64_t n = hak_lease_length(word), left = hak_domain_slabs(view) - first;

	if (hak_lease_holder(word) != HAK_HOLDER_ORPHAN ||
	    (hak_lease_kind(word) != HAK_LEASE_BLOCKS && hak_lease_kind(word) != HAK_LEASE_SPAN))
		return false;
	/* Acquire: pairs with the release that made it an ORPHAN's; the half-words are as that
	 * sweep left them. No release: we wrote nothing of it. */
	if (!atomic_compare_exchange_strong_explicit(&view->lease[first], &word,
						     hak_lease_with_holder(word, member),
						     memory_order_acquire, memory_order_relaxed))
		return false;
	for (uint64_t i = 1; i < n && i < left; i++) {
		uint64_t inside = lease_load(view, first + (uint32_t)i);

		if (is_inside(inside, HAK_HOLDER_ORPHAN, i))
			lease_store(view, first + (uint32_t)i,
				    hak_lease_with_holder(inside, member));
	}
	return true;
}

/* Relaxed, the INSIDE words: the first slab's word says that they are done. */
void hak_lease_orphan(const struct hak_domain_view *view, uint32_t first)
{
	uint64_t word = lease_load(view, first), left = hak_domain_slabs(view) - first;

	for (uint64_t i = 1; i < hak_lease_length(word) && i < left; i++) {
		uint32_t slab = first + (uint32_t)i;
		uint64_t inside = lease_load(view, slab);

		if (hak_lease_kind(inside) != HAK_LEASE_INSIDE || hak_lease_length(inside) != i)
			break;
		atomic_store_explicit(&view->lease[slab],
				      hak_lease_with_holder(inside, HAK_HOLDER_ORPHAN),
				      memory_order_relaxed);
	}
	/* Release: pairs with the acquire of who adopts it; all half-words are as they are to
	 * be. */
	lease_store(view, first, hak_lease_with_holder(word, HAK_HOLDER_ORPHAN));
}

/* ---- places ---- */

/* The lease word that decides what is at `slab`, and the slab it belongs to. */
static uint64_t first_of(const struct hak_domain_view *view, uint32_t slab, uint32_t *ret_first)
{
	uint64_t word = lease_load(view, slab);
	uint64_t distance = hak_lease_length(word);

	*ret_first = slab;
	if (hak_lease_kind(word) != HAK_LEASE_INSIDE)
		return word;
	if (!distance || distance > slab)
		return 0;
	*ret_first = slab - (uint32_t)distance;
	word = lease_load(view, *ret_first);
	return hak_lease_length(word) > distance ? word : 0;
}

int hak_domain_place(const struct hak_domain_view *view, uint64_t offset, struct hak_place *ret)
{
	uint32_t slabs = hak_domain_slabs(view), first, class, slot = 0;
	uint64_t word, inside, size;

	if (offset >= (uint64_t)slabs << HAK_SLAB_SHIFT)
		return -EINVAL;
	word = first_of(view, (uint32_t)(offset >> HAK_SLAB_SHIFT), &first);
	if (hak_lease_kind(word) != HAK_LEASE_BLOCKS && hak_lease_kind(word) != HAK_LEASE_SPAN)
		return -ESTALE;
	if (!hak_lease_is_run(word, first, slabs))
		return -EINVAL;
	class = hak_lease_class(word);
	inside = offset - ((uint64_t)first << HAK_SLAB_SHIFT);
	size = class ? hak_class[class].size : hak_lease_length(word) << HAK_SLAB_SHIFT;
	if (class)
		slot = hak_class_slot(class, (uint32_t)inside);
	/* What is left over behind the last block is none. */
	if (inside != slot * size || (class && slot >= hak_class[class].blocks))
		return -EINVAL;
	*ret = (struct hak_place){ .slab = first,
				   .slot = slot,
				   .index = hak_domain_index(first, slot),
				   .lease = word,
				   .size = size };
	return 0;
}

int hak_domain_place_ref(const struct hak_domain_view *view, uint64_t ref, struct hak_place *ret)
{
	struct hak_place place;
	int r;

	if (hak_ref_tag(ref) != view->tag || !hak_ref_block_generation(ref))
		return -EINVAL;
	r = hak_domain_place(view, hak_ref_offset(ref), &place);
	if (r < 0) /* cut differently since, or never */
		return hak_ref_offset(ref) >> HAK_SUPERSLAB_SHIFT < view->superslabs ? -ESTALE : r;
	/* Relaxed: a caller that may use the block was told of it by something that orders. */
	if (hak_ref_slab_generation(ref) != hak_lease_generation(place.lease) ||
	    hak_ref_block_generation(ref) !=
		    atomic_load_explicit(&view->generation[place.index], memory_order_relaxed))
		return -ESTALE;
	*ret = place;
	return 0;
}

/* ---- names and links ---- */

uint64_t hak_name_key(const char *name)
{
	uint64_t key = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
	uint32_t n;

	for (n = 0; name[n]; n++) {
		char c = name[n];
		bool is_alnum =
			(c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

		if (!is_alnum && c != '_' && c != '-' && (c != '.' || !n))
			return 0;
		if (n == HAK_DOMAIN_NAME - 1)
			return 0;
		key = (key ^ (uint8_t)c) * UINT64_C(0x100000001b3);
	}
	if (!n)
		return 0;
	key ^= key >> 32; /* places are taken by the lowest bits, which know less of the rest */
	return key ? key : 1;
}

static bool ring_has(const struct hak_domain_view *view, uint32_t channel, uint64_t offset)
{
	uint32_t capacity = hak_channel_capacity(&view->channels[channel]);
	_Atomic uint64_t *ring = hak_channel_ring(view, channel);

	for (uint32_t i = 0; i < capacity; i++) {
		/* Acquire: pairs with the release of the sender; its half-word is visible. */
		uint64_t word = atomic_load_explicit(&ring[i], memory_order_acquire);

		if (word & HAK_CHANNEL_FULL && hak_channel_word_offset(word) == offset)
			return true;
	}
	return false;
}

bool hak_domain_is_linked(const struct hak_domain_view *view, uint64_t offset,
			  uint32_t *ret_channel)
{
	for (uint32_t c = 0; c < HAK_CHANNELS; c++) {
		if (ring_has(view, c, offset)) {
			*ret_channel = c;
			return true;
		}
	}
	for (uint32_t i = 0; i < HAK_ROOTS; i++) {
		/* Acquire: pairs with the release of whoever set it, as above. */
		uint64_t ref = atomic_load_explicit(&view->roots[i].ref, memory_order_acquire);
		struct hak_place place;

		if (ref && hak_ref_offset(ref) == offset &&
		    hak_domain_place_ref(view, ref, &place) == 0) {
			*ret_channel = HAK_CHANNELS;
			return true;
		}
	}
	return false;
}
