/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.pml - the daemon's death between any two stores, and the next one, which has the dead
 * one's book: each request is applied once and answered once, in order, and no superslab has two
 * owners or none.
 *
 * Odd requests LEASE, even ones RETURN something that the client has. Rings, reserve word and book
 * are memory that outlives the daemon; nothing is ever sent again. A request is answered before it
 * is consumed: the book says what is being done (`phase`, stored last when it begins), then what
 * the answer is, then the answer is pushed, the request is consumed, and the phase is over. Who
 * adopts the book undoes what was begun, or finishes what was answered, by the phase; what is
 * still in the ring is served anew. A superslab is granted ahead in the book first, then by the
 * word; the client takes it by one compare-and-swap.
 *
 * holds safety     -              | applied once, answered once, nothing lost
 * holds safety     CRASHES=3      | nor with a third death
 * fails deadlock   CONSUME_FIRST  | a request that is consumed before it is answered is lost
 * fails assertion  NO_UNDO        | a lease that was begun and is not undone has no owner
 * fails assertion  KEEP_RETURN    | a return that was begun and is not undone can't be served anew
 * fails assertion  NO_FINISH      | an answer in the book that is served anew comes twice
 * fails assertion  PHASE_LATE     | a lease begun before the book says so
 * fails assertion  PUSH_FIRST     | an answer that the client has and the book has not
 * fails assertion  VALID_FIRST    | the phase is ANSWER before the answer is written
 * fails assertion  OVER_EARLY     | the phase is over before the indices are stored
 * fails assertion  GRANT_FIRST    | the word says that it is granted, and the book does not
 * fails assertion  COLLECT_FIRST  | the word is emptied, and the book says that it is granted
 * fails assertion  ONE_GENERATION | what was left in the word is taken for the next grant
 * fails assertion  LOOK_FIRST     | what was taken is looked for before the request is
 */
#ifndef REQUESTS
#define REQUESTS 4
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef GRANTS
#define GRANTS 2
#endif
#define WINDOW 2 /* and both rings' size */
#define UNITS  2 /* 1 and 2; 0 is none */

#define NONE   0
#define LEASE  1
#define RETURN 2
#define FILL   3
#define ANSWER 4

/* The rings: request n lies at n % WINDOW, its answer, too. */
byte sq_tail, sq_head, cq_tail; /* tails: of the writer; sq_head: consumed */
byte sq_unit[WINDOW];
byte cq_number[WINDOW], cq_unit[WINDOW];

/* The reserve: one word, generation and state and unit. */
#define EMPTY 0
#define READY 1
#define TAKEN 2
byte word_state, word_unit, word_generation;

/* The book. */
byte phase, step_unit;
byte answer_number, answer_unit;
byte last; /* request served: all indices */
bit taken[UNITS + 1];
byte granted, granted_generation, generation;

byte crashes = CRASHES; /* left */

/* The client, whose memory is out of a death's reach. */
bit own[UNITS + 1];
bit dirty[UNITS + 1]; /* it has written there */

bit busy; /* ghost: the daemon is between two stores, or dead */

#define crash()                        \
	if                             \
	:: crashes > 0 -> goto restart \
	:: true                        \
	fi

inline choose(unit) /* a free one, or 0 */
{
	if
	:: !taken[1] -> unit = 1
	:: !taken[2] -> unit = 2
	:: taken[1] && taken[2] -> unit = 0
	fi
}

inline begin(what, unit)
{
	step_unit = unit;
	crash();
	phase = what;
	crash()
}

inline push()
{
	cq_number[answer_number % WINDOW] = answer_number;
	cq_unit[answer_number % WINDOW] = answer_unit;
	crash();
	cq_tail = answer_number;
	crash()
}

inline finish()
{
	push();
	sq_head = answer_number;
	crash();
#ifdef OVER_EARLY
	phase = NONE;
	crash();
#endif
	last = answer_number;
	crash();
	phase = NONE
}

inline answer(n, unit)
{
#ifdef PUSH_FIRST
	cq_number[n % WINDOW] = n;
	cq_unit[n % WINDOW] = unit;
	cq_tail = n;
	crash();
#endif
#ifdef VALID_FIRST
	phase = ANSWER;
	crash();
#endif
	answer_number = n;
	crash();
	answer_unit = unit;
	crash();
	phase = ANSWER;
	crash();
	finish()
}

/* What the client has taken of the reserve is a lease like any other. */
inline collect()
{
	if
	:: granted != 0 && word_state == TAKEN ->
#ifdef COLLECT_FIRST
		word_state = EMPTY;
		crash();
#endif
		granted = 0;
		crash();
	:: else
	fi
}

inline serve_lease(n)
{
	choose(unit);
	if
	:: unit == 0
	:: unit != 0 ->
#ifdef PHASE_LATE
		taken[unit] = 1;
		crash();
#endif
		begin(LEASE, unit);
		taken[unit] = 1;
		crash()
	fi;
	answer(n, unit)
}

