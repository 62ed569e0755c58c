/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel.c - channels for the program: handles, and waiting. shared/channel.h has the rest.
 *
 * A member is a sender or receiver as long as one of its handles is. What a waiter reads is
 * memory that every member can write: so no wait is longer than WAIT_SLICE_NS at a time, and
 * nothing but the clock ends a time limit.
 */
#include "libclient/channel.h"

/* Longer than another process takes to answer, if it has a processor. */
#define SPIN_NS       20000u
#define WAIT_SLICE_NS 100000000u
#define MS            UINT64_C(1000000)

#define CAPACITY_DEFAULT 64u

#define SIDES ((unsigned)(HAK_SEND | HAK_RECV))

struct hak_channel {
	struct hak_channel_view view;
	hak_domain *domain; /* NULL: it was closed */
	uint32_t flags;     /* enum hak_channel_flags */
	hak_channel *next;  /* of the process's; under hak_domains.lock, as is the list */
};
static_assert(HAK_SEND == (int)HAK_CHANNEL_SENDERS && HAK_RECV == (int)HAK_CHANNEL_RECEIVERS,
	      "flags are sides");

static hak_channel *channels;

/* ---- handles ---- */

static int find_or_make(hak_domain *d, const char *name, uint32_t capacity, bool drops,
			struct hak_channel_view *ret)
{
	uint32_t number;
	int r = hak_channel_find(&d->view, name, true, &number);

	if (r == -EINVAL)
		return hak_domain_fail(r, "no name of a channel: 1 to 31 of A-Z a-z 0-9 . _ -");
	if (r < 0)
		return hak_domain_fail(r, "the domain has 256 channels already");
	hak_channel_set_up(&d->view, number, capacity ? capacity : CAPACITY_DEFAULT, drops);
	if (!hak_channel_view_init(ret, &d->view, number))
		return hak_domain_fail(-EUCLEAN, "the channel was written over");
	return 0;
}

HAK_EXPORT int hak_channel_open(hak_channel **ret, hak_domain *domain, const char *name,
				uint32_t capacity, unsigned flags)
{
	struct hak_channel_view view;
	hak_channel *channel;
	int r = hak_domain_may(domain, true);

	if (r < 0)
		return r;
	if (!(flags & SIDES) || flags & ~(SIDES | HAK_DROP))
		return hak_domain_fail(
			-EINVAL, "flags of a channel: HAK_SEND, HAK_RECV or both, and HAK_DROP");
	if (capacity > HAK_CHANNEL_CAPACITY_MAX)
		return hak_domain_fail(-EINVAL, "capacity of a channel: at most 65,536");
	r = find_or_make(domain, name, capacity, flags & HAK_DROP, &view);
	if (r < 0)
		return r;
	channel = hak_malloc(sizeof(*channel));
	if (!channel)
		return hak_domain_fail(-ENOMEM, "no memory for a handle");
	*channel = (hak_channel){ .view = view, .domain = domain, .flags = flags & SIDES };
	pthread_mutex_lock(&hak_domains.lock);
	channel->next = channels;
	channels = channel;
	hak_channel_enter(view.desc, domain->me, flags & SIDES);
	pthread_mutex_unlock(&hak_domains.lock);
	*ret = channel;
	return 0;
}

/* Sides that the process's other handles of the same channel are on. */
static uint32_t sides_left(const hak_channel *channel)
{
	uint32_t sides = 0;

	for (const hak_channel *c = channels; c; c = c->next) {
		if (c->view.desc == channel->view.desc && c->domain == channel->domain)
			sides |= c->flags;
	}
	return sides;
}

/* HAK_DROP: what nobody will receive is freed. Who comes to receive meanwhile gets what is left. */
static void drop_deserted(const struct hak_channel_view *view, hak_domain *d)
{
	uint64_t offset;

	if (!hak_channel_drops(view->desc))
		return;
	while (hak_channel_deserted(view->desc, HAK_CHANNEL_RECEIVERS) &&
	       !hak_channel_take(view, d->me, &offset))
		hak_domain_free(d, d->base + offset);
}

static void leave(hak_channel *channel)
{
	if (hak_channel_leave(channel->view.desc, channel->domain->me,
			      channel->flags & ~sides_left(channel)))
		drop_deserted(&channel->view, channel->domain);
}

HAK_EXPORT hak_channel *hak_channel_close(hak_channel *channel)
{
	hak_channel **at = &channels;

	if (!channel)
		return NULL;
	pthread_mutex_lock(&hak_domains.lock);
	while (*at && *at != channel)
		at = &(*at)->next;
	if (*at)
		*at = channel->next;
	if (channel->domain && !channel->domain->forked)
		leave(channel);
	pthread_mutex_unlock(&hak_domains.lock);
	hak_free(channel);
	return NULL;
}

void hak_channels_forget(const hak_domain *d)
{
	for (hak_channel *c = channels; c; c = c->next) {
		if (c->domain == d)
			c->domain = NULL;
	}
}

/* ---- messages ---- */

/* One send or receive. */
struct attempt {
	hak_channel *channel;
	uint32_t me;
	enum hak_channel_side side;
	struct hak_place place; /* of what is sent, */
	uint64_t offset;        /* or what came */
};

/* 0, HAK_CHANNEL_E_*, or -EPIPE. */
static int try_send(struct attempt *a)
{
	if (HAK_UNLIKELY(hak_channel_deserted(a->channel->view.desc, HAK_CHANNEL_RECEIVERS)))
		return -EPIPE;
	return hak_channel_put(&a->channel->view, a->me, &a->place, a->offset);
}

