/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storm.h - members that do everything at random, and are killed at any moment.
 *
 * ORACLE  Every block says who owns it (`stamp`) and what is in it (a function of its seed and
 *         size). Who gets a block looks at all of its bytes; its stamp is 0 while it is nobody's.
 *         Who finds the stamp of another member that lives has found a second owner.
 */
#pragma once

#include "tests/proc/peer.h"

#define STORM_MEMBERS 8u

struct storm_slot {
	_Atomic uint64_t member; /* 0: none, or it is being killed */
	_Atomic uint64_t operations;
	_Atomic uint64_t blocks; /* looked at */
	_Atomic uint64_t bytes;
	_Atomic uint64_t gift; /* a block that was given to it: storm_member.c */
	_Atomic uint32_t idle; /* it stands still, for `pause` */
};

/* Shared by all. */
struct storm {
	_Atomic uint32_t pause;
	_Atomic uint64_t double_owners, corrupt; /* what the oracle objected to */
	struct storm_slot slot[STORM_MEMBERS];
};

/* Becomes a member and does not return. It ends with STORM_AGAIN if it could not become one. */
#define STORM_AGAIN 76
void storm_member(struct storm *storm, const char *socket, unsigned slot, uint64_t seed)
	__attribute__((noreturn));
/* A member takes all out of channels and roots, and frees it: how many blocks. */
uint64_t storm_drain(struct storm *storm);
