/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member is stopped after each single instruction of a send and of a receive, and killed there,
 * or others go on meanwhile and then it does. Whatever the instruction: each message is received
 * once, each block is somebody's, and nobody is stopped for longer than it takes to sweep the dead.
 */
#include "tests/unit/unit.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "tests/channel_arena.h"

#define STEPPED  2u /* the member that is stopped */
#define OTHER    5u
#define LAST     6u /* who receives all in the end */
#define BLOCK    2u /* what is sent: slot 2 of the first slab */
#define NEXT     9u /* is in the channel behind it, or before it */
#define CAPACITY 4u

/* Not in the arena: what the stepped child says of its call. */
struct result {
	_Atomic int r; /* NOT_BEGUN, BEGUN, or what it returned */
	uint64_t offset;
};

enum {
	NOT_BEGUN = -1,
	BEGUN = -2
};

static struct channel_arena arena;
static struct hak_channel_view channel;
static struct result *result;

static uint64_t block(uint32_t i)
{
	return channel_arena_offset(i);
}

static _Atomic uint16_t *half(uint32_t i)
{
	return channel_arena_half(&arena, block(i));
}

static void send(uint32_t me, uint32_t i)
{
	*half(i) = (uint16_t)me;
	assert_int_equal(channel_arena_put(&arena, &channel, me, block(i)), 0);
}

/* The block, or ARENA_BLOCKS. */
static uint32_t receive(uint32_t me)
{
	uint64_t offset = block(ARENA_BLOCKS);
	int r = hak_channel_take(&channel, me, &offset);

	assert_in_range(r, 0, HAK_CHANNEL_E_EMPTY);
	return (uint32_t)(offset / ARENA_SIZE);
}

static void begin(void)
{
	assert_int_equal(channel_arena_init(&arena), 0);
	assert_int_equal(channel_arena_open(&arena, "c", CAPACITY, &channel), 0);
	hak_channel_enter(channel.desc, STEPPED, HAK_CHANNEL_SENDERS | HAK_CHANNEL_RECEIVERS);
	result->r = NOT_BEGUN;
}

/* ---- the stepped child ---- */

static void child_sends(void)
{
	struct hak_place place = channel_arena_place(&arena, block(BLOCK));

	result->r = hak_channel_put(&channel, STEPPED, &place, block(BLOCK));
}

static void child_receives(void)
{
	result->r = hak_channel_take(&channel, STEPPED, &result->offset);
}

static void step(pid_t pid)
{
	int status;

	assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
}

/* A child that has done n instructions of `call`, or all of them, and stands. */
static pid_t stepped(void (*call)(void), uint32_t n, bool *ret_ended)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(2);
		(void)raise(SIGSTOP);
		result->r = BEGUN;
		call();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	while (result->r == NOT_BEGUN)
		step(pid);
	while (n-- && result->r == BEGUN)
		step(pid);
	*ret_ended = result->r != BEGUN;
	return pid;
}

