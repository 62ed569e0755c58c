/* SPDX-License-Identifier: Apache-2.0 */
/*
 * book.h - what the daemon must not forget when its process ends: memfds that outlive it.
 *
 * One book for each session and each domain, and one page for the daemon's line of lives. A book is
 * given to no client. Its beginning, the head and the kind's *fixed* part, is written once and
 * summed; the book is valid from book_seal_fixed() on. What follows is the *variable* part.
 *
 *	0  struct book_head   magic, version, kind, id, size, life, sum
 *	   fixed part         of the kind; `fixed_bytes` counts it from the book's first byte
 *	   variable part      of the kind; one store after the other decides
 *
 * ORDER  The daemon may be killed between any two instructions. What it did before is there, all
 * of it, and nothing of what comes later: the one order that counts is that of the program, and it
 * is the compiler that must keep it. So every store that recovery relies on is a book_set, which
 * the compiler moves nothing across. There is no other writer, and nothing is ever synced: memory
 * survives the process, and nobody's memory survives the machine.
 */
#pragma once

#include <stdatomic.h>

#include "shared/base.h"

#define BOOK_MAGIC   UINT64_C(0x314b4f4f424b4148) /* "HAKBOOK1" */
#define BOOK_VERSION 1u

enum book_kind {
	BOOK_LIFE = 1,
	BOOK_SESSION,
	BOOK_DOMAIN,
};

struct book_head {
	uint64_t magic;
	uint32_t version;
	uint32_t kind; /* enum book_kind */
	uint64_t id;
	uint64_t size; /* of the whole book, bytes */
	uint64_t life; /* of the line of daemons that it belongs to; random, not 0 */
	uint64_t sum;  /* FNV-1a of the head, with sum 0, and the fixed part; 0: not valid yet */
};
HAK_PIN_SIZE(struct book_head, 48);
HAK_PIN_FIELD(struct book_head, sum, 40);

struct book {
	int fd;
	void *at; /* mapped shared; NULL: none */
	uint64_t size;
};
#define BOOK_NULL        \
	{                \
		.fd = -1 \
	}

/* A zeroed book of `size` bytes with its head; not valid before book_seal_fixed(). Its pages exist
 * from their first touch on. Owned by the caller. 0 or a negative errno: `book` is BOOK_NULL. */
int book_new(struct book *book, enum book_kind kind, uint64_t id, uint64_t life, uint64_t size);
/* Says whose it is, of a book that was made before that was known; it is not valid yet. */
void book_name(struct book *book, uint64_t id, uint64_t life);
/* Makes it valid, once: nothing of the first `fixed_bytes` is written from then on. */
void book_seal_fixed(struct book *book, size_t fixed_bytes);

/*
 * Maps a book that an earlier daemon made, and checks all but its variable part. `life` 0: any.
 * 0: `book` owns `fd`, which was the caller's. A negative errno: -EINVAL (no book, damaged, or not
 * this one), -EPROTO (of another version), or why it can't be mapped; `fd` stays the caller's and
 * *ret_fault says what is wrong with it, constant text.
 */
int book_open(struct book *book, int fd, enum book_kind kind, uint64_t life, uint64_t size,
	      size_t fixed_bytes, const char **ret_fault);
/* Reads the head of a file that may be a book, without mapping it: to tell descriptors apart. True:
 * it begins like one; nothing else is checked. */
bool book_look(int fd, struct book_head *ret_head);

/* Unmaps and closes; allowed on BOOK_NULL and twice. */
void book_deinit(struct book *book);

static inline struct book_head *book_head(const struct book *book)
{
	return book->at;
}

/* ---- stores into the variable part ---- */

/* For tests, else NULL: called before each of these stores. */
extern void (*book_before_store)(void);

/* Before a store elsewhere that counts as well: into a ring, a word that clients see. */
static inline void book_before_other(void)
{
	if (HAK_UNLIKELY(book_before_store != NULL))
		book_before_store();
}

static inline void book_begin_store(void)
{
	book_before_other();
	/* Nothing later may become part of what came before; the release keeps the other side. */
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void book_end_store(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void book_set32(uint32_t *word, uint32_t value)
{
	book_begin_store();
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	book_end_store();
}

static inline void book_set64(uint64_t *word, uint64_t value)
{
	book_begin_store();
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	book_end_store();
}

/* Bits [first, first + count) of a table, a word after the other. */
void book_fill(uint64_t *bits, uint32_t first, uint32_t count, bool value);
