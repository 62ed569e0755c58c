/* SPDX-License-Identifier: Apache-2.0 */
/*
 * region.h - a session's memory: one sealed sparse memfd, and which superslabs of it are what.
 *
 * Everything here is the daemon's own; the client sees only the file. The tables lie in the book of
 * the session that has the region, or will have it: a region is made before that is known. Each is
 * written so that what holds between them holds between any two stores. A superslab is
 *
 *	free --lease--> leased --build--> leased, built --return, punch--> free
 *	 |                  |  \________________|
 *	 |                  +--freeze--> frozen, until the session ends
 *	 +--build--> warm --lease--> leased, built
 *
 * `built` are those that the daemon has filled; of a large lease the rest waits its turn in
 * [grow_lo, grow_hi). Warm ones are built and nobody's: they make the first leases of a session
 * quick, and are punched again if it does not come for them. The daemon maps a superslab only while
 * it builds it.
 *
 * EQUATION  runs.taken == leased, frozen ones included; frozen is in taken, huge in built;
 *           warm == built and not taken; huge_count == huge and taken; frozen_count == frozen
 */
#pragma once

#include "daemon/book.h"
#include "shared/layout.h"
#include "shared/runs.h"

struct numa;

struct region {
	int fd;
	struct hak_runs runs;
	struct book book; /* tables: taken, frozen, built, huge */
	uint64_t *frozen;
	uint64_t *built;
	uint64_t *huge;
	uint32_t frozen_count;
	uint32_t huge_count;
	uint32_t warm;             /* built, not leased */
	uint32_t grow_lo, grow_hi; /* equal: nothing waits to be built */
};
#define REGION_NULL                             \
	{                                       \
		.fd = -1, .book = { .fd = -1 }, \
	}

/* Of its book: the session's part comes first, then a table of this size after the other. */
#define REGION_TEXT_BYTES  4096u
#define REGION_TABLE_BYTES (HAK_REGION_SUPERSLABS / 8)
#define REGION_BOOK_BYTES  (REGION_TEXT_BYTES + 4 * REGION_TABLE_BYTES)

int region_init(struct region *region, const struct numa *numa);
/* Takes over the file and the book of an earlier daemon's region. The numbers are as yet those of
 * an empty one: see region_count(). */
void region_adopt(struct region *region, const struct numa *numa, int fd, const struct book *book);
/* Counts the tables. */
void region_count(struct region *region);
/* True if the tables of a region that may be anything can be those of one. */
bool region_tables_ok(const struct region *region);
/*
 * Closes the file, unless that was done before (fd -1): memory that nobody maps any more is free,
 * and a forked child's copy-on-write view stays what it is. Allowed on REGION_NULL and twice.
 */
void region_deinit(struct region *region);

/* The first superslab of a part. */
uint32_t region_part_first(const struct region *region, uint32_t part);
/* Finds `count` free neighbours, near the part, in one of the `allowed` ones (a bit each); false:
 * no such run in any of them. */
#define REGION_ANY_PART UINT64_MAX
bool region_find(struct region *region, const struct numa *numa, uint32_t part, uint64_t allowed,
		 uint32_t count, uint32_t *ret_first);
/* Leases what was found. */
void region_lease(struct region *region, uint32_t first, uint32_t count);
/* Frees a leased range without frozen ones, whose memory was given back. */
void region_give(struct region *region, uint32_t first, uint32_t count);
/* Makes what was leased, and never touched, nobody's: warm where it is built. */
void region_unlease(struct region *region, uint32_t first, uint32_t count);
/* True if all of the range is leased; any input. */
bool region_leased(const struct region *region, uint32_t first, uint32_t count);
/* True if one of a leased range is frozen. */
bool region_any_frozen(const struct region *region, uint32_t first, uint32_t count);
void region_freeze(struct region *region, uint32_t first, uint32_t count);

/* Notes that a superslab was filled, as one 2 MiB page or not. */
void region_set_built(struct region *region, uint32_t index, bool huge);
/* Bit i: first + i is built; count is at most 64. */
uint64_t region_built(const struct region *region, uint32_t first, uint32_t count);
/* Leaves a range of a lease to be built later. */
void region_grow_later(struct region *region, uint32_t first, uint32_t count);
/* The next superslabs to build, at most `max` neighbours; 0: there are none. */
uint32_t region_grow_next(struct region *region, uint32_t max, uint32_t *ret_first);

/* Warm neighbours, at most `max`; 0: there are none. */
uint32_t region_find_warm(const struct region *region, uint32_t max, uint32_t *ret_first);
/* Forgets warm ones, whose memory was given back. */
void region_drop_warm(struct region *region, uint32_t first, uint32_t count);