inline serve_return(n)
{
	unit = sq_unit[n % WINDOW];
	if
	:: unit == 0
	:: unit != 0 ->
		assert(taken[unit] && granted != unit); /* or the client would be evicted */
		begin(RETURN, unit);
		dirty[unit] = 0; /* punched */
		crash();
		taken[unit] = 0;
		crash()
	fi;
	answer(n, unit)
}

inline fill()
{
	choose(unit);
	if
	:: unit == 0
	:: unit != 0 ->
		begin(FILL, unit);
		taken[unit] = 1;
		crash();
#ifndef ONE_GENERATION
		generation++;
		crash();
#endif
#ifdef GRANT_FIRST
		atomic { word_unit = unit; word_generation = generation; word_state = READY };
		crash();
#endif
		d_step { granted = unit; granted_generation = generation };
		crash();
#ifndef GRANT_FIRST
		atomic { word_unit = unit; word_generation = generation; word_state = READY };
		crash();
#endif
		phase = NONE
	fi
}

inline revoke(was)
{
	was = 0;
	d_step { /* compare-and-swap */
		if
		:: word_state == READY -> word_state = EMPTY; was = 1
		:: else
		fi
	};
	if
	:: was ->
		crash();
		dirty[granted] = 0;
		taken[granted] = 0;
		crash();
		granted = 0
	:: else
	fi
}

inline adopt_reserve()
{
	if
	:: granted == 0
	:: granted != 0 && !taken[granted] -> granted = 0 /* revoked, all but this */
	:: granted != 0 && taken[granted] ->
		d_step {
			if
			:: word_state != EMPTY && word_unit == granted &&
			   word_generation == granted_generation /* ready, or to be collected */
			:: else ->
				word_unit = granted;
				word_generation = granted_generation;
				word_state = READY
			fi
		}
	fi
}

inline adopt_step()
{
	if
	:: phase == NONE
	:: phase == ANSWER ->
#ifdef NO_FINISH
		phase = NONE
#else
		finish()
#endif
	:: phase == LEASE || (phase == FILL && granted != step_unit) ->
#ifndef NO_UNDO
		taken[step_unit] = 0;
		crash();
#endif
		phase = NONE
	:: phase == FILL && granted == step_unit -> phase = NONE
	:: phase == RETURN ->
#ifndef KEEP_RETURN
		taken[step_unit] = 1;
		crash();
#endif
		phase = NONE
	fi
}

active proctype daemon()
{
	byte n, unit, grants;
	bit was;

end:	do
	:: atomic { sq_tail != last -> busy = 1 };
#ifdef LOOK_FIRST
		/* Some time before: what is taken from now on is seen at the next turn. */
		if
		:: collect()
		:: true
		fi;
#else
		collect();
#endif
		n = last + 1;
#ifdef CONSUME_FIRST
		sq_head = n;
		last = n;
		crash();
#endif
		if
		:: n % 2 == 1 -> serve_lease(n)
		:: n % 2 == 0 -> serve_return(n)
		fi;
		atomic { n = 0; unit = 0; busy = 0 }
	:: atomic { grants < GRANTS && granted == 0 -> busy = 1; grants++ };
		fill();
		atomic { unit = 0; busy = 0 }
	:: atomic { granted != 0 && word_state == READY -> busy = 1 };
		revoke(was);
		atomic { was = 0; busy = 0 }
	:: crashes > 0 -> goto restart
	od;

restart:
	atomic { busy = 1; crashes--; n = 0; unit = 0; was = 0 };
	adopt_step();
	crash();
	adopt_reserve();
	crash();
	busy = 0;
	goto end
}

inline gets(unit)
{
	d_step {
		assert(!own[unit] && taken[unit] && !dirty[unit]);
		own[unit] = 1;
		dirty[unit] = 1
	}
}

active proctype client()
{
	byte seen, unit;

	do
	:: sq_tail < REQUESTS && sq_tail - seen < WINDOW ->
		atomic {
			unit = 0;
			if
			:: sq_tail % 2 == 1 && own[1] -> unit = 1
			:: sq_tail % 2 == 1 && own[2] -> unit = 2
			:: true
			fi;
			own[unit] = 0;
			sq_unit[(sq_tail + 1) % WINDOW] = unit
		};
		atomic { sq_tail++; unit = 0 }
	:: atomic { seen < cq_tail ->
		assert(cq_tail - seen <= WINDOW);
		seen++;
		assert(cq_number[seen % WINDOW] == seen);
		unit = cq_unit[seen % WINDOW] };
		atomic {
			if
			:: seen % 2 == 1 && unit != 0 -> gets(unit)
			:: else
			fi;
			unit = 0
		}
	:: atomic { word_state == READY -> word_state = TAKEN; gets(word_unit) }
	:: seen == REQUESTS -> break
	od;
	atomic {
		!busy && last == REQUESTS;
		assert(sq_head == REQUESTS && phase == NONE);
		assert(taken[1] == (own[1] || granted == 1));
		assert(taken[2] == (own[2] || granted == 2))
	}
}
