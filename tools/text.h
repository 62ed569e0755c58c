/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - words that strangers wrote, numbers that people read, and lists of numbers that the
 * kernel writes. Pure functions.
 */
#pragma once

#include <sched.h>

#include "shared/base.h"

/*
 * Makes `size` bytes of anybody's text safe for a terminal, a log and JSON: what is not printable
 * ASCII becomes '?', and the last byte NUL.
 */
void text_make_plain(char *text, size_t size);
/* A field of a record, perhaps without an end, as plain text of its own; ret has size + 1 bytes. */
void text_copy_plain(char *ret, const char *field, size_t size);

#define TEXT_NUMBER 24u
/* "12", "1.5 KiB", "2.0 GiB" into ret, which is also returned. */
const char *text_bytes(char ret[TEXT_NUMBER], uint64_t bytes);
/* "850 ms", "12 s", "3 m 05 s", "2 h 07 m", "5 d 03 h". */
const char *text_duration(char ret[TEXT_NUMBER], uint64_t ns);

/* "0-3,8,10-11\n" as in sysfs; bits for CPUs from `limit` on are left out. False: not such a
 * list. */
bool text_parse_cpus(cpu_set_t *ret_cpus, unsigned limit, const char *list);
/* A number without sign, at most `max`, and nothing else. */
bool text_parse_number(unsigned *ret_number, unsigned max, const char *text);
