/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member is killed at each instruction of what members do without the daemon: allocate, free,
 * refill, flush, publish, claim, give, send, receive, name a root.
 */
#include "tests/torture/torture.h"

#include <errno.h>
#include <string.h>

#include "tests/must.h"

#define SIZE  1000u /* of the block that a path is about */
#define LARGE 8192u /* of the blocks whose magazines hold few */
#define BATCH 40u
/* How many blocks make the next allocation a refill, and one of a slab not had before; how many
 * frees make the next one a flush. The counts of instructions say whether that is still so. */
#define TO_REFILL 8u
#define TO_LEASE  16u
#define TO_FLUSH  12u
#define SALT      77u

static void *mine[BATCH];
/* The survivor's keeps both ends open, so that nobody is told that the others are gone. */
static hak_channel *channel;

static void note(void *p)
{
	peer_board->word[TORTURE_BLOCK] = (uintptr_t)p;
}

static void *noted(void)
{
	return (void *)(uintptr_t)peer_board->word[TORTURE_BLOCK];
}

static void *make(size_t size)
{
	void *p = hak_domain_alloc(peer_domain, size);

	must(p);
	peer_fill(p, size, SALT);
	return p;
}

/* ---- victims ---- */

static void has_blocks(void)
{
	for (unsigned i = 0; i < 4; i++)
		mine[i] = make(SIZE);
	hak_domain_free(peer_domain, mine[0]);
	note(mine[1]);
}

/* In a slab with exceptions: whether the one that it gets has some depends on who died before.
 * "make a ref" is the path of a slab's first. */
static void has_excepted_blocks(void)
{
	has_blocks();
	must(hak_ref_of(peer_domain, mine[2]));
}

static void has_none(void)
{
}

static void has_an_empty_magazine(void)
{
	for (unsigned i = 0; i < TO_REFILL; i++)
		mine[i] = make(SIZE);
}

static void has_a_full_slab(void)
{
	for (unsigned i = 0; i < TO_LEASE; i++)
		mine[i] = make(LARGE);
}

static void has_a_full_magazine(void)
{
	for (unsigned i = 0; i < BATCH; i++)
		mine[i] = make(LARGE);
	for (unsigned i = 0; i < TO_FLUSH; i++)
		hak_domain_free(peer_domain, mine[i]);
}

static void has_a_span(void)
{
	mine[0] = make(300000);
}

static void allocates(void)
{
	must(hak_domain_alloc(peer_domain, SIZE));
}

static void frees(void)
{
	hak_domain_free(peer_domain, mine[1]);
}

static void allocates_a_large_one(void)
{
	must(hak_domain_alloc(peer_domain, LARGE));
}

static void frees_a_large_one(void)
{
	hak_domain_free(peer_domain, mine[TO_FLUSH]);
}

static void allocates_a_span(void)
{
	must(hak_domain_alloc(peer_domain, 300000));
}

static void frees_a_span(void)
{
	hak_domain_free(peer_domain, mine[0]);
}

static void publishes(void)
{
	must(hak_publish(peer_domain, mine[1]) == 0);
}

static void gives(void)
{
	must(hak_give(peer_domain, mine[1], peer_board->word[TORTURE_SURVIVOR]) == 0);
}

static void claims(void)
{
	must(hak_claim(peer_domain, noted()) == 0);
}

static void claims_by_ref(void)
{
	void *p;

	must(hak_claim_ref(peer_domain, peer_board->word[TORTURE_REF], &p) == 0 && p == noted());
}

static void has_a_sender(void)
{
	has_excepted_blocks();
	must(hak_channel_open(&channel, peer_domain, "c", 8, HAK_SEND) == 0);
}

static void has_a_receiver(void)
{
	must(hak_channel_open(&channel, peer_domain, "c", 8, HAK_RECV) == 0);
}

static void sends(void)
{
	must(hak_channel_send(channel, mine[1], 0) == 0);
}

