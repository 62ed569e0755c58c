/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/early.h"

#include <stdlib.h>
#include <string.h>

__attribute__((visibility("default"))) void *early_block[EARLY_BLOCKS];
__attribute__((visibility("default"))) size_t early_size[EARLY_BLOCKS];

__attribute__((visibility("default"))) void early_allocate(void **block, size_t *size, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size[i] = i % 20 == 19 ? 30000 * i : 1 + i * 7;
		block[i] = i % 3 ? malloc(size[i]) : calloc(1, size[i]);
		if (!block[i])
			abort();
		memset(block[i], (int)(i % 250), size[i]);
	}
}

/* Not depending on the allocator, this library is initialised before or after it as ld.so likes. */
__attribute__((constructor(101))) static void allocate_in_constructor(void)
{
	early_allocate(early_block, early_size, EARLY_BLOCKS);
}
