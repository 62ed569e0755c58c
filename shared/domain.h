/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain.h - memory that several processes share: its layout, who owns which block of it, and what
 * a death means. docs/domains.md tells the same as a story; tests/models/domain.pml is its model.
 *
 * THREE FILES
 *   data   the blocks; superslab i at offset i * 2 MiB, in every member at the same address
 *   meta   what members write about them (below); members trust each other with a domain's bytes,
 *          the daemon trusts none of it: garbage here harms this domain only
 *   state  what the daemon alone writes: members, events; members map it read-only
 *
 * META
 *   0x00000  struct hak_root[1024]     names of refs
 *   0x10000  struct hak_channel_desc[256]
 *   0x40000  lease[32 per superslab]   8 bytes a slab: who holds it, as what
 *   then     hint[32 per superslab]    1 byte a slab: something was given back to its holder
 *   then     since[32 per superslab]   4 bytes a slab: no block of it is in use for longer
 *   then     generation[]              1 byte a block, 128 KiB a superslab
 *   then     half[]                    2 bytes a block, 256 KiB a superslab
 *   then     ring[65536 per channel]   8 bytes a place
 * It is sparse: generations and half-words are touched for slabs with exceptions only, rings as far
 * as their channel's capacity goes.
 *
 * THE LEASE IS THE RECORD OF OWNERSHIP. A slab is leased to one member; it alone takes blocks from
 * it, by bitmaps and magazines of its own that nobody else sees. Every block of it, allocated or
 * free, is the lease holder's unless its half-word says otherwise:
 *
 *   0            the lease holder's: free or in use, it alone knows
 *   member k     k's: given to it, claimed or received by it
 *   T | k        k's, who is just publishing or sending it: linked means done, else k's
 *   PUBLISHED    nobody's, outlives every process
 *   channel c    under way in channel c
 *   FREED        given back to the lease holder, which has not yet noticed
 *   SWEPT        a dead member's, and the sweep is just freeing it
 *
 * Each change is one store, or a compare-and-swap where several may try:
 *   0, T|k, k, FREED -> ...  by the owner: the lease holder of 0 and FREED, k of k and T|k
 *   PUBLISHED -> k           by whoever's compare-and-swap comes first
 *   channel c -> k           likewise (receive)
 *   d, T|d of a dead member, SWEPT, by the sweep alone: with a compare-and-swap, for d may just be
 *   taken back by who gave it
 *
 * A lease whose holder died, or gave way, is an ORPHAN's: there 0 and FREED mean free. Whoever
 * adopts it begins with hint = 0, by exchange, and takes both for free (FREED becomes 0), all
 * else for in use.
 *
 * GIVE  half = d; full fence; then d must be ALIVE with the id that was meant, or the giver takes
 * it back: compare-and-swap d -> me (which fails if the sweep came first; then it was given). The
 * daemon: state DYING; full fence; sweep. So either the sweep sees d, or the giver sees DYING, or
 * both, and the compare-and-swap decides. A giver that dies before it took it back leaves a number
 * that is nobody's: its own sweep has it. Numbers go round; was this one given out again before
 * that, the block is its new bearer's, who does not know of it, until that one ends.
 *
 * INVARIANTS (hak_domain_check() has them)
 *   a lease word is one of the forms below; an INSIDE slab lies in a run of the same holder
 *   half-words and generations of a slab that is FREE, or not EXCEPTED, are 0
 *   a half-word names a member number below HAK_MEMBERS or a channel below HAK_CHANNELS
 *   once a sweep of member d is complete, no lease, no half-word and no channel names d
 *
 * EXCEPTED. A slab with a half-word or generation that is not 0 has that flag, set by its holder
 * before the first, and taken back when the slab is released. A free of a block in it by its
 * holder's process looks at the half-word; in other slabs it does not.
 *
 * SINCE is for people, who ask for what was forgotten: nothing is decided by it. The holder writes
 * the time before it takes the first block from a slab that it knows to be wholly free, and 0 when
 * it sees that it is so again; who adopts a slab leaves what is there. So every block in use of a
 * run, whoever owns it, came into use after the time of the run's first slab. Of a slab that is
 * FREE or a CLAIM it means nothing.
 *
 * WHO COLLECTS. FREED: store half (release), then hint[slab] = 1 (release). The holder: hint = 0 by
 * exchange (acquire), then looks at the half-words. Either it sees FREED or the hint stays set.
 */
