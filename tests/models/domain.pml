/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain.pml - shared/domain.h: a slab's lease, the half-word of a block of it, a root, members
 * that may die between any two steps, and the daemon, whose sweep may be cut short.
 *
 * Any member does any of OPS operations: adopt or take the slab, allocate, free, collect,
 * publish, claim, give, release. A number whose sweep is complete is given out again. A store
 * is visible at once but for the one that clears the hint. `real` is what happened, for the
 * assertions: whose the block is, by number and how often that number was given out.
 *
 * holds safety     -                 | no block has two owners or none, whoever dies
 * holds safety     MEMBERS=3,OPS=3   | nor with a third member
 * fails assertion  NO_RECHECK        | a gift to one who is gone and swept
 * fails assertion  BACK_BY_STORE     | a gift that is taken back without a look
 * fails assertion  SWEEP_BY_STORE    | a sweep that does not look whether it was taken back
 * fails assertion  SWEEP_FIRST       | sweeping before DYING is to be seen
 * fails assertion  LEAVES_STRANGERS  | a giver that died after a gift to one who is swept
 * fails assertion  LEAVES_DYING      | or to one whose sweep has passed there
 * fails assertion  REUSE_EARLY       | a number given out before its sweep is complete
 * fails assertion  REUSE_SOON        | a number given out while an old gift to it is under way
 * fails assertion  FREED_FIRST       | a block that is free before its refs are stale
 * fails assertion  LINK_BY_OFFSET    | a root's old ref taken for a link
 * fails assertion  SWEEP_FREES_T     | what is linked but still says T is freed
 * fails assertion  SWEEP_KEEPS_T     | what says T and is not linked stays
 * fails assertion  LINK_FIRST        | linked before the half-word says T
 * fails assertion  CLAIM_BY_STORE    | claiming by load and store
 * fails assertion  ADOPT_BY_STORE    | adopting by load and store
 * fails assertion  NO_HINT           | giving back without the hint
 * fails assertion  SKIPS_FREED       | a death between giving back and the hint
 * fails assertion  HINT_FIRST        | or with the hint first
 * fails assertion  NO_FENCE_COLLECT  | looking before the hint is seen to be cleared
 * fails assertion  LOOK_FIRST        | looking, then clearing the hint
 * fails assertion  FREES_LEASED      | a sweep that frees the slab in which others own
 * fails assertion  GATHERS_FIRST     | gathering an orphan that is in use
 */
#ifndef MEMBERS
#define MEMBERS 2
#endif
#ifndef OPS
#define OPS 5 /* of all together */
#endif
#ifndef JOINS
#define JOINS 1 /* numbers given out again */
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef DEATHS
#define DEATHS 2
#endif

/* The lease: of member 1 .. 3 or one of these; CLAIM includes the daemon's, 0. */
#define FREE     0
#define ORPHAN   7
#define CLAIM(k) (8 + k)

/* The half-word: 0, a member's number, or one of these. */
#define T(k)      (8 + k)
#define PUBLISHED 16
#define FREED     17
#define SWEPT     18

#define NONE  0
#define ALIVE 1
#define DYING 2

byte lease = 1, half;
bit hint, clearing; /* the second: the store of 0 is on its way */
byte root;          /* the ref: generation, from 1; 0: none */
byte generation = 1;
byte state[MEMBERS + 1], life[MEMBERS + 1];
bool gone[MEMBERS + 1], done[MEMBERS + 1];
bool used[MEMBERS + 1]; /* a holder's bitmap: nobody else reads it */
bool giving[MEMBERS + 1];
byte mail[MEMBERS + 1]; /* what the giver tells whom it gave to */
byte ops = OPS, deaths = DEATHS, joins = JOINS, crashes = CRASHES; /* left */

#define NOBODY  0
#define LASTING 255
#define ID(k)   (k + 4 * life[k])
byte real; /* ghost */

#ifdef LINK_BY_OFFSET
#define is_linked (root != 0)
#else
#define is_linked (root == generation)
#endif

