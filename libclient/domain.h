/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain.h - a shared domain as a member sees it: the handle behind hak_domain.
 *
 * Who owns what is written in the domain itself (shared/domain.h). What is in here is private to
 * the process: which blocks of the slabs that it holds are free. It dies with the process, and
 * nobody needs it then.
 *
 *   thread: bins (magazines)  --refill, flush-->  slab descriptors (bitmaps)  --lease-->  domain
 *
 * MAP. A byte for each 64 KiB of all addresses: 2 * class where a block may go into a magazine
 * without a look at the domain, that is, in slabs of ours that are not EXCEPTED. A thread that
 * reads it just before it becomes 0 frees a block that is not the one which is excepted (to free
 * that is the program's error in any case); what the byte said of its own block is as true after
 * as before.
 *
 * LOCKS  hak_domains.lock -> domain.mutex -> hak_domains.store_lock, hak_heap.lock.
 * FORK: all are taken before, dropped after, on both sides; the child's handles are dead: the
 * memory is not mapped there.
 */
#pragma once

#include <errno.h>
#include <pthread.h>

#include "libclient/detail.h"
#include "libclient/include/hakmem.h"
#include "shared/domain.h"
#include "shared/sys.h"
#include "tiny/lock.h"
#include "tiny/slab.h"
#include "tiny/tiny.h"

#define HAK_DOMAINS_MAX 64u

/* Domains begin at multiples of it: the largest alignment of a block. */
#define HAK_DOMAIN_ALIGN_MAX ((size_t)1 << 30)

/* A thread's magazines of one domain, in an array of the store. */
struct hak_domain_bins {
	struct hak_bin bin[HAK_CLASSES];
	hak_domain *domain;
	struct hak_thread *thread;
	struct hak_domain_bins *next; /* of the domain's other threads */
};
static_assert(sizeof(struct hak_domain_bins) <= HAK_MAGAZINE_ALIGN, "one array");

/* Slabs of a class with free blocks, and wholly free ones among them. */
struct hak_domain_central {
	uint32_t partial; /* newest first; HAK_NO_SLAB ends it */
	uint32_t n_empty;
	uint32_t orphans_at; /* the superslab to look for orphans in next */
};

/* A freed span whose lease is kept. */
struct hak_domain_kept {
	uint32_t first, slabs;
};
#define HAK_DOMAIN_KEPT 16u

struct hak_domain {
	/* ---- what the inline path reads; constant while it is open ---- */
	/* Never written: the magazines, empty and full, of a thread that has none. */
	struct hak_bin none[HAK_CLASSES];
	uint8_t twice[HAK_TINY_MAX / 16 + 1]; /* 2 * class by (size + 15) >> 4 */
	uintptr_t tls;                        /* where hak_thread.domain[slot] is: domain_fast.h */
	uint8_t *map;

	/* What free() needs of a class, by the six bits that a lease word has for it; of those that
	 * are none the size is 0. */
	struct {
		uint64_t reciprocal;
		uint64_t size;
	} cut[64];

	/* ---- constant while it is open ---- */
	struct hak_domain_view view;
	const struct hak_domain_state *state;
	char *base;
	uint64_t size;
	uint64_t id;
	hak_member member;
	uint16_t me;   /* its number */
	uint32_t slot; /* in hak_domains */
	bool readonly;
	bool forked; /* inherited: of no use but to be closed */
	int event_fd;
	struct hak_fd_id event_id;
	void *meta;
	struct hak_slab *slabs; /* descriptors, of all its slabs */

	uint32_t refs; /* times opened; under hak_domains.lock */

	pthread_mutex_t mutex; /* of all that follows */
	struct hak_domain_bins *threads;
	struct hak_domain_central central[HAK_CLASSES];
	struct hak_domain_kept kept[HAK_DOMAIN_KEPT]; /* newest last */
	uint32_t n_kept, kept_slabs;
	uint32_t covered;    /* superslabs whose descriptors are writable */
	uint8_t *held;       /* by superslab: how many runs of ours begin in it */
	uint32_t claim_at;   /* slab to look for free ones from */
	uint32_t collect_at; /* superslab to look for what was given back in next */
	uint32_t gather_at;  /* ... for orphans of which nothing is left */
	uint32_t needs;      /* state->needs when it was last heeded */
	uint64_t event_at;   /* the last event that was reported */

	/* Under hak_heap.lock: a request for more that is under way. */
	bool growing;
	uint64_t grow_seq;
	uint64_t grow_refused_at; /* granted superslabs when one ahead of need was refused, + 1 */
	struct hak_refused grow_refused; /* of the last one; result 0: granted */
};

struct hak_domains {
	pthread_mutex_t lock;
	struct {
		/* Of its own: a handle may go while others look whose a pointer is. */
		_Atomic uintptr_t base, size; /* size 0: nothing is here */
		hak_domain *_Atomic domain;
	} place[HAK_DOMAINS_MAX];
	struct hak_lock store_lock;
	void **store; /* unused arrays, linked through their first word */
	char *store_at, *store_end;
};

extern struct hak_domains hak_domains;

/* ---- for the API (domain_*.c, channel.c) ---- */

/* Says why, for hak_detail(), and returns r. */
HAK_COLD int hak_domain_fail(int r, const char *why);

/* 0; -EOWNERDEAD in a forked child, -EROFS where `writes` and it was opened HAK_RDONLY. */
static inline int hak_domain_may(const hak_domain *d, bool writes)
{
	if (HAK_UNLIKELY(d->forked))
		return hak_domain_fail(-EOWNERDEAD, "the domain was opened before fork()");
	if (HAK_UNLIKELY(writes && d->readonly))
		return hak_domain_fail(-EROFS, "the domain was opened HAK_RDONLY");
	return 0;
}

/* One more than the last superslab that may be granted. Acquire: pairs with the daemon's release;
 * the lease words below it are there. */
static inline uint32_t hak_domain_high(const hak_domain *d)
{
	uint32_t high = atomic_load_explicit(&d->state->high, memory_order_acquire);

	return high < d->view.superslabs ? high : d->view.superslabs;
}

static inline bool hak_domain_holds(const hak_domain *d, const void *p)
{
	return (uintptr_t)p - (uintptr_t)d->base < d->size;
}

/* 0: p is the start of a block: its place. -EINVAL. */
int hak_domain_find(const hak_domain *d, const void *p, struct hak_place *ret);

/*
 * 0: p is a block that this process owns. Then its half-word is 0 (of a slab of ours, which is now
 * EXCEPTED and out of the map, so that others may be told of the block) or our number. -EINVAL: no
 * block, -EPERM: not ours, with the reason said.
 */
int hak_domain_own(hak_domain *d, const void *p, struct hak_place *ret);

/* A block's owner changes by compare-and-swap from 0 or our number, as hak_domain_own() left it, to
 * `half`. False: another thread of this process was faster. */
bool hak_domain_hand_over(hak_domain *d, const struct hak_place *place, uint16_t half);

static inline _Atomic uint16_t *hak_domain_half(const hak_domain *d, const struct hak_place *place)
{
	return &d->view.half[place->index];
}

/* Our block goes to who holds its slab. Release, both: the holder that sees FREED has our last use
 * of the block behind it; one that sees the hint sees FREED. */
static inline void hak_domain_give_back(const hak_domain *d, uint64_t first, uint64_t index)
{
	atomic_store_explicit(&d->view.half[index], HAK_HALF_FREED, memory_order_release);
	atomic_store_explicit(&d->view.hint[first], 1, memory_order_release);
}

/* For people who look for what was forgotten: the first block of a run of ours comes into use, or
 * none is in use any more. Relaxed: nothing is decided by it. */
static inline void hak_domain_note_used(const hak_domain *d, uint64_t first)
{
	atomic_store_explicit(&d->view.since[first], hak_since_of(hak_sys_boottime_ns()),
			      memory_order_relaxed);
}

static inline void hak_domain_note_unused(const hak_domain *d, uint64_t first)
{
	atomic_store_explicit(&d->view.since[first], 0, memory_order_relaxed);
}

/* ---- domain_free.c ---- */

/* The open domain that p lies in, or a dead one of before fork(), or NULL. Cold. */
hak_domain *hak_domain_of(const void *p);
/* Frees p if it lies in a domain's addresses; false: it does not. */
bool hak_domain_try_free(void *p);
static inline bool hak_domain_in_area(const void *p)
{
	return (uintptr_t)p - HAK_DOMAIN_AREA_FIRST < HAK_DOMAIN_AREA_END - HAK_DOMAIN_AREA_FIRST;
}
void *hak_domain_resize(hak_domain *d, void *p, size_t size);

__attribute__((noinline)) void *hak_domain_alloc_cold(hak_domain *d, size_t size);
__attribute__((noinline)) void hak_domain_free_cold(hak_domain *d, void *p);

/* ---- domain_thread.c ---- */

/* A block of `class`; NULL: no memory (a reason is said). */
void *hak_domain_thread_alloc(hak_domain *d, uint32_t class);
/* A free block of a slab of ours, whose magazine may be full. */
void hak_domain_thread_free(hak_domain *d, uint32_t class, void *p);
/* Gives the calling thread's free blocks back to the slabs. */
void hak_domain_thread_flush(hak_domain *d);
/* The same, under the mutex. */
void hak_domain_thread_empty(hak_domain *d);
/* The same for all domains, and gives up what is wholly free in them. */
void hak_domains_trim(void);
/* Under hak_domains.lock: takes the domain's magazines away from all threads. */
void hak_domain_unbind_all(hak_domain *d);
/* In the child after fork: none of the calling thread's magazines of domains is of use. */
void hak_domain_thread_forget(void);
int hak_domain_thread_init(void);

/* HAK_MAGAZINE_ALIGN bytes, aligned so; contents are anything. NULL: no memory. */
void **hak_domain_array(void);
void hak_domain_array_give(void **array);

/* ---- domain_slabs.c, domain_spans.c: under domain.mutex ---- */

/* Up to n blocks of `class`; 0: no memory, a reason is said. */
uint32_t hak_domain_take(hak_domain *d, uint32_t class, void **ret_blocks, uint32_t n);
/* Blocks of `class` from slabs that are ours, or were; one that is free already ends the
 * program. */
void hak_domain_put(hak_domain *d, uint32_t class, void *const *blocks, uint32_t n);
/* Takes in what was given back, a bounded piece or all of it. True: there was something. */
bool hak_domain_collect(hak_domain *d, bool all);
/* Gives up what is wholly free. Slabs. */
uint64_t hak_domain_shed(hak_domain *d);
/* True: the block's slab is ours and knows it as free. Takes the mutex, if it looks so. */
bool hak_domain_is_free(hak_domain *d, const struct hak_place *place);
/* Some member was refused: what lies idle here may be what it needs. Wholly free slabs go back, and
 * slabs of which half or more is free become ORPHANs, for whoever needs blocks of their class. */
void hak_domain_give_way(hak_domain *d);
/* The same by who is about to wait: the calling thread's magazines are what it may not need. */
void hak_domain_make_way(hak_domain *d);
/* True: there is reason to. Any thread, any time. */
static inline bool hak_domain_is_wanted(const hak_domain *d)
{
	/* Relaxed, both: a hint, looked at again under the mutex. */
	return atomic_load_explicit(&d->state->needs, memory_order_relaxed) !=
	       __atomic_load_n(&d->needs, __ATOMIC_RELAXED);
}
/* Leases n slabs, grows the domain if need be; and gives such a run back, of which nothing is in
 * use. False: no memory, a reason is said. */
bool hak_domain_claim(hak_domain *d, uint64_t n, uint32_t *ret_first);
void hak_domain_unclaim(hak_domain *d, uint32_t first);
/* Takes the mutex. A run of ours becomes EXCEPTED, and none that the map has; before the first of
 * its half-words and generations is written. */
void hak_domain_except(hak_domain *d, uint32_t first);
/* A block of whole slabs, aligned; takes the mutex. */
void *hak_domain_span_alloc(hak_domain *d, size_t size, size_t align);
/* Of ours, in use by nobody any more. */
void hak_domain_span_free(hak_domain *d, uint32_t first);
/* Gives up the spans that are kept for later. Slabs. */
uint64_t hak_domain_drop_kept(hak_domain *d);
/* The descriptors of [first, first + n) are writable. False: no memory. */
bool hak_domain_cover(hak_domain *d, uint32_t first, uint64_t n);

/* ---- domain_grow.c ---- */

/* Has the daemon add `superslabs` neighbouring ones or more. False: it does not; the reason is
 * said. */
bool hak_domain_grow(hak_domain *d, uint32_t superslabs);
/* Asks for more without waiting, if that makes sense. */
void hak_domain_grow_ahead(hak_domain *d);
/* Under hak_heap.lock: the answer to such a request. */
void hak_domains_grown(const struct hak_cqe *cqe);

/* ---- domain_open.c ---- */

/* For fork.c. */
void hak_domains_lock_all(void);
void hak_domains_unlock_all(void);
void hak_domains_forget(void);
