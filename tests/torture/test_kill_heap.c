/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program in daemon mode is killed at each instruction of what its heap does by itself, and
 * within what it leases and gives back: whatever it had is free again, and charged to nobody.
 */
#include "tests/torture/torture.h"

#include <errno.h>
#include <string.h>

#include "tests/must.h"

#define SIZE  1000u
#define LARGE 8192u
#define BATCH 200u
#define MIB   ((size_t)1 << 20)

static void *mine[BATCH];

static void *make(size_t size)
{
	void *p = hak_malloc(size);

	must(p);
	peer_fill(p, size, 3);
	return p;
}

/* The daemon may have been too slow for it. */
static void must_be_leased(void)
{
	struct hak_info info = { .size = sizeof(info) };

	must(!hak_info_get(&info));
	if (info.mode != HAK_INFO_DAEMON || !info.shared_bytes ||
	    info.shared_bytes < info.held_bytes)
		stepper_again();
}

static void has(unsigned n, size_t size)
{
	for (unsigned i = 0; i < n; i++)
		mine[i] = make(size);
	must_be_leased();
}

static void has_blocks(void)
{
	has(4, SIZE);
	hak_free(mine[0]);
}

/* The ninth is a refill: so many a magazine begins with. */
static void has_an_empty_magazine(void)
{
	has(8, SIZE);
}

static void has_large_blocks(void)
{
	has(BATCH, LARGE);
}

static void has_a_span(void)
{
	has(4, 300000);
}

static void has_spans_to_return(void)
{
	has(4, 3 * MIB);
	for (unsigned i = 0; i < 4; i++)
		hak_free(mine[i]);
}

static void allocates(void)
{
	must(hak_malloc(SIZE));
}

static void frees(void)
{
	hak_free(mine[1]);
}

/* As many as surely empty two magazines of eight into the depot, and that into the slabs. */
static void frees_many(void)
{
	for (unsigned i = 0; i < BATCH; i++)
		hak_free(mine[i]);
}

static void allocates_a_span(void)
{
	must(hak_malloc(300000));
}

static void frees_a_span(void)
{
	hak_free(mine[1]);
}

static void grows_a_span(void)
{
	must(hak_realloc(mine[1], 700000));
}

static void leases(void)
{
	void *p = hak_malloc(5 * MIB);

	must(p);
	memset(p, 1, 5 * MIB);
}

static void trims(void)
{
	(void)hak_trim();
}

#define PATH(title, prep, act_, short_, points_)     \
	{                                            \
		.step = { .name = (title),           \
			  .prepare = (prep),         \
			  .act = (act_),             \
			  .is_short = (short_) },    \
		.points = (points_), .is_heap = true \
	}

static const struct torture_path paths[] = {
	PATH("killed at each instruction of: allocate", has_blocks, allocates, true, 1000),
	PATH("killed at each instruction of: free", has_blocks, frees, true, 1000),
	PATH("killed at each instruction of: refill", has_an_empty_magazine, allocates, true, 1000),
	PATH("killed within: flush", has_large_blocks, frees_many, true, 40),
	PATH("killed within: allocate a span", has_a_span, allocates_a_span, true, 60),
	PATH("killed within: free a span", has_a_span, frees_a_span, true, 60),
	PATH("killed within: realloc", has_a_span, grows_a_span, false, 20),
	PATH("killed within: lease", has_blocks, leases, false, 40),
	PATH("killed within: return", has_spans_to_return, trims, false, 40),
};

int main(void)
{
	return torture_main(paths, sizeof(paths) / sizeof(paths[0]));
}
