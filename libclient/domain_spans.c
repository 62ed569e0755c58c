/* SPDX-License-Identifier: Apache-2.0 */
/* domain_spans.c - whole slabs of a domain: leases, their growth, and the blocks that are made of
 * nothing else. Under the domain's mutex unless it says otherwise. */
#include <string.h>

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
		/* Acquire: pairs with the release of who freed it; the lease word gives it on. */
		uint16_t half = atomic_load_explicit(&d->view.half[hak_domain_index(first, slot)],
						     memory_order_acquire);

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
		/* Acquire: pairs with the sweep's release; half-words are as it left them. */
		uint64_t word = atomic_load_explicit(&d->view.lease[slab], memory_order_acquire);

		if (hak_lease_holder(word) != HAK_HOLDER_ORPHAN ||
		    !hak_lease_is_run(word, slab, hak_domain_slabs(&d->view)) ||
		    !is_spent(d, slab, word) || !hak_lease_adopt(&d->view, d->me, slab, word))
			continue;
		/* Somebody may have used it since, and given way again. */
		if (is_spent(d, slab, word)) {
			hak_lease_release(&d->view, slab);
			found = true;
		} else {
			hak_lease_orphan(&d->view, slab);
		}
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

/* So many slabs before its end a domain grows: a quarter of it, half a superslab to four. */
static uint32_t lead(const hak_domain *d)
{
	uint32_t slabs = hak_domain_high(d) * (HAK_SLABS_PER_SUPERSLAB / 4);

	if (slabs < HAK_SLABS_PER_SUPERSLAB / 2)
		return HAK_SLABS_PER_SUPERSLAB / 2;
	return slabs < 4 * HAK_SLABS_PER_SUPERSLAB ? slabs : 4 * HAK_SLABS_PER_SUPERSLAB;
}

bool hak_domain_claim(hak_domain *d, uint64_t n, uint32_t *ret_first)
{
	uint32_t first;

	hak_domain_give_way(d);
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
	if (d->claim_at + lead(d) > hak_domain_high(d) * HAK_SLABS_PER_SUPERSLAB)
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

/* ---- kept spans ---- */

/* Messages of one size come and go: the last ones freed keep their leases, for the next of their
 * size. At most so many slabs, and a share of what the domain has: others may be in need. */
#define KEPT_SLABS 256u
#define KEPT_SHARE 16u

static uint64_t may_keep(const hak_domain *d)
{
	/* Relaxed: a number to go by. */
	uint64_t granted = atomic_load_explicit(&d->state->granted, memory_order_relaxed) *
			   HAK_SLABS_PER_SUPERSLAB / KEPT_SHARE;

	return granted < KEPT_SLABS ? granted : KEPT_SLABS;
}

static void drop_kept(hak_domain *d, uint32_t i)
{
	struct hak_domain_kept kept = d->kept[i];

	memmove(&d->kept[i], &d->kept[i + 1], (--d->n_kept - i) * sizeof(kept));
	d->kept_slabs -= kept.slabs;
	d->slabs[kept.first].kind = HAK_SLAB_NONE;
	hak_domain_unclaim(d, kept.first);
}

uint64_t hak_domain_drop_kept(hak_domain *d)
{
	uint64_t slabs = d->kept_slabs;

	while (d->n_kept)
		drop_kept(d, 0);
	return slabs;
}

void hak_domain_span_free(hak_domain *d, uint32_t first)
{
	struct hak_slab *slab = &d->slabs[first];
	_Atomic uint16_t *half = &d->view.half[hak_domain_index(first, 0)];
	uint64_t most = may_keep(d);
	uint32_t slabs = (uint32_t)slab->n_slabs;

	slab->kind = HAK_SLAB_NONE;
	if (slab->n_slabs > most) {
		hak_domain_unclaim(d, first);
		return;
	}
	while (d->n_kept && (d->n_kept == HAK_DOMAIN_KEPT || d->kept_slabs + slabs > most))
		drop_kept(d, 0);
	/* Ours by name, perhaps; relaxed: nobody else acts on it. In a span that is not EXCEPTED
	 * its page is not to come into being. */
	if (atomic_load_explicit(&d->view.lease[first], memory_order_relaxed) & HAK_LEASE_EXCEPTED)
		atomic_store_explicit(half, 0, memory_order_relaxed);
	hak_domain_note_unused(d, first);
	slab->kind = HAK_SLAB_CACHED;
	d->kept[d->n_kept++] = (struct hak_domain_kept){ first, slabs };
	d->kept_slabs += slabs;
}

/* The newest: its memory is warm. */
static bool take_kept(hak_domain *d, uint64_t n, uint64_t align, uint32_t *ret_first)
{
	for (uint32_t i = d->n_kept; i-- > 0;) {
		uint32_t first = d->kept[i].first;

		if (d->kept[i].slabs != n || first % align)
			continue;
		memmove(&d->kept[i], &d->kept[i + 1], (--d->n_kept - i) * sizeof(d->kept[0]));
		d->kept_slabs -= (uint32_t)n;
		d->slabs[first].kind = HAK_SLAB_SPAN;
		*ret_first = first;
		return true;
	}
	return false;
}

static bool new_span(hak_domain *d, uint64_t n, uint64_t align, uint32_t *ret_first)
{
	if (!claim_aligned(d, n, align, ret_first))
		return false;
	d->slabs[*ret_first] = (struct hak_slab){ .kind = HAK_SLAB_SPAN, .n_slabs = n };
	d->held[*ret_first / HAK_SLABS_PER_SUPERSLAB]++;
	hak_lease_commit(&d->view, d->me, *ret_first, HAK_LEASE_SPAN, 0, n);
	return true;
}

void *hak_domain_span_alloc(hak_domain *d, size_t size, size_t align)
{
	uint64_t n = (size + HAK_SLAB_SIZE - 1) >> HAK_SLAB_SHIFT;
	uint64_t align_slabs = align > HAK_SLAB_SIZE ? align >> HAK_SLAB_SHIFT : 1;
	uint32_t first;
	bool ok;

	pthread_mutex_lock(&d->mutex);
	ok = take_kept(d, n, align_slabs, &first);
	if (!ok) {
		/* What came back may be of use for it, and is to be noticed where only spans are
		 * used. */
		ok = hak_domain_collect(d, false) && take_kept(d, n, align_slabs, &first);
		ok = ok || new_span(d, n, align_slabs, &first);
	}
	if (ok)
		hak_domain_note_used(d, first);
	pthread_mutex_unlock(&d->mutex);
	return ok ? d->base + ((uint64_t)first << HAK_SLAB_SHIFT) : NULL;
}
