/* SPDX-License-Identifier: Apache-2.0 */
/*
 * next.h - the allocator below us, for libc mode and for pointers that are not ours.
 *
 * libhakclient has the process's malloc (next_client.c); libhakmalloc *is* that, and so goes to
 * libc by its other names, or to a sanitizer's malloc where one is in place (next_preload.c).
 */
#pragma once

#include "shared/base.h"

void *hak_next_malloc(size_t size);
void *hak_next_calloc(size_t n, size_t size);
void *hak_next_realloc(void *p, size_t size);
void *hak_next_memalign(size_t align, size_t size);
void hak_next_free(void *p);
size_t hak_next_usable_size(void *p);

/* True if the program brought an allocator that must stay in place (a sanitizer's). */
bool hak_next_insists(void);
/* True if p could be a block of it; asked only for pointers that are not ours. */
bool hak_next_may_own(const void *p);
