/* SPDX-License-Identifier: Apache-2.0 */
/*
 * death.h - test the forbidden: what must end the program, and its exact last words.
 *
 * `fn` runs in a forked child whose stderr is caught; the test fails unless the child dies by
 * SIGABRT and the last line on stderr is "hakmem: " and `words`.
 */
#pragma once

#include "shared/base.h"

typedef void hak_death_fn(void *arg);

void hak_expect_death(hak_death_fn *fn, void *arg, const char *words);

/* The same where the words hold a pointer or a number. */
void hak_expect_death_f(hak_death_fn *fn, void *arg, const char *format, ...) HAK_PRINTF(3, 4);
