/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torture.h - a member, or a program, that is killed at one place of a path after the other, and
 * what must hold after each of these deaths:
 *
 *	the session is gone, and what was charged to it
 *	the member's sweep is complete
 *	all equations of hakctl audit hold, those of the domain's books among them
 *	a survivor has what it had, byte for byte, and the path's own promise is kept (`after`)
 *	nothing is published, under way, changing or owned that the survivor does not know of
 *
 * Which places: all of them if the path is short, or TORTURE=all is set; else some, by a seed that
 * is printed (TORTURE_SEED gives it).
 */
#pragma once

#include "tests/proc/peer.h"
#include "tests/torture/stepper.h"

struct torture_path {
	struct stepper_path step;
	peer_fn *before; /* in the survivor, or NULL */
	peer_fn *after;  /* in the survivor, or NULL: saw: 0 nothing has happened, 1 it has */
	unsigned points; /* kills of a usual run; of a short path less than that are all of them */
	bool is_heap;    /* no domain: a program in daemon mode */
};

/* Words of the board that paths use. */
enum {
	TORTURE_SURVIVOR,    /* the survivor as a member */
	TORTURE_BLOCK,       /* the address of the path's block, or 0 */
	TORTURE_REF,         /* its ref */
	TORTURE_ALLOCATIONS, /* the address of a block of the heap */
};

/* CMocka: a test for each path. TORTURE_ONLY is a pattern of names. */
int torture_main(const struct torture_path *paths, size_t n);