static void end_by_kill(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void end_by_going_on(pid_t pid)
{
	int status;

	assert_int_equal(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
}

/* ---- what is true in the end ---- */

static void sweep_dead(void)
{
	struct hak_sweep sweep = { .member = STEPPED };

	hak_domain_sweep_names(&arena.domain, &sweep, 0, HAK_CHANNELS);
	hak_domain_sweep(&arena.domain, &sweep, 0, 1);
	assert_int_equal(sweep.broken, 0);
	assert_true(hak_channel_deserted(channel.desc, HAK_CHANNEL_SENDERS));
}

static void check_books(bool is_dead)
{
	uint64_t alive[HAK_MEMBERS / 64] = { 1u << ARENA_HOLDER | 1u << OTHER | 1u << LAST |
					     (is_dead ? 0 : 1u << STEPPED) };
	struct hak_domain_census census;
	const char *reason = "";
	uint32_t slab;

	if (hak_domain_check(&arena.domain, alive, &census, &slab, &reason))
		fail_msg("slab %u: %s", slab, reason);
	assert_int_equal(census.moving, 0);
	for (uint32_t i = 0; i < CAPACITY; i++)
		assert_false(channel.word[i] & HAK_CHANNEL_FULL);
}

/* Receives all there is; how often a block came. */
static uint32_t drain(uint32_t counted)
{
	uint32_t n = 0, i;

	while ((i = receive(LAST)) != ARENA_BLOCKS)
		n += i == counted;
	return n;
}

/* ---- killed ---- */

static void kill_sender(uint32_t n, bool others_go_on, bool *ret_ended)
{
	bool sent;
	pid_t pid;

	begin();
	send(OTHER, NEXT);
	*half(BLOCK) = STEPPED;
	pid = stepped(child_sends, n, ret_ended);
	end_by_kill(pid);
	sent = *half(BLOCK) == (HAK_HALF_CHANNEL | channel.number);
	assert_true(sent || !*ret_ended);
	if (others_go_on) {
		assert_int_equal(receive(LAST), NEXT);
		if (sent)
			assert_int_equal(receive(LAST), BLOCK);
		/* The dead one keeps one place at the most. */
		for (uint32_t i = 0; i < 3 * CAPACITY; i++) {
			*half(20) = OTHER;
			if (channel_arena_put(&arena, &channel, OTHER, block(20)))
				break; /* at its place */
			assert_int_equal(receive(LAST), 20);
		}
		*half(20) = OTHER;
		assert_int_equal(receive(LAST), ARENA_BLOCKS);
	}
	sweep_dead();
	if (others_go_on && sent)
		assert_int_equal(drain(BLOCK), 0);
	else if (drain(BLOCK))
		assert_int_equal(*half(BLOCK), LAST);
	else
		assert_true(!sent && *half(BLOCK) == HAK_HALF_FREED);
	check_books(true);
	channel_arena_deinit(&arena);
}

static void kill_receiver(uint32_t n, bool others_go_on, bool *ret_ended)
{
	bool had;
	pid_t pid;

	begin();
	send(OTHER, BLOCK);
	send(OTHER, NEXT);
	pid = stepped(child_receives, n, ret_ended);
	end_by_kill(pid);
	had = *half(BLOCK) == STEPPED;
	assert_true(had || !*ret_ended);
	if (others_go_on) {
		if (!had)
			assert_int_equal(receive(LAST), BLOCK);
		assert_int_equal(receive(LAST), NEXT);
		for (uint32_t i = 0; i < 3 * CAPACITY; i++) {
			send(OTHER, 20);
			assert_int_equal(receive(LAST), 20);
		}
	}
	sweep_dead();
	assert_int_equal(drain(BLOCK), !had && !others_go_on);
	assert_int_equal(*half(BLOCK), had ? HAK_HALF_FREED : LAST);
	assert_int_equal(*half(NEXT), LAST);
	send(OTHER, BLOCK); /* and goes through once more */
	assert_int_equal(drain(BLOCK), 1);
	check_books(true);
	channel_arena_deinit(&arena);
}

/* ---- overtaken ---- */

/* Others receive and send again while it stands in its send. */
static void overtake_sender(uint32_t n, bool fill, bool *ret_ended)
{
	uint32_t in = 0, came = 0, i;
	pid_t pid;

	begin();
	send(OTHER, NEXT);
	*half(BLOCK) = STEPPED;
	pid = stepped(child_sends, n, ret_ended);
	while ((i = receive(OTHER)) != ARENA_BLOCKS) {
		came += i == BLOCK;
		if (i == BLOCK && !fill) { /* the same block again */
			send(OTHER, BLOCK);
			in++;
			break;
		}
	}
	for (i = 20; fill && i < 20 + CAPACITY; i++) {
		*half(i) = OTHER;
		if (channel_arena_put(&arena, &channel, OTHER, block(i)))
			break;
	}
	end_by_going_on(pid);
	assert_true(result->r == 0 || (fill && result->r == HAK_CHANNEL_E_FULL));
	came += drain(BLOCK);
	assert_int_equal(came, (result->r == 0) + in);
	if (result->r)
		assert_int_equal(*half(BLOCK), STEPPED);
	check_books(false);
	channel_arena_deinit(&arena);
}

/* Another receives what it is about to receive, and sends it again. */
static void overtake_receiver(uint32_t n, bool twice, bool *ret_ended)
{
	uint32_t sent = 2, came = 0;
	pid_t pid;

	begin();
	send(OTHER, BLOCK);
	send(OTHER, NEXT);
	pid = stepped(child_receives, n, ret_ended);
	for (uint32_t round = 0; round < (twice ? 2 * CAPACITY + 1 : 1); round++) {
		uint32_t i = receive(OTHER);

		if (i == ARENA_BLOCKS)
			break;
		came++;
		send(OTHER, i);
		sent++;
	}
	end_by_going_on(pid);
	assert_int_equal(result->r, 0);
	came++;
	assert_int_equal(*channel_arena_half(&arena, result->offset), STEPPED);
	/* It is in no word now: sent by its new owner, it comes once and last. */
	assert_int_equal(channel_arena_put(&arena, &channel, STEPPED, result->offset), 0);
	while (receive(LAST) != ARENA_BLOCKS)
		came++;
	assert_int_equal(came, sent + 1);
	assert_int_equal(*half(BLOCK), LAST);
	assert_int_equal(*half(NEXT), LAST);
	check_books(false);
	channel_arena_deinit(&arena);
}

/* Its message is received and freed, the slab cut anew, and another block of it sent, whose
 * half-word is the same one. */
static void recut_under_receiver(uint32_t n, bool again, bool *ret_ended)
{
	struct hak_place place;
	uint64_t offset = 0;
	pid_t pid;

	begin();
	send(OTHER, BLOCK);
	pid = stepped(child_receives, n, ret_ended);
	if (*half(BLOCK) != STEPPED) {
		assert_int_equal(receive(OTHER), BLOCK);
		*half(BLOCK) = HAK_HALF_FREED;
		hak_lease_release(&arena.domain, 0);
		assert_true(
			hak_lease_claim(&arena.domain, ARENA_HOLDER, 1, 0, 1, &(uint32_t){ 0 }));
		hak_lease_commit(&arena.domain, ARENA_HOLDER, 0, HAK_LEASE_BLOCKS,
				 hak_class_of(ARENA_SIZE / 2), 1);
		hak_lease_except(&arena.domain, 0);
		offset = BLOCK * (ARENA_SIZE / 2);
		place = channel_arena_place(&arena, offset);
		assert_int_equal(place.slot, BLOCK);
		assert_int_equal(hak_channel_put(&channel, ARENA_HOLDER, &place, offset), 0);
	}
	end_by_going_on(pid);
	if (again && result->r == HAK_CHANNEL_E_EMPTY) {
		child_receives();
		assert_int_equal(result->r, 0);
	}
	if (!result->r) {
		assert_int_equal(result->offset, offset ? offset : block(BLOCK));
		assert_int_equal(*channel_arena_half(&arena, result->offset), STEPPED);
	}
	assert_int_equal(hak_channel_take(&channel, LAST, &offset),
			 result->r ? 0 : HAK_CHANNEL_E_EMPTY);
	check_books(false);
	channel_arena_deinit(&arena);
}

/* Its sender is between the word and the half-word when it begins, is done meanwhile, and sends the
 * next one: that one does not come first. */
static void outrun_receiver(uint32_t n, bool variant, bool *ret_ended)
{
	pid_t pid;

	(void)variant;
	begin();
	send(OTHER, BLOCK);
	*half(BLOCK) = HAK_HALF_T | OTHER;
	pid = stepped(child_receives, n, ret_ended);
	assert_int_equal(*half(BLOCK), HAK_HALF_T | OTHER);
	*half(BLOCK) = HAK_HALF_CHANNEL | (uint16_t)channel.number;
	send(OTHER, NEXT);
	end_by_going_on(pid);
	if (!result->r)
		assert_int_equal(result->offset, block(BLOCK));
	else
		assert_int_equal(receive(LAST), BLOCK);
	assert_int_equal(receive(LAST), NEXT);
	channel_arena_deinit(&arena);
}

/* ---- at each instruction ---- */

static void at_each(void (*scenario)(uint32_t n, bool variant, bool *ret_ended), bool variant)
{
	bool ended = false;

	for (uint32_t n = 0; !ended; n++)
		scenario(n, variant, &ended);
}

static void a_killed_sender(void **state)
{
	(void)state;
	at_each(kill_sender, false);
	at_each(kill_sender, true);
}

static void a_killed_receiver(void **state)
{
	(void)state;
	at_each(kill_receiver, false);
	at_each(kill_receiver, true);
}

static void an_overtaken_sender(void **state)
{
	(void)state;
	at_each(overtake_sender, false);
	at_each(overtake_sender, true);
}

static void an_overtaken_receiver(void **state)
{
	(void)state;
	at_each(overtake_receiver, false);
	at_each(overtake_receiver, true);
}

static void a_receiver_whose_slab_is_cut_anew(void **state)
{
	(void)state;
	at_each(recut_under_receiver, false);
	at_each(recut_under_receiver, true);
}

static void a_receiver_that_a_sender_outruns(void **state)
{
	(void)state;
	at_each(outrun_receiver, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_killed_sender),
		cmocka_unit_test(a_killed_receiver),
		cmocka_unit_test(an_overtaken_sender),
		cmocka_unit_test(an_overtaken_receiver),
		cmocka_unit_test(a_receiver_whose_slab_is_cut_anew),
		cmocka_unit_test(a_receiver_that_a_sender_outruns),
	};
	void *map;
	int fd;

	if (hak_sys_memfd(&fd, "result", 4096, true) || hak_sys_map_shared(&map, NULL, fd, 0, 4096))
		return 99;
	result = map;
	return cmocka_run_group_tests_name("channel_steps", tests, NULL, NULL);
}
