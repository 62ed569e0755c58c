/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/region.h"

#include <string.h>

#include "daemon/numa.h"
#include "shared/check.h"
#include "shared/sys.h"

/* The policy of each part lives in the file, so that this mapping is needed only here. */
static int place_parts(const struct region *region, const struct numa *numa)
{
	uint64_t size = (uint64_t)region->runs.total << HAK_SUPERSLAB_SHIFT;
	uint64_t part_size = (region->runs.total / numa->parts) * HAK_SUPERSLAB_SIZE;
	void *base;
	int r;

	if (!numa->binds)
		return 0;
	r = hak_sys_map_shared(&base, NULL, region->fd, 0, size);
	if (r < 0)
		return r;
	for (uint32_t p = 0; p < numa->parts && r == 0; p++) {
		uint64_t off = p * part_size;

		r = numa_prefer(numa, p, hak_at(base, off),
				p + 1 == numa->parts ? size - off : part_size);
	}
	(void)hak_sys_unmap(base, size);
	return r;
}

static uint64_t *table(const struct region *region, uint32_t i)
{
	return hak_at(region->book.at, REGION_TEXT_BYTES + i * REGION_TABLE_BYTES);
}

static void place_tables(struct region *region, const struct numa *numa)
{
	hak_runs_init(&region->runs, table(region, 0), HAK_REGION_SUPERSLABS, numa->parts);
	region->frozen = table(region, 1);
	region->built = table(region, 2);
	region->huge = table(region, 3);
}

int region_init(struct region *region, const struct numa *numa)
{
	struct region new = REGION_NULL;
	int r;

	/* Nobody's yet: the session that takes it names it. Untouched parts of it cost nothing. */
	r = book_new(&new.book, BOOK_SESSION, 0, 0, REGION_BOOK_BYTES);
	if (r < 0)
		return r;
	place_tables(&new, numa);
	r = hak_sys_memfd(&new.fd, "hakmem-region",
			  (uint64_t)HAK_REGION_SUPERSLABS << HAK_SUPERSLAB_SHIFT, true);
	if (r == 0)
		r = place_parts(&new, numa);
	if (r < 0) {
		region_deinit(&new);
		return r;
	}
	*region = new;
	return 0;
}

void region_adopt(struct region *region, const struct numa *numa, int fd, const struct book *book)
{
	*region = (struct region){ .fd = fd, .book = *book };
	place_tables(region, numa);
}

void region_deinit(struct region *region)
{
	region->fd = hak_sys_close(region->fd);
	book_deinit(&region->book);
	*region = (struct region)REGION_NULL;
}

uint32_t region_part_first(const struct region *region, uint32_t part)
{
	return region->runs.total / region->runs.parts * part;
}

static bool bit(const uint64_t *bits, uint32_t index)
{
	return bits[index / 64] >> (index % 64) & 1;
}

static uint32_t count_bits(const uint64_t *bits, uint32_t first, uint32_t count)
{
	uint32_t n = 0;

	for (uint32_t i = first; i < first + count; i++)
		n += bit(bits, i);
	return n;
}

bool region_find(struct region *region, const struct numa *numa, uint32_t part, uint64_t allowed,
		 uint32_t count, uint32_t *ret_first)
{
	for (uint32_t i = 0; i < numa->parts; i++) {
		uint32_t p = numa->order[part][i];

		if (allowed >> p & 1 && hak_runs_find(&region->runs, p, count, ret_first))
			return true;
	}
	return false;
}

void region_lease(struct region *region, uint32_t first, uint32_t count)
{
	book_fill(region->runs.bits, first, count, true);
	region->runs.taken += count;
	if (region->warm) {
		region->warm -= count_bits(region->built, first, count);
		region->huge_count += count_bits(region->huge, first, count);
	}
}

static void untake(struct region *region, uint32_t first, uint32_t count)
{
	hak_assert(hak_runs_taken(&region->runs, first, count));
	book_fill(region->runs.bits, first, count, false);
	hak_runs_given(&region->runs, first, count);
}

void region_unlease(struct region *region, uint32_t first, uint32_t count)
{
	hak_assert(!region_any_frozen(region, first, count));
	untake(region, first, count);
	region->warm += count_bits(region->built, first, count);
	region->huge_count -= count_bits(region->huge, first, count);
}

bool region_leased(const struct region *region, uint32_t first, uint32_t count)
{
	return hak_runs_taken(&region->runs, first, count);
}

bool region_any_frozen(const struct region *region, uint32_t first, uint32_t count)
{
	return hak_bits_find_run(region->frozen, true, first, first + count, 1) != HAK_NO_RUN;
}