#pragma once

#include <stdatomic.h>

#include "shared/domain_names.h"
#include "shared/domain_state.h"
#include "shared/layout.h"
#include "shared/sizeclass.h"

/* ---- half-words ---- */

#define HAK_HALF_T         0x8000u /* T | member */
#define HAK_HALF_PUBLISHED 0x4000u
#define HAK_HALF_FREED     0x4001u
#define HAK_HALF_SWEPT     0x4002u
#define HAK_HALF_CHANNEL   0x2000u /* | channel */
#define HAK_HALF_NUMBER    0x03ffu

static inline bool hak_half_is_member(uint16_t half)
{
	return half && half < HAK_MEMBERS;
}

static inline bool hak_half_is_changing(uint16_t half)
{
	return half > HAK_HALF_T && half < HAK_HALF_T + HAK_MEMBERS;
}

static inline bool hak_half_is_channel(uint16_t half)
{
	return half >= HAK_HALF_CHANNEL && half < HAK_HALF_CHANNEL + HAK_CHANNELS;
}

/* ---- lease words ---- */

/*
 * holder:16 | kind:3 | excepted:1 | class:6 | generation:10 | length:28, from the lowest bit
 *
 *   ABSENT  0: no memory is granted there
 *   FREE    granted, nobody's                          holder 0
 *   CLAIM   a member is taking it or giving it back: nothing of it is in use. The first one of a
 *           run has its length, and if it was EXCEPTED its class, so that the sweep can finish; the
 *           others have length 0
 *   BLOCKS  first slab of a run of `length` slabs, cut into blocks of `class`
 *   INSIDE  a further slab of a run (blocks or span), `length` slabs behind its first
 *   SPAN    first slab of one block of `length` slabs; slot 0 is its half-word
 *
 * ABSENT -> FREE by the daemon, FREE -> ABSENT by the daemon through CLAIM;
 * FREE -> CLAIM by compare-and-swap;  all else by the holder, or the sweep in its place, or for
 * ORPHAN -> member by compare-and-swap of the first slab's word (then those INSIDE follow).
 * A run is taken apart in this order: first slab CLAIM, half-words and generations 0, INSIDE words
 * FREE from the last to the first, first slab FREE. So INSIDE words without a first never are.
 * Becoming an ORPHAN's, the INSIDE words go before the first, so that an adopter finds all done.
 * EXCEPTED is a flag of the first slab's word only.
 * The generation changes when a slab becomes FREE: what a ref says of the slab.
 */
enum hak_lease_kind {
	HAK_LEASE_ABSENT = 0,
	HAK_LEASE_FREE,
	HAK_LEASE_CLAIM,
	HAK_LEASE_BLOCKS,
	HAK_LEASE_INSIDE,
	HAK_LEASE_SPAN,
};

#define HAK_HOLDER_NONE   0u
#define HAK_HOLDER_DAEMON 0xfffeu
/* The holder died and something of the slab outlived it, or it gave way to others: whoever needs
 * such blocks may adopt it. */
#define HAK_HOLDER_ORPHAN 0xffffu

#define HAK_LEASE_EXCEPTED  (UINT64_C(1) << 19)
#define HAK_LEASE_GENS      1024u
#define HAK_LEASE_LENGTH(n) ((uint64_t)(n) << 36)

