/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup.h - how much memory the kernel lets this process use. What the daemon fills is charged to
 * its own control group, and passing the limit there does not fail: the kernel kills it.
 */
#pragma once

#include <stdint.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define CGROUP_SELF "/proc/self/cgroup"

/*
 * The lowest memory.max of the group that the file `self` names and of those above it, below `root`
 * (cgroup v2); UINT64_MAX: none.
 */
uint64_t cgroup_memory_max(const char *root, const char *self);
