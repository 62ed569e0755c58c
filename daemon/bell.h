/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bell.h - waiting for a client's next request: until the tail of its submission ring changes.
 *
 * Two ways, chosen at start: a futex wait inside io_uring (Linux 6.7), or threads that each wait
 * for up to 127 rings by futex_waitv() (5.16) and tell the loop through an eventfd. To the owner
 * they look alike, and like any other operation of the loop: from bell_arm() until the function was
 * called the bell is in flight, its word must stay mapped; cancelling is a request.
 */
#pragma once

#include "daemon/config.h"
#include "daemon/list.h"
#include "daemon/loop.h"

struct bells;
struct bell;
struct waiter;

/* The word changed, or somebody claims so, or the wait was cancelled: go and look. */
typedef void bell_fn(struct bell *bell);

struct bell {
	uint64_t magic;
	struct bells *bells;
	bell_fn *fn;
	bool in_flight;
	_Atomic uint32_t *word;
	uint32_t expected;
	struct loop_op op; /* io_uring */
	/* threads; under the waiter's lock while in flight */
	struct waiter *waiter;
	struct list link;
	bool cancelled;
};

/* -EOPNOTSUPP: the configured way is not to be had on this kernel. */
int bells_new(struct bells **ret_bells, struct loop *loop, enum config_ring_wait way);
/* No bell may be in flight, and the loop must have run since bells_stop(). Returns NULL. */
struct bells *bells_free(struct bells *bells);
/* No bell may be in flight: takes their own operation out of the loop. May be called again. */
void bells_stop(struct bells *bells);
/* True until that has happened. */
bool bells_in_flight(const struct bells *bells);
bool bells_use_io_uring(const struct bells *bells);

void bell_init(struct bell *bell, struct bells *bells, bell_fn *fn);
void bell_deinit(struct bell *bell);
void bell_arm(struct bell *bell, _Atomic uint32_t *word, uint32_t expected);
void bell_cancel(struct bell *bell);