#define may_die()                                             \
	if                                                    \
	:: deaths > 0 -> deaths--; goto dies                  \
	:: true                                               \
	fi

inline exchange(cell, old, new)
{
	d_step {
		won = cell == old;
		if
		:: won -> cell = new
		:: else
		fi
	}
}

inline release_block() /* by its owner */
{
	if
	:: holder ->
		atomic {
			assert(half == 0 || half == me);
			assert(real == ID(me));
			generation++;
			half = 0;
			used[me] = false;
			real = NOBODY;
			own = false;
			may_die()
		}
	:: else ->
#ifdef HINT_FIRST
		atomic { hint = 1; may_die() };
#endif
		atomic {
			assert(half == me && real == ID(me));
			generation++;
			half = FREED;
			real = NOBODY;
			own = false;
			may_die()
		};
#if !defined(NO_HINT) && !defined(HINT_FIRST)
		atomic { hint = 1; may_die() }
#endif
	fi
}

inline collect()
{
#ifdef LOOK_FIRST
	won = half == FREED;
	hint = 0;
#else
	clearing = 1;
#ifndef NO_FENCE_COLLECT
	!clearing;
#endif
	won = half == FREED;
#endif
	if
	:: won ->
		atomic {
			assert(half == FREED && real == NOBODY);
			half = 0;
			used[me] = false;
			may_die()
		}
	:: else
	fi
}

inline publish()
{
	before = half;
#ifndef LINK_FIRST
	atomic { assert(real == ID(me) && (half == me || half == 0)); half = T(me); may_die() };
#endif
	if
	:: true -> /* the name stands for something else */
		atomic { half = before; may_die() }
	:: true ->
		atomic { root = generation; real = LASTING; own = false; may_die() };
#ifdef LINK_FIRST
		atomic { half = T(me); may_die() };
#endif
		atomic { assert(half == T(me)); half = PUBLISHED; may_die() }
	fi;
	before = 0
}

inline claim()
{
	atomic {
#ifdef CLAIM_BY_STORE
		won = true; half = me;
#else
		exchange(half, PUBLISHED, me);
#endif
		if
		:: won -> assert(real == LASTING); real = ID(me); own = true; may_die()
		:: else
		fi
	};
	if
	:: won && root == generation -> atomic { root = 0; may_die() }
	:: else
	fi
}

inline give(to)
{
	atomic { told = life[to]; before = half; giving[me] = true };
	if
	:: state[to] == ALIVE && life[to] == told ->
		atomic {
			assert(real == ID(me) && (half == me || half == 0));
			half = to;
			real = to + 4 * told;
			own = false;
			may_die()
		};
#ifdef NO_RECHECK
		won = true;
#else
		won = state[to] == ALIVE && life[to] == told; /* behind a full fence */
#endif
		if
		:: won -> atomic { mail[to] = to + 4 * told; may_die() }
		:: else ->
			atomic {
#ifdef BACK_BY_STORE
				won = true; half = before;
#else
				exchange(half, to, before);
#endif
				if
				:: won -> assert(real == to + 4 * told); real = ID(me); own = true
				:: else /* the sweep has dealt with it: given, and lost with the other */
				fi;
				may_die()
			}
		fi
	:: else
	fi;
	atomic { before = 0; told = 0; giving[me] = false }
}