static void receives(void)
{
	void *p;

	must(hak_channel_recv(channel, &p, 0) == 0 && p == noted());
}

static void has_a_ref(void)
{
	has_blocks();
	peer_board->word[TORTURE_REF] = hak_ref_of(peer_domain, mine[1]);
}

static void names(void)
{
	must(hak_root_set(peer_domain, "root", peer_board->word[TORTURE_REF], 0) == 0);
}

static void takes_the_name_away(void)
{
	must(hak_root_set(peer_domain, "root", 0, peer_board->word[TORTURE_REF]) == 0);
}

static void makes_a_ref(void)
{
	must(hak_ref_of(peer_domain, mine[1]));
}

/* ---- the survivor ---- */

static int64_t publishes_one(uint64_t unused)
{
	void *p = make(SIZE);

	peer_board->word[TORTURE_REF] = hak_ref_of(peer_domain, p);
	must(hak_publish(peer_domain, p) == 0);
	note(p);
	return 0;
}

/* Published exactly once, with its contents, or free. */
static int64_t finds_it_published(uint64_t over)
{
	void *p = noted();
	int r = hak_claim(peer_domain, p);

	must(r == 0 || !over);
	if (r < 0)
		return 0;
	must(peer_is_filled(p, SIZE, SALT) && hak_claim(peer_domain, p) == -EALREADY);
	hak_domain_free(peer_domain, p);
	return 1;
}

/* Still published, or the victim's, whose sweep has freed it. */
static int64_t finds_it_claimed(uint64_t over)
{
	void *p = noted();
	int r = hak_claim(peer_domain, p);

	must(r < 0 || !over);
	if (r < 0) {
		must(!hak_ref_get(peer_domain, peer_board->word[TORTURE_REF]));
		return 1;
	}
	must(peer_is_filled(p, SIZE, SALT));
	hak_domain_free(peer_domain, p);
	return 0;
}

static int64_t finds_it_given(uint64_t over)
{
	void *p = noted();
	bool is_mine = hak_owner(peer_domain, p) == hak_self(peer_domain);

	must(is_mine || !over);
	if (!is_mine)
		return 0;
	must(peer_is_filled(p, SIZE, SALT));
	hak_domain_free(peer_domain, p);
	return 1;
}

static int64_t has_a_channel(uint64_t unused)
{
	if (!channel)
		must(hak_channel_open(&channel, peer_domain, "c", 8, HAK_SEND | HAK_RECV) == 0);
	return 0;
}

/* A sender that died between its word and the tail left the tail behind: who comes next looks at
 * one word more. Whoever sends moves it. */
static int64_t has_a_channel_in_order(uint64_t unused)
{
	void *p = make(SIZE), *same;

	(void)has_a_channel(0);
	must(hak_channel_send(channel, p, 0) == 0);
	must(hak_channel_recv(channel, &same, 0) == 0 && same == p);
	hak_domain_free(peer_domain, p);
	return 0;
}

/* What is in the channel: the path's block, once, or nothing. */
static bool takes_it_out(void)
{
	void *p, *again;
	int r = hak_channel_recv(channel, &p, 0);

	if (r < 0) {
		must(r == -EAGAIN);
		return false;
	}
	must(p == noted() && peer_is_filled(p, SIZE, SALT));
	must(hak_channel_recv(channel, &again, 0) == -EAGAIN);
	hak_domain_free(peer_domain, p);
	return true;
}

static int64_t finds_it_sent(uint64_t over)
{
	bool is_there = takes_it_out();

	must(is_there || !over);
	return is_there;
}

static int64_t sends_one(uint64_t unused)
{
	void *p = make(SIZE);

	(void)has_a_channel(0);
	must(hak_channel_send(channel, p, 0) == 0);
	note(p);
	return 0;
}

static int64_t finds_it_received(uint64_t over)
{
	bool is_there = takes_it_out();

	must(!is_there || !over);
	return !is_there;
}

