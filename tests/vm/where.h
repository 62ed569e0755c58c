/* SPDX-License-Identifier: Apache-2.0 */
/*
 * where.h - on which NUMA nodes pages are, as the tests of this suite read it:
 *
 *	part=0 node=2 pages=8192 on=0,3,8189,0,0,0,0,0
 *
 * `errno=N` is added where there was less than asked for.
 */
#pragma once

#include <stddef.h>

/* Memory of no allocator's. */
void *where_map(size_t size);
/* Prints the line for these page addresses, in any order, some perhaps twice; all were touched. */
void where_print(int part, int node, void **page, size_t n, int error);