proctype member(byte me)
{
	bool own, holder = (me == 1), won;
	byte before, told;

next:	do
	:: mail[me] != 0 ->
		atomic {
			assert(mail[me] != ID(me) || real == ID(me));
			own = mail[me] == ID(me);
			mail[me] = 0
		}
	:: atomic { ops > 0 && !holder && (lease == FREE) -> ops-- };
		atomic { exchange(lease, FREE, CLAIM(me)); may_die() };
		if
		:: won -> atomic { assert(half == 0); lease = me; holder = true; may_die() }
		:: else
		fi
	:: atomic { ops > 0 && !holder && (lease == ORPHAN) -> ops-- };
		atomic {
#ifdef ADOPT_BY_STORE
			won = true; lease = me;
#else
			exchange(lease, ORPHAN, me);
#endif
			holder = won;
			may_die()
		};
		if
		:: won ->
			atomic { /* one load and, of FREED, one store that only a holder makes */
				if
				:: half == FREED -> half = 0
				:: else
				fi;
				used[me] = half != 0
			}
		:: else
		fi
	:: atomic { ops > 0 && holder && !used[me] && !own && half == 0 -> ops-- };
		if
		:: atomic {
			assert(real == NOBODY && lease == me);
			used[me] = true;
			own = true;
			real = ID(me);
			may_die()
		   }
		:: atomic { assert(real == NOBODY); lease = CLAIM(me); holder = false; may_die() };
			atomic { half = 0; may_die() };
			atomic { lease = FREE; may_die() }
		fi
	:: atomic { ops > 0 && own -> ops-- };
		if
		:: release_block()
		:: publish()
		:: me != 1 -> give(1)
		:: me != 2 -> give(2)
#if MEMBERS > 2
		:: me != 3 -> give(3)
#endif
		fi
	:: atomic { ops > 0 && !own && half == PUBLISHED -> ops-- }; claim()
	:: holder && hint && !clearing -> collect()
	:: ops == 0 && mail[me] == 0 && !(holder && hint) -> goto rests
	:: true -> goto rests
	od;

rests:	atomic { may_die() };
	atomic {
		done[me] = true;
		own = false;
		holder = false;
		won = false
	};
	goto ends;

dies:	atomic {
		gone[me] = true;
		own = false;
		holder = false;
		won = false;
		used[me] = false;
		before = 0;
		told = 0
	};
end:	!gone[me]; /* another process has the number now */
	goto next;
ends:	skip
}

active proctype flush()
{
end:	do
	:: atomic { clearing -> clearing = 0; hint = 0 }
	od
}

#define crash()                                   \
	if                                        \
	:: crashes > 0 -> crashes--; goto restart \
	:: true                                   \
	fi

#if defined(LEAVES_STRANGERS)
#define is_dead(h) (h == k)
#elif defined(LEAVES_DYING)
#define is_dead(h) (h == k || (h >= 1 && h <= MEMBERS && state[h] == NONE))
#else
#define is_dead(h) (h >= 1 && h <= MEMBERS && state[h] != ALIVE)
#endif

inline finish() /* SWEPT: the refs go stale before anybody can have the block */
{
#ifdef FREED_FIRST
	half = FREED;
	crash();
	generation++;
#else
	generation++;
	crash();
	half = FREED;
#endif
	crash();
	hint = 1
}

inline give_back() /* what the dead one owned, by the half-word that was read */
{
	atomic {
#ifdef SWEEP_BY_STORE
		won = true; half = SWEPT;
#else
		exchange(half, h, SWEPT);
#endif
		if
		:: won -> assert(real == NOBODY || real % 4 == h % 8); real = NOBODY
		:: else
		fi
	};
	if
	:: won -> crash(); finish()
	:: else
	fi
}

inline sweep_half()
{
	h = half;
	if
	:: is_dead(h) -> give_back()
	:: h == SWEPT -> finish()
#ifndef SWEEP_KEEPS_T
	:: h == T(k) ->
#ifdef SWEEP_FREES_T
		give_back()
#else
		if
		:: is_linked -> assert(real == LASTING); half = PUBLISHED
		:: else -> give_back()
		fi
#endif
#endif
#ifndef SKIPS_FREED
	:: h == FREED -> hint = 1 /* who gave it back may have died before it said so */
#endif
	:: h == 0 && lease == k ->
		atomic { assert(real == NOBODY || real == ID(k)); real = NOBODY; generation++ }
	:: else
	fi
}

