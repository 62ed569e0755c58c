/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread.h - the cold side of magazines: refill, flush, a thread's beginning and end.
 *
 * Works from the first allocation of a thread to after its last destructor: before set-up and after
 * exit single blocks go to the centrals directly.
 */
#pragma once

#include "tiny/tiny.h"

/* Once, before any other call. Without magazines every block goes to and comes from its slab. 0 or
 * a negative errno. */
int hak_thread_init(bool magazines);

/* True if the calling thread has, or now gets, magazines; its end will be noticed. */
bool hak_thread_ready(void);
/* A block of `class` (1..40), from the magazine or after refilling it; NULL: out of memory. */
void *hak_thread_alloc(uint32_t class);
/* Takes a block of `class` whose magazine may be full. */
void hak_thread_free(uint32_t class, void *p);
/* Gives the calling thread's free blocks back to the slabs (malloc_trim). */
void hak_thread_flush(void);
