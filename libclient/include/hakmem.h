/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hakmem.h - the process heap of hakmem.
 *
 * Memory comes from superslabs (2 MiB) that hakmemd grants, or, where there is no daemon, that the
 * process finds by itself; a program need not know which. Usable without any set-up.
 *
 * Unless a function says otherwise: thread-safe; not async-signal-safe; in a child after fork() it
 * works on the child's own copy of the heap (a raw clone() without CLONE_VM has none). Functions
 * that return memory return NULL with errno ENOMEM on failure and leave errno alone on success;
 * the others return 0 or a negative errno. Sizes are bytes.
 *
 * Read at start, once, and ignored in set-user-id programs: HAKMEM_MODE (auto, daemon, embedded,
 * libc), HAKMEM_SOCKET (path), HAKMEM_FORCE_LIBC_ALLOC (0, 1), HAKMEM_STATS (0, 1), HAKMEM_NODE.
 */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HAKMEM_VERSION "0.1.0"

/*
 * A block of at least `size` bytes, aligned to 16; the caller owns it until hak_free(). Size 0
 * gives a block of its own that must not be dereferenced. ENOMEM also for sizes above PTRDIFF_MAX.
 */
void *hak_malloc(size_t size);

/* n * size bytes of zero. ENOMEM also where the product overflows. */
void *hak_calloc(size_t n, size_t size);

/*
 * The block at p with its contents, `size` bytes long, moved or not; on failure p is untouched and
 * still the caller's. p NULL: as hak_malloc(). size 0: frees p and returns NULL.
 */
void *hak_realloc(void *p, size_t size);

/* As hak_malloc(), aligned to `align`: a power of two up to 1 GiB (EINVAL: not a power of two). */
void *hak_aligned_alloc(size_t align, size_t size);

/*
 * Gives a block back, from any thread. NULL: nothing. errno is never touched. What is no block in
 * use ends the program with a message, at once or when the thread's cache is next emptied.
 */
void hak_free(void *p);

/* The bytes at p that may be used, at least what was asked for. NULL: 0. */
size_t hak_usable_size(const void *p);

/* Up to n blocks of `size` into ret[0..]; how many it got, errno ENOMEM if fewer than n. */
size_t hak_malloc_batch(size_t size, size_t n, void **ret);
/* Frees p[0..n); entries may be NULL. */
void hak_free_batch(size_t n, void **p);

/* Gives free memory back to the daemon or the kernel, from the calling thread's cache and from the
 * process; the bytes handed back, in whole superslabs. */
size_t hak_trim(void);

/* 1 if p lies in a superslab of this process's heap, else 0. Async-signal-safe. */
int hak_owns(const void *p);

enum hak_info_mode {
	HAK_INFO_LIBC = 1,     /* every call goes to libc's malloc */
	HAK_INFO_EMBEDDED = 2, /* memory of the process's own */
	HAK_INFO_DAEMON = 3,   /* a session with a daemon */
};

/* `size` is set by the caller to sizeof(struct hak_options); 0 in a field means its default. */
struct hak_options {
	size_t size;
	const char *socket; /* path, at most 107 bytes; copied */
	unsigned mode;      /* enum hak_info_mode; HAK_INFO_DAEMON falls back to embedded */
	int node;           /* NUMA node + 1, or 0 for the caller's */
};

/*
 * Chooses how the process gets memory; NULL, or never called: the environment decides. Once, before
 * the first allocation. -EBUSY: there were allocations already. -EINVAL: size, socket, mode or
 * node.
 */
int hak_init(const struct hak_options *options);

/* Why hakmemd refused memory; others may be added. */
enum hak_refused_for {
	HAK_REFUSED_NOTHING = 0,       /* it did not, or it is too old to say why */
	HAK_REFUSED_TOTAL_BYTES = 1,   /* the limit of all processes together */
	HAK_REFUSED_UID_BYTES = 2,     /* the quota of the user */
	HAK_REFUSED_SESSION_BYTES = 3, /* the quota of this process */
	HAK_REFUSED_ADDRESSES = 4,     /* no such run of superslabs is free */
	HAK_REFUSED_MEMORY = 5,        /* the machine has none */
};

/* `size` is set by the caller to sizeof(struct hak_info). */
struct hak_info {
	size_t size;
	unsigned mode; /* enum hak_info_mode, as it is now */
	unsigned reserved;
	uint64_t session;      /* the daemon's number for this process, 0 without one */
	uint64_t epoch;        /* of the daemon's life that the session began in */
	uint64_t held_bytes;   /* in superslabs that are not wholly free, but for kept spans */
	uint64_t kept_bytes;   /* in wholly free superslabs and spans kept for later */
	uint64_t shared_bytes; /* of both, leased from the daemon */
	uint64_t leases;       /* superslabs granted so far */
	uint64_t returns;      /* superslabs given back so far */
	uint64_t waits;        /* times that a thread waited for the daemon */
	uint64_t refusals;     /* requests that the daemon refused */
	uint64_t slab_bytes;   /* in slabs, from which blocks of up to 32 KiB are cut */
	uint64_t block_bytes;  /* of these, in blocks that are not free, or in threads' caches */
	uint64_t mixed_bytes;  /* of slab_bytes, in slabs of many sizes: the holes in use */
	uint64_t limited;      /* of the refusals, because a limit of the daemon's was reached */
	unsigned refused;      /* the last refusal: enum hak_refused_for, */
	unsigned reserved2;
	uint64_t refused_limit; /* the limit in bytes, if it was one, */
	uint64_t refused_used;  /* and what was in use then */
};

/* -EINVAL: size. Fields that this library does not know are left alone. */
int hak_info_get(struct hak_info *ret_info);

/*
 * Why the calling thread's last call failed, in words: "quota of 512 MiB reached by uid 1000 (510
 * MiB in use; uid-bytes)". It makes sense only right after a failure, and knows refusals of hakmemd
 * and what hak_init(), hak_info_get() and hak_aligned_alloc() object to; other failures leave the
 * text as it was. "" if there was none. The text is the thread's own, until it asks again.
 */
const char *hak_detail(void);

/* The version of the library, "MAJOR.MINOR.PATCH". Async-signal-safe. */
const char *hak_version(void);

#ifdef __cplusplus
}
#endif

#endif
