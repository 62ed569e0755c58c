/* SPDX-License-Identifier: Apache-2.0 */
/* json.h - what all reports do with jansson. Functions return 0, or not 0: no memory. */
#pragma once

#include <jansson.h>

#include "shared/base.h"

json_t *number_of(uint64_t v);
int set_number(json_t *object, const char *name, uint64_t v);
/* A field of a record as plain text; none of them is longer than 63 bytes. */
int set_text(json_t *object, const char *name, const char *field, size_t size);
/* A name that is 64 bits and no quantity: as a number, half of them would not fit. */
int set_hex(json_t *object, const char *name, uint64_t v);
/* Prints it if nothing failed on the way, and frees it. */
int print_json(json_t *root, int r);
