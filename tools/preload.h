/* SPDX-License-Identifier: Apache-2.0 */
/* preload.h - where libhakmalloc.so is, and how a program is made to load it first. */
#pragma once

#include "shared/base.h"

/*
 * The library that belongs to this hakrun, as an absolute path that the caller frees: beside it in
 * the build tree or the installation, wherever that was moved to, else where it was configured to
 * be. -ENOENT: nowhere.
 */
int preload_find(char **ret_path);

/* Puts the library first in LD_PRELOAD. -EINVAL: the loader can't read such a path there. */
int preload_set(const char *library);