/* The root names a published block, or nothing. */
static int64_t finds_it_named(uint64_t over)
{
	hak_ref ref = hak_root_get(peer_domain, "root");
	void *p;
	int r;

	must(!over || ref == peer_board->word[TORTURE_REF]);
	if (!ref) {
		/* Then it was not published either. */
		must(!hak_ref_get(peer_domain, peer_board->word[TORTURE_REF]));
		return 0;
	}
	r = hak_claim_ref(peer_domain, ref, &p);
	must(r == 0 && p == noted() && peer_is_filled(p, SIZE, SALT));
	must(hak_root_set(peer_domain, "root", 0, ref) == 0);
	hak_domain_free(peer_domain, p);
	return 1;
}

static int64_t names_one(uint64_t unused)
{
	void *p = make(SIZE);

	peer_board->word[TORTURE_REF] = hak_ref_of(peer_domain, p);
	must(hak_root_set(peer_domain, "root", peer_board->word[TORTURE_REF], 0) == 0);
	note(p);
	return 0;
}

/* The block stays published whatever becomes of the name. */
static int64_t finds_it_unnamed(uint64_t over)
{
	hak_ref ref = hak_root_get(peer_domain, "root");
	void *p = noted();

	must(!over || !ref);
	must(hak_claim(peer_domain, p) == 0 && peer_is_filled(p, SIZE, SALT));
	if (ref)
		must(hak_root_set(peer_domain, "root", 0, ref) == 0);
	hak_domain_free(peer_domain, p);
	return !ref;
}

/* ---- paths ---- */

#define PATH(title, prep, act_, before_, after_, points_)                                        \
	{                                                                                        \
		.step = { .name = (title), .prepare = (prep), .act = (act_), .is_short = true }, \
		.before = (before_), .after = (after_), .points = (points_)                      \
	}

static const struct torture_path paths[] = {
	PATH("killed at each instruction of: allocate", has_blocks, allocates, NULL, NULL, 1000),
	PATH("killed at each instruction of: free", has_blocks, frees, NULL, NULL, 1000),
	PATH("killed at each instruction of: refill", has_an_empty_magazine, allocates, NULL, NULL,
	     1000),
	PATH("killed at each instruction of: flush", has_a_full_magazine, frees_a_large_one, NULL,
	     NULL, 1000),
	PATH("killed within: allocate first", has_none, allocates, NULL, NULL, 40),
	PATH("killed within: lease a slab", has_a_full_slab, allocates_a_large_one, NULL, NULL,
	     100),
	PATH("killed within: allocate a span", has_none, allocates_a_span, NULL, NULL, 60),
	PATH("killed within: free a span", has_a_span, frees_a_span, NULL, NULL, 100),
	PATH("killed at each instruction of: make a ref", has_blocks, makes_a_ref, NULL, NULL,
	     1000),
	PATH("killed at each instruction of: publish", has_excepted_blocks, publishes, NULL,
	     finds_it_published, 1000),
	PATH("killed at each instruction of: claim", has_none, claims, publishes_one,
	     finds_it_claimed, 1000),
	PATH("killed within: claim by ref", has_none, claims_by_ref, publishes_one,
	     finds_it_claimed, 200),
	PATH("killed at each instruction of: give", has_excepted_blocks, gives, NULL,
	     finds_it_given, 1000),
	PATH("killed at each instruction of: send", has_a_sender, sends, has_a_channel_in_order,
	     finds_it_sent, 1000),
	PATH("killed at each instruction of: receive", has_a_receiver, receives, sends_one,
	     finds_it_received, 1000),
	PATH("killed within: set a root", has_a_ref, names, NULL, finds_it_named, 200),
	PATH("killed within: clear a root", has_none, takes_the_name_away, names_one,
	     finds_it_unnamed, 150),
};

int main(void)
{
	return torture_main(paths, sizeof(paths) / sizeof(paths[0]));
}
