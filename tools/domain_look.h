/* SPDX-License-Identifier: Apache-2.0 */
/* domain_look.h - hakctl's commands that are about domains. Exit statuses; reasons on stderr. */
#pragma once

#include "shared/base.h"

int domain_list(const char *socket, bool json);
/* domain, who or leaks. */
int domain_one(const char *socket, bool json, const char *command, const char *name);
/* `name` NULL: all. */
int domain_list_orphans(const char *socket, bool json, const char *name);
