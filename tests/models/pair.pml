/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pair.pml - a session's two rings: libclient/session.c against daemon/request.c and serve_one()
 * in daemon/daemon.c, with a completion ring that fills, parks the session, and is read again.
 *
 * Memory is sequentially consistent here: ring.pml looks at the fences. The client has as many
 * requests under way as both rings hold, and waits whenever it likes, always with nothing but
 * the completion's wake-up to end the wait. A job may take several turns; a turn takes UNITS
 * entries.
 *
 * holds safety     -                | each request is answered once, in a place that was read
 * holds liveness   -                | each request is answered
 * fails assertion  NO_ROOM_CHECK    | taking a request without room for its answer loses the answer
 * fails deadlock   WAKE_IF_IDLE     | a turn that ends with a full ring and wakes nobody
 * fails deadlock   SLEEP_IF_FULL    | sleeping on the tail as it is while requests lie there
 * fails deadlock   NO_TICK          | a parked session that nobody looks at again
 * fails cycle      NO_TICK          | the same, seen as a request that is never answered
 * fails assertion  ANSWER_TWICE     | a job that is not cleared is answered again
 * fails deadlock   BELL_KEEPS_FLAG  | a flag that the client clears for the daemon loses a wake-up
 */
#define SQ      2
#define CQ      1
#define UNITS   2
#define MOD     4
#define USED(tail, head) ((tail + MOD - head) % MOD)
#define NEXT(i)          ((i + 1) % MOD)
#define NUMBERS 5 /* more than can be under way at once, so that each stands for one */

byte sq_head, sq_tail, sq_slot[SQ];
byte cq_head, cq_tail, cq_slot[CQ];
bit sq_sleeper, cq_sleeper;
bool daemon_asleep, client_asleep; /* on sq_tail, on cq_tail */

byte under_way; /* ghosts: posted and not reaped; one of them is watched */
bool watched;
byte watched_number;

active proctype client()
{
	byte mine, head, number, expected; /* the submission ring's tail, the completion ring's head */
	bit seen;

next:	if
	:: USED(mine, sq_head) < SQ ->
		sq_slot[mine % SQ] = number;
		d_step {
			under_way++;
#ifdef LIVE
			if
			:: !watched -> watched = true; watched_number = number
			:: else
			fi;
#endif
			mine = NEXT(mine);
			number = (number + 1) % NUMBERS
		};
		sq_tail = mine;
		seen = sq_sleeper;
		if
		:: seen ->
#ifdef BELL_KEEPS_FLAG
			sq_sleeper = 0;
#endif
			daemon_asleep = false
		:: else
		fi;
		seen = 0
	:: under_way > 0 ->
wait:		if
		:: cq_tail != head
		:: cq_tail == head ->
			cq_sleeper = 1;
			if
			:: cq_tail == head ->
				atomic { /* futex_wait */
					if
					:: cq_tail == head -> client_asleep = true
					:: else
					fi
				};
				!client_asleep
			:: else
			fi;
			cq_sleeper = 0;
			goto wait
		fi;
		assert(USED(cq_tail, head) <= CQ);
		assert(cq_slot[head % CQ] == expected);
		d_step {
			under_way--;
			if
			:: watched && watched_number == expected -> watched = false
			:: else
			fi;
			expected = (expected + 1) % NUMBERS;
			head = NEXT(head)
		};
		cq_head = head
	fi;
	goto next
}

#define room() (USED(tail, cq_head) < CQ)

mtype = { WORKED, IDLE, FULL };

/* step() and answer(): a turn's work on the job, after which it may be done. */
inline step()
{
	if
	:: left > 0 -> left--
	:: else ->
#ifdef NO_ROOM_CHECK
		if
		:: room()
		:: else -> goto lost /* hak_ring_push() says so, and nobody listens */
		fi;
#else
		assert(room());
#endif
		cq_slot[tail % CQ] = job;
		tail = NEXT(tail);
		cq_tail = tail;
#ifdef NO_ROOM_CHECK
lost:
#endif
#ifdef ANSWER_TWICE
		if
		:: true
		:: working = false
		fi;
#else
		working = false;
#endif
		answered = true
	fi
}

active proctype daemon()
{
	byte mine, tail, job, left, units; /* the submission ring's head, the completion ring's tail */
	bool working, answered, worked, seen;
	mtype verdict;

turn:	atomic {
		units = UNITS;
		answered = false;
		worked = false;
		verdict = WORKED
	};
	do
	:: units == 0 -> break
	:: units > 0 && working ->
		units--;
		worked = true;
		step()
	:: units > 0 && !working ->
#ifndef NO_ROOM_CHECK
		if
		:: !room() -> verdict = FULL; break
		:: else
		fi;
#endif
		if
		:: sq_tail == mine -> verdict = IDLE; break
		:: else
		fi;
		job = sq_slot[mine % SQ];
		mine = NEXT(mine);
		sq_head = mine;
		units--;
		worked = true;
		if
		:: left = 0
		:: left = UNITS /* it takes another turn */
		fi;
		working = true
	od;
#ifdef WAKE_IF_IDLE
	if
	:: answered && verdict != FULL -> seen = cq_sleeper
#else
	if
	:: answered -> seen = cq_sleeper
#endif
	:: else
	fi;
	if
	:: seen -> client_asleep = false; seen = false
	:: else
	fi;
	if
	:: worked || verdict == WORKED -> goto turn
	:: !worked && verdict == IDLE -> goto turn /* polls */
	:: !worked && verdict != WORKED
	fi;
#ifdef SLEEP_IF_FULL
	sq_sleeper = 1;
	if
	:: verdict == FULL || sq_tail == mine ->
		atomic {
			if
			:: verdict == FULL || sq_tail == mine -> daemon_asleep = true
#else
	sq_sleeper = 1;
	if
	:: sq_tail == mine ->
		atomic { /* the bell */
			if
			:: sq_tail == mine -> daemon_asleep = true
#endif
			:: else
			fi
		};
		!daemon_asleep
	:: else ->
		if
		:: verdict == FULL -> /* parked; the tick looks for room */
			sq_sleeper = 0;
#ifdef NO_TICK
			false
#endif
			room()
		:: else
		fi
	fi;
	sq_sleeper = 0;
	goto turn
}

#ifdef LIVE
ltl answered_in_the_end { [] (watched -> <> !watched) }
#endif
