/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/detail.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libclient/include/hakmem.h"
#include "shared/sys.h"

#define NUMBER_BYTES 24u
#define TEXT_BYTES   128u

/* Static TLS is scarce where the library is loaded late: numbers, and one text. */
static __thread struct {
	const char *literal; /* wins over the refusal */
	struct hak_refused refused;
	char text[TEXT_BYTES];
} detail;

void hak_detail_refused(const struct hak_refused *refused)
{
	detail.literal = NULL;
	detail.refused = *refused;
}

void hak_detail_say(const char *text)
{
	detail.literal = text;
}

void hak_detail_copy(const char *text)
{
	(void)snprintf(detail.text, TEXT_BYTES, "%s", text);
	detail.literal = detail.text;
}

/* Exactly: limits are whole superslabs. */
static const char *bytes_text(char ret[NUMBER_BYTES], uint64_t bytes)
{
	bool gib = bytes && bytes % (UINT64_C(1) << 30) == 0;

	(void)snprintf(ret, NUMBER_BYTES, "%lu %s", bytes >> (gib ? 30 : 20), gib ? "GiB" : "MiB");
	return ret;
}

static void write_refused(const struct hak_refused *r)
{
	char limit[NUMBER_BYTES], used[NUMBER_BYTES];

	bytes_text(limit, r->limit);
	bytes_text(used, r->used);
	switch (r->refusal) {
	case HAK_REFUSAL_TOTAL_BYTES:
		(void)snprintf(detail.text, TEXT_BYTES,
			       "limit of %s for all processes reached (%s in use; total-bytes)",
			       limit, used);
		break;
	case HAK_REFUSAL_UID_BYTES:
		(void)snprintf(detail.text, TEXT_BYTES,
			       "quota of %s reached by uid %u (%s in use; uid-bytes)", limit,
			       (unsigned)geteuid(), used);
		break;
	case HAK_REFUSAL_SESSION_BYTES:
		(void)snprintf(detail.text, TEXT_BYTES,
			       "quota of %s reached by this process (%s in use; session-bytes)",
			       limit, used);
		break;
	case HAK_REFUSAL_NODE_BYTES:
		(void)snprintf(detail.text, TEXT_BYTES,
			       "limit of %s of a NUMA node reached (%s in use; node-bytes)", limit,
			       used);
		break;
	case HAK_REFUSAL_DOMAIN_BYTES:
		(void)snprintf(detail.text, TEXT_BYTES,
			       "quota of %s reached by the domain (%s in use; domain-bytes)", limit,
			       used);
		break;
	case HAK_REFUSAL_ADDRESSES:
		(void)snprintf(detail.text, TEXT_BYTES,
			       "no neighbouring superslabs for so large a block are free");
		break;
	case HAK_REFUSAL_MEMORY:
		(void)snprintf(detail.text, TEXT_BYTES, "the machine has no memory to give");
		break;
	default: /* of an older daemon, or of a newer one */
		(void)snprintf(detail.text, TEXT_BYTES, "refused by hakmemd: %s",
			       r->result > -4096 ? hak_sys_text(r->result) : "unknown error");
		break;
	}
}

HAK_EXPORT const char *hak_detail(void)
{
	if (detail.literal)
		return detail.literal;
	if (!detail.refused.result)
		return "";
	write_refused(&detail.refused);
	return detail.text;
}
