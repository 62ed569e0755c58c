/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages.h - in which pages anonymous superslabs begin: 4 KiB, or 2 MiB (WHOLE).
 *
 * A 2 MiB page is one fault in place of 512, and 2 MiB of memory for the first byte. It pays where
 * all of it gets used. What a program does with its next blocks is best told from what it did with
 * the last ones:
 *
 *   - The first PAGES_PLAIN superslabs begin in small pages: a small heap is as large as its
 *     blocks.
 *   - After that, of those that began in small pages, the last but one is looked at (the last is
 *     not full yet): if of the slabs given out nearly all pages are in memory, or none yet,
 *     superslabs begin WHOLE, until their number has doubled; that one is in small pages again, to
 *     be looked at. If not, the next one is.
 *   - Superslabs that one large block covers are WHOLE at once.
 *
 * From PAGES_ENOUGH superslabs on all are WHOLE: probes would not matter any more, and mappings are
 * a limited number. Only what begins from memory never written is decided upon; slices of a region
 * are always WHOLE. All under the heap's lock.
 */
#pragma once

#include "shared/carve.h"

#define PAGES_PLAIN  3u
#define PAGES_ENOUGH 1024u

struct hak_pages {
	uint32_t probe, before; /* 0: none; no anonymous superslab has that number */
	bool judged;            /* the probe was looked at, and: */
	bool dense;
};

struct hak_heap;

/* To be called for each span that may have begun a superslab, before anyone writes to it. */
void hak_pages_begin(struct hak_heap *heap, const struct hak_span *span);
