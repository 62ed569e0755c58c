/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hakmem.h - the process heap of hakmem, and the domains that processes share.
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
 * process; the bytes handed back, in whole superslabs. In domains, to all members; not counted. */
size_t hak_trim(void);

/* 1 if p lies in a superslab of this process's heap, else 0. Async-signal-safe. */
int hak_owns(const void *p);

enum hak_info_mode {
	HAK_INFO_LIBC = 1,     /* every call goes to libc's malloc */
	HAK_INFO_EMBEDDED = 2, /* memory of the process's own */
	HAK_INFO_DAEMON = 3,   /* a session with a daemon that is there */
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
	HAK_REFUSED_NODE_BYTES = 10,   /* the limit of a NUMA node */
	HAK_REFUSED_DOMAIN_BYTES = 11, /* the quota of a domain */
};

/* Whether the daemon is there, as far as the process has noticed. */
enum hak_info_state {
	HAK_INFO_NONE = 0, /* it was not asked yet, or is not to be */
	HAK_INFO_UP = 1,
	HAK_INFO_LOST = 2, /* not there, or it ended for good: private memory from now on */
	HAK_INFO_AWAY = 3, /* it ended; the next one may take the session over */
};

/* `size` is set by the caller to sizeof(struct hak_info). */
struct hak_info {
	size_t size;
	unsigned mode;         /* enum hak_info_mode, as it is now */
	unsigned state;        /* enum hak_info_state */
	uint64_t session;      /* the daemon's number for this process, 0 without one */
	uint64_t epoch;        /* counts the daemon's lives: of the one last heard of */
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

/* ---- shared domains ---- */

/*
 * A domain is memory that processes share: any member allocates, passes and frees blocks of it, at
 * the same address in every member. It is kept by hakmemd; a member may be killed at any moment:
 * what it owned is free again (or follows the orphan policy), what others own stays.
 *
 * Who owns a block: who allocated it, was given it, claimed or received it. Only the owner may
 * write to it without other agreement, publish, give, send or free it. A published block is
 * nobody's and outlives every process.
 *
 * Functions take what they return from the calling process's membership; a handle may be used by
 * all of its threads. In a child after fork() a handle is of no use but to be closed: the memory is
 * not mapped there, and the child is a member once it opens the domain itself. Not
 * async-signal-safe. Those that return int return 0 or a negative errno, and hak_detail() says why
 * in words.
 */
typedef struct hak_domain hak_domain;
typedef struct hak_channel hak_channel;

/* A member of a domain, for as long as it is one; never 0, never used again for another. */
typedef uint64_t hak_member;
/* The position-independent name of a block: valid in every process, never 0, and an error, not a
 * wild pointer, once the block has been freed. */
typedef uint64_t hak_ref;

#define HAK_DOMAIN_NAME_MAX 31 /* characters: letters, digits, '.', '_', '-'; no dot in front */

enum hak_domain_flags {
	HAK_CREATE = 1, /* make it if there is none */
	HAK_EXCL = 2,   /* with HAK_CREATE: -EEXIST if there is one */
	HAK_RDONLY = 4, /* read blocks and follow refs; nothing that writes */
};

/* What becomes of a block whose owner died or closed the domain, if it owned it expressly: it was
 * given to it, claimed or received by it, or it tried in vain to give, send or name it. Other
 * blocks of its own are always freed. */
enum hak_orphan_policy {
	HAK_ORPHAN_DEFAULT = 0,
	HAK_ORPHAN_FREE = 1,    /* the default */
	HAK_ORPHAN_PUBLISH = 2, /* it becomes a published block */
	HAK_ORPHAN_HEIR = 3,    /* it becomes that of the member named by hak_domain_heir() */
};

enum hak_domain_lifetime {
	HAK_LIFETIME_DEFAULT = 0,
	HAK_LIFETIME_UNLINKED = 1, /* until hak_domain_unlink(): the default */
	HAK_LIFETIME_MEMBERS = 2,  /* until the last member has left */
};

/* Of a domain that is being made; 0: the default. `size` is sizeof(struct hak_domain_attr). */
struct hak_domain_attr {
	size_t size;
	size_t max_size;        /* bytes of address range, at most 2 TiB; 16 GiB */
	size_t quota;           /* bytes of memory; max_size */
	unsigned mode;          /* as of a file: r may read, w may be a member; 0600 */
	int node;               /* NUMA node + 1 to be near to; the node of whoever needs memory */
	unsigned page_policy;   /* none yet: 0 */
	unsigned orphan_policy; /* enum hak_orphan_policy */
	unsigned lifetime;      /* enum hak_domain_lifetime */
};

/*
 * Joins a domain, makes it first if asked to. `attr` may be NULL, and is used only when it is made.
 * Opened again in the same process: another handle of the same membership, to be closed as often.
 * -ENOENT: there is none. -EEXIST. -EACCES: its mode. -EBUSY: this process has it open HAK_RDONLY.
 * -EINVAL: name, flags, attr. -EADDRINUSE: its addresses are taken in this process. -ENOTCONN: no
 * daemon. -EDQUOT, -EMFILE, -ENOMEM: limits (64 domains a process, 1,000 members a domain).
 * -EAGAIN: so many members have just gone that their numbers are not free yet.
 */
int hak_domain_open(hak_domain **ret, const char *name, unsigned flags,
		    const struct hak_domain_attr *attr);
/* Leaves it, with the last handle: blocks that this member owns follow the orphan policy, pointers
 * into it are not valid any more. NULL is allowed; returns NULL. */
hak_domain *hak_domain_close(hak_domain *domain);
/* The name goes now, the memory with the last member. -ENOENT, -EACCES (not its owner). */
int hak_domain_unlink(const char *name);

/* As hak_malloc() and hak_aligned_alloc(), in a domain; at most 256 GiB. ENOMEM: its quota, or no
 * memory; EROFS. A refusal is told to the other members, who give up what they do not use (see
 * hak_event_fd()): a later attempt may succeed. */
void *hak_domain_alloc(hak_domain *domain, size_t size);
void *hak_domain_aligned_alloc(hak_domain *domain, size_t align, size_t size);
/* Frees a block that the caller's process owns, or a published one. hak_free(p) does the same, and
 * hak_realloc() keeps a block in its domain. Another's block, or none, ends the program with a
 * message; in a child after fork() an inherited block is left alone. */
void hak_domain_free(hak_domain *domain, void *p);
/* The bytes at p that may be used; 0: not a block of this domain. */
size_t hak_domain_usable_size(hak_domain *domain, const void *p);
/* 1 if p lies in this domain's addresses. */
int hak_domain_has(hak_domain *domain, const void *p);

/* The block becomes nobody's. Link it where others find it first: what was neither linked nor
 * published when its owner died is freed. -EINVAL: no block, -EPERM: not the caller's. */
int hak_publish(hak_domain *domain, void *p);
/* A published block becomes the caller's. -EALREADY: it is somebody's, -EINVAL: no block. */
int hak_claim(hak_domain *domain, void *p);
/* The block becomes another member's. -EINVAL, -EPERM as above; -ESRCH: there is no such member
 * (any more), and the block is still the caller's. */
int hak_give(hak_domain *domain, void *p, hak_member to);
/* The calling process as a member. */
hak_member hak_self(hak_domain *domain);
/* Who owns the block; 0: nobody (it is published, under way, or no block). */
hak_member hak_owner(hak_domain *domain, const void *p);
/* 1 while the member lives and has not left. */
int hak_member_alive(hak_domain *domain, hak_member member);
/* Who is to have what the calling member owns expressly when it goes (HAK_ORPHAN_HEIR). */
int hak_domain_heir(hak_domain *domain, hak_member heir);

/* The ref of a block that the caller owns, or that is published; 0: it is none. */
hak_ref hak_ref_of(hak_domain *domain, const void *p);
/* The block. NULL with errno ESTALE: freed since; EINVAL: of another domain, or no ref. */
void *hak_ref_get(hak_domain *domain, hak_ref ref);

/* The block becomes the caller's, if the ref still names it and it is published: what hak_ref_get()
 * and hak_claim() together are not. -ESTALE, -EINVAL, -EALREADY. */
int hak_claim_ref(hak_domain *domain, hak_ref ref, void **ret);

/* Names a ref, if the name stands for `expected` now (0: for nothing); ref 0 takes it away. A block
 * of the caller's is published by it, in one step. What was named before stays published: claim it
 * first, and where that says -EALREADY leave it its name, for another is just publishing or
 * claiming it. -EAGAIN: it stands for something else. -EINVAL: name or ref. -ENOSPC: 1,024 names
 * were used. */
int hak_root_set(hak_domain *domain, const char *name, hak_ref ref, hak_ref expected);
/* 0: it stands for nothing. */
hak_ref hak_root_get(hak_domain *domain, const char *name);

enum hak_event_type {
	HAK_EVENT_JOINED = 1,
	HAK_EVENT_LEFT = 2,  /* closed the domain */
	HAK_EVENT_DIED = 3,  /* its process is gone */
	HAK_EVENT_SWEPT = 4, /* and everything that it owned has been dealt with */
	HAK_EVENT_LOST = 5,  /* events were missed: more than 256 since the last look */
};

struct hak_event {
	unsigned type; /* enum hak_event_type */
	unsigned pid;
	hak_member member;
	uint64_t time_ns; /* CLOCK_BOOTTIME */
};

/* Readable while there are events, and when another member was refused memory: for poll(), then
 * hak_event_next() until it says -EAGAIN. So a process that sleeps there also gives way to others
 * in need. The domain's own, not to be read or closed. -EBADF. */
int hak_event_fd(hak_domain *domain);
/* The next event of others since this process joined. -EAGAIN: none now; and if another member was
 * refused memory, what this process and thread hold of free blocks is theirs to have from then on.
 * Any thread. */
int hak_event_next(hak_domain *domain, struct hak_event *ret);

/*
 * Channels: bounded queues of blocks. A block under way is the channel's; it survives the death of
 * either end. Many senders, many receivers. Close channels before their domain: what is left of
 * them then is of no use but to be closed (-EBADF). -EUCLEAN: a member wrote over the channel.
 */
enum hak_channel_flags {
	HAK_SEND = 1,
	HAK_RECV = 2,
	/* With either, of a channel that is being made: once the last receiver has gone or died,
	 * what is under way is freed. Without it, messages stay for whoever receives next. */
	HAK_DROP = 4,
};

/* Opens a channel, makes it if there is none (256 a domain). `capacity` messages, rounded up to a
 * power of two, at most 65,536; 0: 64. One that is there keeps its own. -EINVAL, -ENOSPC,
 * -ENOMEM. */
int hak_channel_open(hak_channel **ret, hak_domain *domain, const char *name, uint32_t capacity,
		     unsigned flags);
/* timeout_ms: -1 waits, 0 does not. Ownership leaves the caller only on 0. -EAGAIN (at once) or
 * -ETIMEDOUT: full. -EPIPE: there were receivers, and all are gone. -EINVAL, -EPERM: not a block of
 * the caller's. */
int hak_channel_send(hak_channel *channel, void *p, int timeout_ms);
/* The caller owns *ret. -EAGAIN, -ETIMEDOUT: empty. -EPIPE: empty, and all senders are gone. */
int hak_channel_recv(hak_channel *channel, void **ret, int timeout_ms);
/* NULL is allowed; returns NULL. The channel stays, with what is in it. */
hak_channel *hak_channel_close(hak_channel *channel);

/* What a domain holds, by a walk over its books: bytes and blocks. For tools and tests. */
struct hak_domain_stat {
	size_t size; /* set by the caller to sizeof(struct hak_domain_stat) */
	uint64_t granted_bytes;
	uint64_t free_bytes;     /* in slabs that are nobody's */
	uint64_t held_bytes;     /* in slabs of living members */
	uint64_t orphaned_bytes; /* in slabs whose holder died */
	uint64_t own_bytes;      /* held by the calling process */
	uint64_t published, published_bytes;
	uint64_t moving, moving_bytes;   /* under way in channels */
	uint64_t adopted, adopted_bytes; /* owned by another than the slab's holder */
	uint64_t freed;                  /* given back, not yet noticed by the holder */
	uint64_t members;
};
int hak_domain_stat_get(hak_domain *domain, struct hak_domain_stat *ret);

/*
 * Why the calling thread's last call failed, in words: "quota of 512 MiB reached by uid 1000 (510
 * MiB in use; uid-bytes)". It makes sense only right after a failure, and knows refusals of hakmemd
 * and what hak_init(), hak_info_get(), hak_aligned_alloc() and the functions of domains object to;
 * other failures leave the text as it was. "" if there was none. The text is the thread's own,
 * until it asks again.
 */
const char *hak_detail(void);

/* The version of the library, "MAJOR.MINOR.PATCH". Async-signal-safe. */
const char *hak_version(void);

#ifdef __cplusplus
}
#endif

#endif
