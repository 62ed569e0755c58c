/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/domain_walk.h"

#include <errno.h>
#include <stdlib.h>

#include "shared/sys.h"
#include "tools/os.h"
#include "tools/text.h"

#define PAGE 4096u
/* Half-words that lie together: hak_domain_index(). */
#define TOGETHER 1024u

static void add(struct walk_sum *sum, uint64_t n, uint64_t bytes)
{
	sum->n += n;
	sum->bytes += bytes;
}

/* Copies the pages with [off, off + size) of the meta file to their places in the private view. */
static int copy(struct domain_walk *walk, uint64_t off, uint64_t size)
{
	uint64_t end = hak_align_up(off + size, PAGE);
	void *at;
	int r;

	off &= ~(uint64_t)(PAGE - 1);
	at = hak_at(walk->view.roots, off);
	r = hak_sys_protect_rw(at, end - off);
	return r < 0 ? r : os_read_at(walk->join->meta, at, end - off, off);
}

static int fail(struct domain_join *join, int error)
{
	return talk_fail(&join->talk, "reading the domain's books: %s", os_text(error));
}

enum hak_member_state domain_walk_state(const struct domain_walk *walk, uint32_t number)
{
	const struct hak_member_entry *entry = &walk->join->head.member[number];

	if (!number || entry->id == walk->join->member || entry->state > HAK_MEMBER_DYING)
		return HAK_MEMBER_NONE;
	return (enum hak_member_state)entry->state;
}

bool domain_walk_shows(const struct domain_walk *walk, uint32_t number)
{
	const struct walk_member *member = &walk->member[number];
	enum hak_member_state state = domain_walk_state(walk, number);

	return state != HAK_MEMBER_NONE &&
	       (state != HAK_MEMBER_DYING || member->slabs || member->owned.n);
}

uint64_t domain_walk_held(const struct walk_member *member)
{
	return member->runs.bytes + member->spans.bytes + member->claimed.bytes;
}

/* ---- roots and channels ---- */

static enum walk_ref judge(struct domain_walk *walk, struct walk_root *root)
{
	struct hak_place place;
	uint64_t offset = hak_ref_offset(root->ref);

	/* Its generation is not among what was copied, yet: the place says where it is. What can't
	 * be read is 0, which no ref says. */
	if (hak_domain_place(&walk->view, offset, &place) == 0)
		(void)copy(walk, hak_meta_generations(walk->view.superslabs) + place.index, 1);
	switch (hak_domain_place_ref(&walk->view, root->ref, &place)) {
	case 0:
		root->offset = offset;
		root->size = place.size;
		return WALK_REF_GOOD;
	case -ESTALE:
		return WALK_REF_STALE;
	default:
		return WALK_REF_FOREIGN;
	}
}

