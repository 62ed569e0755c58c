/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of a domain, by a channel in each direction. */
#include "bench/workloads/shared/pass_side.h"

#include <errno.h>

#include "bench/workloads/daemon_side.h"
#include "bench/workloads/shared/memory_hakmem.h"

static hak_channel *out, *in;

void pass_open(struct side *side, size_t size)
{
	static const char *const names[] = { "there", "back" };

	memory_join(side, 2 * PASS_DEPTH * size, size);
	daemon_must(hak_channel_open(&out, memory_domain, names[side->member], PASS_DEPTH,
				     HAK_SEND),
		    "opening a channel");
	daemon_must(hak_channel_open(&in, memory_domain, names[!side->member], PASS_DEPTH,
				     HAK_RECV),
		    "opening a channel");
}

void *pass_alloc(size_t size)
{
	return memory_alloc(size);
}

bool pass_send(void *p, size_t size)
{
	int r = hak_channel_send(out, p, 0);

	(void)size;
	if (r && r != -EAGAIN)
		daemon_must(r, "sending");
	return !r;
}

const void *pass_receive(size_t size)
{
	void *p;
	int r = hak_channel_recv(in, &p, 0);

	(void)size;
	if (r && r != -EAGAIN)
		daemon_must(r, "receiving");
	return r ? NULL : p;
}

void pass_free(const void *p)
{
	memory_free((void *)(uintptr_t)p);
}

void pass_close(struct side *side)
{
	out = hak_channel_close(out);
	in = hak_channel_close(in);
	memory_leave(side);
}
