/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_frames.h - what a client asks about domains over its socket.
 *
 * Each of these frames, but ATTR, has one answer: DOMAIN, or DONE with 0 or a reason. A refusal
 * ends nothing. How often a process has a domain open is counted by its library: the same session
 * opening it again gets the same membership, and one CLOSE ends it.
 */
#pragma once

#include "shared/wire.h"

struct conn;

/* The connection has a session that knows domains. False: the connection is gone. */
bool domain_frame(struct conn *conn, const struct hak_wire_frame *frame);
