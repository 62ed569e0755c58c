/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grow.c - where superslabs come from: the daemon's leases, asked for ahead of need, or anonymous
 * memory. Everything here runs under the heap's lock.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "libclient/heap.h"
#include "shared/check.h"

/* Superslabs in one request at the most, and of anonymous memory made accessible at a time. */
#define BATCH_MAX  16u
#define LOCAL_STEP 16u

/* A thread waits this long for the daemon before it takes anonymous memory. Building a superslab
 * takes 0.1 to 0.3 ms; the daemon answers a large lease when the first 16 are there. */
#define WAIT_NS UINT64_C(100000000)

static bool add_local(struct hak_heap *heap, uint64_t superslabs)
{
	uint32_t count = superslabs > LOCAL_STEP ? (uint32_t)superslabs : LOCAL_STEP;
	uint64_t size;
	uint32_t first;
	void *at;

	if (!hak_runs_take(&heap->local, 0, count, &first)) {
		count = (uint32_t)superslabs;
		if (!hak_runs_take(&heap->local, 0, count, &first))
			return false;
	}
	first += HAK_LOCAL_FIRST;
	at = hak_heap_at(heap, first);
	size = (uint64_t)count << HAK_SUPERSLAB_SHIFT;
	if (!hak_heap_cover(heap, first, count) || hak_sys_protect_rw(at, size) < 0) {
		hak_runs_give(&heap->local, first - HAK_LOCAL_FIRST, count);
		return false;
	}
	(void)hak_sys_advise(at, size, MADV_HUGEPAGE);
	hak_sys_name(at, size, "hakmem");
	hak_carve_add(&heap->carve, first, count, 0, true);
	heap->stats.local += count;
	return true;
}

/* True if the grant is one that the window has room for and that we do not hold already. */
static bool fits(const struct hak_heap *heap, uint32_t first, uint32_t count)
{
	if (!count || count > HAK_LEASE_MAX || first >= HAK_LOCAL_FIRST - heap->shift ||
	    count > HAK_LOCAL_FIRST - heap->shift - first)
		return false;
	for (uint32_t i = first; i < first + count; i++) {
		if (heap->carve.supers[heap->shift + i].flags & HAK_SUPER_ADDED)
			return false;
	}
	return true;
}

/* Maps a grant and hands it to the engine. */
static int add_shared(struct hak_heap *heap, uint32_t first, uint32_t count)
{
	uint64_t size = (uint64_t)count << HAK_SUPERSLAB_SHIFT;
	uint32_t index = heap->shift + first;
	void *at = hak_heap_at(heap, index);
	int fd, r;

	if (!fits(heap, first, count))
		return -ENOSPC;
	fd = hak_session_region_fd(&heap->session);
	if (fd < 0)
		return fd;
	if (!hak_heap_cover(heap, index, count))
		return -ENOMEM;
	r = hak_sys_map_shared(NULL, at, fd, (uint64_t)first << HAK_SUPERSLAB_SHIFT, size);
	if (r < 0)
		return r;
	/* Even a raw clone() must not write into its parent's heap. */
	r = hak_sys_advise(at, size, MADV_DONTFORK);
	if (r < 0) {
		(void)hak_sys_map_none_at(at, size);
		return r;
	}
	hak_carve_add(&heap->carve, index, count, HAK_SUPER_SHARED, true);
	heap->stats.leases += count;
	return 0;
}

/* A grant that can't be used goes back; -ETIMEDOUT makes the caller take anonymous memory. */
static int accept_grant(struct hak_heap *heap, const struct hak_cqe *cqe)
{
	struct hak_sqe sqe = { .op = HAK_OP_RETURN, .first = cqe->first, .count = cqe->count };

	if (cqe->result < 0) {
		heap->stats.refusals++;
		return cqe->result;
	}
	if (!add_shared(heap, cqe->first, cqe->count))
		return 0;
	(void)hak_session_post(&heap->session, &sqe);
	return -ETIMEDOUT;
}

void hak_heap_reap(struct hak_heap *heap)
{
	struct hak_cqe cqe;
	int r;

	while (!hak_session_reap(&heap->session, &cqe)) {
		if (cqe.op != HAK_OP_LEASE)
			continue;
		r = accept_grant(heap, &cqe);
		if (cqe.seq == heap->lease_seq) {
			heap->pending = 0;
			heap->lease_result = r;
		}
	}
}

/* One lease is under way at a time. */
static bool ask(struct hak_heap *heap, uint32_t count)
{
	struct hak_sqe sqe = { .op = HAK_OP_LEASE, .count = count, .node = heap->node };

	if (heap->pending || hak_session_post(&heap->session, &sqe) < 0)
		return false;
	heap->pending = count;
	heap->lease_seq = sqe.seq;
	heap->lease_result = -ETIMEDOUT;
	return true;
}

static bool connected(struct hak_heap *heap)
{
	int r;

	if (!heap->want_daemon)
		return false;
	if (heap->session.state != HAK_SESSION_NONE)
		return heap->session.state == HAK_SESSION_UP;
	/* A sandbox that came after our first connection might kill us for a second one. */
	if (hak_sys_filtered())
		return false;
	r = hak_session_open(&heap->session, heap->socket);
	if (r < 0 && heap->say_so) {
		hak_warn("no daemon at %s (%s); using private memory", heap->socket,
			 strerrordesc_np(-r));
		heap->say_so = false;
	}
	return r == 0;
}

/* Waits for the lease under way. 0, or why there is nothing. */
static int await(struct hak_heap *heap)
{
	uint64_t deadline = hak_sys_now_ns() + WAIT_NS;
	int r = 0;

	heap->stats.waits++;
	while (heap->pending) {
		r = hak_session_wait(&heap->session, deadline);
		if (r < 0) {
			heap->stats.timeouts++;
			return r;
		}
		hak_heap_reap(heap);
		if (heap->session.state != HAK_SESSION_UP)
			return -ECONNRESET;
	}
	return heap->lease_result;
}

bool hak_heap_grow(struct hak_heap *heap, uint64_t superslabs)
{
	uint32_t count;
	int r;

	if (!connected(heap) || superslabs > HAK_LEASE_MAX)
		return add_local(heap, superslabs);

	/* What was asked for ahead may be on its way, and may do. */
	if (heap->pending && heap->pending >= superslabs && await(heap) == 0)
		return true;
	count = superslabs > heap->batch ? (uint32_t)superslabs : heap->batch;
	if (!ask(heap, count))
		return add_local(heap, superslabs);
	r = await(heap);
	/* Refused is refused: a quota that private memory got around would be none. */
	if (r == -ENOMEM || r == -EDQUOT)
		return false;
	if (r < 0)
		return add_local(heap, superslabs);
	if (heap->batch < BATCH_MAX)
		heap->batch *= 2;
	/* A process that has come back for more will come again: let the daemon build meanwhile. */
	if (heap->batch > 2)
		(void)ask(heap, heap->batch);
	return true;
}
