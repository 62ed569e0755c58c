/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adopt.h - the daemon's start where another one ended: takes over what store.h was handed.
 *
 * Each session and each domain stands for itself: one that is damaged is refused, with a log line
 * of why, and no other suffers. Its client goes on with the memory that it has mapped.
 *
 *	adopt-refused what=session id=7 reason="..."
 *	adopted sessions=12 domains=3 epoch=4711
 */
#pragma once

struct daemon;

/* After all parts have started, before anybody is listened to. A negative errno: there is no memory
 * for the life page. */
int adopt(struct daemon *daemon);
