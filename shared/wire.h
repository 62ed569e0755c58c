/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.h - the control plane: 64-byte frames on a SOCK_SEQPACKET Unix socket, little-endian as the
 * machine (both ends are on it).
 *
 *   client                              daemon
 *   HELLO {min, max, layout}     ->
 *                                <-     WELCOME {version, session} + [segment, region, presence]
 *                                <-     REFUSED {code, text}, then close
 *   BYE                          ->     (session ends at once; else when the process is gone)
 *
 *   client with a session
 *   DOMAIN_ATTR {attributes}     ->     (of the next DOMAIN_OPEN; left out: defaults)
 *   DOMAIN_OPEN {name, flags}    ->
 *                                <-     DOMAIN {id, base, member} + [data, meta, state, events]
 *   DOMAIN_CLOSE {id}            ->
 *                                <-     DONE {0}
 *   DOMAIN_UNLINK {name}         ->
 *                                <-     DONE {0}
 *   DOMAIN_HEIR {id, member}     ->
 *                                <-     DONE {0}
 *                                <-     DONE {code, text}: any of these failed; nothing else ends
 *
 *   tool
 *   QUERY {what}                 ->
 *                                <-     REPORT {count, record size} + [sealed memfd of records]
 *
 * HELLO with HAK_HELLO_RESUME and the session's id, on a new connection of the same process, hands
 * out the descriptors again: for programs that closed all of theirs.
 * The daemon takes identity from the kernel (peer credentials, pidfd), never from a frame.
 * Reserved bytes are zero and checked.
 */
#pragma once

#include "shared/base.h"

#define HAK_WIRE_MAGIC       0x4d4b4148u /* "HAKM" */
#define HAK_WIRE_VERSION_MIN 1u
#ifndef HAK_WIRE_VERSION_MAX /* the tests have a daemon of another version */
#define HAK_WIRE_VERSION_MAX 3u
#endif
/* From here on completions say why a lease was refused. */
#define HAK_WIRE_VERSION_REASONS 2u
/* From here on there are domains. */
#define HAK_WIRE_VERSION_DOMAINS 3u
#define HAK_WIRE_SIZE            64u
#define HAK_WIRE_TEXT            48u
#define HAK_WIRE_FDS_MAX         4u

/* A path with its NUL, as sockaddr_un has it. */
#define HAK_SOCKET_PATH_MAX 108u
#define HAK_DEFAULT_SOCKET  "/run/hakmem/hakmemd.sock"

enum hak_wire_type {
	HAK_WIRE_HELLO = 1,
	HAK_WIRE_WELCOME = 2,
	HAK_WIRE_REFUSED = 3,
	HAK_WIRE_BYE = 4,
	HAK_WIRE_QUERY = 5,
	HAK_WIRE_REPORT = 6,
	HAK_WIRE_DOMAIN_ATTR = 7,
	HAK_WIRE_DOMAIN_OPEN = 8,
	HAK_WIRE_DOMAIN = 9,
	HAK_WIRE_DOMAIN_CLOSE = 10,
	HAK_WIRE_DOMAIN_UNLINK = 11,
	HAK_WIRE_DONE = 12,
	HAK_WIRE_DOMAIN_HEIR = 13,
};

enum hak_wire_query {
	HAK_QUERY_STATUS = 1,   /* one struct hak_report_status */
	HAK_QUERY_SESSIONS = 2, /* struct hak_report_session, one each */
	HAK_QUERY_LIMITS = 3,   /* struct hak_report_limit, one for each limit and whom it binds */
	HAK_QUERY_DOMAINS = 4,  /* struct hak_report_domain, one each */
	HAK_QUERY_AUDIT = 5,    /* struct hak_report_audit: report_audit.h */
};

#define HAK_HELLO_RESUME 1u

struct hak_wire_hello {
	uint16_t version_min;
	uint16_t version_max;
	uint32_t layout_version;
	uint32_t flags;
	uint32_t reserved0;
	uint64_t session_id; /* with HAK_HELLO_RESUME, else 0 */
	char comm[16];       /* what the process calls itself; for display only */
	uint64_t reserved[2];
};

struct hak_wire_welcome {
	uint16_t version;
	uint16_t reserved0;
	uint32_t region_superslabs;
	uint64_t session_id;
	uint64_t epoch;
	uint64_t reserved[4];
};

struct hak_wire_refused {
	int32_t code; /* negative errno */
	uint32_t reserved0;
	char text[HAK_WIRE_TEXT]; /* NUL-terminated */
};

struct hak_wire_query_body {
	uint32_t what;
	uint32_t reserved0;
	uint64_t after; /* AUDIT: where to go on, 0: from the beginning; else 0 */
	uint64_t reserved[5];
};

struct hak_wire_report {
	uint32_t what;
	uint32_t record_size;
	uint64_t count;
	uint64_t reserved[5];
};

/* The flags and values of hakmem.h's enums of similar names. */
enum hak_wire_domain_flags {
	HAK_WIRE_CREATE = 1,
	HAK_WIRE_EXCL = 2,
	HAK_WIRE_RDONLY = 4,
	HAK_WIRE_AGAIN = 8, /* asked before by this session, and not answered */
};