static int by_offset(const void *a, const void *b)
{
	const struct walk_root *x = a, *y = b;

	if ((x->kind == WALK_REF_GOOD) != (y->kind == WALK_REF_GOOD))
		return x->kind == WALK_REF_GOOD ? 1 : -1;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Sorted by offset, so that a block's can be found; those that are not good come first. */
static void read_roots(struct domain_walk *walk)
{
	for (uint32_t i = 0; i < HAK_ROOTS; i++) {
		const struct hak_root *from = &walk->view.roots[i];
		struct walk_root *root = &walk->root[walk->roots];

		if (!from->key || !from->ref)
			continue;
		root->ref = from->ref;
		text_copy_plain(root->name, from->name, sizeof(from->name));
		root->kind = judge(walk, root);
		walk->roots++;
	}
	qsort(walk->root, walk->roots, sizeof(walk->root[0]), by_offset);
}

static bool has_root(const struct domain_walk *walk, uint64_t offset)
{
	uint32_t from = 0, to = walk->roots;

	while (from < to) { /* the first good one at or behind `offset` */
		uint32_t mid = (from + to) / 2;
		const struct walk_root *root = &walk->root[mid];

		if (root->kind != WALK_REF_GOOD || root->offset < offset)
			from = mid + 1;
		else
			to = mid;
	}
	return from < walk->roots && walk->root[from].offset == offset;
}

static void copy_living(const struct domain_walk *walk, uint64_t *ret, const _Atomic uint64_t *bits)
{
	for (uint32_t k = 1; k <= HAK_MEMBER_MAX; k++) {
		if (bits[k / 64] >> k % 64 & 1 && domain_walk_state(walk, k) == HAK_MEMBER_ALIVE)
			ret[k / 64] |= UINT64_C(1) << k % 64;
	}
}

static void read_channels(struct domain_walk *walk)
{
	for (uint32_t c = 0; c < HAK_CHANNELS; c++) {
		const struct hak_channel_desc *from = &walk->view.channels[c];
		struct walk_channel *channel = &walk->channel[c];

		channel->is_used = from->key != 0;
		if (!channel->is_used)
			continue;
		text_copy_plain(channel->name, from->name, sizeof(from->name));
		channel->capacity = hak_channel_capacity(from);
		copy_living(walk, channel->senders, from->senders);
		copy_living(walk, channel->receivers, from->receivers);
	}
}

/* ---- slabs ---- */

/* Whose account a holder's is; NULL: of nobody who is known. */
static struct walk_member *account(struct domain_walk *walk, uint32_t holder)
{
	if (holder == HAK_HOLDER_ORPHAN)
		return &walk->member[WALK_ORPHANS];
	if (holder >= HAK_MEMBERS || domain_walk_state(walk, holder) == HAK_MEMBER_NONE)
		return NULL;
	return &walk->member[holder];
}

struct run {
	uint32_t first;
	uint64_t word;
	uint64_t slabs;
	uint32_t class; /* 0: a span */
	uint64_t size;  /* of its blocks */
	struct walk_member *holder;
};

/* A block of that run is, or may be, the member's and in use. */
static void note_since(const struct domain_walk *walk, struct walk_member *member,
		       const struct run *run)
{
	uint32_t since = walk->view.since[run->first];

	if (since && hak_since_ns(since) < member->since_ns)
		member->since_ns = hak_since_ns(since);
}

static void owned(struct domain_walk *walk, const struct run *run, uint16_t half)
{
	struct walk_member *owner = account(walk, half & HAK_HALF_NUMBER);

	if (!owner) {
		add(&walk->unclear, 1, run->size);
		return;
	}
	add(&owner->owned, 1, run->size);
	note_since(walk, owner, run);
	if (hak_half_is_changing(half))
		add(&owner->changing, 1, run->size);
	if (owner == run->holder)
		return;
	add(&owner->adopted, 1, run->size);
	add(&run->holder->guests, 1, run->size);
}

static void exception(struct domain_walk *walk, const struct run *run, uint32_t slot, uint16_t half)
{
	uint64_t offset = ((uint64_t)run->first << HAK_SLAB_SHIFT) + slot * run->size;

	walk->class[run->class].excepted++;
	if (hak_half_is_member(half) || hak_half_is_changing(half)) {
		owned(walk, run, half);
	} else if (half == HAK_HALF_PUBLISHED) {
		add(&walk->published, 1, run->size);
		add(&run->holder->guests, 1, run->size);
		if (!has_root(walk, offset))
			add(&walk->unnamed, 1, run->size);
	} else if (hak_half_is_channel(half)) {
		add(&walk->moving, 1, run->size);
		add(&run->holder->guests, 1, run->size);
		add(&walk->channel[half & (HAK_CHANNELS - 1)].moving, 1, run->size);
	} else if (half == HAK_HALF_FREED) {
		if (run->holder != &walk->member[WALK_ORPHANS]) /* there it means free */
			add(&run->holder->freed, 1, run->size);
	} else {
		add(&walk->unclear, 1, run->size);
	}
}

/* 0; -EAGAIN: the run was taken apart meanwhile; or another error of the file. */
static int read_halves(struct domain_walk *walk, const struct run *run)
{
	uint64_t from = hak_meta_halves(walk->view.superslabs);
	uint32_t n = run->class ? hak_class[run->class].blocks : 1;
	uint16_t half[4 * TOGETHER];
	bool has_own = false;
	uint64_t now;
	int r = 0;

	for (uint32_t slot = 0; slot < n && r == 0; slot += TOGETHER)
		r = os_read_at(walk->join->meta, &half[slot],
			       (n - slot < TOGETHER ? n - slot : TOGETHER) * sizeof(half[0]),
			       from + hak_domain_index(run->first, slot) * sizeof(half[0]));
	if (r == 0)
		r = os_read_at(walk->join->meta, &now, sizeof(now),
			       HAK_META_LEASES + (uint64_t)run->first * sizeof(now));
	if (r < 0)
		return r;
	if (now != run->word)
		return -EAGAIN;
	for (uint32_t slot = 0; slot < n; slot++) {
		if (half[slot])
			exception(walk, run, slot, half[slot]);
		else
			has_own = true;
	}
	if (has_own)
		note_since(walk, run->holder, run);
	return 0;
}

/* How many slabs go with a first one: those that say so. */
static uint64_t length(const struct domain_walk *walk, uint32_t first, uint64_t word, uint32_t end)
{
	uint64_t n = hak_lease_length(word);

	for (uint64_t i = 1; i < n; i++) {
		uint64_t inside = first + i < end ? walk->view.lease[first + i] : 0;

		if (hak_lease_kind(inside) != HAK_LEASE_INSIDE || hak_lease_length(inside) != i)
			return i;
	}
	return n ? n : 1;
}

static bool is_whole(const struct domain_walk *walk, const struct run *run)
{
	return run->holder && run->slabs == hak_lease_length(run->word) &&
	       hak_lease_is_run(run->word, run->first, hak_domain_slabs(&walk->view));
}

static int visit_run(struct domain_walk *walk, struct run *run)
{
	struct walk_member *holder = run->holder;
	uint64_t bytes = run->slabs << HAK_SLAB_SHIFT;
	int r = 0;

	if (!is_whole(walk, run)) {
		walk->unclear_slabs += run->slabs;
		return 0;
	}
	run->size = run->class ? hak_class[run->class].size : bytes;
	if (run->word & HAK_LEASE_EXCEPTED)
		r = read_halves(walk, run);
	else
		note_since(walk, holder, run);
	if (r == -EAGAIN) {
		walk->unclear_slabs += run->slabs;
		return 0;
	}
	holder->slabs += run->slabs;
	walk->class[run->class].slabs += run->slabs;
	holder->blocks += run->class ? hak_class[run->class].blocks : 0;
	add(run->class ? &holder->runs : &holder->spans, 1, bytes);
	return r;
}

/* The slab's run; how many slabs that were, or an error. */
static int64_t visit(struct domain_walk *walk, uint32_t slab, uint32_t end)
{
	uint64_t word = walk->view.lease[slab];
	enum hak_lease_kind kind = hak_lease_kind(word);
	struct run run = { .first = slab,
			   .word = word,
			   .slabs = 1,
			   .holder = account(walk, hak_lease_holder(word)) };
	int r = 0;

	if (kind == HAK_LEASE_BLOCKS || kind == HAK_LEASE_SPAN) {
		run.class = kind == HAK_LEASE_BLOCKS ? hak_lease_class(word) : 0;
		run.slabs = length(walk, slab, word, end);
		r = visit_run(walk, &run);
	} else if (kind == HAK_LEASE_CLAIM && run.holder) {
		run.holder->slabs++;
		add(&run.holder->claimed, 1, HAK_SLAB_SIZE);
	} else if (kind == HAK_LEASE_FREE) {
		walk->free_slabs++;
	} else if (kind == HAK_LEASE_ABSENT) {
		walk->absent_slabs++;
	} else {
		walk->unclear_slabs++;
	}
	return r < 0 ? r : (int64_t)run.slabs;
}

static int read_all(struct domain_walk *walk)
{
	uint32_t end = walk->join->head.high * HAK_SLABS_PER_SUPERSLAB, slab = 0;
	int r = copy(walk, 0, HAK_META_LEASES + (uint64_t)end * sizeof(uint64_t));

	if (r == 0)
		r = copy(walk, hak_meta_since(walk->view.superslabs), end * sizeof(uint32_t));
	if (r < 0)
		return r;
	for (uint32_t k = 0; k < HAK_MEMBERS; k++)
		walk->member[k].since_ns = UINT64_MAX;
	read_roots(walk);
	read_channels(walk);
	while (slab < end) {
		int64_t n = visit(walk, slab, end);

		if (n < 0)
			return (int)n;
		slab += (uint32_t)n;
	}
	return 0;
}

int domain_walk_new(struct domain_walk **ret, struct domain_join *join)
{
	const struct hak_domain_state *head = &join->head;
	struct domain_walk *walk = calloc(1, sizeof(*walk));
	void *meta;
	int r;

	*ret = walk;
	if (!walk)
		return fail(join, -ENOMEM);
	walk->join = join;
	/* Address space with the meta file's shape: what is not copied there reads as zero. */
	r = hak_sys_map_zero(&meta, hak_meta_size(head->superslabs));
	if (r < 0)
		return fail(join, r);
	hak_domain_view_init(&walk->view, meta, NULL, head->superslabs, head->tag);
	r = read_all(walk);
	return r < 0 ? fail(join, r) : 0;
}

struct domain_walk *domain_walk_free(struct domain_walk *walk)
{
	if (walk && walk->view.roots)
		(void)hak_sys_unmap(walk->view.roots, hak_meta_size(walk->view.superslabs));
	free(walk);
	return NULL;
}
