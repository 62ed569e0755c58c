/* SPDX-License-Identifier: Apache-2.0 */
/*
 * must.h - the assertion for threads and forked children, where CMocka's would jump to a stack that
 * is not theirs: names the place on stderr and ends the process.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#define must(x)                                                                                \
	do {                                                                                   \
		if (!(x)) {                                                                    \
			(void)fprintf(stderr, "%s:%d: %s is false\n", __FILE__, __LINE__, #x); \
			_Exit(99);                                                             \
		}                                                                              \
	} while (0)
