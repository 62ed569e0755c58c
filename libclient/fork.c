/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork.c - a child must not share its parent's heap.
 *
 * Before fork, with every lock of ours held, each superslab in use that is a shared mapping of the
 * region is mapped anew over itself, private, from the same file offset. The kernel replaces the
 * mapping in one step under its own lock: a write of another thread lands in the file's page before
 * it, or faults and lands in a private copy after it; none is lost. From then on parent and child
 * have copy-on-write memory like any other. The daemon freezes the slices: it neither punches nor
 * reuses them while the session lives, so that both keep reading the right bytes.
 *
 * Shared superslabs with nothing in them are not converted; the child does not inherit them
 * (MADV_DONTFORK) and strikes them out.
 *
 * posix_spawn, vfork and exec run none of this. A raw clone() without CLONE_VM runs none of it
 * either and gets a child without a heap.
 */
#include <pthread.h>

#include "libclient/client.h"
#include "libclient/domain.h"
#include "libclient/guarded.h"
#include "libclient/heap.h"
#include "libclient/spans.h"
#include "shared/check.h"
#include "tiny/checked.h"
#include "tiny/depot.h"

/* The program closed the descriptor and nobody can give us another: copy by hand. Exact while no
 * other thread writes; better than a fork that fails. */
static int convert_by_copy(void *at, uint64_t size)
{
	void *copy;
	int r = hak_sys_map_anon(&copy, size);

	if (r < 0)
		return r;
	__builtin_memcpy(copy, at, size);
	return hak_sys_move_over(copy, at, size);
}

static void convert_run(struct hak_heap *heap, uint32_t first, uint32_t count)
{
	uint64_t off = (uint64_t)(first - heap->shift) << HAK_SUPERSLAB_SHIFT;
	uint64_t size = (uint64_t)count << HAK_SUPERSLAB_SHIFT;
	void *at = hak_heap_at(heap, first);
	struct hak_sqe sqe = { .op = HAK_OP_FREEZE, .first = first - heap->shift, .count = count };
	int fd = hak_session_region_fd(&heap->session), r = -1;

	if (fd >= 0)
		r = hak_sys_map_private_at(at, fd, off, size);
	if (r < 0)
		r = convert_by_copy(at, size);
	if (r < 0)
		hak_die("fork: can't make %u superslabs private", count);
	for (uint32_t i = first; i < first + count; i++)
		hak_heap_flip(heap, i, HAK_SUPER_SHARED | HAK_SUPER_COPY | HAK_SUPER_FROZEN);
	/* A full ring only means that the daemon never learns: it does not reuse what is leased. */
	(void)hak_session_post(&heap->session, &sqe);
}

static bool is_shared(const struct hak_super *s)
{
	return (s->flags & (HAK_SUPER_ADDED | HAK_SUPER_SHARED)) ==
	       (HAK_SUPER_ADDED | HAK_SUPER_SHARED);
}

static bool to_convert(const struct hak_super *s)
{
	return is_shared(s) && s->free != UINT32_MAX;
}

static void convert(struct hak_heap *heap)
{
	const struct hak_super *supers = heap->carve.supers;
	uint32_t end = heap->carve.zone[0].high;

	for (uint32_t i = heap->shift; i < end; i++) {
		uint32_t first = i;

		while (i < end && to_convert(&supers[i]))
			i++;
		if (i > first)
			convert_run(heap, first, i - first);
	}
}

static void before(void)
{
	/* Started by now, or waited for: a child never finds it half done. */
	enum hak_client_state state = hak_client_start();

	hak_domains_lock_all();
	if (state == HAK_CLIENT_LIBC) { /* there may be a session all the same, for domains */
		pthread_mutex_lock(&hak_heap.lock);
		return;
	}
	hak_depot_lock_all();
	hak_central_lock_all();
	hak_spans_lock();
	hak_checked_lock();
	hak_guarded_lock();
	pthread_mutex_lock(&hak_heap.lock);
	convert(&hak_heap);
	if (hak_tiny.checked)
		hak_guarded_renew();
}

static void after_in_parent(void)
{
	pthread_mutex_unlock(&hak_heap.lock);
	hak_domains_unlock_all();
	if (hak_client.state == HAK_CLIENT_LIBC)
		return;
	hak_guarded_unlock();
	hak_checked_unlock();
	hak_spans_unlock();
	hak_central_unlock_all();
	hak_depot_unlock_all();
}

/* Shared superslabs with nothing in them were not inherited. */
static void forget_shared(struct hak_heap *heap)
{
	uint32_t end = heap->carve.zone[0].high;

	for (uint32_t i = heap->shift; i < end; i++) {
		if (!is_shared(&heap->carve.supers[i]))
			continue;
		/* Put the reservation back where the hole is. */
		hak_carve_remove(&heap->carve, i, 1);
		(void)hak_sys_map_none_at(hak_heap_at(heap, i), HAK_SUPERSLAB_SIZE);
	}
	heap->shift = end;
}

static void after_in_child(void)
{
	struct hak_heap *heap = &hak_heap;

	if (hak_client.state != HAK_CLIENT_LIBC)
		forget_shared(heap);
	heap->pending = heap->pending_superslabs = 0;
	heap->reserve = heap->reserve_taken = 0;
	heap->swept = false;
	heap->stalled = false;
	hak_session_forget(&heap->session);
	hak_domains_forget();
	after_in_parent();
}

void hak_fork_init(void)
{
	if (pthread_atfork(before, after_in_parent, after_in_child))
		hak_warn("no memory for fork handlers: a forked child must not allocate");
}
