/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linked to libhakmalloc.so by the driver, owned by another user and set-user-id: the environment
 * is the caller's and must have no say. It asks for libc mode, a socket and statistics.
 */
#include <sys/auxv.h>

#include "tests/api/blocks.h"

int main(void)
{
	void *p = malloc(100);

	if (!getauxval(AT_SECURE)) {
		(void)fprintf(stderr, "# not run with privileges: nosuid file system?\n");
		return API_SKIPPED;
	}
	CHECK(getenv("HAKMEM_FORCE_LIBC_ALLOC") != NULL);
	CHECK(p != NULL);
	CHECK(api_owns(p) == 1);
	free(p);
	blocks_churn(1, 5000);
	return 0;
}
