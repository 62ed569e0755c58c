/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checked.h - malloc's semantics on the checked path (HAKMEM_FASTLANE_DIRECT=0).
 *
 * The page map stays zero and threads get no magazines, so every call takes the cold way that the
 * direct path has anyway, and the direct path pays nothing. Blocks up to HAK_CHECKED_MAX_SIZE are
 * tiny/checked.h's, larger ones guarded.h's; both know the size that was asked for, to the byte.
 *
 * A pointer that is no block in use, a size that is not the block's, or a byte written where it
 * must not be, ends the process with a message that names the block.
 */
#pragma once

#include "shared/base.h"

/* Once, when the heap is there. 0 or a negative errno. */
int hak_checked_start(void);

void *hak_checked_malloc(size_t size);
void *hak_checked_zeroed(size_t size);
void *hak_checked_aligned(size_t align, size_t size);
/* p is not NULL. */
void *hak_checked_realloc(void *p, size_t size);
void hak_checked_free(void *p);
void hak_checked_free_sized(void *p, size_t size);
size_t hak_checked_usable(const void *p);
size_t hak_checked_give_back(void);
