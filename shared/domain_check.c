/* SPDX-License-Identifier: Apache-2.0 */
/* The invariants at the top of domain.h, one by one, and what is to be counted. */
#include "shared/domain.h"

#include <errno.h>
#include <string.h>

static uint64_t lease_load(const struct hak_domain_view *view, uint32_t slab)
{
	/* Acquire: as in domain.c. */
	return atomic_load_explicit(&view->lease[slab], memory_order_acquire);
}

/* Relaxed, both: what is counted is passed on to nobody, and what is checked stands still. */
static uint16_t half_at(const struct hak_domain_view *view, uint64_t i)
{
	return atomic_load_explicit(&view->half[i], memory_order_relaxed);
}

static uint8_t generation_at(const struct hak_domain_view *view, uint64_t i)
{
	return atomic_load_explicit(&view->generation[i], memory_order_relaxed);
}

/* ---- count ---- */

static void count_half(struct hak_domain_census *census, uint16_t half, uint64_t size)
{
	if (half == HAK_HALF_PUBLISHED) {
		census->published++;
		census->published_bytes += size;
	} else if (half == HAK_HALF_FREED) {
		census->freed++;
	} else if (hak_half_is_channel(half)) {
		census->moving++;
		census->moving_bytes += size;
	} else if (hak_half_is_member(half)) {
		census->adopted++;
		census->adopted_bytes += size;
	} else if (hak_half_is_changing(half)) {
		census->changing++;
	}
}

static void count_run(const struct hak_domain_view *view, struct hak_domain_census *census,
		      uint32_t first, uint64_t word)
{
	uint32_t class = hak_lease_class(word);
	uint32_t slots = hak_lease_slots(word);
	uint64_t n = hak_lease_length(word);

	*(class ? &census->blocks : &census->spans) += n;
	if (hak_lease_holder(word) == HAK_HOLDER_ORPHAN)
		census->orphaned += n;
	if (!(word & HAK_LEASE_EXCEPTED))
		return;
	for (uint32_t slot = 0; slot < slots; slot++)
		count_half(census, half_at(view, hak_domain_index(first, slot)),
			   class ? hak_class[class].size : n << HAK_SLAB_SHIFT);
}

void hak_domain_count(const struct hak_domain_view *view, struct hak_domain_census *ret)
{
	uint32_t slabs = hak_domain_slabs(view);

	memset(ret, 0, sizeof(*ret));
	for (uint32_t slab = 0; slab < slabs; slab++) {
		uint64_t word = lease_load(view, slab);

		switch (hak_lease_kind(word)) {
		case HAK_LEASE_ABSENT:
			ret->absent++;
			break;
		case HAK_LEASE_FREE:
			ret->free++;
			break;
		case HAK_LEASE_CLAIM:
			ret->claimed++;
			break;
		case HAK_LEASE_BLOCKS:
		case HAK_LEASE_SPAN:
			if (hak_lease_is_run(word, slab, slabs))
				count_run(view, ret, slab, word);
			break;
		case HAK_LEASE_INSIDE: /* with their first one */
			break;
		}
	}
}

/* ---- check ---- */

struct check {
	const struct hak_domain_view *view;
	const uint64_t *alive;
};

static bool is_alive(const struct check *check, uint32_t member)
{
	return member && member < HAK_MEMBERS && check->alive[member / 64] >> (member % 64) & 1;
}

static const char *check_half(const struct check *check, uint16_t half)
{
	if (hak_half_is_member(half) || hak_half_is_changing(half))
		return is_alive(check, half & HAK_HALF_NUMBER) ? NULL
							       : "half-word of no living member";
	if (hak_half_is_channel(half))
		return hak_channel_capacity(&check->view->channels[half & (HAK_CHANNELS - 1)])
			       ? NULL
			       : "half-word of a channel that is not set up";
	return !half || half == HAK_HALF_PUBLISHED || half == HAK_HALF_FREED
		       ? NULL
		       : "half-word of no known form";
}

/* Half-words and generations of a slab, from a slot on, are 0. */
static bool is_clear(const struct hak_domain_view *view, uint32_t slab, uint32_t slot)
{
	for (; slot < HAK_SUPERSLAB_BLOCKS / HAK_SLABS_PER_SUPERSLAB; slot++) {
		uint64_t i = hak_domain_index(slab, slot);

		if (half_at(view, i) || generation_at(view, i))
			return false;
	}
	return true;
}

static const char *check_inside(const struct check *check, uint32_t first, uint64_t word)
{
	uint32_t holder = hak_lease_holder(word);

	for (uint64_t i = 1; i < hak_lease_length(word); i++) {
		uint64_t inside = lease_load(check->view, first + (uint32_t)i);

		if (hak_lease_kind(inside) != HAK_LEASE_INSIDE || hak_lease_length(inside) != i)
			return "run with another slab inside";
		/* An ORPHAN's: it is being adopted, or became an orphan's only in part. */
		if (hak_lease_holder(inside) != holder &&
		    hak_lease_holder(inside) != HAK_HOLDER_ORPHAN)
			return "run of several holders";
	}
	return NULL;
}

