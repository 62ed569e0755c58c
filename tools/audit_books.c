/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/audit_books.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "shared/sys.h"
#include "tools/os.h"

/* So often the same fault is seen before it is one, and so often it is tried. */
#define SAME  4u
#define TRIES 25u
#define PAUSE 20 /* ms, between two of them */

/* ---- the sums ---- */

static void add_half(struct audit_bytes *sum, uint16_t half, bool orphan, uint64_t size)
{
	if (half == HAK_HALF_PUBLISHED)
		sum->published += size;
	else if (hak_half_is_channel(half))
		sum->moving += size;
	else if (hak_half_is_member(half))
		sum->owned += size;
	else if (hak_half_is_changing(half))
		sum->changing += size;
	else if (orphan) /* FREED means the same there */
		sum->orphaned += size;
	else if (half == HAK_HALF_FREED)
		sum->freed += size;
	else
		sum->holders += size;
}

static uint64_t add_run(struct audit_bytes *sum, const struct hak_domain_view *view, uint32_t first,
			uint64_t word)
{
	uint32_t class = hak_lease_class(word), slots = hak_lease_slots(word);
	uint64_t bytes = hak_lease_length(word) << HAK_SLAB_SHIFT;
	uint64_t size = class ? hak_class[class].size : bytes;
	bool orphan = hak_lease_holder(word) == HAK_HOLDER_ORPHAN;

	for (uint32_t slot = 0; slot < slots; slot++)
		add_half(sum,
			 word & HAK_LEASE_EXCEPTED ? view->half[hak_domain_index(first, slot)] : 0,
			 orphan, size);
	sum->tails += bytes - slots * size;
	return hak_lease_length(word);
}

static uint64_t total(const struct audit_bytes *sum)
{
	return sum->free + sum->claimed + sum->holders + sum->orphaned + sum->owned +
	       sum->changing + sum->published + sum->moving + sum->freed + sum->tails;
}

static uint64_t add_slab(struct audit_bytes *sum, const struct hak_domain_view *view, uint32_t slab)
{
	uint64_t word = view->lease[slab];

	switch (hak_lease_kind(word)) {
	case HAK_LEASE_FREE:
		sum->free += HAK_SLAB_SIZE;
		return 1;
	case HAK_LEASE_CLAIM:
		if (hak_lease_holder(word) == HAK_HOLDER_DAEMON)
			sum->waste += HAK_SLAB_SIZE;
		else
			sum->claimed += HAK_SLAB_SIZE;
		return 1;
	case HAK_LEASE_BLOCKS:
	case HAK_LEASE_SPAN:
		return add_run(sum, view, slab, word);
	default:
		return 1;
	}
}

static void name_living(uint64_t ret[HAK_MEMBERS / 64], const struct hak_domain_state *head)
{
	memset(ret, 0, HAK_MEMBERS / 8);
	for (uint32_t k = 1; k < HAK_MEMBERS; k++) {
		if (head->member[k].state != HAK_MEMBER_NONE)
			ret[k / 64] |= UINT64_C(1) << k % 64;
	}
}

int audit_books_add(struct audit_bytes *ret, const struct hak_domain_view *view,
		    const struct hak_domain_state *head, char *ret_fault, size_t size)
{
	struct audit_bytes sum = { .granted = head->granted * HAK_SUPERSLAB_SIZE };
	uint64_t alive[HAK_MEMBERS / 64];
	struct hak_domain_census census;
	const char *reason;
	uint32_t slab;

	name_living(alive, head);
	if (hak_domain_check(view, alive, &census, &slab, &reason) < 0) {
		(void)snprintf(ret_fault, size, "slab %u: %s", slab, reason);
		return -EUCLEAN;
	}
	for (slab = 0; slab < hak_domain_slabs(view);)
		slab += (uint32_t)add_slab(&sum, view, slab);
	*ret = sum;
	if (sum.granted == total(&sum))
		return 0;
	(void)snprintf(ret_fault, size, "granted %llu bytes != %llu in all states",
		       (unsigned long long)sum.granted, (unsigned long long)total(&sum));
	return -EUCLEAN;
}

/* ---- the copy ---- */

/* The pages of [off, off + size) that are there; all others read as zero. */
static int copy(int fd, void *base, uint64_t off, uint64_t size)
{
	uint64_t end = off + size, from, to;
	int r = 0;

	while (r == 0 && off < end) {
		r = os_next_data(fd, off, end, &from, &to);
		if (r == 0 && from < to)
			r = os_read_at(fd, hak_at(base, from), to - from, from);
		off = to;
	}
	return r;
}

/* Only what was ever granted: members may have written anywhere. */
static int copy_books(const struct domain_join *join, void *base, struct hak_domain_view *view)
{
	const struct hak_domain_state *head = &join->head;
	uint32_t n = head->high ? head->high : 1;
	uint64_t slabs = (uint64_t)n * HAK_SLABS_PER_SUPERSLAB;
	uint64_t blocks = (uint64_t)n * HAK_SUPERSLAB_BLOCKS;
	int r;

	hak_domain_view_init(view, base, NULL, head->superslabs, head->tag);
	view->superslabs = n;
	r = copy(join->meta, base, 0, HAK_META_LEASES + slabs * sizeof(uint64_t));
	if (r == 0)
		r = copy(join->meta, base, hak_meta_generations(head->superslabs), blocks);
	if (r == 0)
		r = copy(join->meta, base, hak_meta_halves(head->superslabs), 2 * blocks);
	return r;
}

/* One look: 0, -EUCLEAN, or an error of the files. */
static int look_once(struct audit_books *books, struct domain_join *join)
{
	uint64_t size = hak_meta_size(join->head.superslabs);
	uint32_t superslabs = join->head.superslabs;
	struct hak_domain_view view;
	void *base;
	int r = os_read_at(join->state, &join->head, sizeof(join->head), 0);

	if (r < 0)
		return r;
	join->head.superslabs = superslabs;
	if (join->head.high > superslabs)
		join->head.high = superslabs;
	r = hak_sys_map_zero(&base, size);
	if (r < 0)
		return r;
	r = hak_sys_protect_rw(base, hak_meta_rings(superslabs));
	if (r == 0)
		r = copy_books(join, base, &view);
	if (r == 0)
		r = audit_books_add(&books->bytes, &view, &join->head, books->fault,
				    sizeof(books->fault));
	(void)hak_sys_unmap(base, size);
	return r;
}

void audit_books_look(struct audit_books *books, const char *socket)
{
	char before[sizeof(books->fault)] = "";
	struct domain_join join;
	uint32_t same = 0;
	int r = domain_join(&join, socket, books->name);

	if (r < 0)
		memcpy(books->error, join.talk.error, sizeof(books->error));
	for (uint32_t i = 0; r == 0 && i < TRIES; i++) {
		r = look_once(books, &join);
		if (r != -EUCLEAN)
			break;
		same = strcmp(before, books->fault) ? 1 : same + 1;
		memcpy(before, books->fault, sizeof(before));
		if (same == SAME)
			break;
		(void)hak_sys_poll(NULL, 0, PAUSE);
		r = i + 1 < TRIES ? 0 : r;
	}
	if (r == 0)
		books->fault[0] = '\0';
	else if (r == -EUCLEAN && same < SAME)
		(void)snprintf(books->error, sizeof(books->error),
			       "its members are too busy, last seen: %s", books->fault);
	else if (r < 0 && r != -EUCLEAN && !*books->error)
		(void)snprintf(books->error, sizeof(books->error), "reading its books: %s",
			       os_text(r));
	if (*books->error)
		books->fault[0] = '\0';
	domain_leave(&join);
}
