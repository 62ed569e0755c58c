/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grow.c - where superslabs come from: what the daemon granted ahead, its leases, or anonymous
 * memory. Everything here runs under the heap's lock.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "libclient/domain.h"
#include "libclient/heap.h"
#include "shared/check.h"

/* Anonymous memory made accessible at a time, in superslabs. */
#define LOCAL_STEP 16u

/* Superslabs to find ready: doubled when there were none, halved when they lasted for so long. */
#define RESERVE_LEAST 2u
#define RESERVE_MOST  HAK_RESERVE_SLOTS
#define RESERVE_NS    UINT64_C(500000000)

/* A thread waits this long for the daemon before it takes anonymous memory. Building a superslab
 * takes 0.1 to 0.3 ms, on host memory that was never used up to 12 ms; the rest is for a machine
 * with more to do than processors. It is waited once: see `stalled`. */
#define WAIT_NS UINT64_C(400000000)

/* A daemon that is away for so long is not just starting anew. */
#define SWEEP_NS UINT64_C(10000000000)

static bool add_local(struct hak_heap *heap, uint64_t superslabs)
{
	uint32_t count = superslabs > LOCAL_STEP ? (uint32_t)superslabs : LOCAL_STEP;
	uint32_t first = HAK_LOCAL_FIRST + heap->local_end;
	uint64_t size;
	void *at;

	if (count > HAK_LOCAL_SUPERSLABS - heap->local_end)
		count = (uint32_t)superslabs;
	if (count > HAK_LOCAL_SUPERSLABS - heap->local_end)
		return false;
	at = hak_heap_at(heap, first);
	size = (uint64_t)count << HAK_SUPERSLAB_SHIFT;
	if (!hak_heap_cover(heap, first, count) || hak_sys_protect_rw(at, size) < 0)
		return false;
	heap->local_end += count; /* what was added stays, accessible or given back */
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
	hak_carve_add(&heap->carve, index, count, HAK_SUPER_SHARED | HAK_SUPER_WHOLE, true);
	heap->stats.leases += count;
	return 0;
}

/* The superslabs that came, or a negative errno. */
static int take_in(struct hak_heap *heap, const struct hak_cqe *cqe)
{
	struct hak_sqe sqe = { .op = HAK_OP_RETURN, .first = cqe->first, .count = cqe->count };
	int r;

	if (cqe->result < 0) {
		heap->stats.refusals++;
		heap->stats.limited += hak_refusal_is_limit(cqe->refusal);
		heap->refused = hak_refused_of(cqe);
		return cqe->result;
	}
	r = add_shared(heap, cqe->first, cqe->count);
	if (!r)
		return (int)cqe->count;
	(void)hak_session_post(&heap->session, &sqe); /* no use for it */
	return r;
}

/* Nor will have soon. */
static bool has_no_daemon(const struct hak_session *session)
{
	return session->state == HAK_SESSION_LOST ||
	       (session->state == HAK_SESSION_AWAY &&
		hak_sys_now_ns() - session->away_ns > SWEEP_NS);
}

uint32_t hak_heap_reap(struct hak_heap *heap, int *ret_refused)
{
	struct hak_cqe cqe;
	uint32_t best = 0;
	int r;

	if (heap->session.state == HAK_SESSION_UP)
		heap->swept = false;
	else if (!heap->swept && has_no_daemon(&heap->session))
		hak_heap_sweep(heap);
	while (!hak_session_reap(&heap->session, &cqe)) {
		if (cqe.op == HAK_OP_DOMAIN_GROW)
			hak_domains_grown(&cqe);
		if (cqe.op != HAK_OP_LEASE)
			continue;
		heap->stalled = false;
		r = take_in(heap, &cqe);
		if (heap->pending && !--heap->pending)
			heap->pending_superslabs = 0;
		else if (r > 0 && heap->pending_superslabs > (uint32_t)r)
			heap->pending_superslabs -= (uint32_t)r;
		if (r > 0 && (uint32_t)r > best)
			best = (uint32_t)r;
		else if (r < 0 && ret_refused)
			*ret_refused = r;
	}
	return best;
}

uint32_t hak_heap_near(const struct hak_heap *heap)
{
	unsigned cpu, node;

	return heap->node == HAK_NODE_ANY && !hak_sys_getcpu(&cpu, &node) ? node : heap->node;
}

static bool ask(struct hak_heap *heap, uint32_t count)
{
	struct hak_sqe sqe = { .op = HAK_OP_LEASE, .count = count, .node = hak_heap_near(heap) };

	if (hak_session_post(&heap->session, &sqe) < 0)
		return false;
	heap->pending++;
	heap->pending_superslabs += count;
	return true;
}

