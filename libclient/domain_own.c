/* SPDX-License-Identifier: Apache-2.0 */
/* domain_own.c - whose a block is, and how it becomes another's. */
#include "libclient/domain.h"

int hak_domain_fail(int r, const char *why)
{
	hak_detail_say(why);
	return r;
}

int hak_domain_find(const hak_domain *d, const void *p, struct hak_place *ret)
{
	if (!hak_domain_holds(d, p))
		return hak_domain_fail(-EINVAL, "the address is not in the domain");
	if (hak_domain_place(&d->view, (uintptr_t)p - (uintptr_t)d->base, ret) < 0)
		return hak_domain_fail(-EINVAL, "the address is not that of a block");
	return 0;
}

static inline bool is_held(const hak_domain *d, const struct hak_place *place)
{
	return hak_lease_holder(place->lease) == d->me;
}

/* Acquire: pairs with the release of who made it what it is. */
static inline uint16_t half_of(const hak_domain *d, const struct hak_place *place)
{
	return atomic_load_explicit(hak_domain_half(d, place), memory_order_acquire);
}

int hak_domain_own(hak_domain *d, const void *p, struct hak_place *ret)
{
	struct hak_place place;
	uint16_t half;
	int r = hak_domain_may(d, true);

	if (!r)
		r = hak_domain_find(d, p, &place);
	if (r < 0)
		return r;
	half = half_of(d, &place);
	if (half != d->me && (half || !is_held(d, &place)))
		return hak_domain_fail(half == HAK_HALF_FREED ? -EINVAL : -EPERM,
				       "the block is not this process's");
	if (!half && hak_domain_is_free(d, &place))
		return hak_domain_fail(-EINVAL, "the block is free");
	if (is_held(d, &place) && !(place.lease & HAK_LEASE_EXCEPTED)) {
		hak_domain_except(d, place.slab);
		place.lease |= HAK_LEASE_EXCEPTED;
	}
	*ret = place;
	return 0;
}

bool hak_domain_hand_over(hak_domain *d, const struct hak_place *place, uint16_t half)
{
	_Atomic uint16_t *word = hak_domain_half(d, place);
	uint16_t now = atomic_load_explicit(word, memory_order_relaxed);

	if (now != d->me && (now || !is_held(d, place)))
		return false;
	/* Release: pairs with the acquire of the next owner, who sees what we wrote to it. Again
	 * where it became ours by name meanwhile: see let_go() in domain_orphans.c. */
	while (!atomic_compare_exchange_strong_explicit(word, &now, half, memory_order_release,
							memory_order_relaxed)) {
		if (now != d->me)
			return false;
	}
	return true;
}

HAK_EXPORT int hak_publish(hak_domain *domain, void *p)
{
	struct hak_place place = { 0 };
	int r = hak_domain_own(domain, p, &place);

	if (!r && !hak_domain_hand_over(domain, &place, HAK_HALF_PUBLISHED))
		r = hak_domain_fail(-EPERM, "another thread has just given the block away");
	return r;
}

/* The block that was looked at is the one whose half-word was changed: the slab was not cut anew in
 * between. Now that we own a block of it, it stays. */
static bool is_still(const hak_domain *d, const void *p, const struct hak_place *before)
{
	struct hak_place now;

	return hak_domain_place(&d->view, (uintptr_t)p - (uintptr_t)d->base, &now) == 0 &&
	       now.index == before->index && now.size == before->size;
}

/* Release: pairs with the acquire of who claims it. It is as it was published. */
static HAK_COLD int unclaim(hak_domain *d, const struct hak_place *place)
{
	atomic_store_explicit(hak_domain_half(d, place), HAK_HALF_PUBLISHED, memory_order_release);
	return hak_domain_fail(-EINVAL, "the block is free");
}

