/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the daemon and back: requests that ask for nothing, through both rings of a session.
 * Beside it, in the same run, the bare minimum: two cache lines between two processes that are
 * awake, or a futex where one or both sleep. `ratio` is the median to that one's. The client keeps
 * to one processor; the daemon is where the kernel puts it.
 */
#include <string.h>

#include "bench/workloads/bare.h"
#include "bench/workloads/daemon_side.h"
#include "shared/sys.h"

#define BARE_MAX 200000 /* rounds are enough */
#define IDLE_NS  UINT64_C(1000000000)

static const struct work_variant variants[] = {
	{ "default", "one at a time, both awake", 1000000, 1, 1, 1, 1 },
	{ "batch4", "4 at a time, both awake", 2000000, 1, 1, 4, 1 },
	{ "batch32", "32 at a time, both awake", 8000000, 1, 1, 32, 1 },
	{ "daemon-asleep", "the daemon sleeps before each", 5000, 1, 1, 1, 1 },
	{ "both-asleep", "the daemon sleeps before each, the client after it", 5000, 1, 1, 1, 1 },
	{ "idle", "both sleep, after a second without any", 5, 1, 1, 1, 1 },
	{ 0 },
};

static const struct work_info info = {
	.name = "ring",
	.group = "daemon",
	.about = "round trips through the rings",
	.op = "one NOP and its answer",
	.variants = variants,
	.needs_daemon = true,
};

struct mode {
	bool daemon_sleeps, client_sleeps;
	uint64_t pause_ns;
};

static struct mode mode_of(const char *variant)
{
	if (!strcmp(variant, "daemon-asleep"))
		return (struct mode){ .daemon_sleeps = true };
	if (!strcmp(variant, "both-asleep"))
		return (struct mode){ .daemon_sleeps = true, .client_sleeps = true };
	if (!strcmp(variant, "idle"))
		return (struct mode){ true, true, IDLE_NS };
	return (struct mode){ 0 };
}

static void wait_asleep(struct raw *raw, uint64_t pause_ns)
{
	unsigned tries = 0;

	/* A pause comes first: the daemon has long been asleep at its end. */
	if (pause_ns)
		daemon_pause(pause_ns);
	while (!atomic_load_explicit(&raw->sq.ring->sleeper, memory_order_relaxed))
		daemon_look(&tries);
	if (!pause_ns)
		daemon_settle(0);
}

/* n requests, then one look for a sleeper, as it is with any batch. */
static void round_trip(struct raw *raw, size_t n, uint64_t spin_ns)
{
	for (size_t i = 0; i < n; i++) {
		const struct hak_sqe sqe = raw_entry(raw, HAK_OP_NOP);

		daemon_must(hak_ring_push(&raw->sq, &sqe), "a request");
	}
	raw_wake(raw);
	for (size_t i = 0; i < n; i++)
		(void)daemon_pop(raw, spin_ns);
}

static void load(struct work *work, struct raw *raw, const struct mode *mode, struct hist *hist)
{
	uint64_t spin_ns = mode->client_sleeps ? DAEMON_SLEEP_ONLY : DAEMON_SPIN_ONLY;

	for (uint64_t left = work->ops; left;) {
		size_t n = left < work->slots ? (size_t)left : work->slots;
		uint64_t begin;

		if (mode->daemon_sleeps)
			wait_asleep(raw, mode->pause_ns);
		begin = hak_sys_now_ns();
		round_trip(raw, n, spin_ns);
		hist_add(hist, hak_sys_now_ns() - begin);
		left -= n;
	}
}

static void compare(struct work *work, const struct hist *hist, const struct hist *bare,
		    const char *name)
{
	double ours = (double)hist_quantile(hist, 0.5), least = (double)hist_quantile(bare, 0.5);

	work_quantiles(work, "", hist);
	work_extra(work, name, least);
	work_extra(work, "ratio", least > 0 ? ours / least : 0);
}

int main(int argc, char **argv)
{
	struct hist *hist = work_table(1, sizeof(*hist)), *bare = work_table(1, sizeof(*bare));
	struct work work;
	struct mode mode;
	struct raw raw;
	uint64_t rounds;

	work_init(&work, &info, argc, argv);
	if (work.slots > HAK_SQ_ENTRIES)
		work_die("--slots: the ring takes 64 requests");
	mode = mode_of(work.variant->name);
	rounds = work.ops < BARE_MAX ? work.ops : BARE_MAX;
	bare_place();
	if (mode.daemon_sleeps)
		bare_futex(bare, rounds, mode.client_sleeps, mode.pause_ns);
	else
		bare_ping_pong(bare, rounds);
	daemon_open(&raw);
	round_trip(&raw, 1, DAEMON_SLEEP_ONLY); /* the first touches everything */
	work_start(&work);
	load(&work, &raw, &mode, hist);
	work_stop(&work);
	work.timed_ns = hist->sum;
	raw_close(&raw);
	compare(&work, hist, bare, mode.daemon_sleeps ? "futex_ns" : "ping_pong_ns");
	return work_report(&work);
}
