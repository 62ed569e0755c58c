/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep.h - the sweep of a domain's dead members, step by step, by the worker of the domain's part:
 * one thread for all sweeps of a domain, as the engine wants it.
 */
#pragma once

#include "shared/base.h"

struct domain;
struct member;

/* The part whose worker does it; hak_domain_gather() is to be called there, too. */
uint32_t sweep_part(const struct domain *domain);
/* Submits the next step for the member that died first. False: nobody is dead. */
bool sweep_start(struct domain *domain);
/* A step came back. */
void sweep_step_done(struct domain *domain);
/* True while a step is under way that takes this number for nobody's. */
bool sweep_avoids(const struct domain *domain, uint32_t number);
