/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/json.h"

#include <stdio.h>

#include "tools/text.h"

/* JSON's readers, jansson first, have no integers above this. */
json_t *number_of(uint64_t v)
{
	return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

int set_number(json_t *object, const char *name, uint64_t v)
{
	return json_object_set_new(object, name, number_of(v));
}

int set_text(json_t *object, const char *name, const char *field, size_t size)
{
	char plain[64];

	assert(size < sizeof(plain));
	text_copy_plain(plain, field, size);
	return json_object_set_new(object, name, json_string(plain));
}

int set_hex(json_t *object, const char *name, uint64_t v)
{
	char hex[TEXT_NUMBER];

	(void)snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)v);
	return json_object_set_new(object, name, json_string(hex));
}

int print_json(json_t *root, int r)
{
	if (r == 0)
		r = json_dumpf(root, stdout, JSON_INDENT(2));
	if (r == 0)
		(void)putchar('\n');
	json_decref(root);
	return r ? -1 : 0;
}
