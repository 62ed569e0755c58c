/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reserve.pml - superslabs granted ahead of need: lease, take, revoke, return, death of either
 * side.
 *
 * Each has a word in memory that the client can write: a state and, above it, the number of the
 * grant. RESERVED is stored by the daemon when it grants; from exactly that value the client
 * makes it TAKEN, or the daemon REVOKED, by one compare-and-swap; what is taken comes back by
 * RETURN or by death. The daemon believes its ledger (owner, grant), which outlives it; a word
 * tells it only that its own compare-and-swap won. Two threads of client A take without a lock;
 * B is any other session. A's answers and requests are as good as ledger.pml makes them: given
 * once.
 *
 * holds safety     -                 | never punched in use, granted twice, or granted dirty
 * holds liveness   -                 | after A's death the daemon has everything back
 * holds safety     HOSTILE           | whatever A writes and returns, nothing is granted twice
 * holds liveness   HOSTILE           | nor does anything leak
 * fails assertion  TAKE_BY_STORE     | taking by load and store
 * fails assertion  REVOKE_BY_STORE   | revoking by load and store
 * fails assertion  NO_GENERATION     | a word without the number lets a stale take succeed
 * fails assertion  PUNCH_FIRST       | punching before the revocation has won
 * fails assertion  WORD_FIRST        | a grant that is visible before it is in the ledger
 * fails assertion  FREE_FIRST        | free in the ledger before it is punched
 * fails assertion  TRUSTS_WORD,HOSTILE | a daemon that believes a word that says FREE
 * fails cycle      LEAVES_RESERVED   | death gives back only what was taken
 * fails cycle      WAITS_FOR_RETURN  | death leaves to RETURN what was taken
 * fails deadlock   ASKS_CLIENT       | a revocation that needs the client
 */
#ifndef GRANTS
#define GRANTS 3 /* to A; as many as fit above the state, in life */
#endif
#define FREE     0
#define RESERVED 1
#define TAKEN    2
#define REVOKED  3
#ifdef NO_GENERATION
#define WORD(state, n) (state)
#else
#define WORD(state, n) ((n) * 4 + state)
#endif
#define NOBODY 0
#define A      1
#define B      2

/* One superslab: they share nothing. */
byte word;         /* A can write it */
byte owner, grant; /* the ledger */
byte told;         /* completions: the last grant that A has heard of */
bool returned;     /* a RETURN is under way */
bool dead;
byte crashes = 2;  /* left, of the daemon */

bool used, dirty, held; /* ghosts: A uses it; not zeroed since; granted */

#ifndef HOSTILE
inline take(heard)
{
#ifdef TAKE_BY_STORE
	if
	:: word == WORD(RESERVED, heard)
	:: else -> goto next
	fi;
#define may_take !dead
#else
#define may_take !dead && word == WORD(RESERVED, heard)
#endif
	if
	:: d_step {
		may_take ->
		word = WORD(TAKEN, heard);
		assert(owner == A && grant == heard && !used);
		used = true
	}
	:: else -> goto next
	fi
}

active [2] proctype taker()
{
	byte heard;

next:	if
	:: dead -> goto stop
	:: true -> goto stop /* a thread that takes no more; or hangs */
	:: true
	fi;
	heard = told;
	if
	:: heard == 0 -> goto next
	:: else
	fi;
	take(heard);
	if
	:: true -> goto stop /* keeps it */
	:: true
	fi;
	if
	:: d_step { !dead -> used = false }; returned = true
	:: dead
	fi;
	goto next;
stop:	skip
}
#else
active proctype enemy()
{
	do
	:: dead -> break
	:: true -> break
	:: true ->
		if
		:: word = FREE
		:: word = WORD(RESERVED, grant)
		:: word = WORD(TAKEN, grant)
		:: word = WORD(REVOKED, grant)
		:: word = WORD(RESERVED, grant + 1)
		:: returned = true
		fi
	od
}
#endif

active proctype death()
{
	if
	:: d_step { dead = true; used = false }
	:: true
	fi
}

#define crash()               \
	if                    \
	:: crashes > 0 -> crashes--; goto restart \
	:: true               \
	fi

inline punch()
{
	d_step {
		assert(!used);
		dirty = false
	}
}

inline give_back() /* to the pool: it is A's, and A cannot use it any more */
{
#ifdef FREE_FIRST
	d_step { owner = NOBODY; held = false; returned = false };
	crash();
	punch()
#else
	punch();
	crash();
	d_step { owner = NOBODY; held = false; returned = false }
#endif
}

inline record(who)
{
	assert(!held && !dirty && !used);
	held = true;
	dirty = true;
	owner = who
}

inline grant_ahead()
{
#ifdef WORD_FIRST
	word = WORD(RESERVED, grant + 1);
	told = grant + 1;
	crash();
	d_step { record(A); grant++ }
#else
	d_step { record(A); grant++ };
	crash();
	word = WORD(RESERVED, grant);
	crash();
	told = grant
#endif
}

inline revoke()
{
#ifdef ASKS_CLIENT
	word != WORD(RESERVED, grant);
#endif
#ifdef PUNCH_FIRST
	punch();
#endif
#ifdef REVOKE_BY_STORE
	won = word == WORD(RESERVED, grant);
	if
	:: won -> word = WORD(REVOKED, grant)
	:: else
	fi;
#else
	d_step {
		won = word == WORD(RESERVED, grant);
		if
		:: won -> word = WORD(REVOKED, grant)
		:: else
		fi
	};
#endif
	if
	:: won -> won = false; crash(); give_back()
	:: else
	fi
}

#if defined(LEAVES_RESERVED)
#define reclaims (word == WORD(TAKEN, grant))
#elif defined(WAITS_FOR_RETURN)
#define reclaims (word != WORD(TAKEN, grant))
#else
#define reclaims true
#endif
#ifdef TRUSTS_WORD
#define is_free (word % 4 == FREE)
#else
#define is_free (owner == NOBODY)
#endif

active proctype daemon()
{
	byte now;
	bool won;

	goto turn;

restart: /* a new process has the ledger and the words, nothing else */
	won = false;
	now = word;
	if
	:: owner == A && (now == WORD(RESERVED, grant) || now == WORD(TAKEN, grant)) ->
		told = grant
	:: owner == A && now != WORD(RESERVED, grant) && now != WORD(TAKEN, grant) ->
		give_back() /* not yet shown, or already revoked or returned */
	:: else
	fi;

turn:	now = 0;
	if
	:: dead && owner == A && reclaims -> give_back()
	:: dead && !(owner == A && reclaims)
	:: else ->
		if
		:: owner == A && returned ->
			word = WORD(FREE, 0);
			crash();
			give_back()
		:: owner == A -> revoke()
		:: is_free && grant < GRANTS -> grant_ahead()
		:: is_free -> d_step { record(B) }
		:: owner == B -> punch(); d_step { owner = NOBODY; held = false }
		:: true
		fi
	fi;
	goto turn
}

#ifdef LIVE
ltl nothing_leaks { [] (dead -> <> (owner != A)) }
#endif