void region_give(struct region *region, uint32_t first, uint32_t count)
{
	hak_assert(!region_any_frozen(region, first, count));
	region->huge_count -= count_bits(region->huge, first, count);
	book_fill(region->huge, first, count, false);
	book_fill(region->built, first, count, false);
	untake(region, first, count);
}

void region_freeze(struct region *region, uint32_t first, uint32_t count)
{
	hak_assert(!region_any_frozen(region, first, count));
	book_fill(region->frozen, first, count, true);
	region->frozen_count += count;
}

void region_set_built(struct region *region, uint32_t index, bool huge)
{
	bool leased = bit(region->runs.bits, index);

	if (!leased && !bit(region->built, index))
		region->warm++;
	if (leased && huge && !bit(region->huge, index))
		region->huge_count++;
	book_fill(region->built, index, 1, true);
	if (huge)
		book_fill(region->huge, index, 1, true);
}

void region_grow_later(struct region *region, uint32_t first, uint32_t count)
{
	if (!count)
		return;
	if (region->grow_lo == region->grow_hi) {
		region->grow_lo = first;
		region->grow_hi = first + count;
		return;
	}
	/* One range around all of them: what lies between is either free or built already. */
	if (first < region->grow_lo)
		region->grow_lo = first;
	if (first + count > region->grow_hi)
		region->grow_hi = first + count;
}

uint64_t region_built(const struct region *region, uint32_t first, uint32_t count)
{
	uint64_t mask = 0;

	for (uint32_t i = 0; i < count; i++)
		mask |= (uint64_t)bit(region->built, first + i) << i;
	return mask;
}

static bool wants_growth(const struct region *region, uint32_t i)
{
	return bit(region->runs.bits, i) && !bit(region->built, i) && !bit(region->frozen, i);
}

uint32_t region_grow_next(struct region *region, uint32_t max, uint32_t *ret_first)
{
	for (; region->grow_lo < region->grow_hi; region->grow_lo++) {
		uint32_t i = region->grow_lo, n = 0;

		if (!region->runs.bits[i / 64]) { /* a whole word of free ones */
			region->grow_lo |= 63;
			continue;
		}
		while (n < max && i + n < region->grow_hi && wants_growth(region, i + n))
			n++;
		if (n) {
			*ret_first = i;
			return n;
		}
	}
	region->grow_lo = region->grow_hi = 0;
	return 0;
}

static bool is_warm(const struct region *region, uint32_t i)
{
	return bit(region->built, i) && !bit(region->runs.bits, i);
}

uint32_t region_find_warm(const struct region *region, uint32_t max, uint32_t *ret_first)
{
	uint32_t at = 0, n = 0;

	/* Built ones that are leased lie between; there are few of either when this is asked. */
	while (region->warm) {
		at = hak_bits_find_run(region->built, true, at, region->runs.total, 1);
		if (at == HAK_NO_RUN)
			break;
		while (n < max && at + n < region->runs.total && is_warm(region, at + n))
			n++;
		if (n) {
			*ret_first = at;
			return n;
		}
		at++;
	}
	return 0;
}

void region_drop_warm(struct region *region, uint32_t first, uint32_t count)
{
	region->warm -= count_bits(region->built, first, count);
	book_fill(region->huge, first, count, false);
	book_fill(region->built, first, count, false);
}

void region_count(struct region *region)
{
	const uint64_t *taken = region->runs.bits, *frozen = region->frozen;
	const uint64_t *built = region->built, *huge = region->huge;

	region->runs.taken = region->frozen_count = region->huge_count = region->warm = 0;
	region->grow_lo = region->grow_hi = 0;
	for (uint32_t i = 0; i < region->runs.total / 64; i++) {
		uint64_t wanting = taken[i] & ~built[i] & ~frozen[i];

		region->runs.taken += (uint32_t)__builtin_popcountll(taken[i]);
		region->frozen_count += (uint32_t)__builtin_popcountll(frozen[i]);
		region->huge_count += (uint32_t)__builtin_popcountll(huge[i] & taken[i]);
		region->warm += (uint32_t)__builtin_popcountll(built[i] & ~taken[i]);
		if (wanting)
			region_grow_later(region, i * 64, 64);
	}
}

bool region_tables_ok(const struct region *region)
{
	for (uint32_t i = 0; i < region->runs.total / 64; i++) {
		if (region->frozen[i] & ~region->runs.bits[i])
			return false;
		if (region->huge[i] & ~region->built[i])
			return false;
	}
	return true;
}
