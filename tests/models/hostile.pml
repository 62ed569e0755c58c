/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostile.pml - the daemon's turns over two sessions, one of which belongs to an enemy: at any
 * moment it writes any value into any word of its segment, or dies.
 *
 * The daemon is request_serve() and serve_one() again, with a system call as one step. Wherever
 * it is, it must be able to go on: its only wait is the loop's, for both sessions at once, and
 * is not modelled as one at all. The bystander stands for all others; it wants its turn.
 *
 * holds safety     -               | `size` entries a look, UNITS a turn, and its own indices
 * holds liveness   -               | the bystander's turn comes, whatever the enemy writes
 * fails assertion  TRUSTS_TAIL     | a tail that is not checked against the size
 * fails assertion  TRUSTS_HEAD     | a head that is not checked against the size
 * fails assertion  READS_BACK      | the daemon's own index read back from the segment
 * fails assertion  LOADS_TWICE     | an index that is checked, then loaded again for use
 * fails cycle      NO_BUDGET       | a turn that ends only when the ring is empty
 * fails cycle      WAITS_FOR_ROOM  | waiting for a place for the answer
 * fails cycle      WAITS_FOR_FLAG  | waiting for the sleeper to clear its flag
 * fails cycle      SLEEPS_ALONE    | sleeping for one session
 */
#define SIZE  1
#define MOD   4 /* so 2 and 3 entries are a lie */
#define UNITS 2
#define USED(tail, head) ((tail + MOD - head) % MOD)
#define NEXT(i)          ((i + 1) % MOD)

/*
 * The words of the enemy's segment that the daemon reads. It writes the others and never looks. The
 * entries are left out: one is copied once and judged.
 */
byte sq_tail, cq_head;
bit cq_sleeper;
#ifdef READS_BACK
byte sq_head;
#endif
bool dead, evicted;

#ifdef NO_BUDGET
#define spend() skip
#else
#define spend() units--
#endif

bool bystander; /* ghost: it is the bystander's turn */

active proctype enemy()
{
	do
	:: sq_tail = NEXT(sq_tail)
	:: sq_tail = (sq_tail + MOD / 2) % MOD
	:: cq_head = NEXT(cq_head)
	:: cq_head = (cq_head + MOD / 2) % MOD
	:: cq_sleeper = 1 - cq_sleeper
#ifdef READS_BACK
	:: sq_head = NEXT(sq_head)
#endif
	:: break /* silent for ever, but alive */
	:: dead = true -> break
	od
}

active proctype daemon()
{
	byte mine, tail, seen, used, consumed; /* consumer's index, producer's index, the peer's */
	byte units, was;
	bool working, corrupt, parked;

turn:	/* the enemy's session */
	atomic {
		units = UNITS;
		consumed = 0
	};
	if
	:: dead || evicted || (parked && USED(tail, cq_head) >= SIZE) -> goto others
	:: else -> parked = false
	fi;
	do
	:: units == 0 -> break
	:: units > 0 && working ->
#ifdef WAITS_FOR_ROOM
		USED(tail, cq_head) < SIZE;
#endif
		seen = cq_head; /* hak_ring_push() */
		used = USED(tail, seen);
		if
#ifdef TRUSTS_HEAD
		:: used != SIZE ->
#else
		:: used < SIZE ->
#endif
			assert(used < SIZE); /* a place that the copied index says is free */
			tail = NEXT(tail)
		:: else /* full or corrupt: the answer is the client's loss */
		fi;
		spend();
		working = false
	:: units > 0 && !working ->
		seen = cq_head; /* hak_ring_room() */
		if
		:: USED(tail, seen) >= SIZE -> break
		:: else
		fi;
		was = mine;
#ifdef READS_BACK
		mine = sq_head;
#endif
		seen = sq_tail; /* hak_ring_pop() */
		used = USED(seen, mine);
		if
		:: used == 0 -> break
#ifndef TRUSTS_TAIL
		:: used > SIZE -> evicted = true; goto others
#endif
		:: else
		fi;
#ifdef LOADS_TWICE
		used = USED(sq_tail, mine);
#endif
		assert(used > 0 && used <= SIZE);
		assert(mine == was);
		mine = NEXT(mine);
#ifdef READS_BACK
		sq_head = mine;
#endif
		spend();
#ifndef NO_BUDGET
		consumed++;
		assert(consumed <= UNITS);
#endif
		working = true
	od;
	seen = cq_sleeper; /* must_wake: the call does not wait */
#ifdef WAITS_FOR_FLAG
	cq_sleeper == 0;
#endif
#ifdef SLEEPS_ALONE
	if
	:: sq_tail == mine -> sq_tail != mine
	:: else
	fi;
#endif
	if /* may_sleep */
	:: sq_tail == mine -> /* the bell is armed; anything may ring it */
	:: else -> parked = true
	fi;
others:
	atomic { used = 0; seen = 0; was = 0 };
	bystander = true;
	bystander = false;
	goto turn
}

#ifdef LIVE
ltl everybody_is_served { [] <> bystander }
#endif
