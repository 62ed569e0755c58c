/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.h - the event loop, and the only door to io_uring.
 *
 * An operation (struct loop_op) is embedded in its owner; the kernel hands back its address.
 * From loop_poll() and its siblings until its function was called with `more` false it is in
 * flight: the owner may not die, memory that it names (a futex word) may not go away. Cancelling is
 * a request: the function is still called, with -ECANCELED or whatever came first.
 *
 *	turn:  take what is ready into a copy, give the kernel its places back, then call the
 *	       functions; then the owner's turn function, which does bounded work and says whether
 *	       there is more. Only if not, the loop sleeps.
 *
 * One thread. Functions may arm, cancel and re-arm any operation, their own included.
 */
#pragma once

#include <stdatomic.h>

#include "shared/base.h"

struct loop;
struct loop_op;

/* `result` is that of the kernel's operation; `more`: the operation stays in flight (accept). */
typedef void loop_fn(struct loop_op *op, int result, bool more);
/* True: there is work left, call again without sleeping. */
typedef bool loop_turn_fn(void *context);

struct loop_op {
	uint64_t magic;
	struct loop *loop;
	loop_fn *fn;
	bool in_flight;
	bool cancelled;
	int64_t time[2]; /* a timeout's; the kernel reads it when the operation is submitted */
};

/* -EPERM, -ENOSYS: io_uring is not to be had here. */
int loop_new(struct loop **ret_loop);
/* No operation may be in flight. NULL is allowed; returns NULL. */
struct loop *loop_free(struct loop *loop);

void loop_op_init(struct loop_op *op, struct loop *loop, loop_fn *fn);
/* The operation is not in flight (asserted). */
void loop_op_deinit(struct loop_op *op);

/* These arm an operation that is not in flight. */
void loop_accept(struct loop_op *op, int fd); /* again and again, while `more` */
void loop_poll(struct loop_op *op, int fd);   /* readable or hung up; the result is a poll mask */
void loop_timeout(struct loop_op *op, uint64_t ns);
/* While *word == expected; -EAGAIN if it is not. Only if loop_has_futex(). */
void loop_futex_wait(struct loop_op *op, _Atomic uint32_t *word, uint32_t expected);
bool loop_has_futex(const struct loop *loop);

/* Closes a descriptor, on a thread of the kernel's: the last close of a large file takes long. */
void loop_close(struct loop_op *op, int fd);

/* Asks for the end of an operation; nothing if it is not in flight. */
void loop_cancel(struct loop_op *op);

/* Runs until loop_stop(); 0, or a negative errno: the ring itself is broken. */
int loop_run(struct loop *loop, loop_turn_fn *turn, void *context);
void loop_stop(struct loop *loop);
