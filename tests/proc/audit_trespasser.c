/* SPDX-License-Identifier: Apache-2.0 */
/* A client that leases one superslab and writes to two others; says "ready", waits to be killed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/raw/raw_client.h"
#include "tests/must.h"

int main(void)
{
	struct raw raw;
	uint32_t first;
	void *at;

	must(raw_open(&raw, getenv("HAKMEM_SOCKET")) == 0);
	must(raw_lease(&raw, 1, &first) == 0);
	for (uint32_t i = 0; i < 2; i++) {
		must((at = raw_map(&raw, first + 1000 + 7 * i)));
		memset(at, 1, HAK_SUPERSLAB_SIZE);
	}
	puts("ready");
	(void)fflush(stdout);
	for (;;)
		(void)pause();
}
