/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detail.h - why the calling thread's last call failed: what hak_detail() puts into words.
 *
 * Failures are noted as numbers where they happen, perhaps inside malloc; words are made when
 * somebody asks. Only cold paths come here.
 */
#pragma once

#include "shared/layout.h"

/* A lease that the daemon refused. */
struct hak_refused {
	int32_t result; /* a negative errno; 0: none was refused */
	uint32_t refusal;
	uint64_t limit, used;
};

/* Copies what a completion says; a daemon may say anything, and words are all it can change. */
static inline struct hak_refused hak_refused_of(const struct hak_cqe *cqe)
{
	return (struct hak_refused){ .result = cqe->result,
				     .refusal = cqe->refusal,
				     .limit = cqe->limit,
				     .used = cqe->used };
}

/* The calling thread's call fails because of that refusal. */
HAK_COLD void hak_detail_refused(const struct hak_refused *refused);
/* ... because of what it was called with; a literal. */
HAK_COLD void hak_detail_say(const char *text);
/* ... because of what the daemon said; the text is copied. */
HAK_COLD void hak_detail_copy(const char *text);