static inline uint64_t hak_lease_make(uint32_t holder, enum hak_lease_kind kind, uint32_t class,
				      uint32_t generation, uint64_t length)
{
	return (uint64_t)holder | (uint64_t)kind << 16 | (uint64_t) class << 20 |
	       (uint64_t)(generation % HAK_LEASE_GENS) << 26 | HAK_LEASE_LENGTH(length);
}

static inline uint32_t hak_lease_holder(uint64_t word)
{
	return (uint32_t)(word & 0xffff);
}

static inline enum hak_lease_kind hak_lease_kind(uint64_t word)
{
	return (enum hak_lease_kind)(word >> 16 & 7);
}

/* May be any number below 64 in a word that was written over. */
static inline uint32_t hak_lease_class(uint64_t word)
{
	return (uint32_t)(word >> 20 & 63);
}

static inline uint32_t hak_lease_generation(uint64_t word)
{
	return (uint32_t)(word >> 26 & (HAK_LEASE_GENS - 1));
}

static inline uint64_t hak_lease_length(uint64_t word)
{
	return word >> 36;
}

static inline uint64_t hak_lease_with_holder(uint64_t word, uint32_t holder)
{
	return (word & ~UINT64_C(0xffff)) | holder;
}

/* How many blocks a first slab's word allows to have half-words: all of them are in its own area. A
 * run of several slabs has less than 1,024, a span one. Any word. */
static inline uint32_t hak_lease_slots(uint64_t word)
{
	uint32_t class = hak_lease_class(word);

	return class && class < HAK_CLASSES ? hak_class[class].blocks : 1;
}

/* Can it be a first slab's word of a run of blocks or a span? Any word, any slab of the range. */
static inline bool hak_lease_is_run(uint64_t word, uint32_t slab, uint32_t slabs)
{
	uint32_t class = hak_lease_class(word), inside = slab % HAK_SLABS_PER_SUPERSLAB;
	uint64_t n = hak_lease_length(word);

	if (hak_lease_kind(word) == HAK_LEASE_BLOCKS) {
		if (!class || class >= HAK_CLASSES || n != hak_class[class].slabs)
			return false;
	} else if (hak_lease_kind(word) != HAK_LEASE_SPAN || class || !n) {
		return false;
	}
	return n <= HAK_SLABS_PER_SUPERSLAB - inside || (!inside && n <= slabs - slab);
}

/* ---- refs ---- */

/*
 * offset / 16: 37 | block generation: 8 | slab generation: 10 | domain tag: 9, from the lowest bit.
 * The tag is 1 .. 511, from the domain's id; a ref is never 0. A block's generation is 0 until a
 * ref is made of it, then 1 .. 255, the next one each time that it is freed: a stale ref is found
 * unless exactly a multiple of 255 lives of a block with refs, and of 1,024 of its slab, have gone.
 */
#define HAK_REF_TAGS 511u

static inline uint64_t hak_ref_make(uint32_t tag, uint32_t slab_generation,
				    uint32_t block_generation, uint64_t offset)
{
	return offset >> 4 | (uint64_t)block_generation << 37 | (uint64_t)slab_generation << 45 |
	       (uint64_t)tag << 55;
}

static inline uint64_t hak_ref_offset(uint64_t ref)
{
	return (ref & ((UINT64_C(1) << 37) - 1)) << 4;
}

static inline uint32_t hak_ref_block_generation(uint64_t ref)
{
	return (uint32_t)(ref >> 37 & 255);
}

static inline uint32_t hak_ref_slab_generation(uint64_t ref)
{
	return (uint32_t)(ref >> 45 & (HAK_LEASE_GENS - 1));
}

static inline uint32_t hak_ref_tag(uint64_t ref)
{
	return (uint32_t)(ref >> 55);
}

/* ---- meta: where things are ---- */

#define HAK_META_CHANNELS 0x10000u
#define HAK_META_LEASES   0x40000u
static_assert(HAK_META_CHANNELS == HAK_ROOTS * sizeof(struct hak_root), "roots");
static_assert(HAK_META_LEASES == HAK_META_CHANNELS + HAK_CHANNELS * sizeof(struct hak_channel_desc),
	      "channels");

