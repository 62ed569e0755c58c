/* SPDX-License-Identifier: Apache-2.0 */
/* What plugin.c offers to odd_plugin.c through dlsym(). */
#pragma once

#include <stddef.h>

char *plugin_make(size_t size);
void plugin_take(char *p);
