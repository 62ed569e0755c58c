/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/query.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/fdpass.h"
#include "shared/sys.h"
#include "tools/os.h"
#include "tools/text.h"

/* More than any daemon has to say: a million sessions are 120 MB. */
#define BYTES_MAX (UINT64_C(1) << 28)

static int fail(struct query *query, const char *format, ...) HAK_PRINTF(2, 3);

static int fail(struct query *query, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(query->error, sizeof(query->error), format, args);
	va_end(args);
	return -1;
}

static int receive(struct query *query, const char *path, int sock,
		   struct hak_wire_frame *ret_frame, int *ret_fd)
{
	uint8_t bytes[HAK_WIRE_SIZE];
	unsigned n_fds = 0;
	ssize_t n;
	int r, fd = -1;

	r = os_wait_readable(sock, QUERY_TIMEOUT_MS);
	if (r == -ETIMEDOUT)
		return fail(query, "no answer from the daemon at %s within %d s", path,
			    QUERY_TIMEOUT_MS / 1000);
	if (r < 0)
		return fail(query, "waiting for the daemon at %s: %s", path, os_text(r));
	n = hak_fdpass_recv(sock, bytes, sizeof(bytes), &fd, 1, &n_fds);
	if ((n == 0 && !n_fds) || n == -ECONNRESET)
		return fail(query, "the daemon at %s hung up without an answer", path);
	if (n < 0 && n != -EBADMSG && n != -EMSGSIZE)
		return fail(query, "the daemon at %s: %s", path, os_text((int)n));
	if (n < 0 || hak_wire_decode(ret_frame, bytes, (size_t)n) < 0) {
		hak_sys_close(fd);
		return fail(query, "report malformed: not a frame of this protocol");
	}
	*ret_fd = fd;
	return 0;
}

static int read_records(struct query *query, const struct hak_wire_report *report, int fd,
			size_t record_size)
{
	size_t used = report->record_size < record_size ? report->record_size : record_size;
	uint64_t size;
	int r;

	if (fd < 0)
		return fail(query, "report malformed: no records attached");
	if (os_file_size(fd, &size) < 0)
		return fail(query, "report malformed: the records are in no file");
	/* The divisions cannot overflow where the products could. */
	if (!report->record_size || report->count > BYTES_MAX / report->record_size ||
	    report->count > BYTES_MAX / record_size)
		return fail(query, "report malformed: %llu records of %u bytes",
			    (unsigned long long)report->count, report->record_size);
	if (size < report->count * report->record_size)
		return fail(query, "report malformed: %llu bytes for %llu records of %u bytes",
			    (unsigned long long)size, (unsigned long long)report->count,
			    report->record_size);
	query->records = calloc(report->count ? report->count : 1, record_size);
	if (!query->records)
		return fail(query, "out of memory");
	for (uint64_t i = 0; i < report->count; i++) {
		r = os_read_at(fd, (char *)query->records + i * record_size, used,
			       i * report->record_size);
		if (r < 0)
			return fail(query, "report malformed: reading record %llu: %s",
				    (unsigned long long)i, os_text(r));
	}
	query->count = report->count;
	return 0;
}

int query_run(struct query *query, const char *path, enum hak_wire_query what, size_t record_size)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_QUERY);
	HAK_CLEAN(hak_sys_closep) int sock = -1;
	HAK_CLEAN(hak_sys_closep) int fd = -1;
	int r;

	r = os_connect(&sock, path, QUERY_TIMEOUT_MS);
	if (r < 0)
		return fail(query, "no daemon at %s: %s", path, os_text(r));
	frame.query.what = what;
	r = hak_fdpass_send(sock, &frame, NULL, 0);
	if (r < 0 && r != -EPIPE) /* a daemon that hung up may have said why */
		return fail(query, "asking the daemon at %s: %s", path, os_text(r));
	r = receive(query, path, sock, &frame, &fd);
	if (r < 0)
		return r;
	if (frame.type == HAK_WIRE_REFUSED) {
		text_make_plain(frame.refused.text, sizeof(frame.refused.text));
		return fail(query, "refused: %s", frame.refused.text);
	}
	if (frame.type != HAK_WIRE_REPORT || frame.report.what != what)
		return fail(query, "report malformed: the answer to another question");
	return read_records(query, &frame.report, fd, record_size);
}

void query_deinit(struct query *query)
{
	free(query->records);
	query->records = NULL;
}
