/* SPDX-License-Identifier: Apache-2.0 */
/* node.h - binds this process to the processors of one NUMA node. */
#pragma once

#include "shared/base.h"

#define NODE_MAX 1023u /* the kernel's own limit */

/*
 * From now on, this process and those it starts run on the node's processors, as far as they may be
 * used now. 0; -ENOENT: no such node; -ENODEV: it has no processor that may be used; or another
 * error.
 */
int node_bind(unsigned node);
