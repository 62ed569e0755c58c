/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_daemon.h - a daemon of the test's own making, which can say anything: one listening socket,
 * one thread that plays a script for each connection, and the three files of a session.
 */
#pragma once

#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "libclient/connect.h"
#include "libclient/session.h"
#include "shared/fdpass.h"
#include "tests/must.h"

#define REGION_SIZE (4 * HAK_SUPERSLAB_SIZE)
#define SECOND      UINT64_C(1000000000)

enum play {
	WELCOME,            /* as it should be */
	REFUSED,            /* -EDQUOT */
	STALE,              /* -ESTALE */
	SILENCE,            /* no answer until the client hangs up */
	HANG_UP,            /* at once */
	GARBAGE,            /* 64 random bytes */
	SHORT,              /* 10 bytes of a frame */
	WRONG_TYPE,         /* HELLO, with three descriptors */
	FEW_DESCRIPTORS,    /* WELCOME with two */
	MANY_DESCRIPTORS,   /* WELCOME with four */
	WRONG_SEGMENT,      /* its header says another layout */
	TOO_LARGE_A_REGION, /* more superslabs than a window has */
	OTHER_REGION,       /* on resume: memory that is not the session's */
	NEXT_LIFE,          /* the next epoch */
};

struct fake {
	char dir[64], path[96];
	int listener, conn;
	int segment_fd, region_fd, other_fd, presence_fd;
	void *segment;
	struct hak_ring_end sq, cq;
	enum play play;
	struct hak_wire_hello hello; /* the last one that came */
	pthread_t thread;
};

static inline void format_segment(struct fake *f)
{
	struct hak_segment_head *head = f->segment;

	*head = (struct hak_segment_head){ .magic = HAK_SEGMENT_MAGIC,
					   .layout_version = HAK_LAYOUT_VERSION,
					   .segment_size = HAK_SEGMENT_SIZE,
					   .sq_entries = HAK_SQ_ENTRIES,
					   .cq_entries = HAK_CQ_ENTRIES,
					   .region_superslabs = 4 };
}

static inline void fake_memory(struct fake *f)
{
	must(!hak_sys_memfd(&f->segment_fd, "segment", HAK_SEGMENT_SIZE, true));
	must(!hak_sys_memfd(&f->region_fd, "region", REGION_SIZE, true));
	must(!hak_sys_memfd(&f->other_fd, "other", REGION_SIZE, true));
	must(!hak_sys_memfd(&f->presence_fd, "presence", 4096, true));
	must(!hak_sys_map_shared(&f->segment, NULL, f->segment_fd, 0, HAK_SEGMENT_SIZE));
	format_segment(f);
	hak_ring_end_init(&f->sq, hak_at(f->segment, HAK_SEGMENT_SQ_OFF),
			  hak_at(f->segment, HAK_SEGMENT_SQES_OFF), HAK_SQ_ENTRIES);
	hak_ring_end_init(&f->cq, hak_at(f->segment, HAK_SEGMENT_CQ_OFF),
			  hak_at(f->segment, HAK_SEGMENT_CQES_OFF), HAK_CQ_ENTRIES);
}

static inline void send_frame(const struct fake *f, const struct hak_wire_frame *frame,
			      unsigned n_fds)
{
	const int fds[] = { f->segment_fd, f->play == OTHER_REGION ? f->other_fd : f->region_fd,
			    f->presence_fd, f->other_fd };

	must(!hak_fdpass_send(f->conn, frame, fds, n_fds));
}

