/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What memory from the daemon costs at its source: taken from the reserve without a word, and asked
 * for. A look at the clock is part of every figure; `clock_ns` is what it costs.
 */
#include <string.h>

#include "bench/workloads/daemon_side.h"
#include "shared/sys.h"

#define CLOCK_LOOKS 100000
#define REFILL_NS   UINT64_C(20000000000)

static const struct work_variant variants[] = {
	{ "default", "1 superslab: asked for, mapped, unmapped, returned", 10000, 1, 1, 1, 1 },
	{ "4", "4 superslabs: asked for, mapped, unmapped, returned", 3000, 1, 1, 4, 1 },
	{ "16", "16 superslabs: asked for, mapped, unmapped, returned", 1000, 1, 1, 16, 1 },
	{ "take", "1 superslab, from a reserve of 32", 6400, 1, 1, HAK_RESERVE_SLOTS, 1 },
	{ 0 },
};

static const struct work_info info = {
	.name = "lease",
	.group = "daemon",
	.about = "superslabs from the daemon",
	.op = "as many superslabs as the variant says",
	.variants = variants,
	.needs_daemon = true,
};

static void round_trips(struct work *work, struct raw *raw)
{
	struct hist *lease = work_table(1, sizeof(*lease)), *map = work_table(1, sizeof(*map));
	struct hist *back = work_table(1, sizeof(*back)), *whole = work_table(1, sizeof(*whole));
	uint32_t count = (uint32_t)work->slots;
	uint64_t size = count * HAK_SUPERSLAB_SIZE;

	work_start(work);
	for (uint64_t i = 0; i < work->ops; i++) {
		uint64_t t[5];
		uint32_t first;
		void *at;

		t[0] = hak_sys_now_ns();
		first = daemon_call(raw, daemon_lease(raw, count), DAEMON_SPIN_NS).first;
		t[1] = hak_sys_now_ns();
		daemon_must(hak_sys_map_shared(&at, NULL, raw->region_fd,
					       (uint64_t)first << HAK_SUPERSLAB_SHIFT, size),
			    "mapping what was leased");
		t[2] = hak_sys_now_ns();
		daemon_must(hak_sys_unmap(at, size), "unmapping");
		t[3] = hak_sys_now_ns();
		(void)daemon_call(raw, daemon_return(raw, first, count), DAEMON_SPIN_NS);
		t[4] = hak_sys_now_ns();
		hist_add(lease, t[1] - t[0]);
		hist_add(map, t[2] - t[1]);
		hist_add(back, t[4] - t[3]);
		hist_add(whole, t[4] - t[0]);
	}
	work_stop(work);
	work->timed_ns = whole->sum;
	work_quantiles(work, "", whole);
	work_quantiles(work, "lease_", lease);
	work_quantiles(work, "map_", map);
	work_quantiles(work, "return_", back);
}

static void wait_full(const struct hak_reserve *reserve, uint32_t n)
{
	uint64_t begin = hak_sys_now_ns();
	unsigned tries = 0;

	for (;;) {
		uint32_t ready = 0;

		for (uint32_t i = 0; i < HAK_RESERVE_SLOTS; i++)
			ready += hak_reserve_state(hak_reserve_look(reserve, i)) ==
				 HAK_RESERVE_READY;
		if (ready == n)
			return;
		if (hak_sys_now_ns() - begin > REFILL_NS)
			work_die("the daemon does not fill the reserve: a limit?");
		daemon_look(&tries);
	}
}

/* Takes all that is ready, at most `max`. */
static uint32_t take_all(struct hak_reserve *reserve, struct hist *hist, uint32_t max,
			 uint32_t taken[HAK_RESERVE_SLOTS])
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < HAK_RESERVE_SLOTS && n < max; i++) {
		uint64_t begin = hak_sys_now_ns(), end;
		bool took = hak_reserve_take(reserve, i, &taken[n]);

		end = hak_sys_now_ns();
		if (!took)
			continue;
		hist_add(hist, end - begin);
		n++;
	}
	return n;
}

static void takes(struct work *work, struct raw *raw)
{
	struct hak_reserve *reserve = hak_at(raw->segment, HAK_SEGMENT_RESERVE_OFF);
	struct hist *hist = work_table(1, sizeof(*hist)), *refill = work_table(1, sizeof(*refill));
	struct hak_sqe ask = raw_entry(raw, HAK_OP_RESERVE);
	uint32_t taken[HAK_RESERVE_SLOTS], n;

	ask.count = (uint32_t)work->slots;
	ask.node = HAK_NODE_ANY;
	(void)daemon_call(raw, ask, DAEMON_SPIN_NS);
	work_start(work);
	for (uint64_t left = work->ops; left; left -= n) {
		uint32_t max = left < work->slots ? (uint32_t)left : (uint32_t)work->slots;
		uint64_t begin = hak_sys_now_ns();

		wait_full(reserve, (uint32_t)work->slots);
		hist_add(refill, hak_sys_now_ns() - begin);
		n = take_all(reserve, hist, max, taken);
		if (!n)
			work_die("the daemon took the reserve back");
		/* One by one: they need not be neighbours. The first answer starts the filling. */
		for (uint32_t i = 0; i < n; i++)
			(void)daemon_call(raw, daemon_return(raw, taken[i], 1), DAEMON_SPIN_NS);
	}
	work_stop(work);
	work->timed_ns = hist->sum;
	work_quantiles(work, "", hist);
	work_extra(work, "refill_p50_ns", (double)hist_quantile(refill, 0.5));
}

static double clock_cost_ns(void)
{
	uint64_t begin = hak_sys_now_ns(), end = begin;

	for (unsigned i = 0; i < CLOCK_LOOKS; i++)
		end = hak_sys_now_ns();
	return (double)(end - begin) / CLOCK_LOOKS;
}

int main(int argc, char **argv)
{
	struct work work;
	struct raw raw;

	work_init(&work, &info, argc, argv);
	daemon_open(&raw);
	if (!strcmp(work.variant->name, "take")) {
		if (work.slots > HAK_RESERVE_SLOTS)
			work_die("--slots: the reserve has 32");
		takes(&work, &raw);
	} else {
		if (work.slots > HAK_LEASE_MAX)
			work_die("--slots: more than one request may ask for");
		round_trips(&work, &raw);
	}
	raw_close(&raw);
	work_extra(&work, "clock_ns", clock_cost_ns());
	return work_report(&work);
}