static int try_receive(struct attempt *a)
{
	int r = hak_channel_take(&a->channel->view, a->me, &a->offset);

	if (r != HAK_CHANNEL_E_EMPTY ||
	    !hak_channel_deserted(a->channel->view.desc, HAK_CHANNEL_SENDERS))
		return r;
	/* What the last of them sent may have come after the first look. */
	r = hak_channel_take(&a->channel->view, a->me, &a->offset);
	return r == HAK_CHANNEL_E_EMPTY ? -EPIPE : r;
}

static inline int try_once(struct attempt *a)
{
	return a->side == HAK_CHANNEL_SENDERS ? try_send(a) : try_receive(a);
}

static inline bool must_wait(int r)
{
	return r == HAK_CHANNEL_E_FULL || r == HAK_CHANNEL_E_EMPTY;
}

static int try_spinning(struct attempt *a, uint64_t until)
{
	int r;

	do {
		for (uint32_t i = 0; i < 16; i++) {
			hak_cpu_relax();
			r = try_once(a);
			if (!must_wait(r))
				return r;
		}
	} while (hak_sys_now_ns() < until);
	return r;
}

/* Who waits for messages has time for others' needs. */
static void give_way(hak_domain *d)
{
	/* Whoever has the mutex may be waiting for the daemon: then another time. */
	if (pthread_mutex_trylock(&d->mutex))
		return;
	hak_domain_make_way(d);
	pthread_mutex_unlock(&d->mutex);
}

/* As try_once(), or -ETIMEDOUT. */
static HAK_COLD int try_waiting(struct attempt *a, int timeout_ms)
{
	struct hak_channel_desc *desc = a->channel->view.desc;
	uint64_t start = hak_sys_now_ns(), now;
	uint64_t limit = timeout_ms < 0 ? UINT64_MAX : start + (uint64_t)timeout_ms * MS;
	int r = try_spinning(a, limit - start < SPIN_NS ? limit : start + SPIN_NS);

	while (must_wait(r)) {
		uint32_t announced = hak_channel_announce(desc, a->side);

		r = try_once(a);
		if (!must_wait(r))
			return r;
		now = hak_sys_now_ns();
		if (now >= limit)
			return -ETIMEDOUT;
		if (hak_domain_is_wanted(a->channel->domain))
			give_way(a->channel->domain);
		(void)hak_channel_wait(desc, a->side, announced,
				       (int64_t)(limit - now < WAIT_SLICE_NS ? limit - now
									     : WAIT_SLICE_NS));
		r = try_once(a);
	}
	return r;
}

static HAK_COLD int fail(const struct attempt *a, int r)
{
	switch (r) {
	case HAK_CHANNEL_E_BROKEN:
		return hak_domain_fail(-EUCLEAN, "the channel was written over");
	case HAK_CHANNEL_E_NOT_OWN:
		return hak_domain_fail(-EPERM, "another thread has just given the block away");
	case HAK_CHANNEL_E_FULL:
		return hak_domain_fail(-EAGAIN, "the channel is full");
	case HAK_CHANNEL_E_EMPTY:
		return hak_domain_fail(-EAGAIN, "the channel is empty");
	case -ETIMEDOUT:
		return hak_domain_fail(r, a->side == HAK_CHANNEL_SENDERS
						  ? "the channel was full all the time"
						  : "the channel was empty all the time");
	case -EPIPE:
		return hak_domain_fail(r, a->side == HAK_CHANNEL_SENDERS
						  ? "all receivers of the channel are gone"
						  : "all senders of the channel are gone");
	default:
		return r;
	}
}

static int may(const hak_channel *channel, uint32_t flag)
{
	if (HAK_UNLIKELY(!channel->domain))
		return hak_domain_fail(-EBADF, "the channel's domain was closed");
	if (HAK_UNLIKELY(!(channel->flags & flag)))
		return hak_domain_fail(-EINVAL, "the channel was not opened for that");
	return hak_domain_may(channel->domain, true);
}

static int run(struct attempt *a, int timeout_ms)
{
	int r = try_once(a);

	if (HAK_LIKELY(!r))
		return 0;
	if (must_wait(r) && timeout_ms)
		r = try_waiting(a, timeout_ms);
	return r ? fail(a, r) : 0;
}

HAK_EXPORT int hak_channel_send(hak_channel *channel, void *p, int timeout_ms)
{
	struct attempt a = { .channel = channel, .side = HAK_CHANNEL_SENDERS };
	int r = may(channel, HAK_SEND);

	if (!r)
		r = hak_domain_own(channel->domain, p, &a.place);
	if (r < 0)
		return r;
	a.me = channel->domain->me;
	a.offset = (uintptr_t)p - (uintptr_t)channel->domain->base;
	r = run(&a, timeout_ms);
	/* The last receiver may have gone since we looked, and what it left behind been dropped. */
	if (!r)
		drop_deserted(&channel->view, channel->domain);
	return r;
}

HAK_EXPORT int hak_channel_recv(hak_channel *channel, void **ret, int timeout_ms)
{
	struct attempt a = { .channel = channel, .side = HAK_CHANNEL_RECEIVERS };
	int r = may(channel, HAK_RECV);

	if (r < 0)
		return r;
	a.me = channel->domain->me;
	r = run(&a, timeout_ms);
	if (!r)
		*ret = channel->domain->base + a.offset;
	return r;
}
