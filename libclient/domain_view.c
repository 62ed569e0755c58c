/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/domain_view.h"

#include <sys/mman.h>

#include "libclient/domain_fast.h"
#include "libclient/pagemap.h"

/* Descriptors are made writable in pieces of it (domain_spans.c). */
#define PIECE ((uint64_t)64 * HAK_SLABS_PER_SUPERSLAB * sizeof(struct hak_slab))

static uint64_t handle_size(void)
{
	return hak_align_up(sizeof(hak_domain), 4096);
}

static uint64_t slabs_size(const hak_domain *d)
{
	return hak_align_up((uint64_t)hak_domain_slabs(&d->view) * sizeof(struct hak_slab), PIECE);
}

static uint64_t held_size(const hak_domain *d)
{
	return hak_align_up(d->view.superslabs, 4096);
}

static int map_meta(void **ret, int fd, uint64_t size, bool readonly)
{
	return readonly ? hak_sys_map_readonly(ret, fd, size)
			: hak_sys_map_shared(ret, NULL, fd, 0, size);
}

static bool is_sane(const struct hak_wire_domain *reply, const struct hak_domain_state *state)
{
	uint64_t size = (uint64_t)reply->superslabs << HAK_SUPERSLAB_SHIFT;

	return reply->superslabs && reply->superslabs <= HAK_DOMAIN_SUPERSLABS_MAX &&
	       reply->base >= HAK_DOMAIN_AREA_FIRST && reply->base < HAK_DOMAIN_AREA_END &&
	       size <= HAK_DOMAIN_AREA_END - reply->base &&
	       reply->base % HAK_DOMAIN_ALIGN_MAX == 0 && state->magic == HAK_STATE_MAGIC &&
	       state->version == HAK_DOMAIN_VERSION && state->id == reply->id &&
	       state->base == reply->base && state->superslabs == reply->superslabs &&
	       hak_member_number(reply->member) - 1 < HAK_MEMBER_MAX;
}

/* The three files. Nothing that was mapped is left mapped in vain: the caller unmaps it all. */
static int map_files(hak_domain *d, const struct hak_wire_domain *reply, const int *fds)
{
	uint64_t size = (uint64_t)reply->superslabs << HAK_SUPERSLAB_SHIFT;
	void *at = (void *)(uintptr_t)reply->base, *p;
	int r;

	r = hak_sys_map_readonly(&p, fds[HAK_DOMAIN_FD_STATE], HAK_STATE_SIZE);
	if (r < 0)
		return r;
	d->state = p;
	if (!is_sane(reply, d->state))
		return hak_domain_fail(-EPROTO, "the domain is not as this library knows them");
	r = map_meta(&d->meta, fds[HAK_DOMAIN_FD_META], hak_meta_size(reply->superslabs),
		     d->readonly);
	if (r < 0)
		return r;
	hak_domain_view_init(&d->view, d->meta, at, reply->superslabs, d->state->tag);
	r = hak_sys_map_shared_at(at, fds[HAK_DOMAIN_FD_DATA], size, !d->readonly);
	if (r == -EEXIST)
		return hak_domain_fail(-EADDRINUSE,
				       "the addresses of the domain are taken in this process");
	if (r < 0)
		return r;
	d->base = at;
	d->size = size;
	/* A child is no member: it must not write in its parent's name. */
	r = hak_sys_advise(at, size, MADV_DONTFORK);
	if (!r)
		r = hak_sys_advise(d->meta, hak_meta_size(reply->superslabs), MADV_DONTFORK);
	if (!r)
		r = hak_sys_advise(p, HAK_STATE_SIZE, MADV_DONTFORK);
	/* Others' memory, and perhaps terabytes of it. */
	(void)hak_sys_advise(at, size, MADV_DONTDUMP);
	return r;
}

