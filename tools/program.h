/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program.h - looks at a program before it is run: does the loader preload anything into it?
 */
#pragma once

#include "shared/base.h"

/*
 * Where execvp() will find `name`; 0, or -ENOENT: nowhere (or the path is too long to look at).
 */
int program_find(char *ret_path, size_t size, const char *name);

/*
 * Why LD_PRELOAD has no effect on this program ("statically linked"), or NULL. Follows the #! line
 * of scripts. What can't be read is given the benefit of the doubt: exec will say what is wrong.
 */
const char *program_ignores_preload(const char *path);

/* True if the file is an ELF file for the machine and word size that this program is for. */
bool program_is_ours(const char *path);
