/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Killed at beginnings and ends of system calls, and some instructions behind them, of what is
 * long: a session, a domain, a channel opened and closed; growth; fork and exit.
 */
#include "tests/torture/torture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/must.h"

#define SIZE 1000u
#define MIB  ((size_t)1 << 20)

static void *mine[64];
static hak_domain *other;
static hak_channel *channel;

static void has_nothing(void)
{
}

static void has_blocks(void)
{
	for (unsigned i = 0; i < 64; i++) {
		must((mine[i] = hak_domain_alloc(peer_domain, SIZE * (i + 1))));
		if (i % 3 == 1)
			must(hak_ref_of(peer_domain, mine[i]));
	}
}

static void has_heap_blocks(void)
{
	for (unsigned i = 0; i < 64; i++) {
		must((mine[i] = hak_malloc(SIZE * (i + 1))));
		peer_fill(mine[i], SIZE * (i + 1), i);
	}
}

static void has_a_channel(void)
{
	must(hak_channel_open(&channel, peer_domain, "d", 8, HAK_SEND | HAK_RECV | HAK_DROP) == 0);
}

static void has_another_domain(void)
{
	const struct hak_domain_attr attr = { .size = sizeof(attr),
					      .lifetime = HAK_LIFETIME_MEMBERS };

	if (hak_domain_open(&other, "other", HAK_CREATE, &attr) < 0)
		stepper_again();
}

/* The first allocation of a process. */
static void begins_a_session(void)
{
	must(hak_malloc(SIZE));
}

static void opens(void)
{
	(void)hak_domain_open(&other, "test", 0, NULL);
}

static void creates(void)
{
	const struct hak_domain_attr attr = { .size = sizeof(attr),
					      .lifetime = HAK_LIFETIME_MEMBERS };

	if (hak_domain_open(&other, "other", HAK_CREATE, &attr) == 0)
		(void)hak_domain_alloc(other, SIZE);
}

static void grows(void)
{
	(void)hak_domain_alloc(other, 9 * MIB);
}

static void closes(void)
{
	peer_domain = hak_domain_close(peer_domain);
}

static void unlinks(void)
{
	(void)hak_domain_unlink("other");
}

static void opens_a_channel(void)
{
	has_a_channel();
}

static void closes_a_channel(void)
{
	channel = hak_channel_close(channel);
}

/* The child has its own copy, and a session of its own. */
static void forks(void)
{
	pid_t pid = fork();

	must(pid >= 0);
	if (!pid) {
		for (unsigned i = 0; i < 64; i++) {
			must(peer_is_filled(mine[i], SIZE * (i + 1), i));
			memset(mine[i], 0, SIZE * (i + 1));
		}
		must(hak_malloc(300000));
		_exit(0);
	}
}

static void forks_a_member(void)
{
	pid_t pid = fork();

	must(pid >= 0);
	if (!pid) {
		hak_domain_free(peer_domain, mine[0]); /* ignored: it is no member */
		_exit(0);
	}
}

static void exits(void)
{
	exit(0);
}

#define PATH(title, prep, act_, heap_, points_)                                \
	{                                                                      \
		.step = { .name = (title), .prepare = (prep), .act = (act_) }, \
		.points = (points_), .is_heap = (heap_)                        \
	}

static const struct torture_path paths[] = {
	PATH("killed within: a session's beginning", has_nothing, begins_a_session, true, 60),
	PATH("killed within: a domain's opening", has_nothing, opens, true, 60),
	PATH("killed within: a domain's making", has_nothing, creates, true, 60),
	PATH("killed within: a domain's growth", has_another_domain, grows, true, 40),
	PATH("killed within: a domain's unlinking", has_another_domain, unlinks, true, 20),
	PATH("killed within: a domain's closing", has_blocks, closes, false, 40),
	PATH("killed within: a channel's opening", has_nothing, opens_a_channel, false, 30),
	PATH("killed within: a channel's closing", has_a_channel, closes_a_channel, false, 30),
	PATH("killed within: fork", has_heap_blocks, forks, true, 60),
	PATH("killed within: a member's fork", has_blocks, forks_a_member, false, 30),
	PATH("killed within: exit", has_heap_blocks, exits, true, 30),
	PATH("killed within: a member's exit", has_blocks, exits, false, 30),
};

int main(void)
{
	return torture_main(paths, sizeof(paths) / sizeof(paths[0]));
}
