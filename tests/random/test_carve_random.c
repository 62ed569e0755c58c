/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hak_carve against one byte per slab. The model says what is free and what is dirty; every span
 * must lie in free slabs, be aligned, fit the rules of superslabs and zones, and its `zeroed`
 * must be true of every slab in it. A failed take is checked against all places where it could
 * have been.
 */
#include "shared/carve.h"

#include <string.h>

#include "tests/random/random.h"

#define TOTAL 96u
#define PER   HAK_SLABS_PER_SUPERSLAB
#define SPANS (TOTAL * PER) /* none is shorter than a slab */

enum {
	ABSENT = 0,
	FREE,
	TAKEN
};

struct world {
	struct hak_carve carve;
	struct hak_super supers[TOTAL];
	uint64_t empty[(TOTAL + 63) / 64];
	uint32_t split;
	/* the model */
	uint8_t slab[TOTAL * PER];
	uint8_t dirty[TOTAL * PER];
	struct hak_span spans[SPANS]; /* taken and not given back */
	uint32_t n_spans;
};

static bool all_are(const struct world *w, uint64_t slab, uint64_t n, uint8_t what)
{
	if (slab + n > TOTAL * PER)
		return false;
	for (uint64_t i = slab; i < slab + n; i++) {
		if (w->slab[i] != what)
			return false;
	}
	return true;
}

static bool super_is(const struct world *w, uint32_t index, uint8_t what)
{
	return all_are(w, (uint64_t)index * PER, PER, what);
}

static bool same_zone(const struct world *w, uint64_t slab, uint64_t n)
{
	return !w->split || slab + n <= w->split * PER || slab >= w->split * PER;
}

/* True if a wholly free superslab and what is free around it have room for n slabs. */
static bool has_room(const struct world *w, uint64_t n)
{
	for (uint32_t i = 0; i < TOTAL; i++) {
		uint64_t first = i * PER, end = first + PER;

		if (!super_is(w, i, FREE))
			continue;
		while (first && w->slab[first - 1] == FREE && same_zone(w, first - 1, 2))
			first--;
		while (end < TOTAL * PER && w->slab[end] == FREE && same_zone(w, end - 1, 2))
			end++;
		if (end - first >= n)
			return true;
	}
	return false;
}

/* By the rules, may a span of n slabs lie here? Large aligned ones open whole superslabs. */
static bool place_ok(const struct world *w, uint64_t slab, uint64_t n, uint64_t align)
{
	if (slab % align || !same_zone(w, slab, n))
		return false;
	if (n <= PER && align <= PER)
		return slab / PER == (slab + n - 1) / PER && all_are(w, slab, n, FREE);
	if (align == 1)
		return all_are(w, slab, n, FREE);
	return slab % PER == 0 && all_are(w, slab, hak_align_up(n, PER), FREE) &&
	       same_zone(w, slab, hak_align_up(n, PER));
}

static void mark(struct world *w, uint64_t slab, uint64_t n, uint8_t what)
{
	memset(w->slab + slab, what, n);
	if (what == TAKEN)
		memset(w->dirty + slab, 1, n);
}

static void remember(struct world *w, uint64_t slab, uint64_t n)
{
	if (n)
		w->spans[w->n_spans++] = (struct hak_span){ .slab = slab, .n_slabs = n };
}

/* A search that is bounded may fail; the one for all places may not. */
static bool take_somehow(struct random_run *run, struct hak_carve *carve, uint64_t n,
			 uint64_t align, struct hak_span *ret_span)
{
	switch (random_below(run, 6)) {
	case 0:
		if (hak_carve_take_used(carve, n, align, ret_span))
			return true;
		break;
	case 1:
		if (hak_carve_take_begun(carve, n, align, ret_span))
			return true;
		break;
	}
	return hak_carve_take(carve, n, align, ret_span);
}

static void take(struct random_run *run, struct world *w)
{
	uint64_t n = random_skewed(run, random_below(run, 4) ? PER : 8 * PER);
	uint64_t align = random_below(run, 3) ? 1 : UINT64_C(1) << random_below(run, 9);
	struct hak_span span = { .slab = 12345 };
	bool zeroed = true;

	if (!take_somehow(run, &w->carve, n, align, &span)) {
		random_check(run, span.slab == 12345);
		if (n > PER && align == 1)
			random_check(run, !has_room(w, n));
		for (uint64_t at = 0; at < TOTAL * PER && (n <= PER || align > 1); at += align)
			random_check(run, !place_ok(w, at, n, align));
		return;
	}
	random_check(run, span.n_slabs == n);
	random_check(run, place_ok(w, span.slab, n, align));
	for (uint64_t i = span.slab; i < span.slab + n; i++)
		zeroed = zeroed && !w->dirty[i];
	random_check(run, span.zeroed == zeroed);
	mark(w, span.slab, n, TAKEN);
	remember(w, span.slab, n);
}