static const char *check_run(const struct check *check, uint32_t slab, uint64_t word)
{
	uint32_t holder = hak_lease_holder(word);
	uint32_t slots = hak_lease_slots(word);
	const char *reason;

	if (!hak_lease_is_run(word, slab, hak_domain_slabs(check->view)))
		return "run of a wrong class or length";
	if (holder != HAK_HOLDER_ORPHAN && !is_alive(check, holder))
		return "run of no living member";
	reason = check_inside(check, slab, word);
	if (reason)
		return reason;
	if (!is_clear(check->view, slab, word & HAK_LEASE_EXCEPTED ? slots : 0))
		return "exceptions of blocks that have none";
	if (!(word & HAK_LEASE_EXCEPTED))
		return NULL;
	for (uint32_t slot = 0; slot < slots && !reason; slot++)
		reason = check_half(check, half_at(check->view, hak_domain_index(slab, slot)));
	return reason;
}

static const char *check_claim(const struct check *check, uint32_t slab, uint64_t word)
{
	if (hak_lease_class(word) >= HAK_CLASSES ||
	    hak_lease_length(word) > hak_domain_slabs(check->view) - slab)
		return "claim of a wrong class or length";
	if (!is_alive(check, hak_lease_holder(word)) && hak_lease_holder(word) != HAK_HOLDER_DAEMON)
		return "claim of no living member";
	if (!(word & HAK_LEASE_EXCEPTED) && !is_clear(check->view, slab, 0))
		return "exceptions of a slab that is not EXCEPTED";
	return NULL;
}

/* Its first one, seen from here: also that of a run that is just put together or taken apart. */
static const char *check_further(const struct check *check, uint32_t slab, uint64_t word)
{
	uint64_t distance = hak_lease_length(word), first;
	uint32_t holder = hak_lease_holder(word);

	if (!distance || distance > slab)
		return "inside of no run";
	first = lease_load(check->view, slab - (uint32_t)distance);
	if (hak_lease_length(first) <= distance || hak_lease_kind(first) == HAK_LEASE_INSIDE ||
	    (hak_lease_holder(first) != holder && holder != HAK_HOLDER_ORPHAN))
		return "inside of no run";
	if (word & HAK_LEASE_EXCEPTED || hak_lease_class(word))
		return "inside with a class or flag";
	return is_clear(check->view, slab, 0) ? NULL : "exceptions inside of a run";
}

static const char *check_slab(const struct check *check, uint32_t slab)
{
	uint64_t word = lease_load(check->view, slab);

	switch (hak_lease_kind(word)) {
	case HAK_LEASE_ABSENT:
		if (word)
			return "absent, and something else";
		break;
	case HAK_LEASE_FREE:
		if (word != hak_lease_make(HAK_HOLDER_NONE, HAK_LEASE_FREE, 0,
					   hak_lease_generation(word), 0))
			return "free, and something else";
		break;
	case HAK_LEASE_CLAIM:
		return check_claim(check, slab, word);
	case HAK_LEASE_BLOCKS:
	case HAK_LEASE_SPAN:
		return check_run(check, slab, word);
	case HAK_LEASE_INSIDE:
		return check_further(check, slab, word);
	default:
		return "no known kind of lease";
	}
	return is_clear(check->view, slab, 0) ? NULL : "exceptions of a slab that is nobody's";
}

static bool names_only(const struct check *check, const _Atomic uint64_t bits[HAK_MEMBERS / 64])
{
	for (uint32_t i = 0; i < HAK_MEMBERS / 64; i++) {
		/* Relaxed: nobody is writing. */
		if (atomic_load_explicit(&bits[i], memory_order_relaxed) & ~check->alive[i])
			return false;
	}
	return true;
}

int hak_domain_check(const struct hak_domain_view *view, const uint64_t alive[HAK_MEMBERS / 64],
		     struct hak_domain_census *ret_census, uint32_t *ret_slab,
		     const char **ret_reason)
{
	const struct check check = { .view = view, .alive = alive };
	uint32_t slabs = hak_domain_slabs(view);

	for (uint32_t slab = 0; slab < slabs; slab++) {
		const char *reason = check_slab(&check, slab);

		if (reason) {
			*ret_slab = slab;
			*ret_reason = reason;
			return -EUCLEAN;
		}
	}
	for (uint32_t c = 0; c < HAK_CHANNELS; c++) {
		if (!names_only(&check, view->channels[c].senders) ||
		    !names_only(&check, view->channels[c].receivers)) {
			*ret_slab = 0;
			*ret_reason = "channel of no living member";
			return -EUCLEAN;
		}
	}
	hak_domain_count(view, ret_census);
	return 0;
}
