/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/wire.h"

#include <errno.h>
#include <string.h>

struct hak_wire_frame hak_wire_make(enum hak_wire_type type)
{
	struct hak_wire_frame frame;

	memset(&frame, 0, sizeof(frame));
	frame.magic = HAK_WIRE_MAGIC;
	frame.type = (uint16_t)type;
	return frame;
}

static bool all_zero(const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++) {
		if (b[i])
			return false;
	}
	return true;
}

static bool text_ends(const char *text, size_t n)
{
	return memchr(text, 0, n) != NULL;
}

static bool body_ok(const struct hak_wire_frame *f)
{
	switch (f->type) {
	case HAK_WIRE_HELLO:
		return !f->hello.reserved0 &&
		       all_zero(f->hello.reserved, sizeof(f->hello.reserved)) &&
		       text_ends(f->hello.comm, sizeof(f->hello.comm)) &&
		       !(f->hello.flags & ~HAK_HELLO_RESUME);
	case HAK_WIRE_WELCOME:
		return !f->welcome.reserved0 &&
		       all_zero(f->welcome.reserved, sizeof(f->welcome.reserved));
	case HAK_WIRE_REFUSED:
		return !f->refused.reserved0 && f->refused.code < 0 &&
		       text_ends(f->refused.text, sizeof(f->refused.text));
	case HAK_WIRE_BYE:
		return all_zero(f->bytes, sizeof(f->bytes));
	case HAK_WIRE_QUERY:
		return !f->query.reserved0 &&
		       (!f->query.after || f->query.what == HAK_QUERY_AUDIT) &&
		       all_zero(f->query.reserved, sizeof(f->query.reserved));
	case HAK_WIRE_REPORT:
		return all_zero(f->report.reserved, sizeof(f->report.reserved));
	case HAK_WIRE_DOMAIN_ATTR:
		return !f->domain_attr.reserved0 &&
		       all_zero(f->domain_attr.reserved, sizeof(f->domain_attr.reserved));
	case HAK_WIRE_DOMAIN_OPEN:
	case HAK_WIRE_DOMAIN_UNLINK:
		return !f->domain_open.reserved0 &&
		       all_zero(f->domain_open.reserved, sizeof(f->domain_open.reserved)) &&
		       text_ends(f->domain_open.name, sizeof(f->domain_open.name)) &&
		       (f->type == HAK_WIRE_DOMAIN_OPEN || !f->domain_open.flags);
	case HAK_WIRE_DOMAIN:
		return all_zero(f->domain.reserved, sizeof(f->domain.reserved));
	case HAK_WIRE_DOMAIN_CLOSE:
		return all_zero(f->domain_close.reserved, sizeof(f->domain_close.reserved));
	case HAK_WIRE_DOMAIN_HEIR:
		return all_zero(f->domain_heir.reserved, sizeof(f->domain_heir.reserved));
	case HAK_WIRE_DONE:
		return !f->done.reserved0 && f->done.code <= 0 &&
		       text_ends(f->done.text, sizeof(f->done.text));
	default:
		return false;
	}
}

int hak_wire_decode(struct hak_wire_frame *ret_frame, const void *bytes, size_t length)
{
	struct hak_wire_frame frame;

	if (length != sizeof(frame))
		return -EBADMSG;
	memcpy(&frame, bytes, sizeof(frame));
	if (frame.magic != HAK_WIRE_MAGIC || frame.reserved || !body_ok(&frame))
		return -EBADMSG;
	*ret_frame = frame;
	return 0;
}

uint16_t hak_wire_choose(uint16_t peer_min, uint16_t peer_max)
{
	uint16_t v = peer_max < HAK_WIRE_VERSION_MAX ? peer_max : HAK_WIRE_VERSION_MAX;

	return v < peer_min || v < HAK_WIRE_VERSION_MIN ? 0 : v;
}

static void copy_text(char ret_text[HAK_WIRE_TEXT], const char *text)
{
	size_t n = strlen(text);

	memcpy(ret_text, text, n < HAK_WIRE_TEXT ? n : HAK_WIRE_TEXT - 1);
}

struct hak_wire_frame hak_wire_refuse(int code, const char *text)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_REFUSED);

	frame.refused.code = code;
	copy_text(frame.refused.text, text);
	return frame;
}

struct hak_wire_frame hak_wire_done(int code, const char *text)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_DONE);

	frame.done.code = code;
	copy_text(frame.done.text, text);
	return frame;
}