HAK_EXPORT int hak_claim(hak_domain *domain, void *p)
{
	struct hak_place place;
	uint16_t half = HAK_HALF_PUBLISHED;
	int r = hak_domain_may(domain, true);

	if (!r)
		r = hak_domain_find(domain, p, &place);
	if (r < 0)
		return r;
	/* Acquire: pairs with the publisher's release. */
	if (atomic_compare_exchange_strong_explicit(hak_domain_half(domain, &place), &half,
						    (uint16_t)domain->me, memory_order_acquire,
						    memory_order_relaxed))
		return is_still(domain, p, &place) ? 0 : unclaim(domain, &place);
	if (half == HAK_HALF_FREED || half == HAK_HALF_SWEPT ||
	    (!half && hak_lease_holder(place.lease) == HAK_HOLDER_ORPHAN))
		return hak_domain_fail(-EINVAL, "the block is free");
	return hak_domain_fail(-EALREADY, "the block is somebody's");
}

static bool is_writer(const hak_domain *d, hak_member member)
{
	const struct hak_member_entry *e =
		&d->state->member[hak_member_number(member) % HAK_MEMBERS];

	/* Acquire: pairs with the daemon's release of the state, which it writes after the id when
	 * a member joins and before it when one has gone. */
	return hak_member_number(member) < HAK_MEMBERS &&
	       atomic_load_explicit(&e->state, memory_order_acquire) == HAK_MEMBER_ALIVE &&
	       atomic_load_explicit(&e->id, memory_order_relaxed) == member;
}

HAK_EXPORT int hak_give(hak_domain *domain, void *p, hak_member to)
{
	uint16_t half = (uint16_t)hak_member_number(to);
	struct hak_place place = { 0 };
	int r = hak_domain_own(domain, p, &place);

	if (r < 0)
		return r;
	if (!is_writer(domain, to))
		return hak_domain_fail(-ESRCH, "there is no such member, or it only reads");
	if (!hak_domain_hand_over(domain, &place, half))
		return hak_domain_fail(-EPERM, "another thread has just given the block away");
	/* Dekker with the daemon, which makes the member DYING, fences, and sweeps: it sees the
	 * half-word, or we see that the member is gone; or both, and one exchange succeeds. */
	atomic_thread_fence(memory_order_seq_cst);
	if (is_writer(domain, to))
		return 0;
	/* Acquire: the block is ours again, by name. If it is not, the sweep was faster: it was
	 * given, to one that died. */
	if (!atomic_compare_exchange_strong_explicit(hak_domain_half(domain, &place), &half,
						     (uint16_t)domain->me, memory_order_acquire,
						     memory_order_relaxed))
		return 0;
	return hak_domain_fail(-ESRCH, "the member has just gone");
}

HAK_EXPORT hak_member hak_self(hak_domain *domain)
{
	return domain->member;
}

HAK_EXPORT hak_member hak_owner(hak_domain *domain, const void *p)
{
	struct hak_place place;
	uint32_t number;
	uint16_t half;

	if (hak_domain_may(domain, false) < 0 || hak_domain_find(domain, p, &place) < 0)
		return 0;
	half = half_of(domain, &place);
	if (!half)
		number = hak_lease_holder(place.lease);
	else if (hak_half_is_member(half) || hak_half_is_changing(half))
		number = half & HAK_HALF_NUMBER;
	else
		return 0;
	/* Relaxed: a number that is somebody's now. */
	return number < HAK_MEMBERS ? atomic_load_explicit(&domain->state->member[number].id,
							   memory_order_relaxed)
				    : 0;
}

HAK_EXPORT int hak_member_alive(hak_domain *domain, hak_member member)
{
	uint32_t number = hak_member_number(member), state;
	const struct hak_member_entry *e = &domain->state->member[number % HAK_MEMBERS];

	if (hak_domain_may(domain, false) < 0 || !member || number >= HAK_MEMBERS)
		return 0;
	/* Acquire: as in is_writer(). */
	state = atomic_load_explicit(&e->state, memory_order_acquire);
	return (state == HAK_MEMBER_ALIVE || state == HAK_MEMBER_READER) &&
	       atomic_load_explicit(&e->id, memory_order_relaxed) == member;
}

HAK_EXPORT size_t hak_domain_usable_size(hak_domain *domain, const void *p)
{
	struct hak_place place;

	if (domain->forked || !p || hak_domain_find(domain, p, &place) < 0)
		return 0;
	return place.size;
}

HAK_EXPORT int hak_domain_has(hak_domain *domain, const void *p)
{
	return hak_domain_holds(domain, p);
}
