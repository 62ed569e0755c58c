/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pagemap.h - where the page map lies, and the one that libc mode needs.
 */
#pragma once

#include "shared/layout.h"

/* 47 bits of address on x86-64, 48 on arm64; one byte for 64 KiB. */
#if defined(__x86_64__)
#define HAK_ADDRESS_BITS 47u
#else
#define HAK_ADDRESS_BITS 48u
#endif
#define HAK_PAGEMAP_SIZE ((uint64_t)1 << (HAK_ADDRESS_BITS - HAK_SLAB_SHIFT))

/* A random place for `size` bytes, aligned, below 2^44 (valgrind), above what others use and out of
 * the way of domains. */
void *hak_address_hint(uint64_t size, uint64_t align);

/* Reserves the whole map, once: all zeros, read-only. 0 or a negative errno. */
int hak_pagemap_reserve(uint8_t **ret_map);

/*
 * Sets hak_pagemap to one that is zero for every pointer that libc can give out, so that every
 * free() takes the cold way. Works under `ulimit -v`, where the whole map cannot be reserved.
 */
int hak_pagemap_init_zero(void);
