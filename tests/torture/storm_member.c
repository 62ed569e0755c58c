/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/torture/storm.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tests/must.h"

#define OWNED        160u
#define HEAP         48u
#define CHANNELS     4u
#define ROOTS        24u
#define STAMP        (UINT64_C(0xa5c3) << 48)
#define SIZE_MAX_LOG 17u /* below 128 KiB */

struct head {
	_Atomic uint64_t stamp;
	uint32_t size; /* of all of it */
	uint32_t seed;
};

static struct storm *storm;
static struct storm_slot *me;
static uint64_t state, my_stamp;
static struct head *owned[OWNED];
static void *heap[HEAP];
static uint32_t heap_seed[HEAP], heap_words[HEAP];
static hak_channel *channel[CHANNELS];

static uint32_t chance(uint32_t below)
{
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)(state >> 33) % below;
}

/* ---- contents ---- */

static uint64_t word_of(uint32_t seed, size_t i)
{
	return (seed * UINT64_C(0x9e3779b97f4a7c15) + i) & UINT64_C(0x7fffffffffff);
}

static void fill(uint64_t *at, size_t words, uint32_t seed)
{
	for (size_t i = 0; i < words; i++)
		at[i] = word_of(seed, i);
}

static bool is_filled(const uint64_t *at, size_t words, uint32_t seed)
{
	for (size_t i = 0; i < words; i++) {
		if (at[i] != word_of(seed, i))
			return false;
	}
	return true;
}

static size_t words_of(const struct head *h)
{
	return (h->size - sizeof(*h)) / sizeof(uint64_t);
}

static void complain(_Atomic uint64_t *count, const char *what, const struct head *h, uint64_t old)
{
	(*count)++;
	(void)fprintf(stderr, "%s: block %p of %u bytes, stamp %llx, I am %llx\n", what,
		      (const void *)h, h->size, (unsigned long long)old,
		      (unsigned long long)my_stamp);
}

/* ---- owners ---- */

static bool is_anothers(uint64_t stamp)
{
	for (unsigned i = 0; i < STORM_MEMBERS; i++) {
		if (storm->slot[i].member && stamp == (STAMP | storm->slot[i].member))
			return stamp != my_stamp;
	}
	return false;
}

/* It is mine now: nobody else's before. */
static void stamp_mine(struct head *h)
{
	uint64_t old = atomic_exchange(&h->stamp, my_stamp);

	if (old == my_stamp || is_anothers(old))
		complain(&storm->double_owners, "two owners", h, old);
}

static void stamp_nobodys(struct head *h)
{
	uint64_t old = atomic_exchange(&h->stamp, 0);

	if (old != my_stamp)
		complain(&storm->double_owners, "not mine any more", h, old);
}

static void look_at(const struct head *h)
{
	if (h->size < sizeof(*h) || h->size > (2u << SIZE_MAX_LOG) ||
	    !is_filled((const uint64_t *)(h + 1), words_of(h), h->seed))
		complain(&storm->corrupt, "changed", h, h->stamp);
	me->blocks++;
	me->bytes += h->size;
}

static struct head *take_owned(void)
{
	uint32_t i = chance(OWNED);
	struct head *h = owned[i];

	owned[i] = NULL;
	return h;
}

static void free_block(struct head *h)
{
	look_at(h);
	stamp_nobodys(h);
	hak_domain_free(peer_domain, h);
}

/* Came from somebody else. */
static void keep(struct head *h)
{
	uint32_t i = chance(OWNED);

	stamp_mine(h);
	look_at(h);
	if (owned[i])
		free_block(owned[i]);
	owned[i] = h;
}

/* ---- what is done ---- */

static void allocates(void)
{
	uint32_t size = (uint32_t)sizeof(struct head) + chance(16u << chance(SIZE_MAX_LOG - 4));
	struct head *h = hak_domain_alloc(peer_domain, size);

	if (!h)
		return;
	stamp_mine(h);
	h->size = size;
	h->seed = chance(UINT32_MAX);
	fill((uint64_t *)(h + 1), words_of(h), h->seed);
	if (chance(4) == 0)
		(void)hak_ref_of(peer_domain, h);
	{
		uint32_t i = chance(OWNED);

		if (owned[i])
			free_block(owned[i]);
		owned[i] = h;
	}
}

static void frees(void)
{
	struct head *h = take_owned();

	if (h)
		free_block(h);
}

static void sends(void)
{
	struct head *h = take_owned();

	if (!h)
		return;
	look_at(h);
	stamp_nobodys(h);
	if (hak_channel_send(channel[chance(CHANNELS)], h, 0) == 0)
		return;
	stamp_mine(h);
	free_block(h);
}

static void receives(void)
{
	void *p;

	if (hak_channel_recv(channel[chance(CHANNELS)], &p, 0) == 0)
		keep(p);
}

static void root_name(char name[16], uint32_t i)
{
	(void)snprintf(name, 16, "root%u", i);
}

/* What was there, if it is still, becomes mine; a stale ref goes. While another is about to publish
 * or to claim it, its name is not ours to take: nobody would find it any more. */