enum hak_wire_orphan {
	HAK_WIRE_ORPHAN_FREE = 1,
	HAK_WIRE_ORPHAN_PUBLISH = 2,
	HAK_WIRE_ORPHAN_HEIR = 3,
};

enum hak_wire_lifetime {
	HAK_WIRE_LIFETIME_UNLINKED = 1,
	HAK_WIRE_LIFETIME_MEMBERS = 2,
};

/* 0: the default, in every field. */
struct hak_wire_domain_attr {
	uint64_t max_size; /* bytes of address range, a multiple of 2 MiB */
	uint64_t quota;    /* bytes of memory, likewise */
	uint32_t mode;     /* permission bits, as of a file: r to read, w to be a member */
	uint32_t node;     /* NUMA node + 1 */
	uint32_t page_policy;
	uint32_t orphan_policy;
	uint32_t lifetime; /* enum hak_domain_lifetime of hakmem.h */
	uint32_t reserved0;
	uint64_t reserved[2];
};

#define HAK_WIRE_DOMAIN_NAME 32u

struct hak_wire_domain_open {
	char name[HAK_WIRE_DOMAIN_NAME]; /* NUL-terminated */
	uint32_t flags;                  /* HAK_CREATE, HAK_EXCL, HAK_RDONLY of hakmem.h */
	uint32_t reserved0;
	uint64_t reserved[2];
};

struct hak_wire_domain {
	uint64_t id;
	uint64_t base;       /* address in every member */
	uint64_t member;     /* hak_member of the caller */
	uint32_t superslabs; /* of address range */
	uint32_t created;    /* 1: by this call */
	uint64_t reserved[3];
};

struct hak_wire_domain_close {
	uint64_t id;
	uint64_t reserved[6];
};

struct hak_wire_domain_heir {
	uint64_t id;
	uint64_t member; /* who is to have what the caller owns expressly; 0: nobody */
	uint64_t reserved[5];
};

struct hak_wire_done {
	int32_t code; /* 0 or a negative errno */
	uint32_t reserved0;
	char text[HAK_WIRE_TEXT]; /* NUL-terminated; why */
};

struct hak_wire_frame {
	uint32_t magic;
	uint16_t type;
	uint16_t reserved;
	union {
		struct hak_wire_hello hello;
		struct hak_wire_welcome welcome;
		struct hak_wire_refused refused;
		struct hak_wire_query_body query;
		struct hak_wire_report report;
		struct hak_wire_domain_attr domain_attr;
		struct hak_wire_domain_open domain_open; /* and DOMAIN_UNLINK, flags 0 */
		struct hak_wire_domain domain;
		struct hak_wire_domain_close domain_close;
		struct hak_wire_domain_heir domain_heir;
		struct hak_wire_done done;
		uint8_t bytes[56];
	};
};
HAK_PIN_SIZE(struct hak_wire_frame, HAK_WIRE_SIZE);
HAK_PIN_SIZE(struct hak_wire_hello, 56);
HAK_PIN_FIELD(struct hak_wire_hello, session_id, 16);
HAK_PIN_FIELD(struct hak_wire_hello, comm, 24);
HAK_PIN_SIZE(struct hak_wire_welcome, 56);
HAK_PIN_FIELD(struct hak_wire_welcome, session_id, 8);
HAK_PIN_SIZE(struct hak_wire_refused, 56);
HAK_PIN_SIZE(struct hak_wire_query_body, 56);
HAK_PIN_FIELD(struct hak_wire_query_body, after, 8);
HAK_PIN_SIZE(struct hak_wire_report, 56);
HAK_PIN_SIZE(struct hak_wire_domain_attr, 56);
HAK_PIN_SIZE(struct hak_wire_domain_open, 56);
HAK_PIN_SIZE(struct hak_wire_domain, 56);
HAK_PIN_FIELD(struct hak_wire_domain, superslabs, 24);
HAK_PIN_SIZE(struct hak_wire_domain_close, 56);
HAK_PIN_SIZE(struct hak_wire_domain_heir, 56);
HAK_PIN_SIZE(struct hak_wire_done, 56);

/* A frame of that type with the magic set and everything else zero. */
struct hak_wire_frame hak_wire_make(enum hak_wire_type type);

/*
 * A pure function of (bytes, length): 0 and the frame, or -EBADMSG (size, magic, type, reserved
 * bytes that are set, text without end). Copies; reads nothing past `length`.
 */
int hak_wire_decode(struct hak_wire_frame *ret_frame, const void *bytes, size_t length);

/* The highest protocol version that both sides speak, or 0. */
uint16_t hak_wire_choose(uint16_t peer_min, uint16_t peer_max);

/* Fills a REFUSED frame, or a DONE frame; the text is cut to fit. */
struct hak_wire_frame hak_wire_refuse(int code, const char *text);
struct hak_wire_frame hak_wire_done(int code, const char *text);
