/* SPDX-License-Identifier: Apache-2.0 */
/* What comes over the socket: bytes that are no frame, frames out of order, descriptors that nobody
 * asked for. */
#include "tests/misdeeds/foe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/sys.h"

#define NONSENSE "not a frame of this protocol"

static int connected(const struct foe *foe)
{
	int sock = raw_connect(foe->rig->socket);

	must(sock >= 0);
	return sock;
}

static void send_frame(int sock, const struct hak_wire_frame *frame)
{
	must(!raw_send(sock, frame, sizeof(*frame), NULL, 0));
}

/* ---- bytes ---- */

struct packet {
	struct hak_wire_frame frame; /* its first bytes, magic and type filled in */
	uint16_t type;
	uint32_t magic_xor;
	size_t size; /* 0: a frame's; 1 too many for none */
	int code;
	const char *text;
};

#define EMPTY SIZE_MAX

static void sends_a_packet(const struct foe *foe, const void *arg)
{
	static uint8_t bytes[65536];
	const struct packet *p = arg;
	struct hak_wire_frame frame = p->frame;
	size_t size = p->size == EMPTY ? 0 : p->size ? p->size : sizeof(frame);
	int sock = connected(foe);

	frame.magic = HAK_WIRE_MAGIC ^ p->magic_xor;
	frame.type = p->type;
	memcpy(bytes, &frame, sizeof(frame));
	must(!raw_send(sock, bytes, size, NULL, 0));
	foe_expect_refused(sock, p->code, p->text);
}

static void says_hello_twice(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_session(foe);
	const struct hak_wire_frame hello = raw_hello();

	send_frame(raw.sock, &hello);
	foe_expect_evicted(&raw, "HELLO twice");
}

static void says_nothing(const struct foe *foe, const void *unused)
{
	foe_expect_refused(connected(foe), -ETIMEDOUT, "no HELLO in time");
}

static void says_bye_and_goes_on(const struct foe *foe, const void *unused)
{
	struct raw raw = foe_offender(foe);
	const struct hak_wire_frame bye = hak_wire_make(HAK_WIRE_BYE), hello = raw_hello();
	const struct hak_sqe sqe = raw_entry(&raw, HAK_OP_NOP);

	send_frame(raw.sock, &bye);
	must(!raw_push(&raw, &sqe));
	(void)raw_send(raw.sock, &hello, sizeof(hello), NULL, 0);
	must(!raw_wait_hangup(raw.sock));
	must(raw_resume(&raw, foe->rig->socket, raw.session_id) == -ESTALE);
}

/* A frame of domains from a session of an earlier version. */
static void speaks_a_later_version(const struct foe *foe, const void *unused)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_DOMAIN_OPEN);
	struct raw raw;

	must(!raw_open_version(&raw, foe->rig->socket, 2));
	(void)snprintf(frame.domain_open.name, sizeof(frame.domain_open.name), "x");
	send_frame(raw.sock, &frame);
	foe_expect_evicted(&raw, "a frame of a later protocol version");
}

/* ---- descriptors ---- */

enum kind {
	KIND_NULL,
	KIND_SOCKET,
	KIND_PIDFD,
	KIND_EPOLL,
	KIND_MEMFD,
	KIND_PATH,
	KIND_ITS_OWN
};

struct flood {
	enum kind kind;
	unsigned n;
	bool with_session;
};

static int make(const struct foe *foe, enum kind kind, int sock)
{
	int fd = -1;

	switch (kind) {
	case KIND_NULL:
		return open("/dev/null", O_RDWR);
	case KIND_SOCKET:
		return connected(foe);
	case KIND_PIDFD:
		must(!hak_sys_pidfd_open(&fd, getpid()));
		return fd;
	case KIND_EPOLL:
		return epoll_create1(0);
	case KIND_MEMFD:
		return memfd_create("huge", 0);
	case KIND_PATH:
		return open("/", O_PATH);
	default: /* a cycle: only the kernel's collector frees such sockets */
		return dup(sock);
	}
}

static void attaches_descriptors(const struct foe *foe, const void *arg)
{
	const struct flood *flood = arg;
	struct hak_wire_frame hello = raw_hello();
	struct raw raw = { .sock = -1 };
	int fds[253], sock;

	if (flood->with_session)
		raw = foe_session(foe);
	sock = flood->with_session ? raw.sock : connected(foe);
	fds[0] = make(foe, flood->kind, sock);
	must(fds[0] >= 0);
	for (unsigned i = 1; i < flood->n; i++)
		fds[i] = fds[0];
	must(!raw_send(sock, &hello, sizeof(hello), fds, flood->n));
	foe_expect_refused(sock, flood->with_session ? -EPROTO : -EBADMSG,
			   "an empty packet, or descriptors attached");
}