static inline void answer(struct fake *f)
{
	struct hak_wire_frame welcome = hak_wire_make(HAK_WIRE_WELCOME), refused;
	uint8_t bytes[HAK_WIRE_SIZE];

	welcome.welcome.version = HAK_WIRE_VERSION_MAX;
	welcome.welcome.region_superslabs = 4;
	welcome.welcome.session_id = 77;
	welcome.welcome.epoch = 5;
	memset(bytes, 0x5a, sizeof(bytes));
	switch (f->play) {
	case REFUSED:
	case STALE:
		refused = hak_wire_refuse(f->play == STALE ? -ESTALE : -EDQUOT, "no");
		send_frame(f, &refused, 0);
		break;
	case GARBAGE:
		must(send(f->conn, bytes, sizeof(bytes), 0) == sizeof(bytes));
		break;
	case SHORT:
		must(send(f->conn, &welcome, 10, 0) == 10);
		break;
	case WRONG_TYPE:
		welcome = hak_wire_make(HAK_WIRE_HELLO);
		send_frame(f, &welcome, 3);
		break;
	case TOO_LARGE_A_REGION:
		welcome.welcome.region_superslabs = HAK_REGION_SUPERSLABS + 1;
		send_frame(f, &welcome, 3);
		break;
	case SILENCE:
	case HANG_UP:
		break;
	case FEW_DESCRIPTORS:
		send_frame(f, &welcome, 2);
		break;
	case MANY_DESCRIPTORS:
		send_frame(f, &welcome, 4);
		break;
	case WRONG_SEGMENT:
		((struct hak_segment_head *)f->segment)->layout_version++;
		send_frame(f, &welcome, 3);
		break;
	case NEXT_LIFE:
		welcome.welcome.epoch++;
		send_frame(f, &welcome, 3);
		break;
	case WELCOME:
	case OTHER_REGION:
		send_frame(f, &welcome, 3);
		break;
	}
}

static inline void *serve(void *arg)
{
	struct fake *f = arg;
	struct hak_wire_frame frame;
	uint8_t bytes[HAK_WIRE_SIZE + 1];
	ssize_t n;

	f->conn = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	must(f->conn >= 0);
	n = recv(f->conn, bytes, sizeof(bytes), 0);
	must(n == HAK_WIRE_SIZE && !hak_wire_decode(&frame, bytes, HAK_WIRE_SIZE));
	must(frame.type == HAK_WIRE_HELLO);
	f->hello = frame.hello;
	answer(f);
	if (f->play == SILENCE)
		must(recv(f->conn, bytes, sizeof(bytes), 0) == 0);
	if (f->play != WELCOME && f->play != OTHER_REGION && f->play != NEXT_LIFE)
		f->conn = hak_sys_close(f->conn);
	return NULL;
}

static inline void play(struct fake *f, enum play what)
{
	f->play = what;
	assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
}

static inline void played(struct fake *f)
{
	assert_int_equal(pthread_join(f->thread, NULL), 0);
}

static inline int setup(void **state)
{
	struct fake *f = calloc(1, sizeof(*f));
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *tmp = getenv("TMPDIR");

	must(f);
	f->conn = -1;
	(void)snprintf(f->dir, sizeof(f->dir), "%s/hakfake.XXXXXX",
		       tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	must(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/sock", f->dir);
	memcpy(addr.sun_path, f->path, strlen(f->path) + 1);
	f->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	must(!bind(f->listener, (struct sockaddr *)&addr, sizeof(addr)) && !listen(f->listener, 8));
	fake_memory(f);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fake *f = *state;

	hak_sys_close(f->conn);
	hak_sys_close(f->listener);
	hak_sys_close(f->segment_fd);
	hak_sys_close(f->region_fd);
	hak_sys_close(f->other_fd);
	hak_sys_close(f->presence_fd);
	must(!hak_sys_unmap(f->segment, HAK_SEGMENT_SIZE));
	(void)unlink(f->path);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

static inline void open_session(struct fake *f, struct hak_session *session)
{
	play(f, WELCOME);
	assert_int_equal(hak_session_open(session, f->path), 0);
	played(f);
}

static inline void close_session(struct hak_session *session)
{
	if (session->segment)
		(void)hak_sys_unmap(session->segment, HAK_SEGMENT_SIZE);
	if (session->presence)
		(void)hak_sys_unmap(session->presence, 4096);
	hak_session_forget(session);
	assert_int_equal(session->state, HAK_SESSION_NONE);
}
