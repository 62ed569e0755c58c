/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages from process to process: allocated, written, sent, received, read and freed. Both sides
 * are awake and look for messages all the time. There and back, where half of a round is the time
 * of a message; or as fast as they go, in one direction.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/workloads/daemon_side.h"
#include "bench/workloads/shared/pass_side.h"
#include "shared/sys.h"

#define HEAD \
	64 /* bytes that are written and read of a message that is not of interest as a whole */
#define WARM 200 /* rounds before the first that counts */

static const struct work_variant variants[] = {
	{ "64", "64 bytes, there and back", 400000, 64, 64, 1, 2 },
	{ "4k", "4 KiB, there and back, the first 64 bytes used", 400000, 4096, 4096, 1, 2 },
	{ "4k-whole", "4 KiB, there and back, all of it used", 400000, 4096, 4096, 1, 2 },
	{ "64-flow", "64 bytes, in one direction", 400000, 64, 64, 1, 2 },
	{ "4k-flow", "4 KiB, in one direction, the first 64 bytes used", 400000, 4096, 4096, 1, 2 },
#if PASS_LARGEST >= 1 << 20
	{ "1m", "1 MiB, there and back, the first 64 bytes used", PASS_LARGE, 1 << 20, 1 << 20, 1,
	  2 },
	{ "1m-whole", "1 MiB, there and back, all of it used", 2000, 1 << 20, 1 << 20, 1, 2 },
	{ "1m-flow", "1 MiB, in one direction, the first 64 bytes used", PASS_LARGE, 1 << 20,
	  1 << 20, 1, 2 },
#endif
	{ 0 },
};

static const struct work_info info = {
	.name = "shared_pass",
	.group = "shared",
	.about = "messages from process to process, both awake",
	.op = "one message: allocated, written, sent, received, read, freed",
	.variants = variants,
	.peers = PASS_PEERS,
	.needs_daemon = true,
};

static volatile uint64_t sum; /* of all that was read: it has to be */

static void send_one(const struct side *side, size_t size, size_t used, uint64_t number)
{
	unsigned tries = 0;
	void *p;

	while (!(p = pass_alloc(size)))
		side_look(side, &tries);
	memset(p, (int)number, used);
	memcpy(p, &number, sizeof(number));
	while (!pass_send(p, size))
		side_look(side, &tries);
}

static void receive_one(const struct side *side, size_t size, size_t used, uint64_t number)
{
	const uint64_t *p;
	unsigned tries = 0;
	uint64_t seen = 0;

	while (!(p = pass_receive(size)))
		side_look(side, &tries);
	if (*p != number) {
		(void)fprintf(stderr, "message %" PRIu64 " came, not %" PRIu64 "\n", *p, number);
		work_die("a message was lost");
	}
	for (size_t i = 0; i < used / sizeof(*p); i++)
		seen += p[i];
	sum += seen;
	pass_free(p);
}

static void there_and_back(const struct work *work, uint64_t rounds, const struct side *side,
			   size_t used, struct hist *hist)
{
	for (uint64_t i = 0; i < rounds; i++) {
		uint64_t begin = hak_sys_now_ns();

		if (side->member)
			receive_one(side, work->max, used, i);
		send_one(side, work->max, used, i);
		if (!side->member) {
			receive_one(side, work->max, used, i);
			hist_add(hist, (hak_sys_now_ns() - begin) / 2);
		}
	}
}

static void one_way(const struct work *work, const struct side *side, size_t used)
{
	for (uint64_t i = 0; i < work->ops; i++) {
		if (side->member)
			receive_one(side, work->max, used, i);
		else
			send_one(side, work->max, used, i);
	}
}

int main(int argc, char **argv)
{
	struct hist *hist = work_table(1, sizeof(*hist));
	struct work work;
	struct side side;
	bool flow;
	size_t used;

	work_init(&work, &info, argc, argv);
	if (work.threads != 2)
		work_die("--threads: there are two members");
	if (work.max < HEAD || work.max > PASS_LARGEST)
		work_die("--size: no message may have it");
	flow = strstr(work.variant->name, "flow") != NULL;
	used = strstr(work.variant->name, "whole") ? work.max : HEAD;
	side_begin(&side, 2);
	pass_open(&side, work.max);
	/* Pages that nobody has touched yet are another workload's business. */
	there_and_back(&work, work.ops < WARM ? work.ops : WARM, &side, used, hist);
	*hist = (struct hist){ 0 };
	side_meet(&side);
	work_start(&work);
	if (flow)
		one_way(&work, &side, used);
	else
		there_and_back(&work, (work.ops + 1) / 2, &side, used, hist);
	side_meet(&side);
	work_stop(&work);
	pass_close(&side);
	side_end(&side);
	if (!flow) {
		work.done = 2 * hist->n;
		work.timed_ns = 2 * hist->sum;
		work_quantiles(&work, "", hist);
	}
	return work_report(&work);
}
