/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hak_runs against one byte per superslab: every take must be the first fit that the model finds,
 * every answer the model's, and the equations hold all the time.
 */
#include "shared/runs.h"

#include <string.h>

#include "tests/random/random.h"

#define TOTAL_MAX 1000u

struct model {
	uint32_t total, parts, taken;
	uint8_t is_taken[TOTAL_MAX];
};

struct world {
	struct hak_runs runs;
	uint64_t bits[(TOTAL_MAX + 63) / 64];
	struct model model;
};

/* Shapes at the edges of words and of parts. */
static const struct {
	uint32_t total, parts;
} shapes[] = {
	{ 1, 1 },   { 2, 2 },   { 63, 1 },  { 64, 1 },   { 65, 1 },   { 64, 64 },  { 127, 64 },
	{ 128, 2 }, { 130, 3 }, { 191, 7 }, { 640, 10 }, { 1000, 1 }, { 1000, 3 },
};

static uint32_t model_start(const struct model *m, uint32_t part)
{
	return part >= m->parts ? m->total : part * (m->total / m->parts);
}

static uint32_t model_first_fit(const struct model *m, uint32_t part, uint32_t count)
{
	uint32_t run = 0;

	for (uint32_t i = model_start(m, part); i < model_start(m, part + 1); i++) {
		run = m->is_taken[i] ? 0 : run + 1;
		if (run == count)
			return i + 1 - count;
	}
	return HAK_NO_RUN;
}

static bool model_taken(const struct model *m, uint32_t first, uint32_t count)
{
	if (!count || (uint64_t)first + count > m->total)
		return false;
	for (uint32_t i = first; i < first + count; i++) {
		if (!m->is_taken[i])
			return false;
	}
	return true;
}

static void take(struct random_run *run, struct world *w)
{
	uint32_t part = random_below(run, w->model.parts);
	uint32_t count = random_skewed(run, w->model.total / w->model.parts + 1);
	uint32_t fit = model_first_fit(&w->model, part, count);
	uint32_t first = 12345;

	if (!hak_runs_take(&w->runs, part, count, &first)) {
		random_check(run, fit == HAK_NO_RUN);
		random_check(run, first == 12345);
		return;
	}
	random_check(run, first == fit);
	memset(w->model.is_taken + first, 1, count);
	w->model.taken += count;
	for (uint32_t i = first; i < first + count; i++)
		random_check(run, hak_runs_part(&w->runs, i) == part);
}

/* A piece of a run that is taken: parts of grants, several grants, across parts. */
static void give(struct random_run *run, struct world *w)
{
	uint32_t first = random_below(run, w->model.total), count = 0;
	uint32_t want = random_skewed(run, w->model.total);

	while (first + count < w->model.total && w->model.is_taken[first + count] && count < want)
		count++;
	if (!count)
		return;
	hak_runs_give(&w->runs, first, count);
	memset(w->model.is_taken + first, 0, count);
	w->model.taken -= count;
}

/* What clients send: mostly near the edges, sometimes anything. */
static void ask(struct random_run *run, struct world *w)
{
	uint32_t first = random_below(run, w->model.total + 2);
	uint32_t count = random_below(run, 8) ? random_skewed(run, w->model.total + 1) - 1
					      : (uint32_t)random_next(run);

	if (!random_below(run, 16))
		first = (uint32_t)random_next(run);
	random_check(run, hak_runs_taken(&w->runs, first, count) ==
				  model_taken(&w->model, first, count));
}

static void compare(struct random_run *run, const struct world *w)
{
	random_check(run, hak_runs_check(&w->runs));
	random_check(run, w->runs.taken == w->model.taken);
	for (uint32_t i = 0; i < w->model.total; i++)
		random_check(run, ((w->bits[i / 64] >> (i % 64)) & 1) == w->model.is_taken[i]);
}

int main(int argc, char **argv)
{
	struct random_run run = random_start(argc, argv, 400000, hak_array_size(shapes));
	uint64_t each = run.steps / hak_array_size(shapes) + 1;

	for (size_t s = 0; s < hak_array_size(shapes); s++) {
		static struct world w;
		char name[64];
		uint32_t pressure = 1;

		memset(&w, 0, sizeof(w));
		w.model.total = shapes[s].total;
		w.model.parts = shapes[s].parts;
		hak_runs_init(&w.runs, w.bits, w.model.total, w.model.parts);
		for (uint64_t i = 0; i < each; i++, run.step++) {
			/* Tides: fills up for a while, empties for a while. */
			if (i % 512 == 0)
				pressure = 1 + random_below(&run, 7);
			if (random_below(&run, 8) < pressure)
				take(&run, &w);
			else
				give(&run, &w);
			ask(&run, &w);
			if (w.model.total <= 200 || i % 16 == 0)
				compare(&run, &w);
		}
		compare(&run, &w);
		(void)snprintf(name, sizeof(name), "%u superslabs in %u parts", w.model.total,
			       w.model.parts);
		random_ok(&run, name);
	}
	return 0;
}
