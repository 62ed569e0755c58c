/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX message queues. The kernel has a copy of each message: one buffer is enough. */
#include "bench/workloads/shared/pass_side.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>

#define DEPTH 10 /* what anybody may have */

static mqd_t queue[2]; /* there, and back */
static mqd_t out, in;
static char *buffer;
static char name[2][SIDE_NAME + 3];

static void unlink_both(void)
{
	for (int n = 0; n < 2; n++)
		(void)mq_unlink(name[n]);
}

void pass_open(struct side *side, size_t size)
{
	struct mq_attr attr = { .mq_maxmsg = DEPTH, .mq_msgsize = (long)size };

	if (!side->member)
		(void)atexit(unlink_both); /* should this fail */
	for (int n = 0; n < 2; n++) {
		(void)snprintf(name[n], sizeof(name[n]), "/%s.%d", side->name, n);
		queue[n] = mq_open(name[n], O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attr);
		if (queue[n] == (mqd_t)-1)
			work_die("no message queue; see /proc/sys/fs/mqueue");
	}
	out = queue[side->member];
	in = queue[!side->member];
	buffer = work_table(1, size);
	side_meet(side);
	if (!side->member)
		unlink_both();
}

void *pass_alloc(size_t size)
{
	(void)size;
	return buffer;
}

bool pass_send(void *p, size_t size)
{
	if (mq_send(out, p, size, 0) == 0)
		return true;
	if (errno != EAGAIN)
		work_die("a message cannot be sent");
	return false;
}

const void *pass_receive(size_t size)
{
	if (mq_receive(in, buffer, size, NULL) == (ssize_t)size)
		return buffer;
	if (errno != EAGAIN)
		work_die("a message cannot be received");
	return NULL;
}

void pass_free(const void *p)
{
	(void)p;
}

void pass_close(struct side *side)
{
	(void)side;
	(void)mq_close(queue[0]);
	(void)mq_close(queue[1]);
}