#define HAK_SUPERSLAB_BLOCKS (HAK_SLABS_PER_SUPERSLAB * 4096u)

static inline uint64_t hak_meta_hints(uint32_t superslabs)
{
	return HAK_META_LEASES + (uint64_t)superslabs * HAK_SLABS_PER_SUPERSLAB * 8;
}

static inline uint64_t hak_meta_since(uint32_t superslabs)
{
	return hak_meta_hints(superslabs) + (uint64_t)superslabs * HAK_SLABS_PER_SUPERSLAB;
}

static inline uint64_t hak_meta_generations(uint32_t superslabs)
{
	return hak_align_up(hak_meta_since(superslabs) +
				    (uint64_t)superslabs * HAK_SLABS_PER_SUPERSLAB * 4,
			    4096);
}

static inline uint64_t hak_meta_halves(uint32_t superslabs)
{
	return hak_meta_generations(superslabs) + (uint64_t)superslabs * HAK_SUPERSLAB_BLOCKS;
}

#define HAK_CHANNEL_CAPACITY_MAX 65536u

/* The words of channel c: HAK_CHANNEL_CAPACITY_MAX from place c * HAK_CHANNEL_CAPACITY_MAX on. */
static inline uint64_t hak_meta_rings(uint32_t superslabs)
{
	return hak_meta_halves(superslabs) + (uint64_t)superslabs * HAK_SUPERSLAB_BLOCKS * 2;
}

static inline uint64_t hak_meta_size(uint32_t superslabs)
{
	return hak_meta_rings(superslabs) + (uint64_t)HAK_CHANNELS * HAK_CHANNEL_CAPACITY_MAX * 8;
}

/* A mapped domain, as members and the daemon see it. Plain pointers into the mappings. */
struct hak_domain_view {
	char *data; /* NULL where it is not mapped: in the daemon */
	struct hak_root *roots;
	struct hak_channel_desc *channels;
	_Atomic uint64_t *lease;
	_Atomic uint8_t *hint;
	_Atomic uint32_t *since;
	_Atomic uint8_t *generation;
	_Atomic uint16_t *half;
	_Atomic uint64_t *ring;
	uint32_t superslabs; /* of address range */
	uint32_t tag;        /* of refs */
};

/* `meta` has hak_meta_size(superslabs) bytes. */
static inline void hak_domain_view_init(struct hak_domain_view *view, void *meta, char *data,
					uint32_t superslabs, uint32_t tag)
{
	view->data = data;
	view->roots = meta;
	view->channels = hak_at(meta, HAK_META_CHANNELS);
	view->lease = hak_at(meta, HAK_META_LEASES);
	view->hint = hak_at(meta, hak_meta_hints(superslabs));
	view->since = hak_at(meta, hak_meta_since(superslabs));
	view->generation = hak_at(meta, hak_meta_generations(superslabs));
	view->half = hak_at(meta, hak_meta_halves(superslabs));
	view->ring = hak_at(meta, hak_meta_rings(superslabs));
	view->superslabs = superslabs;
	view->tag = tag;
}

/*
 * The number of a block's half-word and generation: by superslab, then by 1,024 slots, then by
 * slab. So the half-words of blocks of 64 bytes and more take 3.1 % of the memory whole pages
 * included, for one superslab as for many.
 */
static inline uint64_t hak_domain_index(uint32_t slab, uint32_t slot)
{
	return (uint64_t)(slab / HAK_SLABS_PER_SUPERSLAB) * HAK_SUPERSLAB_BLOCKS +
	       (slot / 1024) * (HAK_SLABS_PER_SUPERSLAB * 1024u) +
	       (slab % HAK_SLABS_PER_SUPERSLAB) * 1024u + slot % 1024;
}

