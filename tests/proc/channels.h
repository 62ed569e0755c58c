/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channels.h - peers with an end of a channel, and its messages, of which each says what it is. Of
 * each program that tests them, and of each of its processes.
 */
#pragma once

#include "tests/proc/peer.h"

#include <string.h>

#define CHANNELS_DEADLINE_MS 20000

struct message {
	uint32_t number, size;
};

static hak_channel *channel; /* of a peer */

static inline int64_t opens(uint64_t flags)
{
	return hak_channel_open(&channel, peer_domain, "there", (uint32_t)(flags >> 8),
				(unsigned)flags & 255);
}

static inline int64_t closes(uint64_t unused)
{
	(void)unused;
	channel = hak_channel_close(channel);
	return 0;
}

static inline void *new_message(uint32_t number, size_t size)
{
	struct message *m = hak_domain_alloc(peer_domain, size);

	must(m);
	m->number = number;
	m->size = (uint32_t)size;
	memset(m + 1, (int)(number & 255), size - sizeof(*m));
	return m;
}

static inline uint32_t verify_and_free(void *p)
{
	const struct message *m = p;
	uint32_t number = m->number;

	must(hak_owner(peer_domain, p) == hak_self(peer_domain));
	must(m->size >= sizeof(*m) && m->size <= hak_domain_usable_size(peer_domain, p));
	for (uint32_t i = 0; i < m->size - sizeof(*m); i++)
		must(((const unsigned char *)(m + 1))[i] == (number & 255));
	hak_domain_free(peer_domain, p);
	return number;
}
