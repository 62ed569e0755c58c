/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_grow.c - more memory for a domain, from the daemon: the session's ring carries the
 * request, the answer says no more than that the lease words of new superslabs are FREE now, or why
 * not.
 *
 * There is no other memory to fall back to, so this waits longer than the heap does, in slices
 * between which other threads get at the heap's lock: for a daemon that is away, too, and anew for
 * each that comes. A daemon that ended before it answered leaves the request where the next one
 * finds it.
 */
#include "libclient/domain.h"
#include "libclient/heap.h"

#define WAIT_NS  UINT64_C(5000000000)
#define MOST_NS  UINT64_C(30000000000)
#define SLICE_NS UINT64_C(20000000)

/* A domain grows by a quarter, within these limits: little where somebody waits for it, since to
 * build a superslab takes up to 12 ms; more ahead of need. Many members ask at once, so that theirs
 * together is half of it at most. */
#define GROW_WAIT  4u
#define GROW_AHEAD 8u

/* Relaxed: a number to go by. */
static uint64_t granted(const hak_domain *d)
{
	return atomic_load_explicit(&d->state->granted, memory_order_relaxed);
}

/* What its quota has left, in superslabs; the daemon counts for itself. */
static uint64_t room(const hak_domain *d)
{
	uint64_t quota = d->state->quota >> HAK_SUPERSLAB_SHIFT, used = granted(d);

	if (quota > d->view.superslabs)
		quota = d->view.superslabs;
	return quota > used ? quota - used : 0;
}

static uint32_t amount(const hak_domain *d, uint32_t least, uint32_t most)
{
	/* Relaxed: a number to go by. */
	uint64_t members = atomic_load_explicit(&d->state->alive, memory_order_relaxed);
	uint64_t n = granted(d) / (members > 2 ? 2 * members : 4), left = room(d);

	n = n < most ? n : most;
	n = n < left ? n : left;
	return n > least ? (uint32_t)n : least;
}

/* Under the heap's lock. 0, -EAGAIN: the ring is full, or -ECONNRESET. */
static int ask(hak_domain *d, uint32_t count)
{
	struct hak_sqe sqe = { .op = HAK_OP_DOMAIN_GROW,
			       .count = count,
			       .node = hak_heap_near(&hak_heap),
			       .reserved = { d->id } };
	int r = hak_session_post(&hak_heap.session, &sqe);

	if (r < 0)
		return r;
	d->grow_seq = sqe.seq;
	d->growing = true;
	return 0;
}

void hak_domains_grown(const struct hak_cqe *cqe)
{
	for (uint32_t i = 0; i < HAK_DOMAINS_MAX; i++) {
		hak_domain *d =
			atomic_load_explicit(&hak_domains.place[i].domain, memory_order_relaxed);

		if (!d || d->forked || !d->growing || d->grow_seq != cqe->seq)
			continue;
		d->growing = false;
		d->grow_refused = hak_refused_of(cqe);
		d->grow_refused_at = cqe->result < 0 ? granted(d) + 1 : 0;
		return;
	}
}

/* How long to wait for what the daemon is to do. */
struct patience {
	uint64_t epoch, until_ns, most_ns;
};

static struct patience patience(void)
{
	uint64_t now = hak_sys_now_ns();

	return (struct patience){ hak_heap.session.epoch, now + WAIT_NS, now + MOST_NS };
}

/* Under the heap's lock, which it drops meanwhile. 0: look again; else it is hopeless. */
static int wait_slice(struct patience *p)
{
	struct hak_session *session = &hak_heap.session;
	uint64_t now = hak_sys_now_ns();

	if (!hak_session_lasts(session))
		return hak_domain_fail(-ENOTCONN, "hakmemd is gone");
	if (session->epoch != p->epoch) {
		p->epoch = session->epoch;
		p->until_ns = now + WAIT_NS < p->most_ns ? now + WAIT_NS : p->most_ns;
	}
	if (now >= p->until_ns)
		return hak_domain_fail(-ETIMEDOUT, "hakmemd does not answer");
	(void)hak_session_wait(session, now + SLICE_NS);
	(void)hak_heap_reap(&hak_heap, NULL);
	pthread_mutex_unlock(&hak_heap.lock);
	pthread_mutex_lock(&hak_heap.lock);
	return 0;
}

/* Under the heap's lock, which it drops meanwhile. 0: answered. */
static int await(hak_domain *d)
{
	struct patience p = patience();
	int r = 0;

	while (d->growing && !r)
		r = wait_slice(&p);
	if (r < 0 && !hak_session_lasts(&hak_heap.session))
		d->growing = false;
	return r;
}

/* Under the heap's lock. */
static bool ask_and_wait(hak_domain *d, uint32_t count)
{
	struct patience p = patience();
	int r;

	while ((r = ask(d, count)) == -EAGAIN) {
		if (wait_slice(&p) < 0)
			return false;
		if (d->growing) /* another thread's request */
			break;
	}
	if (r == -ECONNRESET) {
		(void)hak_domain_fail(-ENOTCONN, "hakmemd is gone");
		return false;
	}
	if (await(d) < 0)
		return false;
	if (d->grow_refused.result >= 0)
		return true;
	hak_detail_refused(&d->grow_refused);
	return false;
}

bool hak_domain_grow(hak_domain *d, uint32_t superslabs)
{
	uint32_t n = amount(d, superslabs, GROW_WAIT);
	bool ok = false;

	if (superslabs > HAK_LEASE_MAX) {
		(void)hak_domain_fail(-ENOMEM, "a block of more than 256 GiB");
		return false;
	}
	pthread_mutex_lock(&hak_heap.lock);
	/* What was asked for ahead of need may do, and comes first. */
	if (d->growing && superslabs == 1)
		ok = await(d) == 0 && d->grow_refused.result >= 0;
	else if (d->growing)
		(void)await(d);
	if (!ok && !d->growing)
		ok = ask_and_wait(d, n) ||
		     (n > superslabs && !d->growing && ask_and_wait(d, superslabs));
	pthread_mutex_unlock(&hak_heap.lock);
	return ok;
}

void hak_domain_grow_ahead(hak_domain *d)
{
	uint64_t have = granted(d);

	if (!room(d))
		return;
	pthread_mutex_lock(&hak_heap.lock);
	if (d->growing)
		(void)hak_heap_reap(&hak_heap, NULL);
	if (!d->growing && d->grow_refused_at != have + 1)
		(void)ask(d, amount(d, 1, GROW_AHEAD));
	pthread_mutex_unlock(&hak_heap.lock);
}
