/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/query.h"

#include <stdlib.h>

#include "shared/sys.h"
#include "tools/os.h"

/* More than any daemon has to say: a million sessions are 120 MB. */
#define BYTES_MAX (UINT64_C(1) << 28)

static int read_records(struct query *query, const struct hak_wire_report *report, int fd,
			size_t record_size)
{
	size_t used = report->record_size < record_size ? report->record_size : record_size;
	uint64_t size;
	int r;

	if (fd < 0)
		return talk_fail(&query->talk, "report malformed: no records attached");
	if (os_file_size(fd, &size) < 0)
		return talk_fail(&query->talk, "report malformed: the records are in no file");
	/* The divisions cannot overflow where the products could. */
	if (!report->record_size || report->count > BYTES_MAX / report->record_size ||
	    report->count > BYTES_MAX / record_size)
		return talk_fail(&query->talk, "report malformed: %llu records of %u bytes",
				 (unsigned long long)report->count, report->record_size);
	if (size < report->count * report->record_size)
		return talk_fail(&query->talk,
				 "report malformed: %llu bytes for %llu records of %u bytes",
				 (unsigned long long)size, (unsigned long long)report->count,
				 report->record_size);
	query->records = calloc(report->count ? report->count : 1, record_size);
	if (!query->records)
		return talk_fail(&query->talk, "out of memory");
	for (uint64_t i = 0; i < report->count; i++) {
		r = os_read_at(fd, (char *)query->records + i * record_size, used,
			       i * report->record_size);
		if (r < 0)
			return talk_fail(&query->talk, "report malformed: reading record %llu: %s",
					 (unsigned long long)i, os_text(r));
	}
	query->count = report->count;
	return 0;
}

int query_run_from(struct query *query, const char *path, enum hak_wire_query what, uint64_t after,
		   size_t record_size)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_QUERY);
	HAK_CLEAN(hak_sys_closep) int fd = -1;
	struct talk *talk = &query->talk;
	int r = talk_init(talk, path);

	frame.query.what = what;
	frame.query.after = after;
	if (r == 0)
		r = talk_ask(talk, &frame, &frame, &fd, 1);
	if (r == 0 && (frame.type != HAK_WIRE_REPORT || frame.report.what != what))
		r = talk_fail(talk, "report malformed: the answer to another question");
	if (r == 0)
		r = read_records(query, &frame.report, fd, record_size);
	talk_deinit(talk);
	return r;
}

int query_run(struct query *query, const char *path, enum hak_wire_query what, size_t record_size)
{
	return query_run_from(query, path, what, 0, record_size);
}

void query_deinit(struct query *query)
{
	free(query->records);
	query->records = NULL;
}
