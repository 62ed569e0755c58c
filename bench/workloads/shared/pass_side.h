/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pass_side.h - two members that send messages to each other, by whatever pass_*.c is linked. None
 * of these waits: who gets false or NULL asks again.
 */
#ifndef BENCH_SHARED_PASS_SIDE_H
#define BENCH_SHARED_PASS_SIDE_H

#include "bench/workloads/shared/side.h"

#define PASS_DEPTH 64 /* messages under way in one direction, where that can be chosen */

/* Both members, at once. `size` is that of all messages. */
void pass_open(struct side *side, size_t size);
/* What a message is written to. */
void *pass_alloc(size_t size);
/* The message is the other's. False: there is no room now. */
bool pass_send(void *p, size_t size);
/* The next message, NULL: none now. Until pass_free(). */
const void *pass_receive(size_t size);
void pass_free(const void *p);
/* Both, when neither sends or receives any more. */
void pass_close(struct side *side);

#endif
