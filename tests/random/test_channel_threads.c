/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members that are threads of one process send blocks to each other: senders through one channel,
 * receivers give the blocks back through another. Each message is received once, with its contents,
 * and if there is one receiver, in its sender's order. Nobody's wait may end by its time limit.
 *
 * The order of the threads is not repeatable, their decisions are. Runs under ThreadSanitizer: what
 * a sender wrote into a block happens before what its receiver reads.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "tests/channel_arena.h"
#include "tests/must.h"
#include "tests/random/random.h"

#define SIDE_MAX 4u
#define OWN      24u /* blocks that a sender begins with */
#define WAIT_NS  INT64_C(30000000000)

struct message {
	uint32_t sender, words;
	uint64_t seq;
	uint64_t word[(ARENA_SIZE - 16) / 8];
};

struct worker {
	pthread_t thread;
	struct random_run run;
	uint32_t me; /* 2 and up: the holder of the slabs has no thread */
	uint64_t count;
	uint64_t seen[SIDE_MAX]; /* last of each sender; for one receiver */
	uint64_t block[SIDE_MAX * OWN];
	uint32_t n_blocks;
};

static struct channel_arena arena;
static struct hak_channel_view there, back;
static struct worker senders[SIDE_MAX], receivers[SIDE_MAX];
static uint32_t n_senders, n_receivers;
static _Atomic uint8_t *received[SIDE_MAX]; /* by sender, by number */

static struct message *message_at(uint64_t offset)
{
	return hak_at(arena.data, offset);
}

static void put_waits(const struct hak_channel_view *channel, uint32_t me, uint64_t offset)
{
	int r = channel_arena_put(&arena, channel, me, offset);

	while (r == HAK_CHANNEL_E_FULL) {
		uint32_t n = hak_channel_announce(channel->desc, HAK_CHANNEL_SENDERS);

		r = channel_arena_put(&arena, channel, me, offset);
		if (r == HAK_CHANNEL_E_FULL)
			must(!hak_channel_wait(channel->desc, HAK_CHANNEL_SENDERS, n, WAIT_NS));
	}
	must(!r);
}

/* False: it is empty, and all senders are gone. */
static bool take_waits(const struct hak_channel_view *channel, uint32_t me, uint64_t *ret)
{
	for (;;) {
		int r = hak_channel_take(channel, me, ret);
		bool over;
		uint32_t n;

		must(r == 0 || r == HAK_CHANNEL_E_EMPTY);
		if (!r)
			return true;
		n = hak_channel_announce(channel->desc, HAK_CHANNEL_RECEIVERS);
		over = hak_channel_deserted(channel->desc, HAK_CHANNEL_SENDERS);
		r = hak_channel_take(channel, me, ret);
		must(r == 0 || r == HAK_CHANNEL_E_EMPTY);
		if (!r)
			return true;
		if (over)
			return false;
		must(!hak_channel_wait(channel->desc, HAK_CHANNEL_RECEIVERS, n, WAIT_NS));
	}
}

static void write_message(struct worker *w, uint64_t offset, uint64_t seq)
{
	struct message *m = message_at(offset);

	m->sender = w->me - 2;
	m->words = random_below(&w->run, hak_array_size(m->word));
	m->seq = seq;
	for (uint32_t i = 0; i < m->words; i++)
		m->word[i] = seq * 31 + i;
}

static void verify_message(struct worker *w, uint64_t offset)
{
	struct message *m = message_at(offset);

	must(m->sender < n_senders && m->seq >= 1 && m->seq <= senders[m->sender].run.steps);
	must(*channel_arena_half(&arena, offset) == w->me);
	for (uint32_t i = 0; i < m->words; i++)
		must(m->word[i] == m->seq * 31 + i);
	must(!atomic_fetch_add(&received[m->sender][m->seq - 1], 1));
	if (n_receivers == 1) {
		must(m->seq > w->seen[m->sender]);
		w->seen[m->sender] = m->seq;
	}
	memset(m, 0xdd, sizeof(*m)); /* so that a second owner would be seen */
}

static uint64_t next_block(struct worker *w)
{
	uint64_t offset;

	if (w->n_blocks && random_below(&w->run, 4))
		return w->block[--w->n_blocks];
	if (!hak_channel_take(&back, w->me, &offset))
		return offset;
	if (w->n_blocks)
		return w->block[--w->n_blocks];
	must(take_waits(&back, w->me, &offset));
	return offset;
}

