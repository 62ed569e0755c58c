/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carve.h - the upper half of the superslab engine: spans of slabs cut from granted superslabs.
 *
 * A host adds superslabs as it gets them and takes spans from them: up to 32 slabs inside one
 * superslab, or more, which then start at a superslab's start and leave the rest of their last
 * superslab to others. Given back, neighbours coalesce by themselves: what is free is a bit.
 *
 * Every superslab with something free is on the list of its longest free run, so a fitting one is
 * found without a search and full ones never show up. Wholly free ones are in a bitmap as well, in
 * which long runs are looked for; the ones whose memory was never written are taken last.
 *
 * Plain data, memory from the caller, no lock, no global, no system call. The daemon runs it for
 * domains, a process for its private heap.
 *
 * EQUATIONS (hak_carve_check)
 *   free_slabs == sum of popcount(free) over the added superslabs
 *   longest    == longest run of set bits in free; on list `longest` exactly if it is > 0
 *   empty bit  == added and free == all; n_empty counts them, n_clean those not dirty
 *   dirty      == slabs that were given out since their memory was last zero
 */
#pragma once

#include "shared/layout.h"

enum {
	HAK_SUPER_ADDED = 1u << 0, /* ours to carve */
	HAK_SUPER_WHOLE = 1u << 1, /* one page: once a byte of it was used, all of it is there */
	HAK_SUPER_HOST = 1u << 4,  /* this bit and above belong to the host */
};

struct hak_super {
	uint32_t free;  /* bit i: slab i is free */
	uint32_t dirty; /* bit i: slab i may hold other bytes than zero */
	uint32_t next;  /* in the list of `longest`; HAK_NO_SUPERSLAB ends it */
	uint32_t prev;
	uint8_t longest;
	uint8_t flags; /* HAK_SUPER_* */
	uint8_t list;  /* the list it is on, 0: none */
	uint8_t reserved;
};
HAK_PIN_SIZE(struct hak_super, 20);

/* Lists 1..32 by longest run; 32 holds empty ones with dirty memory, 33 the clean ones. */
#define HAK_CARVE_LISTS 34u
#define HAK_CARVE_CLEAN 33u
#define HAK_CARVE_ZONES 2u

/* Runs of superslabs do not cross a zone's end; high marks keep searches short. */
struct hak_carve_zone {
	uint32_t first, end;
	uint32_t high; /* nothing added at or above */
};

struct hak_carve {
	struct hak_super *supers; /* [total], zeroed at init */
	uint64_t *empty;          /* [total] bits, zeroed at init */
	uint32_t total;
	uint32_t n_zones;
	struct hak_carve_zone zone[HAK_CARVE_ZONES];
	uint32_t head[HAK_CARVE_LISTS];
	uint64_t lists; /* bit i: list i is not empty */
	uint32_t n_added, n_empty;
	uint32_t n_clean; /* of the empty ones, with no byte written */
	uint64_t free_slabs;
};

/* Arrays as described above, owned by the caller. `split` cuts two zones (0: one zone only). */
void hak_carve_init(struct hak_carve *carve, struct hak_super *supers, uint64_t *empty,
		    uint32_t total, uint32_t split);

/* New superslabs, not added before, all in one zone; `zeroed`: their bytes are zero. */
void hak_carve_add(struct hak_carve *carve, uint32_t first, uint32_t count, uint8_t host_flags,
		   bool zeroed);
/* Takes wholly free superslabs out again. */
void hak_carve_remove(struct hak_carve *carve, uint32_t first, uint32_t count);
/* A wholly free superslab's memory was made zero. */
void hak_carve_cleaned(struct hak_carve *carve, uint32_t index);
/* The memory of these slabs of a superslab, all of them free, was made zero. */
void hak_carve_cleaned_slabs(struct hak_carve *carve, uint32_t index, uint32_t slabs);

struct hak_span {
	uint64_t slab;    /* index of the first slab: superslab * 32 + slab in it */
	uint64_t n_slabs; /* as asked for */
	bool zeroed;      /* all bytes are known to be zero */
};

/*
 * Takes n_slabs > 0 contiguous slabs whose first index is a multiple of `align` (a power of two, in
 * slabs). False, nothing changed: more superslabs must be added first; hak_carve_wants() tells how
 * many neighbours make the next call succeed.
 */
bool hak_carve_take(struct hak_carve *carve, uint64_t n_slabs, uint64_t align,
		    struct hak_span *ret_span);
uint64_t hak_carve_wants(uint64_t n_slabs, uint64_t align);

/* The same, but only what is there already: slabs given out before, or in a superslab in use that
 * is WHOLE. It looks at a bounded number of superslabs and may miss some. */
bool hak_carve_take_used(struct hak_carve *carve, uint64_t n_slabs, uint64_t align,
			 struct hak_span *ret_span);
/* The same, without starting a superslab whose memory was never written. */
bool hak_carve_take_begun(struct hak_carve *carve, uint64_t n_slabs, uint64_t align,
			  struct hak_span *ret_span);
/* Takes n_slabs at the start of a superslab that lies before wholly free ones, `room` slabs in all,
 * so that the span can grow where it is. False: there is no such place. */
bool hak_carve_take_roomy(struct hak_carve *carve, uint64_t n_slabs, uint64_t room,
			  struct hak_span *ret_span);

/* Gives back any part of what was taken. */
void hak_carve_give(struct hak_carve *carve, uint64_t slab, uint64_t n_slabs);

/* Takes [slab, slab + n_slabs), if that is free, behind a span that grows in place. */
bool hak_carve_take_at(struct hak_carve *carve, uint64_t slab, uint64_t n_slabs);

/* The lowest wholly free superslab at or above `from` with all `flags` set, or HAK_NO_SUPERSLAB. */
uint32_t hak_carve_find_empty(const struct hak_carve *carve, uint32_t from, uint8_t flags);

bool hak_carve_check(const struct hak_carve *carve);
