/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.h - what to do about our own bugs: say it in one line and abort.
 *
 * Only for what a correct hakmem can't do, and, in the client, for what its own program did to the
 * heap (a double free). Never for what a peer wrote: that is an error to handle.
 */
#pragma once

#include "shared/base.h"

/* Writes "hakmem: <message>" to stderr and aborts. Allocates nothing; usable inside malloc. */
HAK_COLD void hak_die(const char *format, ...) HAK_PRINTF(1, 2) __attribute__((noreturn));
/* The same line without the abort. */
HAK_COLD void hak_warn(const char *format, ...) HAK_PRINTF(1, 2);

/* Stays in release builds: only on cold paths. */
#define hak_assert(x)                                                               \
	do {                                                                        \
		if (HAK_UNLIKELY(!(x)))                                             \
			hak_die("bug: %s:%d: %s is false", __FILE__, __LINE__, #x); \
	} while (0)