/* What this process notes about it. */
static int map_books(hak_domain *d)
{
	uint64_t slabs = hak_domain_slabs(&d->view);
	void *p;
	int r;

	r = hak_sys_reserve(&p, NULL, slabs_size(d), 0);
	if (r < 0)
		return r;
	d->slabs = p;
	r = hak_sys_map_anon(&p, held_size(d));
	if (r < 0)
		return r;
	d->held = p;
	r = hak_sys_map_zero(&p, HAK_PAGEMAP_SIZE);
	if (r < 0)
		return r;
	d->map = p;
	return hak_sys_protect_rw(d->map + ((uintptr_t)d->base >> HAK_SLAB_SHIFT),
				  hak_align_up(slabs, 4096));
}

/* Events after our own JOINED are news; what is older than the ring is not. */
static uint64_t first_news(const hak_domain *d)
{
	uint64_t last = atomic_load_explicit(&d->state->last_event, memory_order_acquire);

	for (uint64_t seq = last; seq && last - seq < HAK_EVENTS; seq--) {
		const struct hak_event_entry *e = &d->state->event[seq % HAK_EVENTS];

		if (atomic_load_explicit(&e->seq, memory_order_acquire) == seq &&
		    e->member == d->member && e->kind == HAK_EVENT_KIND_JOINED)
			return seq;
	}
	return last;
}

static void init_handle(hak_domain *d, const struct hak_wire_domain *reply, uint32_t slot)
{
	for (size_t i = 0; i < hak_array_size(d->twice); i++)
		d->twice[i] = (uint8_t)(2 * hak_tiny_class[i]);
	for (uint32_t c = 1; c < HAK_CLASSES; c++) {
		d->cut[c].reciprocal = hak_class[c].reciprocal;
		d->cut[c].size = hak_class[c].size;
	}
	d->tls = hak_domain_tls(slot < HAK_THREAD_DOMAINS ? slot : HAK_THREAD_DOMAINS);
	d->slot = slot;
	d->id = reply->id;
	d->member = reply->member;
	d->me = (uint16_t)hak_member_number(reply->member);
	d->needs = atomic_load_explicit(&d->state->needs, memory_order_relaxed);
	d->event_at = first_news(d);
	for (uint32_t c = 0; c < HAK_CLASSES; c++)
		d->central[c].partial = HAK_NO_SLAB;
	pthread_mutex_init(&d->mutex, NULL);
}

static int fill(hak_domain *d, const struct hak_wire_domain *reply, const int *fds, uint32_t slot)
{
	int r = map_files(d, reply, fds);

	if (!r)
		r = map_books(d);
	if (!r)
		r = hak_sys_fd_id(&d->event_id, fds[HAK_DOMAIN_FD_EVENTS]);
	if (!r)
		init_handle(d, reply, slot);
	return r;
}

int hak_domain_view_open(hak_domain **ret, const struct hak_wire_domain *reply, const int *fds,
			 uint32_t slot, bool readonly)
{
	hak_domain *d;
	void *p;
	int r = hak_sys_map_anon(&p, handle_size());

	if (r < 0)
		return hak_domain_fail(r, "no memory for a handle");
	d = p;
	d->readonly = readonly;
	d->event_fd = -1;
	r = fill(d, reply, fds, slot);
	if (r < 0) {
		hak_domain_view_close(d);
		return r;
	}
	d->event_fd = hak_sys_move_high(fds[HAK_DOMAIN_FD_EVENTS]);
	*ret = d;
	return 0;
}

void hak_domain_view_close(hak_domain *d)
{
	/* In a forked child these are holes, or somebody else's by now. */
	if (!d->forked) {
		if (d->base)
			(void)hak_sys_unmap(d->base, d->size);
		if (d->meta)
			(void)hak_sys_unmap(d->meta, hak_meta_size(d->view.superslabs));
		if (d->state)
			(void)hak_sys_unmap((void *)(uintptr_t)d->state, HAK_STATE_SIZE);
	}
	if (d->event_fd >= 0 && hak_sys_fd_is(d->event_fd, &d->event_id))
		hak_sys_close(d->event_fd);
	if (d->map)
		(void)hak_sys_unmap(d->map, HAK_PAGEMAP_SIZE);
	if (d->held)
		(void)hak_sys_unmap(d->held, held_size(d));
	if (d->slabs)
		(void)hak_sys_unmap(d->slabs, slabs_size(d));
	(void)hak_sys_unmap(d, handle_size());
}
