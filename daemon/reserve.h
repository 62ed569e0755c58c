/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reserve.h - the daemon's side of a session's reserve (shared/reserve.h): what it granted ahead of
 * need, how it learns what was taken, and how it takes the rest back.
 *
 * A granted superslab is leased and charged from the grant on. Revoked, it is nobody's again and
 * stays warm in its region until it decays. The client says how many it wants to find ready; it may
 * get fewer: a limit is no reason to end anything here.
 *
 * EQUATION  ready == slots whose text->granted[] is not 0; their superslabs are leased, not frozen
 */
#pragma once

#include "shared/reserve.h"

struct daemon;
struct session;

/* In the session's book. A grant is noted before the client can see it, and forgotten after it is
 * collected, or revoked and its superslab free. */
struct reserve_text {
	uint64_t granted[HAK_RESERVE_SLOTS]; /* the READY words that we stored; 0: empty */
	uint64_t generation;                 /* of the last grant */
	uint32_t wanted;                     /* 0 .. HAK_RESERVE_SLOTS */
	uint32_t revoking;                   /* 0, or one more than the slot */
};

struct reserve {
	struct hak_reserve *shared; /* in the segment: what the client can write */
	struct reserve_text *text;
	uint32_t ready;
};

void reserve_init(struct reserve *reserve, struct hak_reserve *shared, struct reserve_text *text);
/* How many the client wants to find ready. */
void reserve_want(struct reserve *reserve, uint32_t n);

/* Notes what was taken. False: the client wrote something else than it may. */
bool reserve_collect(struct session *session);
/* Grants a superslab that is leased and filled. There is an empty slot. */
void reserve_grant(struct session *session, uint32_t superslab);
/* True if a grant in [first, first + count) was not taken yet. */
bool reserve_has(const struct reserve *reserve, uint32_t first, uint32_t count);

/* After a restart, when no step is left: what is in the book is ready for the client again, or was
 * taken by it, or was being revoked. */
void reserve_adopt(struct session *session);

/* Takes back what was not taken and releases its charge; superslabs. After this the client gets no
 * more until it asks again. */
uint32_t reserve_revoke(struct session *session);
/* Of all sessions; true: there was something. */
bool reserves_revoke(struct daemon *daemon);
