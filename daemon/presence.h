/* SPDX-License-Identifier: Apache-2.0 */
/*
 * presence.h - is the memory of a process that no longer holds a socket still there?
 *
 * A client maps a page of its presence file writable and never touches it. While that mapping
 * lives, the kernel refuses to seal the file against writing. That tells a process that closed its
 * descriptors (mapping there) from one that called exec (gone).
 */
#pragma once

#include "shared/base.h"

enum presence {
	PRESENCE_THERE,
	PRESENCE_GONE,
	PRESENCE_SPOILT, /* the client wrote to it: no answer is to be had */
};

int presence_new(int *ret_fd);
/* PRESENCE_GONE is final. */
enum presence presence_test(int fd);