/* Gives back a span: all of it, its start, its end, or its middle. */
static void give(struct random_run *run, struct world *w)
{
	uint32_t which = random_below(run, w->n_spans);
	struct hak_span span = w->spans[which];
	uint64_t from = 0, to = span.n_slabs;

	if (!random_below(run, 4))
		from = random_below(run, (uint32_t)span.n_slabs);
	if (!random_below(run, 4))
		to = from + 1 + random_below(run, (uint32_t)(span.n_slabs - from));
	w->spans[which] = w->spans[--w->n_spans];
	hak_carve_give(&w->carve, span.slab + from, to - from);
	mark(w, span.slab + from, to - from, FREE);
	remember(w, span.slab, from);
	remember(w, span.slab + to, span.n_slabs - to);
}

static void grow(struct random_run *run, struct world *w)
{
	struct hak_span *span = &w->spans[random_below(run, w->n_spans)];
	uint64_t end = span->slab + span->n_slabs;
	uint64_t n = random_skewed(run, 2 * PER);
	bool fits = all_are(w, end, n, FREE) && same_zone(w, end, n);

	random_check(run, hak_carve_take_at(&w->carve, end, n) == fits);
	if (!fits)
		return;
	mark(w, end, n, TAKEN);
	if (same_zone(w, span->slab, span->n_slabs + n))
		span->n_slabs += n;
	else
		remember(w, end, n);
}

static void add(struct random_run *run, struct world *w)
{
	uint32_t first = random_below(run, TOTAL), count = 0, want = random_skewed(run, 12);
	bool zeroed = random_below(run, 2);

	while (count < want && super_is(w, first + count, ABSENT) &&
	       same_zone(w, (uint64_t)first * PER, (count + 1) * PER))
		count++;
	if (!count)
		return;
	hak_carve_add(&w->carve, first, count, HAK_SUPER_HOST, zeroed);
	mark(w, (uint64_t)first * PER, count * PER, FREE);
	memset(w->dirty + first * PER, !zeroed, count * PER);
}

static void take_out_or_clean(struct random_run *run, struct world *w)
{
	uint32_t from = random_below(run, TOTAL), expected = from;
	uint32_t index = hak_carve_find_empty(&w->carve, from, HAK_SUPER_HOST);

	while (expected < TOTAL && !super_is(w, expected, FREE))
		expected++;
	random_check(run, index == (expected < TOTAL ? expected : HAK_NO_SUPERSLAB));
	if (index == HAK_NO_SUPERSLAB)
		return;
	if (random_below(run, 2)) {
		hak_carve_cleaned(&w->carve, index);
		memset(w->dirty + index * PER, 0, PER);
	} else {
		hak_carve_remove(&w->carve, index, 1);
		mark(w, (uint64_t)index * PER, PER, ABSENT);
	}
}

static void compare(struct random_run *run, const struct world *w)
{
	random_check(run, hak_carve_check(&w->carve));
	for (uint32_t i = 0; i < TOTAL * PER; i++) {
		const struct hak_super *s = &w->supers[i / PER];

		random_check(run, ((s->free >> (i % PER)) & 1) == (w->slab[i] == FREE));
		random_check(run,
			     !!(s->flags & HAK_SUPER_ADDED) == (w->slab[i / PER * PER] != ABSENT));
	}
}

static void step(struct random_run *run, struct world *w, uint32_t pressure)
{
	uint32_t dice = random_below(run, 100);

	if (dice < 6)
		add(run, w);
	else if (dice < 10)
		take_out_or_clean(run, w);
	else if (dice < 18 && w->n_spans)
		grow(run, w);
	else if (random_below(run, 8) < pressure)
		take(run, w);
	else if (w->n_spans)
		give(run, w);
}

int main(int argc, char **argv)
{
	static const struct {
		uint32_t split;
		const char *name;
	} shapes[] = { { 0, "one zone" }, { 64, "two zones, cut at a word" }, { 41, "two zones" } };
	struct random_run run = random_start(argc, argv, 300000, hak_array_size(shapes));
	uint64_t each = run.steps / hak_array_size(shapes) + 1;

	for (size_t s = 0; s < hak_array_size(shapes); s++) {
		static struct world w;
		uint32_t pressure = 1;

		memset(&w, 0, sizeof(w));
		w.split = shapes[s].split;
		hak_carve_init(&w.carve, w.supers, w.empty, TOTAL, w.split);
		for (uint64_t i = 0; i < each; i++, run.step++) {
			/* Tides: fills up for a while, empties for a while. */
			if (i % 1024 == 0)
				pressure = 1 + random_below(&run, 7);
			step(&run, &w, pressure);
			if (i % 8 == 0)
				random_check(&run, hak_carve_check(&w.carve));
			if (i % 32 == 0)
				compare(&run, &w);
		}
		while (w.n_spans) {
			struct hak_span last = w.spans[--w.n_spans];

			hak_carve_give(&w.carve, last.slab, last.n_slabs);
			mark(&w, last.slab, last.n_slabs, FREE);
		}
		compare(&run, &w);
		random_check(&run, w.carve.n_empty == w.carve.n_added);
		random_ok(&run, shapes[s].name);
	}
	return 0;
}
