/* SPDX-License-Identifier: Apache-2.0 */
/* domain_spans.c - whole slabs of a domain: leases, their growth, and the blocks that are made of
 * nothing else. Under the domain's mutex unless it says otherwise. */
#include "libclient/domain.h"

/* Descriptors become writable for so many superslabs at a time. */
#define COVER_SUPERS 64u
/* Orphans are looked through for what is free in pieces of so many superslabs. */
#define GATHER_SUPERS 256u
/* Others may take what was granted for us. */
#define TRIES 8

bool hak_domain_cover(hak_domain *d, uint32_t first, uint64_t n)
{
	uint32_t need = (uint32_t)((first + n - 1) / HAK_SLABS_PER_SUPERSLAB) + 1;
	uint64_t per = HAK_SLABS_PER_SUPERSLAB * sizeof(struct hak_slab);

	if (need <= d->covered)
		return true;
	need = (uint32_t)hak_align_up(need, COVER_SUPERS);
	if (hak_sys_protect_rw(hak_at(d->slabs, d->covered * per), (need - d->covered) * per) < 0) {
		(void)hak_domain_fail(-ENOMEM, "no memory for the books of the domain");
		return false;
	}
	d->covered = need;
	return true;
}

static bool try_claim(hak_domain *d, uint64_t n, uint32_t *ret_first)
{
	return hak_lease_claim(&d->view, d->me, hak_domain_high(d), d->claim_at, n, ret_first);
}

/* Of an orphan's run: all its blocks are free. So they stay, for they are nobody's to change. */
static bool is_spent(const hak_domain *d, uint32_t first, uint64_t word)
{
	uint32_t class = hak_lease_class(word), blocks = class ? hak_class[class].blocks : 1;

	if (!(word & HAK_LEASE_EXCEPTED))
		return true;
	for (uint32_t slot = 0; slot < blocks; slot++) {
		/* Relaxed: nothing of the block is read; it is given on by the lease word. */
		uint16_t half = atomic_load_explicit(&d->view.half[hak_domain_index(first, slot)],
						     memory_order_relaxed);

		if (half && half != HAK_HALF_FREED)
			return false;
	}
	return true;
}

/* Orphans of which nothing is left, in superslabs [at, at + n): adopted to be given up. */
static bool gather_in(hak_domain *d, uint32_t at, uint32_t n)
{
	uint32_t end = (at + n) * HAK_SLABS_PER_SUPERSLAB;
	bool found = false;

	for (uint32_t slab = at * HAK_SLABS_PER_SUPERSLAB; slab < end; slab++) {
		/* Acquire: pairs with the release of the sweep; the half-words are as it left them. */
		uint64_t word = atomic_load_explicit(&d->view.lease[slab], memory_order_acquire);

		if (hak_lease_holder(word) != HAK_HOLDER_ORPHAN ||
		    !hak_lease_is_run(word, slab, hak_domain_slabs(&d->view)) ||
		    !is_spent(d, slab, word) || !hak_lease_adopt(&d->view, d->me, slab))
			continue;
		hak_lease_release(&d->view, slab);
		found = true;
	}
	return found;
}

static bool gather(hak_domain *d, bool all)
{
	uint32_t high = hak_domain_high(d), at = d->gather_at < high ? d->gather_at : 0;
	uint32_t n = high - at < GATHER_SUPERS ? high - at : GATHER_SUPERS;

	if (all)
		return gather_in(d, 0, high);
	d->gather_at = at + n;
	return gather_in(d, at, n);
}

/* All that this process does not need itself. */
static bool scrape(hak_domain *d)
{
	bool found = hak_domain_collect(d, true);

	found = hak_domain_shed(d) || found;
	return gather(d, true) || found;
}

/* Some member was refused: what lies idle here may be what it needs. */
static void heed(hak_domain *d)
{
	/* Relaxed: a hint. */
	uint32_t needs = atomic_load_explicit(&d->state->needs, memory_order_relaxed);

	if (HAK_LIKELY(needs == d->needs))
		return;
	d->needs = needs;
	(void)hak_domain_collect(d, true);
	(void)hak_domain_shed(d);
}

static bool find(hak_domain *d, uint64_t n, uint32_t *ret_first)
{
	uint32_t supers = (uint32_t)((n + HAK_SLABS_PER_SUPERSLAB - 1) / HAK_SLABS_PER_SUPERSLAB);

	for (int i = 0; i < TRIES; i++) {
		if (try_claim(d, n, ret_first) || (gather(d, false) && try_claim(d, n, ret_first)))
			return true;
		if (!hak_domain_grow(d, supers))
			break;
	}
	return try_claim(d, n, ret_first) || (scrape(d) && try_claim(d, n, ret_first));
}

