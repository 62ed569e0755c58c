/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waiter.h - the threads behind bells where io_uring can't wait for a futex.
 *
 * A waiter sleeps in futex_waitv() on its bells' words and on a word of its own, by which the loop
 * says that the set has changed. A bell whose word is no longer what was expected, or that was
 * cancelled, moves to the done list, and an eventfd tells the loop.
 *
 *	bell:  loop --waiters_add--> waiter's list --(word changed, cancelled)--> done list --> loop
 *
 * One lock guards all lists; nobody sleeps with it held.
 */
#pragma once

#include "daemon/list.h"

struct bell;
struct waiters;

int waiters_new(struct waiters **ret_waiters);
/* Ends the threads; no bell may be with them. NULL is allowed; returns NULL. */
struct waiters *waiters_free(struct waiters *waiters);

/* Readable while the done list is not empty. */
int waiters_fd(const struct waiters *waiters);
/* Moves the done list to the end of `list`. */
void waiters_take(struct waiters *waiters, struct list *list);

void waiters_add(struct waiters *waiters, struct bell *bell);
void waiters_cancel(struct waiters *waiters, struct bell *bell);
