/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw_domain.h - domains for the client without manners: frames and files, nothing in between.
 *
 * As in raw_client.h: 0, or a negative errno; a DONE with an error is its code.
 */
#pragma once

#include "bench/raw/raw_client.h"
#include "shared/domain.h"

struct raw_domain {
	uint64_t id;
	uint64_t member;
	uint64_t base;
	bool created;
	int data_fd, meta_fd, state_fd, sign_fd;
	void *meta; /* NULL: mapped by nobody */
	const struct hak_domain_state *state;
	struct hak_domain_view view; /* data mapped at its address, unless that is not asked for */
	char text[HAK_WIRE_TEXT];    /* of the last DONE */
	struct hak_wire_domain answer; /* as it came */
};

/* Sends a frame, waits for DONE: its code, with the text. */
int raw_done(struct raw *raw, const struct hak_wire_frame *frame, char ret_text[HAK_WIRE_TEXT]);
/* `attr` NULL: none is sent. Maps meta and state (read-only with HAK_WIRE_RDONLY), not data. */
int raw_domain_open(struct raw *raw, struct raw_domain *ret, const char *name, uint32_t flags,
		    const struct hak_wire_domain_attr *attr);
/* Maps data at the domain's address. */
int raw_domain_map(struct raw_domain *domain);
/* Unmaps and closes the files; the membership stays. Allowed twice. */
void raw_domain_drop(struct raw_domain *domain);
/* The same, and leaves. */
int raw_domain_close(struct raw *raw, struct raw_domain *domain);
int raw_domain_unlink(struct raw *raw, const char *name);
int raw_domain_heir(struct raw *raw, const struct raw_domain *domain, uint64_t heir);
/* The completion's result, and the completion. */
int raw_domain_grow(struct raw *raw, uint64_t id, uint32_t count, struct hak_cqe *ret_cqe);
int raw_domains(const char *path, struct hak_report_domain *ret_records, unsigned max);