/* As many as the kernel lets be under way, in connections that say no more. */
static void floods_with_descriptors(const struct foe *foe, const void *unused)
{
	struct hak_wire_frame hello = raw_hello();
	int fds[253];

	for (int i = 0; i < 253; i++)
		fds[i] = STDERR_FILENO;
	for (int i = 0; i < 100; i++) {
		int sock = connected(foe);

		for (int n = 0; n < 20; n++) {
			if (raw_send(sock, &hello, sizeof(hello), fds, 253))
				break;
		}
		close(sock);
	}
}

#define PACKET(title, wrong, reason, ...)                                                       \
	{                                                                                       \
		.name = title, .fn = sends_a_packet,                                            \
		.arg = &(const struct packet){ .code = -(wrong), .text = reason, __VA_ARGS__ }, \
		.log = reason                                                                   \
	}
#define HELLO(...)                                                                     \
	.type = HAK_WIRE_HELLO, .frame.hello = { .version_min = 1,                     \
						 .version_max = 3,                     \
						 .layout_version = HAK_LAYOUT_VERSION, \
						 __VA_ARGS__ }
#define FLOOD(title, what, count, session)                                                         \
	{                                                                                          \
		.name = title, .fn = attaches_descriptors,                                         \
		.arg = &(const struct flood){ .kind = what, .n = count, .with_session = session }, \
		.log = "an empty packet, or descriptors attached", .evicted = session              \
	}

static const struct foe_case cases[] = {
	PACKET("an empty packet", EBADMSG, "an empty packet", .size = EMPTY, HELLO()),
	PACKET("one byte", EBADMSG, NONSENSE, .size = 1, HELLO()),
	PACKET("63 bytes", EBADMSG, NONSENSE, .size = 63, HELLO()),
	PACKET("65 bytes", EBADMSG, "a packet of more than 64 bytes", .size = 65, HELLO()),
	PACKET("64 KiB", EBADMSG, "a packet of more than 64 bytes", .size = 65536, HELLO()),
	PACKET("another magic", EBADMSG, NONSENSE, .magic_xor = 1, HELLO()),
	PACKET("a frame of type 0", EBADMSG, NONSENSE, .type = 0),
	PACKET("a frame of type 65535", EBADMSG, NONSENSE, .type = UINT16_MAX),
	PACKET("a reserved byte in HELLO", EBADMSG, NONSENSE, HELLO(.reserved = { 0, 1 })),
	PACKET("a name without an end", EBADMSG, NONSENSE,
	       HELLO(.comm = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 })),
	PACKET("versions the wrong way round", EPROTONOSUPPORT, "protocol 3 to 1",
	       .type = HAK_WIRE_HELLO,
	       .frame.hello = { .version_min = 3,
				.version_max = 1,
				.layout_version = HAK_LAYOUT_VERSION }),
	PACKET("another layout", EPROTONOSUPPORT, "memory layout 4294967295",
	       .type = HAK_WIRE_HELLO,
	       .frame.hello = { .version_min = 1, .version_max = 3, .layout_version = UINT32_MAX }),
	PACKET("a session id without RESUME", EBADMSG, "a session id without RESUME",
	       HELLO(.session_id = 1)),
	PACKET("a frame that only the daemon sends", EBADMSG, "only the daemon sends",
	       .type = HAK_WIRE_WELCOME),
	PACKET("an unknown QUERY", EINVAL, "unknown QUERY", .type = HAK_WIRE_QUERY,
	       .frame.query = { .what = UINT32_MAX }),
	PACKET("a domain without a session", EBADMSG, "a domain without a session",
	       .type = HAK_WIRE_DOMAIN_CLOSE),
	{ .name = "HELLO twice",
	  .fn = says_hello_twice,
	  .log = "reason=\"HELLO twice",
	  .evicted = 1 },
	{ .name = "a connection that says nothing",
	  .fn = says_nothing,
	  .log = "no HELLO in time",
	  .config = "[limits]\ngreeting-timeout = 100 ms\n" },
	{ .name = "requests after BYE", .fn = says_bye_and_goes_on },
	{ .name = "a frame of a later version",
	  .fn = speaks_a_later_version,
	  .log = "a frame of a later protocol version",
	  .evicted = 1 },
	FLOOD("one descriptor with HELLO", KIND_NULL, 1, 0),
	FLOOD("253 descriptors with HELLO", KIND_NULL, 253, 0),
	FLOOD("a socket attached", KIND_SOCKET, 1, 0),
	FLOOD("a process attached", KIND_PIDFD, 3, 0),
	FLOOD("an epoll attached", KIND_EPOLL, 3, 0),
	FLOOD("a file that can shrink attached", KIND_MEMFD, 3, 0),
	FLOOD("a path attached", KIND_PATH, 3, 0),
	FLOOD("a socket sent through itself", KIND_ITS_OWN, 4, 0),
	FLOOD("descriptors from a session", KIND_NULL, 253, 1),
	{ .name = "descriptors flooded",
	  .fn = floods_with_descriptors,
	  .log = "an empty packet, or descriptors attached" },
};

int main(void)
{
	return foe_main("greetings", cases, sizeof(cases) / sizeof(cases[0]));
}
