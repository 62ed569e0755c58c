/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/next.h"

#include <malloc.h>
#include <stdlib.h>

#include "libclient/client.h"

const bool hak_is_preload = false;

void *hak_next_malloc(size_t size)
{
	return malloc(size);
}

void *hak_next_calloc(size_t n, size_t size)
{
	return calloc(n, size);
}

void *hak_next_realloc(void *p, size_t size)
{
	return realloc(p, size);
}

void *hak_next_memalign(size_t align, size_t size)
{
	return memalign(align, size);
}

void hak_next_free(void *p)
{
	free(p);
}

size_t hak_next_usable_size(void *p)
{
	return malloc_usable_size(p);
}

bool hak_next_insists(void)
{
	return false;
}

/* hak_free() of a malloc() block is a mistake unless we hand out malloc() blocks ourselves. */
bool hak_next_may_own(const void *p)
{
	(void)p;
	return hak_client.state == HAK_CLIENT_LIBC;
}
