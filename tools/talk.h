/* SPDX-License-Identifier: Apache-2.0 */
/*
 * talk.h - frames to a daemon and back, and what went wrong in words.
 *
 * Whoever listens at the path may be no daemon of ours: every frame is decoded, no answer is waited
 * for longer than TALK_TIMEOUT_MS.
 */
#pragma once

#include "shared/wire.h"

#define TALK_TIMEOUT_MS 5000

struct talk {
	int sock;
	const char *path;
	char error[192]; /* on failure: why */
};

/* 0, or -1 and talk->error. talk_deinit() in either case. */
int talk_init(struct talk *talk, const char *path);
void talk_deinit(struct talk *talk);
/*
 * Sends a frame; 0 or -1. With ret_frame, waits for the answer, which may have up to max_fds
 * descriptors (the caller's); the others of ret_fds become -1. A REFUSED is a failure.
 */
int talk_ask(struct talk *talk, const struct hak_wire_frame *frame,
	     struct hak_wire_frame *ret_frame, int *ret_fds, unsigned max_fds);
/* Sets the error and returns -1. */
int talk_fail(struct talk *talk, const char *format, ...) HAK_PRINTF(2, 3);
