/* SPDX-License-Identifier: Apache-2.0 */
/* domain_names.c - what blocks are called across processes: refs, and the roots that name refs. */
#include <string.h>

#include "libclient/domain.h"

/* The block's generation, 1 if it had none; the slab is EXCEPTED. */
static uint32_t generation_of(hak_domain *d, const struct hak_place *place)
{
	_Atomic uint8_t *word = &d->view.generation[place->index];
	uint8_t none = 0;

	/* Relaxed: a ref says nothing of the contents. An exchange, for of a published block
	 * several may make a first ref. */
	return atomic_compare_exchange_strong_explicit(word, &none, 1, memory_order_relaxed,
						       memory_order_relaxed)
		       ? 1
		       : none;
}

static bool is_published(const hak_domain *d, const struct hak_place *place)
{
	return atomic_load_explicit(hak_domain_half(d, place), memory_order_acquire) ==
	       HAK_HALF_PUBLISHED;
}

HAK_EXPORT hak_ref hak_ref_of(hak_domain *domain, const void *p)
{
	struct hak_place place;
	int r = hak_domain_may(domain, true);

	if (!r)
		r = hak_domain_find(domain, p, &place);
	if (!r && !is_published(domain, &place))
		r = hak_domain_own(domain, p, &place);
	if (r < 0)
		return 0;
	return hak_ref_make(domain->view.tag, hak_lease_generation(place.lease),
			    generation_of(domain, &place), (uintptr_t)p - (uintptr_t)domain->base);
}

/* 0: the place of the block; -EINVAL, -ESTALE. */
static int follow(const hak_domain *d, hak_ref ref, struct hak_place *ret)
{
	int r = ref && hak_ref_block_generation(ref) ? hak_domain_place_ref(&d->view, ref, ret)
						     : -EINVAL;

	if (!r && hak_ref_offset(ref) >= d->size)
		r = -EINVAL;
	if (r < 0)
		return hak_domain_fail(r, r == -ESTALE ? "the block was freed"
						       : "it is no ref of this domain");
	return 0;
}

HAK_EXPORT void *hak_ref_get(hak_domain *domain, hak_ref ref)
{
	struct hak_place place;
	int r = hak_domain_may(domain, false);

	if (!r)
		r = follow(domain, ref, &place);
	if (r < 0) {
		errno = -r;
		return NULL;
	}
	return domain->base + hak_ref_offset(ref);
}

HAK_EXPORT int hak_claim_ref(hak_domain *domain, hak_ref ref, void **ret)
{
	struct hak_place place;
	int r = hak_domain_may(domain, true);

	if (!r)
		r = follow(domain, ref, &place);
	if (!r)
		r = hak_claim(domain, domain->base + hak_ref_offset(ref));
	if (r < 0)
		return r;
	/* It is ours and stays what it is; but it may be a later block than the ref's. */
	r = follow(domain, ref, &place);
	if (r < 0) {
		(void)hak_publish(domain, domain->base + hak_ref_offset(ref));
		return hak_domain_fail(r, "the block was freed");
	}
	*ret = domain->base + hak_ref_offset(ref);
	return 0;
}

/* ---- roots ---- */

/* The name's place, taken for it if `create`; NULL: it has none. */
static struct hak_root *find_root(hak_domain *d, const char *name, uint64_t key, bool create)
{
	for (uint32_t i = 0; i < HAK_ROOTS; i++) {
		struct hak_root *root = &d->view.roots[(key + i) % HAK_ROOTS];
		uint64_t there = atomic_load_explicit(&root->key, memory_order_relaxed);

		if (!there && !create)
			return NULL;
		/* Relaxed: the key is all that others go by; the name is for people. */
		if (!there && atomic_compare_exchange_strong_explicit(&root->key, &there, key,
								      memory_order_relaxed,
								      memory_order_relaxed)) {
			memcpy(root->name, name, strlen(name) + 1);
			return root;
		}
		if (there == key)
			return root;
	}
	return NULL;
}

/* Acquire and release: who finds the ref sees the block as it was when it was named. */
static int exchange(struct hak_root *root, hak_ref expected, hak_ref ref)
{
	if (atomic_compare_exchange_strong_explicit(&root->ref, &expected, ref,
						    memory_order_acq_rel, memory_order_relaxed))
		return 0;
	return hak_domain_fail(-EAGAIN, "the name stands for something else");
}

/*
 * Links a block of ours and publishes it: T|me, the link, PUBLISHED. If we die in between, it is
 * published if the link is there, and freed if not.
 */
static int link_own(hak_domain *d, struct hak_root *root, void *p, hak_ref ref, hak_ref expected)
{
	uint16_t changing = (uint16_t)(HAK_HALF_T | d->me);
	struct hak_place place;
	int r = hak_domain_own(d, p, &place);

	if (r < 0)
		return r;
	if (!hak_domain_hand_over(d, &place, changing))
		return hak_domain_fail(-EPERM, "another thread has just given the block away");
	r = exchange(root, expected, ref);
	/* Release: pairs with the acquire of who claims it. Nobody else changes T|me: it is linked
	 * in no channel. If it stays ours, then by name: see let_go() in domain_orphans.c. */
	atomic_store_explicit(hak_domain_half(d, &place), r ? (uint16_t)d->me : HAK_HALF_PUBLISHED,
			      memory_order_release);
	return r;
}

HAK_EXPORT int hak_root_set(hak_domain *domain, const char *name, hak_ref ref, hak_ref expected)
{
	uint64_t key = hak_name_key(name);
	struct hak_root *root;
	struct hak_place place;
	int r = hak_domain_may(domain, true);

	if (r < 0)
		return r;
	if (!key)
		return hak_domain_fail(-EINVAL, "it is no name of a root");
	if (ref) {
		r = follow(domain, ref, &place);
		if (r < 0)
			return -EINVAL;
	}
	root = find_root(domain, name, key, ref != 0);
	if (!root && ref)
		return hak_domain_fail(-ENOSPC, "the domain has no room for another name");
	if (!root)
		return expected ? hak_domain_fail(-EAGAIN, "the name stands for nothing") : 0;
	if (!ref || is_published(domain, &place))
		return exchange(root, expected, ref);
	return link_own(domain, root, domain->base + hak_ref_offset(ref), ref, expected);
}

HAK_EXPORT hak_ref hak_root_get(hak_domain *domain, const char *name)
{
	uint64_t key = hak_name_key(name);
	struct hak_root *root;

	if (hak_domain_may(domain, false) < 0 || !key)
		return 0;
	root = find_root(domain, name, key, false);
	/* Acquire: pairs with the release of who set it. */
	return root ? atomic_load_explicit(&root->ref, memory_order_acquire) : 0;
}
