/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease SOCKET NODE COUNT [TIMES] - asks the daemon TIMES for COUNT neighbouring superslabs,
 * touches them, and prints where they are (where.h). Without the client library, which goes on with
 * private memory when the daemon is slow, as it is in an emulated machine.
 */
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/raw/raw_client.h"
#include "shared/sys.h"
#include "tests/must.h"
#include "tests/vm/where.h"

#define PAGES (HAK_SUPERSLAB_SIZE / 4096)

static void **touch(const struct raw *raw, const struct hak_cqe *cqe, void **page)
{
	void *at;

	must(!hak_sys_map_shared(&at, NULL, raw->region_fd,
				 (uint64_t)cqe->first << HAK_SUPERSLAB_SHIFT,
				 (uint64_t)cqe->count << HAK_SUPERSLAB_SHIFT));
	for (uint64_t i = 0; i < cqe->count * PAGES; i++) {
		*page = hak_at(at, i * 4096);
		*(volatile char *)*page++ = 1;
	}
	return page;
}

int main(int argc, char **argv)
{
	unsigned count, times, node;
	void **pages, **end;
	struct raw raw;
	int r = 0;

	must(argc == 4 || argc == 5);
	node = (unsigned)atoi(argv[2]);
	count = (unsigned)atoi(argv[3]);
	times = argc == 5 ? (unsigned)atoi(argv[4]) : 1;
	must(count && times && !raw_open(&raw, argv[1]));
	end = pages = where_map(times * count * PAGES * sizeof(*pages));
	for (unsigned i = 0; i < times && !r; i++) {
		struct hak_sqe sqe = raw_entry(&raw, HAK_OP_LEASE);
		struct hak_cqe cqe;

		sqe.node = node;
		sqe.count = count;
		r = raw_call(&raw, &sqe, &cqe);
		if (!r)
			end = touch(&raw, &cqe, end);
	}
	where_print(0, (int)node, pages, (size_t)(end - pages), -r);
	raw_close(&raw);
	return 0;
}