/* Tells the daemon how many to keep ready, without waiting. */
static void ask_reserve(struct hak_heap *heap)
{
	struct hak_sqe sqe = { .op = HAK_OP_RESERVE,
			       .count = heap->reserve,
			       .node = hak_heap_near(heap) };

	if (!hak_session_post(&heap->session, &sqe))
		heap->reserve_taken = 0;
}

/* A superslab that the daemon granted ahead. False: there is none. */
static bool take_reserved(struct hak_heap *heap)
{
	uint64_t now;
	uint32_t index;

	for (uint32_t i = 0; i < HAK_RESERVE_SLOTS; i++) {
		struct hak_sqe back = { .op = HAK_OP_RETURN, .count = 1 };

		if (!hak_reserve_take(heap->session.reserve, i, &index))
			continue;
		if (add_shared(heap, index, 1) < 0) {
			back.first = index;
			(void)hak_session_post(&heap->session, &back); /* no use for it */
			return false;
		}
		now = hak_sys_now_ns();
		if (now - heap->reserve_ns > RESERVE_NS && heap->reserve > RESERVE_LEAST)
			heap->reserve /= 2;
		heap->reserve_ns = now;
		/* Half of them are a margin for as long as the daemon needs. */
		if (++heap->reserve_taken * 2 >= heap->reserve)
			ask_reserve(heap);
		return true;
	}
	return false;
}

void hak_heap_want_none(struct hak_heap *heap)
{
	if (!heap->reserve)
		return;
	heap->reserve = 0;
	ask_reserve(heap);
}

/* It came for one and there was none. */
static void want_more(struct hak_heap *heap)
{
	uint32_t n = heap->reserve ? heap->reserve * 2 : RESERVE_LEAST;

	heap->reserve = n < RESERVE_MOST ? n : RESERVE_MOST;
	heap->reserve_ns = hak_sys_now_ns();
	ask_reserve(heap);
}

static bool connected(struct hak_heap *heap)
{
	int r;

	if (!heap->want_daemon)
		return false;
	if (heap->session.state != HAK_SESSION_NONE)
		return hak_session_lasts(&heap->session);
	/* A sandbox that came after our first connection might kill us for a second one. */
	if (hak_sys_filtered())
		return false;
	r = hak_session_open(&heap->session, heap->socket);
	if (r < 0 && heap->say_so)
		hak_warn("no daemon at %s (%s); using private memory", heap->socket,
			 hak_sys_text(r));
	heap->say_so = false; /* once: forked children try for themselves */
	return r == 0;
}

/* Waits for a grant of `superslabs` neighbours. 0, or why there is none. */
static int await(struct hak_heap *heap, uint64_t superslabs)
{
	uint64_t deadline = hak_sys_now_ns() + WAIT_NS;
	int r, refused = -ETIMEDOUT;

	heap->stats.waits++;
	while (heap->pending) {
		r = hak_session_wait(&heap->session, deadline);
		if (r < 0) {
			heap->stats.timeouts++;
			heap->stalled = r == -ETIMEDOUT;
			return r;
		}
		if (hak_heap_reap(heap, &refused) >= superslabs)
			return 0;
		if (!hak_session_lasts(&heap->session))
			return -ECONNRESET;
	}
	return refused;
}

static bool is_refusal(int r)
{
	return r == -ENOMEM || r == -EDQUOT;
}

bool hak_heap_grow(struct hak_heap *heap, uint64_t superslabs)
{
	int r;

	if (!connected(heap) || superslabs > HAK_LEASE_MAX)
		return add_local(heap, superslabs);
	if (superslabs == 1 && take_reserved(heap))
		return true;
	if (heap->stalled) { /* is it slow, or gone? */
		(void)hak_session_alive(&heap->session);
		return add_local(heap, superslabs);
	}

	/* What was asked for and came too late may do, and comes first. */
	r = heap->pending && superslabs == 1 ? await(heap, 1) : -ENOMEM;
	if (is_refusal(r)) {
		if (!ask(heap, (uint32_t)superslabs))
			return add_local(heap, superslabs);
		r = await(heap, superslabs);
	}
	/* Refused is refused: a quota that private memory got around would be none. */
	if (is_refusal(r)) {
		hak_detail_refused(&heap->refused);
		return false;
	}
	if (r < 0)
		return add_local(heap, superslabs);
	/* A process that comes back for more will come again: let the daemon build meanwhile. */
	if (superslabs == 1 && heap->stats.leases > 1)
		want_more(heap);
	return true;
}
