/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shrink.h - gives back superslabs of a domain of which nothing is in use.
 *
 * Members give up slabs without a word, so there is something to look for after a death, a member
 * that left, and a request for memory; and then with every tick, as long as more than the part to
 * keep (LIMIT_DOMAIN_KEEP_PART) is free. After stock decay the rest goes, the highest first.
 */
#pragma once

#include "shared/base.h"

struct domain;

/* There may be something to give back. */
void shrink_look(struct domain *domain);
/* True: look again at the next tick. */
bool shrink_tick(struct domain *domain);
/* Submits the punching of what is waste. False: there is none. */
bool shrink_punch(struct domain *domain);
/* It came back. */
void shrink_punch_done(struct domain *domain);
