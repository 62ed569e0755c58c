/* SPDX-License-Identifier: Apache-2.0 */
/* domain_look.c - what happens in a domain, and what it holds. */
#include <string.h>

#include "libclient/domain.h"

HAK_EXPORT int hak_event_fd(hak_domain *domain)
{
	int r = hak_domain_may(domain, false);

	if (r < 0)
		return r;
	if (!hak_sys_fd_is(domain->event_fd, &domain->event_id))
		return hak_domain_fail(-EBADF, "the program closed the descriptor");
	return domain->event_fd;
}

/* Copies event `seq`. False: a later one has its place, or is just getting it. */
static bool read_event(const hak_domain *d, uint64_t seq, struct hak_event *ret)
{
	const struct hak_event_entry *e = &d->state->event[seq % HAK_EVENTS];

	/* Acquire: pairs with the daemon's release of seq, written last. */
	if (atomic_load_explicit(&e->seq, memory_order_acquire) != seq)
		return false;
	*ret = (struct hak_event){
		.type = e->kind, .pid = e->pid, .member = e->member, .time_ns = e->at_ns
	};
	/* The look that follows comes after the copy. */
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&e->seq, memory_order_relaxed) == seq;
}

/* Acquire: as above. */
static uint64_t last_event(const hak_domain *d)
{
	return atomic_load_explicit(&d->state->last_event, memory_order_acquire);
}

/* There is nothing: the descriptor is not to say so. True: something came meanwhile. */
static bool settle(const hak_domain *d)
{
	if (hak_sys_fd_is(d->event_fd, &d->event_id))
		hak_sys_drain(d->event_fd);
	/* The daemon writes the event, then to the descriptor: if its write was drained, the event
	 * is there. */
	atomic_thread_fence(memory_order_seq_cst);
	return last_event(d) != d->event_at;
}

/* Under the domain's mutex. */
static int next_event(hak_domain *d, struct hak_event *ret)
{
	for (;;) {
		uint64_t last = last_event(d), oldest;

		if (last == d->event_at) {
			if (settle(d))
				continue;
			return -EAGAIN;
		}
		oldest = last > HAK_EVENTS ? last - HAK_EVENTS + 1 : 1;
		if (d->event_at + 1 < oldest || !read_event(d, d->event_at + 1, ret)) {
			/* One more, for the oldest may be on its way out. */
			d->event_at = d->event_at + 1 < oldest ? oldest : d->event_at + 1;
			*ret = (struct hak_event){ .type = HAK_EVENT_LOST };
			return 0;
		}
		d->event_at++;
		if (ret->member != d->member)
			return 0;
	}
}

HAK_EXPORT int hak_event_next(hak_domain *domain, struct hak_event *ret)
{
	struct hak_event event;
	int r = hak_domain_may(domain, false);

	if (r < 0)
		return r;
	pthread_mutex_lock(&domain->mutex);
	r = next_event(domain, &event);
	/* Behind the look at the descriptor: a need that is told of later shows there. */
	if (r && !domain->readonly)
		hak_domain_make_way(domain);
	pthread_mutex_unlock(&domain->mutex);
	if (!r)
		*ret = event;
	return r;
}

/* ---- what it holds ---- */

static void count_half(struct hak_domain_stat *s, uint16_t half, uint64_t word, uint64_t size)
{
	if (half == HAK_HALF_PUBLISHED) {
		s->published++;
		s->published_bytes += size;
	} else if (half == HAK_HALF_FREED) {
		s->freed++;
	} else if (hak_half_is_channel(half) || hak_half_is_changing(half)) {
		s->moving++;
		s->moving_bytes += size;
	} else if (hak_half_is_member(half) && half != hak_lease_holder(word)) {
		s->adopted++;
		s->adopted_bytes += size;
	}
}

static void count_blocks(const hak_domain *d, struct hak_domain_stat *s, uint32_t first,
			 uint64_t word)
{
	uint32_t class = hak_lease_class(word), blocks = 1;
	uint64_t size = hak_lease_length(word) << HAK_SLAB_SHIFT;

	if (hak_lease_kind(word) == HAK_LEASE_BLOCKS && class < HAK_CLASSES) {
		blocks = hak_class[class].blocks;
		size = hak_class[class].size;
	}
	for (uint32_t slot = 0; slot < blocks; slot++)
		/* Relaxed, as all here: a count of what moves on. */
		count_half(s,
			   atomic_load_explicit(&d->view.half[hak_domain_index(first, slot)],
						memory_order_relaxed),
			   word, size);
}

static void count_slab(const hak_domain *d, struct hak_domain_stat *s, uint32_t slab)
{
	uint64_t word = atomic_load_explicit(&d->view.lease[slab], memory_order_relaxed);
	uint32_t holder = hak_lease_holder(word);

	switch (hak_lease_kind(word)) {
	case HAK_LEASE_ABSENT:
		return;
	case HAK_LEASE_FREE:
		s->free_bytes += HAK_SLAB_SIZE;
		return;
	default:
		break;
	}
	if (holder == HAK_HOLDER_ORPHAN)
		s->orphaned_bytes += HAK_SLAB_SIZE;
	else
		s->held_bytes += HAK_SLAB_SIZE;
	if (holder == d->me)
		s->own_bytes += HAK_SLAB_SIZE;
	if (word & HAK_LEASE_EXCEPTED && hak_lease_kind(word) != HAK_LEASE_CLAIM)
		count_blocks(d, s, slab, word);
}

static uint64_t count_members(const hak_domain *d)
{
	uint64_t n = 0;

	for (uint32_t i = 1; i < HAK_MEMBERS; i++) {
		uint32_t state =
			atomic_load_explicit(&d->state->member[i].state, memory_order_relaxed);

		n += state == HAK_MEMBER_ALIVE || state == HAK_MEMBER_READER;
	}
	return n;
}

HAK_EXPORT int hak_domain_stat_get(hak_domain *domain, struct hak_domain_stat *ret)
{
	struct hak_domain_stat s = { .size = ret->size };
	int r = hak_domain_may(domain, false);

	if (r < 0)
		return r;
	if (ret->size < offsetof(struct hak_domain_stat, published) || ret->size > 4096)
		return hak_domain_fail(-EINVAL, "hak_domain_stat.size is not its size");
	for (uint32_t i = 0; i < hak_domain_high(domain) * HAK_SLABS_PER_SUPERSLAB; i++)
		count_slab(domain, &s, i);
	s.granted_bytes = atomic_load_explicit(&domain->state->granted, memory_order_relaxed)
			  << HAK_SUPERSLAB_SHIFT;
	s.members = count_members(domain);
	memcpy(ret, &s, s.size < sizeof(s) ? s.size : sizeof(s));
	return 0;
}
