/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_orders.h - what the members of test_domain_random.c do when they are told: one call of the
 * API each, on the board's words, which say what the block is to contain.
 */
#pragma once

#include "tests/proc/peer.h"

#include <errno.h>
#include <string.h>

/* Words of the board. */
enum {
	ORDER_AT,   /* a block's address */
	ORDER_SIZE, /* of which so many bytes are filled, */
	ORDER_SALT, /* with that */
	ORDER_REF,
	ORDER_TO,       /* a member */
	ORDER_EXPECTED, /* a ref */
	ORDER_NEW_SIZE,
	ORDER_BURST, /* members that were told to go on until they are killed */
};

#define ORDER_CHANNELS 2u
#define ORDER_CAPACITY 8u

static hak_channel *order_channel[ORDER_CHANNELS]; /* of a member */

static inline uint64_t order(uint32_t word)
{
	return peer_board->word[word];
}

static inline void *order_block(void)
{
	return (void *)(uintptr_t)order(ORDER_AT);
}

static inline bool order_is_intact(const void *p)
{
	return peer_is_filled(p, order(ORDER_SIZE), (unsigned)order(ORDER_SALT));
}

static inline int64_t order_begin(uint64_t unused)
{
	static const char *const names[] = { "jobs", "answers" };

	for (uint32_t i = 0; i < ORDER_CHANNELS; i++)
		must(!hak_channel_open(&order_channel[i], peer_domain, names[i], ORDER_CAPACITY,
				       HAK_SEND | HAK_RECV));
	return (int64_t)hak_self(peer_domain);
}

static inline int64_t order_leave(uint64_t unused)
{
	for (uint32_t i = 0; i < ORDER_CHANNELS; i++)
		order_channel[i] = hak_channel_close(order_channel[i]);
	peer_domain = hak_domain_close(peer_domain);
	return 0;
}

/* 0: there is no memory. With a ref in some cases, so that there are blocks without one. */
static inline int64_t order_alloc(uint64_t with_ref)
{
	void *p = hak_domain_alloc(peer_domain, order(ORDER_SIZE));

	if (!p) {
		must(errno == ENOMEM && *hak_detail());
		return 0;
	}
	must(hak_domain_usable_size(peer_domain, p) >= order(ORDER_SIZE));
	peer_fill(p, order(ORDER_SIZE), (unsigned)order(ORDER_SALT));
	peer_board->word[ORDER_REF] = with_ref ? hak_ref_of(peer_domain, p) : 0;
	must(!with_ref == !order(ORDER_REF));
	return (int64_t)(uintptr_t)p;
}

static inline int64_t order_free(uint64_t by_pointer)
{
	must(order_is_intact(order_block()));
	memset(order_block(), 0, order(ORDER_SIZE));
	if (by_pointer)
		hak_free(order_block());
	else
		hak_domain_free(peer_domain, order_block());
	return 0;
}

static inline int64_t order_resize(uint64_t unused)
{
	uint64_t size = order(ORDER_NEW_SIZE), least = order(ORDER_SIZE);
	void *p = hak_realloc(order_block(), size);

	if (!p)
		return 0;
	if (size < least)
		least = size;
	must(peer_is_filled(p, 1, 0) || least); /* it can be read */
	for (uint64_t i = 0; i < least; i++)
		must(((unsigned char *)p)[i] ==
		     (order(ORDER_SIZE) * 31 + order(ORDER_SALT)) % 255 + 1);
	peer_fill(p, size, (unsigned)order(ORDER_SALT));
	return (int64_t)(uintptr_t)p;
}

static inline int64_t order_publish(uint64_t unused)
{
	return hak_publish(peer_domain, order_block());
}

static inline int64_t order_claim(uint64_t by_ref)
{
	void *p = order_block();
	int r = by_ref ? hak_claim_ref(peer_domain, order(ORDER_REF), &p)
		       : hak_claim(peer_domain, p);

	must(r || (p == order_block() && order_is_intact(p)));
	return r;
}

static inline int64_t order_give(uint64_t unused)
{
	must(order_is_intact(order_block()));
	return hak_give(peer_domain, order_block(), order(ORDER_TO));
}

static inline int64_t order_send(uint64_t channel)
{
	return hak_channel_send(order_channel[channel], order_block(), 0);
}

/* The block, or an error. */
static inline int64_t order_receive(uint64_t channel)
{
	void *p;
	int r = hak_channel_recv(order_channel[channel], &p, 0);

	return r ? r : (int64_t)(uintptr_t)p;
}

static inline int64_t order_set_root(uint64_t number)
{
	const char name[] = { 'r', (char)('0' + number), 0 };

	must(hak_root_get(peer_domain, name) == order(ORDER_EXPECTED));
	must(hak_root_set(peer_domain, name, order(ORDER_REF), order(ORDER_EXPECTED) ^ 1) ==
	     -EAGAIN);
	return hak_root_set(peer_domain, name, order(ORDER_REF), order(ORDER_EXPECTED));
}

/* Of a block that was freed. */
static inline int64_t order_follow_stale(uint64_t unused)
{
	void *p;

	errno = 0;
	must(!hak_ref_get(peer_domain, order(ORDER_REF)) && errno == ESTALE);
	must(hak_claim_ref(peer_domain, order(ORDER_REF), &p) == -ESTALE);
	return 0;
}

static inline int64_t order_follow(uint64_t unused)
{
	must(hak_ref_get(peer_domain, order(ORDER_REF)) == order_block());
	must(order_is_intact(order_block()));
	return (int64_t)hak_owner(peer_domain, order_block());
}

/* With a block that is not its own. */
static inline int64_t order_meddle(uint64_t is_published)
{
	must(hak_publish(peer_domain, order_block()) == -EPERM);
	must(hak_give(peer_domain, order_block(), order(ORDER_TO)) == -EPERM);
	must(hak_channel_send(order_channel[0], order_block(), 0) == -EPERM);
	must(is_published || hak_claim(peer_domain, order_block()) == -EALREADY);
	return 0;
}

static inline int64_t order_heir(uint64_t unused)
{
	return hak_domain_heir(peer_domain, order(ORDER_TO));
}

/* Blocks that come and go within the order; a number of rounds, or until it is killed. */
static inline int64_t order_churn(uint64_t rounds)
{
	void *p[64] = { 0 };
	uint64_t x = order(ORDER_SALT) + 1;

	if (!rounds)
		peer_board->word[ORDER_BURST]++;
	for (uint64_t i = 0; !rounds || i < rounds; i++) {
		uint32_t at;

		x = x * UINT64_C(6364136223846793005) + 1442695040888963407u;
		at = (uint32_t)(x >> 58);
		hak_domain_free(peer_domain, p[at]);
		p[at] = hak_domain_alloc(peer_domain, 1 + ((x >> 33) & (x & 1 ? 0x3ffff : 0x3ff)));
		if (p[at] && x & 2)
			(void)hak_ref_of(peer_domain, p[at]);
		if (p[at])
			*(char *)p[at] = 'x';
	}
	for (uint32_t i = 0; i < 64; i++)
		hak_domain_free(peer_domain, p[i]);
	return 0;
}

/* It gives up what it can, for its own sake, or as others need it. */
static inline int64_t order_tidy(uint64_t by_events)
{
	struct hak_event event;

	if (!by_events)
		(void)hak_trim();
	while (by_events && hak_event_next(peer_domain, &event) == 0)
		must(event.type >= HAK_EVENT_JOINED && event.type <= HAK_EVENT_LOST);
	return 0;
}
