/* SPDX-License-Identifier: Apache-2.0 */
/* A library whose constructor allocates: it runs before the program's, often before any other. */
#pragma once

#include <stddef.h>

#define EARLY_BLOCKS 200

extern void *early_block[EARLY_BLOCKS];
extern size_t early_size[EARLY_BLOCKS];

void early_allocate(void **block, size_t *size, size_t n);