static void *send_all(void *arg)
{
	struct worker *w = arg;

	for (uint64_t seq = 1; seq <= w->run.steps; seq++) {
		uint64_t offset = next_block(w);

		write_message(w, offset, seq);
		put_waits(&there, w->me, offset);
	}
	hak_channel_leave(there.desc, w->me, HAK_CHANNEL_SENDERS);
	return NULL;
}

static void *receive_all(void *arg)
{
	struct worker *w = arg;
	uint64_t offset;

	while (take_waits(&there, w->me, &offset)) {
		verify_message(w, offset);
		w->count++;
		if (!random_below(&w->run, 32))
			(void)sched_yield();
		put_waits(&back, w->me, offset);
	}
	return NULL;
}

static void start(struct random_run *run, struct worker *w, uint32_t me, uint64_t steps, bool sends)
{
	*w = (struct worker){ .me = me };
	w->run.state = random_next(run);
	w->run.steps = steps;
	hak_channel_enter(there.desc, me, sends ? HAK_CHANNEL_SENDERS : HAK_CHANNEL_RECEIVERS);
	hak_channel_enter(back.desc, me, sends ? HAK_CHANNEL_RECEIVERS : HAK_CHANNEL_SENDERS);
}

static void give_blocks(struct worker *w, uint32_t index)
{
	for (uint32_t i = 0; i < OWN; i++) {
		uint64_t offset = channel_arena_offset(index * OWN + i);

		*channel_arena_half(&arena, offset) = (uint16_t)w->me;
		w->block[w->n_blocks++] = offset;
	}
}

/* Everybody's blocks are somebody's, and both channels are empty. */
static void check_end(struct random_run *run)
{
	uint64_t offset;

	while (!hak_channel_take(&back, ARENA_HOLDER, &offset))
		continue;
	random_check(run, hak_channel_take(&there, ARENA_HOLDER, &offset) == HAK_CHANNEL_E_EMPTY);
	random_check(run, !hak_channel_fill(&there) && !hak_channel_fill(&back));
	for (uint32_t i = 0; i < n_senders * OWN; i++)
		random_check(run, *channel_arena_half(&arena, channel_arena_offset(i)) < 64);
	for (uint32_t s = 0; s < n_senders; s++) {
		for (uint64_t i = 0; i < senders[s].run.steps; i++)
			random_check(run, received[s][i] == 1);
		free((void *)received[s]);
	}
}

static void exchange(struct random_run *run, uint32_t n_send, uint32_t n_receive)
{
	uint64_t steps = run->steps / 8 / n_send, count = 0;

	n_senders = n_send;
	n_receivers = n_receive;
	random_check(run, !channel_arena_init(&arena));
	random_check(run, !channel_arena_open(&arena, "there", random_skewed(run, 64), &there));
	/* Room for all blocks, or senders and receivers might wait for each other. */
	random_check(run, !channel_arena_open(&arena, "back", n_send * OWN, &back));
	for (uint32_t i = 0; i < n_send; i++) {
		start(run, &senders[i], 2 + i, steps, true);
		give_blocks(&senders[i], i);
		received[i] = calloc(steps, 1);
		random_check(run, received[i]);
	}
	for (uint32_t i = 0; i < n_receive; i++)
		start(run, &receivers[i], 2 + n_send + i, steps, false);
	for (uint32_t i = 0; i < n_receive; i++)
		random_check(run, !pthread_create(&receivers[i].thread, NULL, receive_all,
						  &receivers[i]));
	for (uint32_t i = 0; i < n_send; i++)
		random_check(run, !pthread_create(&senders[i].thread, NULL, send_all, &senders[i]));
	for (uint32_t i = 0; i < n_send; i++)
		random_check(run, !pthread_join(senders[i].thread, NULL));
	for (uint32_t i = 0; i < n_receive; i++) {
		random_check(run, !pthread_join(receivers[i].thread, NULL));
		count += receivers[i].count;
	}
	random_check(run, count == steps * n_send);
	check_end(run);
	channel_arena_deinit(&arena);
}

int main(int argc, char **argv)
{
	struct random_run run = random_start(argc, argv, 800000, 4);

	exchange(&run, 1, 1);
	random_ok(&run, "one to one");
	exchange(&run, SIDE_MAX, 1);
	random_ok(&run, "many to one");
	exchange(&run, 1, SIDE_MAX);
	random_ok(&run, "one to many");
	for (uint32_t i = 0; i < 4; i++)
		exchange(&run, 2 + i % 3, 4 - i % 3);
	random_ok(&run, "many to many");
	return 0;
}
