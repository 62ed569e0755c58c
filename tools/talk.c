/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/talk.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "shared/fdpass.h"
#include "shared/sys.h"
#include "tools/os.h"
#include "tools/text.h"

int talk_fail(struct talk *talk, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(talk->error, sizeof(talk->error), format, args);
	va_end(args);
	return -1;
}

int talk_init(struct talk *talk, const char *path)
{
	int r;

	*talk = (struct talk){ .sock = -1, .path = path };
	r = os_connect(&talk->sock, path, TALK_TIMEOUT_MS);
	return r < 0 ? talk_fail(talk, "no daemon at %s: %s", path, os_text(r)) : 0;
}

void talk_deinit(struct talk *talk)
{
	talk->sock = hak_sys_close(talk->sock);
}

static int receive(struct talk *talk, struct hak_wire_frame *ret_frame, int *ret_fds,
		   unsigned max_fds)
{
	uint8_t bytes[HAK_WIRE_SIZE];
	unsigned n_fds = 0;
	ssize_t n;
	int r;

	r = os_wait_readable(talk->sock, TALK_TIMEOUT_MS);
	if (r == -ETIMEDOUT)
		return talk_fail(talk, "no answer from the daemon at %s within %d s", talk->path,
				 TALK_TIMEOUT_MS / 1000);
	if (r < 0)
		return talk_fail(talk, "waiting for the daemon at %s: %s", talk->path, os_text(r));
	n = hak_fdpass_recv(talk->sock, bytes, sizeof(bytes), ret_fds, max_fds, &n_fds);
	if ((n == 0 && !n_fds) || n == -ECONNRESET)
		return talk_fail(talk, "the daemon at %s hung up without an answer", talk->path);
	if (n < 0 && n != -EBADMSG && n != -EMSGSIZE)
		return talk_fail(talk, "the daemon at %s: %s", talk->path, os_text((int)n));
	if (n < 0 || hak_wire_decode(ret_frame, bytes, (size_t)n) < 0)
		return talk_fail(talk, "report malformed: not a frame of this protocol");
	if (ret_frame->type != HAK_WIRE_REFUSED)
		return 0;
	text_make_plain(ret_frame->refused.text, sizeof(ret_frame->refused.text));
	return talk_fail(talk, "refused: %s", ret_frame->refused.text);
}

int talk_ask(struct talk *talk, const struct hak_wire_frame *frame,
	     struct hak_wire_frame *ret_frame, int *ret_fds, unsigned max_fds)
{
	int r = hak_fdpass_send(talk->sock, frame, NULL, 0);

	if (r < 0 && r != -EPIPE) /* a daemon that hung up may have said why */
		return talk_fail(talk, "asking the daemon at %s: %s", talk->path, os_text(r));
	if (!ret_frame)
		return 0;
	for (unsigned i = 0; i < max_fds; i++)
		ret_fds[i] = -1;
	r = receive(talk, ret_frame, ret_fds, max_fds);
	for (unsigned i = 0; r < 0 && i < max_fds; i++)
		ret_fds[i] = hak_sys_close(ret_fds[i]);
	return r;
}
