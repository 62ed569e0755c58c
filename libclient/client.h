/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - what the process decided at start, and the malloc semantics that both libraries share.
 *
 * State moves once: NOT_YET -> READY, LIBC or CHECKED. The first cold allocation, or the
 * constructor, makes the move; the hot path never looks.
 */
#pragma once

#include "libclient/config.h"

enum hak_client_state {
	HAK_CLIENT_NOT_YET = 0,
	HAK_CLIENT_STARTING,
	HAK_CLIENT_READY,   /* blocks come from superslabs */
	HAK_CLIENT_LIBC,    /* every call goes to the allocator below us */
	HAK_CLIENT_CHECKED, /* every call is cold and goes to checked.c */
};

struct hak_client {
	_Atomic uint32_t state;
	struct hak_config config;
};

extern struct hak_client hak_client;

/* True in libhakmalloc: its rules for the mode, its name in messages. One per library. */
extern const bool hak_is_preload;

/* READY or LIBC; any thread, any time. */
enum hak_client_state hak_client_start(void);

/* fork.c: handlers for a process with a heap. */
void hak_fork_init(void);

/* stats.c: the report that HAKMEM_STATS=1 asks for. */
void hak_stats_report(void);

/* The semantics, errno included. They are cold: the inline path has been tried. */
void *hak_aligned(size_t align, size_t size); /* any power of two */
void *hak_resize_slow(void *p, size_t size);  /* realloc */
void *hak_zeroed_slow(size_t n, size_t size); /* calloc; both inline in inline.h */
void *hak_zeroed_long(size_t less_one);       /* of one byte more than that, or of 0 (SIZE_MAX) */
size_t hak_usable(const void *p);
size_t hak_give_back(void); /* trim: bytes */
bool hak_is_ours(const void *p);
