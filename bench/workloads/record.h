/* SPDX-License-Identifier: Apache-2.0 */
/* What record.c writes, one after the other, and hakbench_lib/trace.py reads. */
#ifndef BENCH_RECORD_H
#define BENCH_RECORD_H

#include <stdint.h>

/* replay.c's events have the same kinds. */
enum record_kind {
	RECORD_MALLOC = 1,
	RECORD_CALLOC,
	RECORD_REALLOC,
	RECORD_MEMALIGN,
	RECORD_FREE,
};

struct record {
	uint64_t kind;
	uint64_t old; /* realloc: the address before; memalign: the alignment */
	uint64_t p;   /* the address, 0 if there was none to be had */
	uint64_t size;
};

#endif
