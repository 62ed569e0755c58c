/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap.h - a process's private memory: one window of addresses, carved by the superslab engine.
 *
 *   superslab index   0 .. 2^19 - 1  slices of the session's region: index `shift` + i is file
 *                                    offset i * 2 MiB. A forked child starts its own session
 *                                    above what it inherited; room for that is the second half.
 *                     2^19 and above   anonymous memory that the process finds by itself
 *                                      (embedded mode; no daemon; a daemon that is slow)
 *
 * What a superslab is made of (flags beside the engine's own):
 *   SHARED  a slice of the region, mapped shared, leased from the daemon
 *   COPY    was SHARED when the process forked: now a copy-on-write view of the slice, which the
 *           daemon has frozen. Wholly freed, it is replaced by anonymous memory.
 *   FROZEN  is or was COPY: children may map the slice, so nobody ever punches it
 *
 * LOCK  heap.lock is the innermost of ours; the session is used under it. FORK: taken before,
 * released after on both sides (fork.c).
 */
#pragma once

#include <pthread.h>

#include "libclient/config.h"
#include "libclient/detail.h"
#include "libclient/pages.h"
#include "libclient/session.h"
#include "shared/carve.h"
#include "tiny/slab.h"

#define HAK_LOCAL_FIRST       (2 * HAK_REGION_SUPERSLABS)
#define HAK_LOCAL_SUPERSLABS  HAK_REGION_SUPERSLABS
#define HAK_WINDOW_SUPERSLABS (HAK_LOCAL_FIRST + HAK_LOCAL_SUPERSLABS)
#define HAK_WINDOW_SIZE       ((uint64_t)HAK_WINDOW_SUPERSLABS << HAK_SUPERSLAB_SHIFT)
/* The window starts at a multiple of it: the largest alignment that can be asked for. */
#define HAK_WINDOW_ALIGN ((uint64_t)1 << 30)

#define HAK_SUPER_SHARED HAK_SUPER_HOST
#define HAK_SUPER_COPY   (HAK_SUPER_HOST << 1)
#define HAK_SUPER_FROZEN (HAK_SUPER_HOST << 2)

/* Empty memory goes back by halves after so long without need for it; so do cached spans. */
#define HAK_DECAY_NS UINT64_C(1000000000)

/* Slab descriptors become writable for so many superslabs at a time. */
#define HAK_COVER_SUPERS 512u

struct hak_heap_stats {
	uint64_t leases;     /* superslabs granted by the daemon */
	uint64_t returns;    /* superslabs given back to it */
	uint64_t waits;      /* times that a thread waited for the daemon */
	uint64_t timeouts;   /* of these, in vain */
	uint64_t refusals;   /* leases that the daemon refused */
	uint64_t limited;    /* of these, for a limit */
	uint64_t local;      /* superslabs of anonymous memory in use or kept */
	uint64_t span_bytes; /* in large spans now */
	uint64_t spans;      /* large spans now */
};

struct hak_heap {
	pthread_mutex_t lock;
	char *base;
	struct hak_carve carve;
	uint32_t local_end; /* anonymous superslabs that were added, from the first on */
	struct hak_slab *slabs;
	uint16_t *shadow; /* of the checked path, else NULL; grows with the descriptors */
	struct hak_session session;
	bool want_daemon; /* the mode allows memory of a session's; domains have one in any mode */
	bool say_so;      /* and its absence is worth a line on stderr */
	char socket[HAK_SOCKET_PATH_MAX];
	uint32_t node;
	uint32_t shift;         /* window index of the region's first superslab */
	uint32_t reserve;       /* superslabs to find ready; follows the rate of use */
	uint32_t reserve_taken; /* since the daemon was last told */
	uint64_t reserve_ns;    /* when one was last taken */
	uint32_t pending;       /* leases asked for and not yet answered */
	uint32_t pending_superslabs;
	/* A bit for each step of slab descriptors that is writable. */
	uint64_t covered[HAK_WINDOW_SUPERSLABS / HAK_COVER_SUPERS / 64];
	struct {
		char *at, *end; /* what is left of a page */
		char *next;     /* the next page */
		size_t pages;   /* and how many there are */
	} meta;
	bool depots_full; /* a superslab was begun while much lay in depots: trim them */
	bool swept;       /* hak_heap_sweep() was done */
	bool stalled;     /* a wait was in vain and nothing was answered since: do not wait again */
	struct hak_pages pages;
	uint64_t idle_since; /* the current interval began */
	uint32_t idle_least; /* fewest empty superslabs with memory in it */
	uint32_t shed;       /* given back in it */
	uint32_t regret; /* of what was shed, needed again in the same interval: kept next time */
	struct hak_heap_stats stats;
	struct hak_refused refused; /* the last refusal */
};

extern struct hak_heap hak_heap;

/* Reserves window, page map and tables. 0, or a negative errno: nothing is left mapped. */
int hak_heap_init(const struct hak_config *config);

/* A span of whole slabs, `align` a power of two in bytes. NULL: out of memory. */
void *hak_heap_alloc(size_t size, size_t align, bool *ret_zeroed);
void hak_heap_free(struct hak_slab *span);
/* Makes a span `size` bytes long where it is. False: it can't grow there. */
bool hak_heap_resize(struct hak_slab *span, size_t size);
/* Moves a span of 2 MiB or more that grows to where it can go on growing (move.c): its new place,
 * contents included, or NULL: it is where it was, and has to be copied. */
void *hak_heap_move(struct hak_slab *span, size_t size);
/* A span of 2 MiB or more with room to grow; NULL: hak_heap_alloc() may still have one. */
void *hak_heap_alloc_roomy(size_t size);

/* Gives what is free back, also between blocks in use; bytes. */
size_t hak_heap_trim(void);

/* Under the lock, while there is no daemon: what it would have taken back goes to the kernel:
 * returns that it never read, grants that it never told us of. Whatever the next one takes it for,
 * it is zero. */
void hak_heap_sweep(struct hak_heap *heap);
/* Under the lock: gives back empty superslabs beyond what is worth keeping (give.c). */
void hak_heap_shed(struct hak_heap *heap);
uint64_t hak_heap_release(struct hak_heap *heap, uint32_t keep, bool shared_too);
/* Under the lock: superslabs were begun that need not have been, if some were just shed. */
void hak_heap_regret(struct hak_heap *heap, uint32_t begun);
/* Under the lock: gives back free slabs of superslabs in use. */
uint64_t hak_heap_release_parts(struct hak_heap *heap);
/* Under the lock: takes in what the daemon has answered (grow.c). The largest grant, in superslabs;
 * ret_refused is set to the last refusal, a negative errno, if there was one. */
uint32_t hak_heap_reap(struct hak_heap *heap, int *ret_refused);
/* Where the thread that is in need runs, unless the user has said where: a node or HAK_NODE_ANY. */
uint32_t hak_heap_near(const struct hak_heap *heap);
bool hak_heap_grow(struct hak_heap *heap, uint64_t superslabs);
/* Tells the daemon to keep nothing ready, until the process comes for more. */
void hak_heap_want_none(struct hak_heap *heap);
/* Makes the slab descriptors of these superslabs writable. */
bool hak_heap_cover(struct hak_heap *heap, uint32_t first, uint32_t count);

/* Changes the host's bits of a superslab's flags under the lock; other threads may be reading
 * HAK_SUPER_ADDED without it (hak_heap_has()). */
static inline void hak_heap_flip(struct hak_heap *heap, uint32_t superslab, uint8_t bits)
{
	uint8_t *flags = &heap->carve.supers[superslab].flags;

	__atomic_store_n(flags, *flags ^ bits, __ATOMIC_RELAXED);
}

/* True if the superslab that contains p is ours. Holders of a block in it may ask without the lock:
 * it stays ours as long as the block does. */
static inline bool hak_heap_has(const struct hak_heap *heap, const void *p)
{
	uint64_t off = (uintptr_t)p - (uintptr_t)heap->base;

	return off < HAK_WINDOW_SIZE && heap->base &&
	       (__atomic_load_n(&heap->carve.supers[off >> HAK_SUPERSLAB_SHIFT].flags,
				__ATOMIC_RELAXED) &
		HAK_SUPER_ADDED);
}

/* Under the lock: true if memory comes from the daemon. */
static inline bool hak_heap_leases(const struct hak_heap *heap)
{
	return heap->want_daemon && heap->session.state == HAK_SESSION_UP;
}

static inline void *hak_heap_at(const struct hak_heap *heap, uint32_t superslab)
{
	return heap->base + ((uint64_t)superslab << HAK_SUPERSLAB_SHIFT);
}