static inline _Atomic uint64_t *hak_channel_ring(const struct hak_domain_view *view,
						 uint32_t channel)
{
	return view->ring + (uint64_t)channel * HAK_CHANNEL_CAPACITY_MAX;
}

/*
 * A block is freed: refs to it go stale. Relaxed, and no exchange: only who frees it writes it; the
 * store that gives the block away comes after it, with release.
 */
static inline void hak_domain_next_life(const struct hak_domain_view *view, uint64_t index)
{
	uint32_t g = atomic_load_explicit(&view->generation[index], memory_order_relaxed);

	if (g)
		atomic_store_explicit(&view->generation[index], (uint8_t)(g % 255 + 1),
				      memory_order_relaxed);
}

/* CLOCK_BOOTTIME in units of 134 ms: 18 years. 0 is no time. */
static inline uint32_t hak_since_of(uint64_t boottime_ns)
{
	return (uint32_t)(boottime_ns >> 27) + 1;
}

/* The earliest moment that it stands for. */
static inline uint64_t hak_since_ns(uint32_t since)
{
	return (uint64_t)(since - 1) << 27;
}

/* ---- the engine: domain.c, sweep.c, sweep_names.c, domain_check.c ---- */

/* Slabs of the address range. */
static inline uint32_t hak_domain_slabs(const struct hak_domain_view *view)
{
	return view->superslabs * HAK_SLABS_PER_SUPERSLAB;
}

/*
 * Leases `n` neighbouring FREE slabs to a member: CLAIM, all or none, looking from slab `from` on
 * and around within the first `high` superslabs. A run of up to 32 slabs lies in one superslab; a
 * longer one starts at a superslab's beginning. False: none there now.
 */
bool hak_lease_claim(const struct hak_domain_view *view, uint32_t member, uint32_t high,
		     uint32_t from, uint64_t n, uint32_t *ret_first);
/* What was claimed becomes a run of blocks, or a span: the words behind the first, then it. */
void hak_lease_commit(const struct hak_domain_view *view, uint32_t member, uint32_t first,
		      enum hak_lease_kind kind, uint32_t class, uint64_t n);
/* Holder: a run of which nothing is in use goes back to FREE; clears half-words and generations.
 * Also for what was claimed and not committed: all of it, by its first slab. How many slabs. */
uint64_t hak_lease_release(const struct hak_domain_view *view, uint32_t first);
/* Holder: EXCEPTED, if it is not. Before the first half-word or generation of the run. */
void hak_lease_except(const struct hak_domain_view *view, uint32_t first);
/* Holder, or the sweep in its place: the run becomes an ORPHAN's. Every block of it in use has a
 * half-word by now; 0 and FREED say that it may be had. */
void hak_lease_orphan(const struct hak_domain_view *view, uint32_t first);
/* An ORPHAN run becomes the member's, if its word is still the one that the caller looked at;
 * false: another was faster, or it is no orphan. What the half-words said before may have
 * changed all the same, for a member that gives way makes the same word again: look at them
 * afterwards. */
bool hak_lease_adopt(const struct hak_domain_view *view, uint32_t member, uint32_t first,
		     uint64_t word);

/* Where p, an address or offset inside the domain, lies. */
struct hak_place {
	uint32_t slab; /* the run's first */
	uint32_t slot;
	uint64_t index; /* hak_domain_index(slab, slot) */
	uint64_t lease; /* the word, as it was */
	uint64_t size;  /* of the block, bytes */
};
/* 0: `offset` is the start of a block (of a span, too). -EINVAL: not in range, not the start of
 * one. -ESTALE: nothing is leased there. */
int hak_domain_place(const struct hak_domain_view *view, uint64_t offset, struct hak_place *ret);
/* The same for a ref. -EINVAL: another domain's, or none; -ESTALE: its block has been freed. */
int hak_domain_place_ref(const struct hak_domain_view *view, uint64_t ref, struct hak_place *ret);