static void names(void)
{
	struct head *h = take_owned();
	hak_ref ref, old;
	char name[16];
	void *before;
	int r = 0;

	if (!h)
		return;
	root_name(name, chance(ROOTS));
	ref = hak_ref_of(peer_domain, h);
	must(ref);
	old = hak_root_get(peer_domain, name);
	if (old)
		r = hak_claim_ref(peer_domain, old, &before);
	if (old && r == 0)
		keep(before);
	stamp_nobodys(h);
	if (r != -EALREADY && hak_root_set(peer_domain, name, ref, old) == 0)
		return;
	stamp_mine(h);
	free_block(h);
}

static void claims(void)
{
	char name[16];
	hak_ref ref;
	void *p;

	root_name(name, chance(ROOTS));
	ref = hak_root_get(peer_domain, name);
	if (!ref || hak_claim_ref(peer_domain, ref, &p) < 0)
		return;
	keep(p);
	(void)hak_root_set(peer_domain, name, 0, ref);
}

/* ---- gifts ---- */

/* A word: where the block is, in units of 16 bytes, and which member of the slot it is for. */
#define GIFT_FOR 24u

static uint64_t gift_for(uint64_t member)
{
	return (member >> 16) & ((UINT64_C(1) << GIFT_FOR) - 1);
}

/* The address goes by a word beside; what nobody fetches is freed when its owner dies. */
static void gives(void)
{
	struct storm_slot *to = &storm->slot[chance(STORM_MEMBERS)];
	uint64_t member = to->member, none = 0;
	struct head *h;

	if (to == me || !member || to->gift)
		return;
	h = take_owned();
	if (!h)
		return;
	stamp_nobodys(h);
	if (hak_give(peer_domain, h, member) < 0) {
		stamp_mine(h);
		free_block(h);
		return;
	}
	(void)atomic_compare_exchange_strong(&to->gift, &none,
					     (uintptr_t)h / 16 << GIFT_FOR | gift_for(member));
}

/* What a predecessor in this slot was given is not ours, although its slab may be by now. */
static void fetches(void)
{
	uint64_t gift = atomic_exchange(&me->gift, 0);

	if (gift && gift_for(gift << 16) == gift_for(me->member))
		keep((struct head *)(uintptr_t)(gift >> GIFT_FOR << 4));
}

static void uses_the_heap(void)
{
	uint32_t i = chance(HEAP);

	if (heap[i] && !is_filled(heap[i], heap_words[i], heap_seed[i]))
		storm->corrupt++;
	hak_free(heap[i]);
	heap_words[i] = chance(1u << chance(15));
	heap_seed[i] = chance(UINT32_MAX);
	heap[i] = hak_malloc(heap_words[i] * sizeof(uint64_t));
	must(heap[i]);
	fill(heap[i], heap_words[i], heap_seed[i]);
}

static void stands_still(void)
{
	me->idle = 1;
	while (storm->pause)
		(void)poll(NULL, 0, 1);
	me->idle = 0;
}

static void does_something(void)
{
	static void (*const actions[])(void) = {
		allocates, allocates, allocates, frees, sends,   sends,         receives,
		receives,  names,     claims,    gives, fetches, uses_the_heap,
	};

	actions[chance(sizeof(actions) / sizeof(actions[0]))]();
	me->operations++;
}

/* ---- ---- */

static void open_channels(void)
{
	char name[16];

	for (unsigned i = 0; i < CHANNELS; i++) {
		(void)snprintf(name, sizeof(name), "ch%u", i);
		must(hak_channel_open(&channel[i], peer_domain, name, 32, HAK_SEND | HAK_RECV) ==
		     0);
	}
}

void storm_member(struct storm *shared, const char *socket, unsigned slot, uint64_t seed)
{
	const struct hak_options options = { .size = sizeof(options), .socket = socket };

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	storm = shared;
	me = &storm->slot[slot];
	state = seed;
	must(!hak_init(&options));
	if (peer_join(0) < 0)
		_exit(STORM_AGAIN);
	my_stamp = STAMP | hak_self(peer_domain);
	open_channels();
	me->member = hak_self(peer_domain);
	for (;;) {
		if (storm->pause)
			stands_still();
		does_something();
	}
}

uint64_t storm_drain(struct storm *shared)
{
	static struct storm_slot nobody;
	uint64_t n = 0;
	void *p;

	storm = shared;
	me = &nobody;
	my_stamp = STAMP | hak_self(peer_domain);
	open_channels();
	for (unsigned i = 0; i < CHANNELS; i++) {
		while (hak_channel_recv(channel[i], &p, 0) == 0) {
			stamp_mine(p);
			free_block(p);
			n++;
		}
	}
	for (uint32_t i = 0; i < ROOTS; i++) {
		char name[16];
		hak_ref ref;

		root_name(name, i);
		ref = hak_root_get(peer_domain, name);
		if (!ref || hak_claim_ref(peer_domain, ref, &p) < 0)
			continue;
		stamp_mine(p);
		free_block(p);
		n++;
	}
	return n;
}
