/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw_client.h - the protocol without manners: a client made of shared/ alone, that can send any
 * frame and write anything into its rings.
 *
 * Tests use it, and the workloads that are about the daemon.
 *
 * Every wait has a deadline. Functions return 0, a negative errno, or what is documented.
 */
#pragma once

#include "shared/layout.h"
#include "shared/report.h"
#include "shared/reserve.h"
#include "shared/ring.h"
#include "shared/wire.h"

#define RAW_DEADLINE_MS 20000

struct raw {
	int sock;
	int segment_fd, region_fd, presence_fd;
	struct hak_segment_head *segment;
	void *presence;
	struct hak_ring_end sq; /* the producer's end */
	struct hak_ring_end cq; /* the consumer's end */
	uint64_t session_id;
	uint64_t epoch;
	uint64_t seq;
};

/* A connected socket, or a negative errno. */
int raw_connect(const char *path);
/* Sends bytes and descriptors as one packet. */
int raw_send(int sock, const void *bytes, size_t size, const int *fds, unsigned n_fds);
/* One frame and up to HAK_WIRE_FDS_MAX descriptors; -ENOTCONN: the daemon hung up; -ETIMEDOUT. */
int raw_recv(int sock, struct hak_wire_frame *ret_frame, int *ret_fds, unsigned *ret_n_fds);
/* 0 when the daemon hangs up; what it still says is dropped. */
int raw_wait_hangup(int sock);

/* The code and text of the REFUSED with which the daemon hangs up; 0, or why there is none. */
int raw_wait_refused(int sock, int *ret_code, char ret_text[HAK_WIRE_TEXT]);

struct hak_wire_frame raw_hello(void);
/* Connects, says HELLO, maps what comes back. A refusal is its (negative) code. */
int raw_open(struct raw *ret_raw, const char *path);
/* The same with a client that speaks no later protocol version. */
int raw_open_version(struct raw *ret_raw, const char *path, uint16_t version);
int raw_resume(struct raw *ret_raw, const char *path, uint64_t session_id);
/* Closes and unmaps, without BYE. */
void raw_close(struct raw *raw);
/* Closes the descriptors only, as programs do that close all of theirs. */
void raw_close_fds(struct raw *raw);

/* The next entry for an operation, its seq filled in. */
struct hak_sqe raw_entry(struct raw *raw, enum hak_op op);
/* Publishes an entry and wakes the daemon. HAK_RING_E_FULL as hak_ring_push(). */
int raw_push(struct raw *raw, const struct hak_sqe *sqe);
/* Only the wake-up, for who wrote into the ring by hand. */
void raw_wake(struct raw *raw);
/* Waits for the next completion: 0, -ETIMEDOUT, -ENOTCONN. */
int raw_pop(struct raw *raw, struct hak_cqe *ret_cqe);
/* Both; the completion's result, or an error as above. */
int raw_call(struct raw *raw, const struct hak_sqe *sqe, struct hak_cqe *ret_cqe);

int raw_nop(struct raw *raw);
int raw_lease(struct raw *raw, uint32_t count, uint32_t *ret_first);
int raw_return(struct raw *raw, uint32_t first, uint32_t count);
int raw_freeze(struct raw *raw, uint32_t first, uint32_t count);

/* Maps a leased superslab. */
void *raw_map(const struct raw *raw, uint32_t index);
void raw_unmap(void *at);

/* Asks on a connection that raw_connect() made. The number of records copied, at most `max`, or a
 * negative errno. */
int raw_ask(int sock, enum hak_wire_query what, void *ret_records, size_t record_size,
	    unsigned max);
/* The same on a connection of its own. */
int raw_sessions(const char *path, struct hak_report_session *ret_records, unsigned max);
int raw_limits(const char *path, struct hak_report_limit *ret_records, unsigned max);
/* That limit of that owner; false: it is not reported. */
bool raw_limit(const char *path, const char *key, uint64_t owner, struct hak_report_limit *ret);
int raw_status(const char *path, struct hak_report_status *ret_status);