/* ---- a death ---- */

enum hak_fate {
	HAK_FATE_FREE = 0,  /* what the dead owned becomes free */
	HAK_FATE_PUBLISH,   /* what it owned by a half-word becomes PUBLISHED */
	HAK_FATE_INHERITED, /* ... becomes the heir's */
};

struct hak_sweep {
	uint32_t member; /* the dead one's number, or HAK_HOLDER_DAEMON */
	enum hak_fate fate;
	uint32_t heir; /* a member's number: alive now, not only when the sweep began */
	/* A bit for each number that is nobody's now: neither alive nor with a sweep to come. Who
	 * gave to such a one died before taking it back; the block is dealt with as the dead one's.
	 * Made anew for every step, for a number may have been given out since. */
	uint64_t nobody[HAK_MEMBERS / 64];
	/* what was found, added up */
	uint64_t slabs_freed, slabs_orphaned, blocks_freed, blocks_kept, broken;
};

/*
 * The sweep of a dead member, in bounded steps, each idempotent. FIRST, upwards, one by one or many
 * at a time, all channels [first, first + count) with hak_domain_sweep_names(); the step with the
 * last one looks at the roots, too. What the member was just sending or publishing, and had linked,
 * is under way or published; places of what it had received become empty; channels forget it. THEN,
 * in any order, all superslabs with hak_domain_sweep(). Interrupted, it begins again.
 *
 * One member after the other in each domain: the next sweep begins when this one is complete, for
 * it looks also for what the next one gave to this one too late for this sweep. By one thread.
 *
 * Both read words that anybody may have written over, each once, and bound them. `broken` counts
 * what no member writes; it is left as it is, out of everybody's reach.
 *
 * A daemon that takes up a domain again first sweeps HAK_HOLDER_DAEMON: what its predecessor was
 * just freeing, or about to make ABSENT, is FREE.
 */
void hak_domain_sweep_names(const struct hak_domain_view *view, struct hak_sweep *sweep,
			    uint32_t first, uint32_t count);
void hak_domain_sweep(const struct hak_domain_view *view, struct hak_sweep *sweep, uint32_t first,
		      uint32_t count);

/* ORPHAN runs of which nothing is in use become FREE. How many slabs; *ret_left: of which something
 * is, runs. By the thread that sweeps. */
uint64_t hak_domain_gather(const struct hak_domain_view *view, uint32_t first, uint32_t count,
			   uint64_t *ret_left);

/* ---- for tests and tools ---- */

struct hak_domain_census {
	uint64_t absent, free, claimed, blocks, spans,
		orphaned;                                     /* slabs; orphaned are among both */
	uint64_t published, moving, adopted, freed, changing; /* half-words */
	uint64_t published_bytes, moving_bytes, adopted_bytes;
};
/* Counts what members may be changing meanwhile; bounded, whatever is there. */
void hak_domain_count(const struct hak_domain_view *view, struct hak_domain_census *ret);
/* Counts, and checks the invariants above: 0, or -EUCLEAN with the slab (0 for what is of no slab)
 * and the reason. `alive`: a bit for each member number that may be named; a sweep to come makes it
 * one, and what it has yet to finish is none of its violations. Members must not be writing, nor a
 * sweep be half done. Reads half-words of all slabs, so that all of their pages come into being. */
int hak_domain_check(const struct hak_domain_view *view, const uint64_t alive[HAK_MEMBERS / 64],
		     struct hak_domain_census *ret_census, uint32_t *ret_slab,
		     const char **ret_reason);

/* True if the ring of a channel, which is then *ret_channel, or a root (HAK_CHANNELS) has the block
 * at this offset. Looks through all of them. */
bool hak_domain_is_linked(const struct hak_domain_view *view, uint64_t offset,
			  uint32_t *ret_channel);

/* A name's hash, never 0; 0: it is no valid name. */
uint64_t hak_name_key(const char *name);
