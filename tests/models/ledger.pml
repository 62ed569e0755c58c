/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.pml - requests with sequence numbers across the daemon's death at any step: each is
 * applied once, answered at least once, and never in two ways.
 *
 * Odd requests LEASE (the daemon chooses the unit, so a second try may differ), even ones RETURN
 * what the one before got. At most WINDOW are unanswered. The daemon writes into the ledger what
 * it is going to do, makes that valid by one store (`last`), does it, marks it done, answers. A
 * new daemon completes what is not done; finds in the rings what the old one left, or nothing;
 * then raises the epoch, upon which the client sends again what is unanswered. A request that
 * skips a number had a predecessor in the dead daemon's hands: it is dropped, for both come
 * again.
 *
 * holds safety     -             | applied once, one answer, none missing
 * holds safety     CRASHES=3,REQUESTS=3 | nor with a third death
 * fails assertion  NO_LOOKUP     | a request that is not looked up is applied again
 * fails assertion  APPLY_FIRST   | applied before it is recorded
 * fails assertion  POST_FIRST    | answered before it is recorded
 * fails assertion  VALID_FIRST   | valid before the record is written
 * fails assertion  SHORT_MEMORY  | fewer answers kept than the client may ask for
 * fails assertion  NO_REDO       | a new daemon that does not complete what was recorded
 * fails assertion  REDO_ALL      | a new daemon that does again what is done
 * fails assertion  TAKES_GAPS    | a request that is taken although its predecessor is missing
 * fails deadlock   NO_RESEND     | a client that does not send again
 * fails deadlock   EPOCH_FIRST   | the epoch raised before the rings are emptied
 */
#ifndef REQUESTS
#define REQUESTS 4
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#define WINDOW 2
#ifdef SHORT_MEMORY
#define KEPT 1
#else
#define KEPT WINDOW
#endif
#define UNITS      2 /* 1 and 2; 0 is none */
#define UNANSWERED 9
#define STRANGER   9 /* another session */

chan sq = [2 * WINDOW + 2] of { byte, byte }; /* number; RETURN: the unit */
chan cq = [2 * WINDOW + 2] of { byte, byte }; /* number, unit */
byte epoch;

/* The ledger. */
byte last, finished;          /* the newest valid record, the newest one that was carried out */
byte record[KEPT];        /* the unit that it is about */
byte owner[UNITS + 1];    /* the LEASE that has it */

byte crashes = CRASHES;   /* left */
byte effects[REQUESTS + 1]; /* ghost: how often it changed something */

#define crash()                 \
	if                      \
	:: crashes > 0 -> goto restart \
	:: true                 \
	fi

inline apply(n, unit) /* to do it twice is to do it once */
{
	d_step {
		if
		:: unit == 0
		:: unit > 0 && n % 2 == 1 ->
			assert(owner[unit] == 0 || owner[unit] == n);
			effects[n] = effects[n] + (owner[unit] != n);
			owner[unit] = n
		:: unit > 0 && n % 2 == 0 ->
			assert(owner[unit] == n - 1 || owner[unit] == 0);
			effects[n] = effects[n] + (owner[unit] != 0);
			owner[unit] = 0
		fi;
		assert(effects[n] <= 1)
	}
}

inline carry_out(n, unit)
{
#ifdef POST_FIRST
	cq!n, unit;
	crash();
#endif
#ifdef APPLY_FIRST
	apply(n, unit);
	crash();
#endif
#ifdef VALID_FIRST
	last = n;
	crash();
	record[n % KEPT] = unit;
#else
	record[n % KEPT] = unit;
	crash();
	last = n;
#endif
	crash();
	apply(n, unit);
	crash();
	finished = n;
	crash();
	cq!n, unit
}

active proctype daemon()
{
	byte n, unit, strange;

end:	do
	:: sq?n, unit ->
		crash();
		if
#ifndef NO_LOOKUP
		:: n <= last ->
			if
			:: n + WINDOW > last -> cq!n, record[n % KEPT]
			:: else /* the client has that answer, or it would not have sent the last one */
			fi
#else
		:: n <= last -> apply(n, unit); cq!n, unit
#endif
#ifdef TAKES_GAPS
		:: n > last ->
#else
		:: n > last + 1 /* dropped */
		:: n == last + 1 ->
#endif
			if
			:: n % 2 == 0
			:: n % 2 == 1 && owner[1] == 0 -> unit = 1
			:: n % 2 == 1 && owner[2] == 0 -> unit = 2
			:: n % 2 == 1 && owner[1] != 0 && owner[2] != 0 -> unit = 0 /* refused */
			fi;
			carry_out(n, unit)
		fi;
		atomic { n = 0; unit = 0 }
	:: strange < 2 && owner[1] == 0 -> atomic { owner[1] = STRANGER; strange++ }
	:: strange < 2 && owner[2] == 0 -> atomic { owner[2] = STRANGER; strange++ }
	:: owner[1] == STRANGER -> owner[1] = 0
	:: owner[2] == STRANGER -> owner[2] = 0
	:: crashes > 0 -> goto restart
	od;

restart:
	atomic { crashes--; n = 0; unit = 0 };
#ifdef REDO_ALL
	if
	:: last > 1 -> apply(last - 1, record[(last - 1) % KEPT])
	:: else
	fi;
#endif
#ifndef NO_REDO
	if
	:: finished < last ->
		apply(last, record[last % KEPT]);
		crash()
	:: else
	fi;
#endif
	finished = last;
	crash();
#ifdef EPOCH_FIRST
	epoch++;
#endif
	if /* what is left of the rings */
	:: true
	:: true ->
		atomic {
			do
			:: sq?n, unit
			:: cq?n, unit
			:: empty(sq) && empty(cq) -> break
			od;
			n = 0;
			unit = 0
		}
	fi;
	crash();
#ifndef EPOCH_FIRST
	epoch++;
#endif
	goto end
}

active proctype client()
{
	byte got[REQUESTS + 1] = UNANSWERED, sent, seen, n, unit;

	got[0] = 0;
	do
	:: sent < REQUESTS && got[(sent + 1 > WINDOW -> sent + 1 - WINDOW : 0)] != UNANSWERED &&
	   (sent % 2 == 0 || got[sent] != UNANSWERED) ->
		sent++;
		sq!sent, (sent % 2 == 0 -> got[sent - 1] : 0)
	:: cq?n, unit ->
		d_step {
			assert(got[n] == UNANSWERED || got[n] == unit);
			assert(n % 2 == 1 || unit == got[n - 1]);
			assert(unit == 0 || effects[n] == 1);
			got[n] = unit;
			n = 0;
			unit = 0
		}
#ifndef NO_RESEND
	:: epoch != seen ->
		seen = epoch;
		n = 1;
		do
		:: n > sent -> break
		:: n <= sent && got[n] == UNANSWERED -> sq!n, (n % 2 == 0 -> got[n - 1] : 0); n++
		:: n <= sent && got[n] != UNANSWERED -> n++
		od;
		n = 0
#endif
	:: sent == REQUESTS && got[REQUESTS] != UNANSWERED && got[REQUESTS - 1] != UNANSWERED -> break
	od
}
