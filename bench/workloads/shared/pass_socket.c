/* SPDX-License-Identifier: Apache-2.0 */
/* A Unix socket: of messages, or a stream where they are larger than it takes at once. */
#include "bench/workloads/shared/pass_side.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LARGEST 65536 /* as one message */

static int sock;
static char *out, *in;
static size_t sent, received; /* of the message that is under way */

static int made(int type, const struct side *side, struct sockaddr_un *ret_address)
{
	int fd = socket(AF_UNIX, type, 0);

	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	/* In the abstract namespace: nothing is left behind. */
	(void)snprintf(ret_address->sun_path + 1, sizeof(ret_address->sun_path) - 1, "%s",
		       side->name);
	if (fd < 0)
		work_die("no socket");
	return fd;
}

void pass_open(struct side *side, size_t size)
{
	struct sockaddr_un address;
	int fd = made(size > LARGEST ? SOCK_STREAM : SOCK_SEQPACKET, side, &address);

	if (!side->member &&
	    (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0))
		work_die("the socket cannot listen");
	side_meet(side);
	if (side->member && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		work_die("the socket cannot be connected");
	sock = side->member ? fd : accept(fd, NULL, NULL);
	if (sock < 0 || fcntl(sock, F_SETFL, O_NONBLOCK) < 0)
		work_die("there is no connection");
	if (!side->member)
		(void)close(fd);
	out = work_table(1, size);
	in = work_table(1, size);
}

void *pass_alloc(size_t size)
{
	(void)size;
	return out;
}

/* Adds to *done; true: it is all. */
static bool moved(ssize_t n, size_t *done, size_t size)
{
	if (n == 0)
		work_die("the other member is gone");
	if (n < 0 && errno != EAGAIN)
		work_die("the socket fails");
	*done += n > 0 ? (size_t)n : 0;
	if (*done < size)
		return false;
	*done = 0;
	return true;
}

bool pass_send(void *p, size_t size)
{
	return moved(send(sock, (char *)p + sent, size - sent, MSG_NOSIGNAL), &sent, size);
}

const void *pass_receive(size_t size)
{
	return moved(recv(sock, in + received, size - received, 0), &received, size) ? in : NULL;
}

void pass_free(const void *p)
{
	(void)p;
}

void pass_close(struct side *side)
{
	(void)side;
	(void)close(sock);
}