inline sweep_lease()
{
	if
	:: lease == k ->
		h = half;
		crash();
		if
#ifdef FREES_LEASED
		:: true ->
#else
		:: h == 0 || h == FREED ->
#endif
			lease = CLAIM(k);
			crash();
			half = 0;
			crash();
			lease = FREE
		:: h != 0 && h != FREED -> lease = ORPHAN
		fi
	:: lease == CLAIM(k) -> half = 0; crash(); lease = FREE
	:: lease != k && lease != CLAIM(k)
	fi
}

#define idle (half == 0 || half == FREED)

inline gather()
{
	exchange(lease, ORPHAN, CLAIM(0));
	if
	:: won -> crash(); half = 0; crash(); lease = FREE
	:: else
	fi
}

/* Numbers are given out in turn: one comes again when a gift under way at its end is no more. */
#if defined(REUSE_SOON)
#define late true
#elif MEMBERS > 2
#define late (!giving[1] && !giving[2] && !giving[3])
#else
#define late (!giving[1] && !giving[2])
#endif

active proctype daemon()
{
	byte k, h;
	bool won, passed[MEMBERS + 1];

	atomic {
		run member(1);
		state[1] = ALIVE;
		run member(2);
		state[2] = ALIVE;
#if MEMBERS > 2
		run member(3);
		state[3] = ALIVE
#endif
	};
restart:
	atomic { passed[1] = false; passed[2] = false; passed[MEMBERS] = false };
turn:	atomic { h = 0; won = false; k = 0 };
end:	do
	:: lease == CLAIM(0) -> half = 0; lease = FREE
#ifdef GATHERS_FIRST
	:: lease == ORPHAN -> gather()
#else
	:: lease == ORPHAN && idle -> gather()
#endif
	:: atomic { gone[1] && state[1] != NONE -> k = 1; break }
	:: atomic { gone[2] && state[2] != NONE -> k = 2; break }
#if MEMBERS > 2
	:: atomic { gone[3] && state[3] != NONE -> k = 3; break }
#endif
	:: atomic { joins > 0 && late && gone[1] && state[1] == NONE -> k = 1 }; goto join
	:: atomic { joins > 0 && late && gone[2] && state[2] == NONE -> k = 2 }; goto join
	od;
#ifndef SWEEP_FIRST
	state[k] = DYING;
	crash();
#endif
#ifdef REUSE_EARLY
	if
	:: joins > 0 -> goto join
	:: true
	fi;
#endif
	if
	:: !passed[k] ->
		sweep_half();
		crash();
		passed[k] = true;
		if
		:: goto turn /* another one's, before the rest of this */
		:: true
		fi
	:: passed[k]
	fi;
	sweep_lease();
	crash();
#ifdef SWEEP_FIRST
	state[k] = DYING;
#endif
	atomic { state[k] = NONE; mail[k] = 0; giving[k] = false; passed[k] = false };
	goto turn;
join:	atomic { joins--; life[k]++; mail[k] = 0; state[k] = ALIVE; gone[k] = false };
	goto turn
}

#define settled(k) (done[k] -> true : (gone[k] && state[k] == NONE))
#if MEMBERS > 2
#define all_settled (settled(1) && settled(2) && settled(3))
#else
#define all_settled (settled(1) && settled(2))
#endif
#define lives(k) (state[k] == ALIVE)

active proctype monitor()
{
end:	d_step {
		all_settled && !clearing && lease != CLAIM(0) &&
		!(lease == ORPHAN && idle) ->
		/* no dead one is named */
		assert(half < 1 || half > MEMBERS || lives(half));
		assert(half < T(1) || half > T(3));
		assert(lease < 1 || lease == ORPHAN || (lease <= MEMBERS && lives(lease)));
		/* the record says whose it is */
		if
		:: real == NOBODY ->
			assert(half == 0 || (half == FREED && hint));
			assert(half != 0 || lease == FREE || !used[lease])
		:: real == LASTING -> assert(half == PUBLISHED)
		:: else ->
			assert(lives(real % 4) && ID(real % 4) == real);
			assert(half == real % 4 || (half == 0 && lease == real % 4 && used[lease]))
		fi
	}
}
