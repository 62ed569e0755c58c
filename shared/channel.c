/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/channel.h"

#include <errno.h>
#include <string.h>

static bool key_matches(struct hak_channel_desc *desc, uint64_t key, bool create, bool *ret_made)
{
	/* Relaxed: the key itself is all that is used of the name's line. */
	uint64_t found = atomic_load_explicit(&desc->key, memory_order_relaxed);

	*ret_made = !found && create &&
		    atomic_compare_exchange_strong_explicit(
			    &desc->key, &found, key, memory_order_relaxed, memory_order_relaxed);
	return *ret_made || found == key;
}

int hak_channel_find(const struct hak_domain_view *domain, const char *name, bool create,
		     uint32_t *ret_number)
{
	uint64_t key = hak_name_key(name);

	if (!key)
		return -EINVAL;
	for (uint32_t i = 0; i < HAK_CHANNELS; i++) {
		uint32_t number = (uint32_t)((key + i) % HAK_CHANNELS);
		struct hak_channel_desc *desc = &domain->channels[number];
		bool made;

		if (key_matches(desc, key, create, &made)) {
			if (made)
				memcpy(desc->name, name, strlen(name));
			*ret_number = number;
			return 0;
		}
		/* Relaxed: as above. */
		if (!create && !atomic_load_explicit(&desc->key, memory_order_relaxed))
			return -ENOENT;
	}
	return create ? -ENOSPC : -ENOENT;
}

void hak_channel_set_up(const struct hak_domain_view *domain, uint32_t number, uint32_t capacity,
			bool drops)
{
	uint64_t none = 0, shift = 0;

	while ((1u << shift) < capacity)
		shift++;
	/* Relaxed: nothing was prepared, zeroed memory is a ring. Who loses uses what there is. */
	(void)atomic_compare_exchange_strong_explicit(&domain->channels[number].ring, &none,
						      (shift + 1) | (drops ? HAK_CHANNEL_DROPS : 0),
						      memory_order_relaxed, memory_order_relaxed);
}

bool hak_channel_view_init(struct hak_channel_view *ret, const struct hak_domain_view *domain,
			   uint32_t number)
{
	uint32_t capacity;

	if (number >= HAK_CHANNELS)
		return false;
	capacity = hak_channel_capacity(&domain->channels[number]);
	if (!capacity)
		return false;
	*ret = (struct hak_channel_view){ .domain = domain,
					  .desc = &domain->channels[number],
					  .word = hak_channel_ring(domain, number),
					  .mask = capacity - 1,
					  .shift = (uint32_t)__builtin_ctz(capacity),
					  .number = number };
	return true;
}

uint32_t hak_channel_fill(const struct hak_channel_view *channel)
{
	/* Relaxed: two looks that need not go together. */
	uint64_t head = atomic_load_explicit(&channel->desc->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&channel->desc->tail, memory_order_relaxed);
	uint64_t fill = (int64_t)(tail - head) < 0 ? 0 : tail - head;

	return fill > channel->mask ? channel->mask + 1 : (uint32_t)fill;
}