bool hak_domain_claim(hak_domain *d, uint64_t n, uint32_t *ret_first)
{
	uint32_t first;

	heed(d);
	if (n > hak_domain_slabs(&d->view)) {
		(void)hak_domain_fail(-ENOMEM, "the domain's address range is smaller");
		return false;
	}
	if (!find(d, n, &first))
		return false;
	if (!hak_domain_cover(d, first, n)) {
		hak_lease_release(&d->view, first);
		return false;
	}
	d->claim_at = first + (uint32_t)n;
	/* Half of the last superslab is gone: the next one is wanted soon. */
	if (d->claim_at >
	    hak_domain_high(d) * HAK_SLABS_PER_SUPERSLAB - HAK_SLABS_PER_SUPERSLAB / 2)
		hak_domain_grow_ahead(d);
	*ret_first = first;
	return true;
}

void hak_domain_unclaim(hak_domain *d, uint32_t first)
{
	d->held[first / HAK_SLABS_PER_SUPERSLAB]--;
	hak_lease_release(&d->view, first);
	/* Low addresses first: what was used before comes before what never was. */
	if (first < d->claim_at)
		d->claim_at = first;
}

/* Cuts a claimed run of n slabs in two, of which both can be committed or released. Relaxed loads:
 * the words are ours. Release, as for all words; the second part is told of before the first gets
 * short, so that neither is lost if we die here. */
static void split(hak_domain *d, uint32_t first, uint64_t at, uint64_t n)
{
	_Atomic uint64_t *word = &d->view.lease[first];
	uint32_t generation =
		hak_lease_generation(atomic_load_explicit(&word[at], memory_order_relaxed));

	atomic_store_explicit(&word[at],
			      hak_lease_make(d->me, HAK_LEASE_CLAIM, 0, generation, n - at),
			      memory_order_release);
	generation = hak_lease_generation(atomic_load_explicit(word, memory_order_relaxed));
	atomic_store_explicit(word, hak_lease_make(d->me, HAK_LEASE_CLAIM, 0, generation, at),
			      memory_order_release);
}

/* How many slabs to claim so that n of them, aligned to `align` slabs, are among them. Runs of a
 * superslab and more begin at one. */
static uint64_t slabs_around(uint64_t n, uint64_t align)
{
	if (align <= HAK_SLABS_PER_SUPERSLAB) {
		if (n + align - 1 <= HAK_SLABS_PER_SUPERSLAB)
			return n + align - 1;
		return n > HAK_SLABS_PER_SUPERSLAB ? n : HAK_SLABS_PER_SUPERSLAB;
	}
	return n + align - HAK_SLABS_PER_SUPERSLAB;
}

static bool claim_aligned(hak_domain *d, uint64_t n, uint64_t align, uint32_t *ret_first)
{
	uint64_t around = slabs_around(n, align), lead;
	uint32_t first;

	if (!hak_domain_claim(d, around, &first))
		return false;
	lead = hak_align_up(first, align) - first;
	if (lead) {
		split(d, first, lead, around);
		hak_lease_release(&d->view, first);
		first += (uint32_t)lead;
		around -= lead;
	}
	if (around > n) {
		split(d, first, n, around);
		hak_lease_release(&d->view, first + (uint32_t)n);
	}
	*ret_first = first;
	return true;
}

void *hak_domain_span_alloc(hak_domain *d, size_t size, size_t align)
{
	uint64_t n = (size + HAK_SLAB_SIZE - 1) >> HAK_SLAB_SHIFT;
	uint64_t align_slabs = align > HAK_SLAB_SIZE ? align >> HAK_SLAB_SHIFT : 1;
	uint32_t first;
	bool ok;

	pthread_mutex_lock(&d->mutex);
	/* What came back may be of use for it, and is to be noticed where only spans are used. */
	(void)hak_domain_collect(d, false);
	ok = claim_aligned(d, n, align_slabs, &first);
	if (ok) {
		d->slabs[first] = (struct hak_slab){ .kind = HAK_SLAB_SPAN, .n_slabs = n };
		d->held[first / HAK_SLABS_PER_SUPERSLAB]++;
		hak_lease_commit(&d->view, d->me, first, HAK_LEASE_SPAN, 0, n);
	}
	pthread_mutex_unlock(&d->mutex);
	return ok ? d->base + ((uint64_t)first << HAK_SLAB_SHIFT) : NULL;
}

void hak_domain_span_free(hak_domain *d, uint32_t first)
{
	d->slabs[first].kind = HAK_SLAB_NONE;
	hak_domain_unclaim(d, first);
}
