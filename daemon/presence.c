/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/presence.h"

#include <errno.h>
#include <fcntl.h>

#include "daemon/os.h"
#include "shared/sys.h"

int presence_new(int *ret_fd)
{
	return hak_sys_memfd(ret_fd, "hakmem-presence", 4096, false);
}

enum presence presence_test(int fd)
{
	/* With a page in the file the kernel would wait up to 150 ms for whoever pins it, and a
	 * client could make us wait: then don't ask. */
	if (os_file_bytes(fd))
		return PRESENCE_SPOILT;
	switch (hak_sys_add_seals(fd, F_SEAL_WRITE)) {
	case 0:
		return PRESENCE_GONE;
	case -EBUSY:
		return PRESENCE_THERE;
	default: /* the client sealed it against seals */
		return PRESENCE_SPOILT;
	}
}
