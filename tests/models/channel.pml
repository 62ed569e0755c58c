/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel.pml - shared/channel.h: two senders, two receivers, any of which may die between any
 * two steps, and the sweep, which may be cut short and is run again.
 *
 * A ring of SIZE words and the half-words of the blocks that go through it. A block's home is
 * the sender that allocates it; a receiver frees it, and it is sent again. Loads, stores and
 * compare-and-swaps are one step each. `real[]` is what happened, for the assertions: it changes
 * when a word becomes FULL and when a half-word becomes a receiver's. Waiting is in wait.pml.
 *
 * holds safety     -                   | received once or owned by one, whoever dies
 * holds safety     SIZE=1              | nor is it otherwise in a ring of one
 * holds safety     PUBLISH             | nor where a block is published in between
 * fails assertion  HELPS               | finishing the send of another hits its next one
 * fails assertion  HELPS,PUBLISH       | or what it is publishing
 * fails assertion  NO_SCAN,SENDS=3     | a block that was sent again leaves its word behind
 * fails assertion  SWEEP_LEAVES_WORDS,DEATHS=2 | a dead receiver's word is taken for a link
 * fails assertion  SWEEP_WORDS_LAST,DEATHS=2 | and so between two steps of the sweep
 * fails assertion  SWEEP_FREES         | a death after the link is a message lost
 * fails assertion  SWEEP_KEEPS         | a death before the link is a block lost
 * fails assertion  LINK_FIRST          | a word that is FULL before the half-word says T
 * fails assertion  WORD_FIRST          | a receiver that clears the word, then takes the block
 * fails assertion  TAKE_BY_STORE       | taking by load and store
 * fails assertion  LINK_BY_STORE       | sending into a word by load and store
 * fails assertion  CLEAR_BY_STORE      | clearing a word that is somebody's again
 * fails assertion  NO_LAP,SIZE=1       | a word that does not count laps
 * fails assertion  FULL_KEEPS_T        | a sender that found it full and leaves T
 */
#ifndef SIZE
#define SIZE 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef SENDS
#define SENDS 2 /* of sender 1; the other sends one */
#endif
#define BLOCKS 2

/* Half-words: 0 the home's, 1 .. 4 a member's. */
#define T(k)      (8 + k)
#define CHANNEL   16
#define FREED     17
#define PUBLISHED 18

/* Words. */
#ifdef NO_LAP
#define LAPS 2
#else
#define LAPS 64
#endif
#define EMPTY(lap)       (((lap) % LAPS) * 4)
#define FULL(lap, block) (EMPTY(lap) + block)
#define LAP(word)        ((word) / 4)
#define BLOCK(word)      ((word) % 4)

#define is_sender(k) (k <= 2)

byte word[SIZE], head, tail; /* the ring, its hints */
byte half[BLOCKS + 1];       /* block b's home is sender b */
byte root;                   /* a block, or 0 */
bool dead[5], swept[5], ended[5];
byte deaths = DEATHS, crashes = 1; /* left: of members, of the sweep */

#define NOBODY 0 /* free */
#define MOVING 5 /* in the channel */
#define LASTING 6
byte real[BLOCKS + 1]; /* ghost: 1 .. 4 or one of these */

#define may_receive(at) (BLOCK(word[at]) && half[BLOCK(word[at])] == CHANNEL)
#if SIZE == 1
#define something may_receive(0)
#define is_linked(b) (BLOCK(word[0]) == b)
#else
#define something (may_receive(0) || may_receive(1))
#define is_linked(b) (BLOCK(word[0]) == b || BLOCK(word[1]) == b)
#endif
#define gone(k)   (dead[k] -> swept[k] : ended[k])
#define no_sender (gone(1) && gone(2))

/* What a death leaves is what was written, so it is enough to die after each write. */
#define may_die()                                            \
	if                                                   \
	:: deaths > 0 -> deaths--; dead[me] = true; goto stop \
	:: true                                              \
	fi

inline exchange(at, old, new) /* compare-and-swap of a word */
{
	d_step {
		won = word[at] == old;
		if
		:: won -> word[at] = new
		:: else
		fi
	}
}

inline exchange_half(b, old, new)
{
	d_step {
		won = half[b] == old;
		if
		:: won -> half[b] = new
		:: else
		fi
	}
}

#ifdef CLEAR_BY_STORE
#define clear(at, old) word[at] = EMPTY(LAP(old) + 1)
#else
#define clear(at, old) exchange(at, old, EMPTY(LAP(old) + 1))
#endif

inline link()
{
	d_step {
#ifdef LINK_BY_STORE
		won = true;
#else
		won = word[at % SIZE] == w;
#endif
		if
		:: won ->
			word[at % SIZE] = FULL(at / SIZE, me);
			assert(real[me] == me);
			real[me] = MOVING
		:: else
		fi
	}
}

inline put() /* the sender's own block */
{
#ifndef LINK_FIRST
	atomic { assert(half[me] == 0 && real[me] == me); half[me] = T(me); may_die() };
#endif
	atomic { at = tail; w = word[at % SIZE] };
	do
	:: LAP(w) == (at / SIZE) % LAPS && !BLOCK(w) ->
		atomic {
			link();
			if
			:: won -> tail = at + 1; may_die(); break
			:: else -> skip
			fi
		};
		w = word[at % SIZE]
	:: LAP(w) == (at / SIZE + LAPS - 1) % LAPS && BLOCK(w) ->
		h = half[BLOCK(w)];
		if
#ifdef HELPS
		:: h == T(1) || h == T(2) ->
			atomic { exchange_half(BLOCK(w), h, CHANNEL); may_die() }
		:: h == CHANNEL ->
#else
		:: h == CHANNEL || h == T(1) || h == T(2) ->
#endif
#ifndef FULL_KEEPS_T
			atomic {
				assert(half[me] == T(me) && real[me] == me);
				half[me] = 0;
				may_die()
			};
#endif
			goto refused
		:: else ->
			atomic { clear(at % SIZE, w); may_die() };
			w = word[at % SIZE]
		fi;
		h = 0
	:: else -> atomic { at++; w = word[at % SIZE] }
	od;
#ifdef LINK_FIRST
	half[me] = T(me);
#endif
#ifdef HELPS
	atomic { exchange_half(me, T(me), CHANNEL); may_die() };
#else
	atomic { half[me] = CHANNEL; may_die() };
#endif
refused:
	atomic { at = 0; w = 0; h = 0; won = false }
}

active [2] proctype sender()
{
	byte at, w, h, left;
	byte me = _pid + 1;
	bool won;

	left = (me == 1 -> SENDS : 1);
	do
	:: left > 0 && (half[me] == 0 || half[me] == FREED) ->
		atomic { /* collects it, if it came back */
			assert(half[me] == 0 || real[me] == NOBODY);
			half[me] = 0;
			real[me] = me;
			left--
		};
		if
		:: put()
#ifdef PUBLISH
		:: me == 1 ->
			atomic { assert(real[me] == me); half[me] = T(me); may_die() };
			atomic { assert(real[me] == me); root = me; real[me] = LASTING; may_die() };
			atomic { assert(half[me] == T(me)); half[me] = PUBLISHED; may_die() };
			root = 0;
			atomic { exchange_half(me, PUBLISHED, 0); assert(won); real[me] = me; won = false }
#endif
		fi
	:: true -> break
	od;
	atomic { may_die(); ended[me] = true };
stop:	atomic { at = 0; w = 0; h = 0; left = 0; won = false }
}

inline take()
{
	atomic { at = head; w = word[at % SIZE] };
	do
	:: LAP(w) == (at / SIZE) % LAPS && BLOCK(w) ->
		h = half[BLOCK(w)];
		if
		:: h == CHANNEL ->
			b = BLOCK(w);
#ifdef WORD_FIRST
			atomic { exchange(at % SIZE, w, EMPTY(LAP(w) + 1)); may_die() };
			if
			:: won
			:: else -> b = 0; w = word[at % SIZE]; goto next
			fi;
#endif
			atomic {
#ifdef TAKE_BY_STORE
				won = true;
#else
				won = half[b] == CHANNEL;
#endif
				if
				:: won ->
					assert(real[b] == MOVING);
					half[b] = me;
					real[b] = me;
					may_die();
					break
				:: else -> b = 0
				fi
			};
			w = word[at % SIZE]
#ifdef HELPS
		:: h == T(1) || h == T(2) ->
			atomic { exchange_half(BLOCK(w), h, CHANNEL); may_die() }
#else
		:: h == T(1) || h == T(2) -> /* not yet sent, but the next one may be */
			passed++;
			if
			:: passed == SIZE -> break
			:: else -> atomic { at++; w = word[at % SIZE] }
			fi
#endif
		:: else ->
			atomic { clear(at % SIZE, w); may_die() };
			w = word[at % SIZE]
		fi;
#ifdef WORD_FIRST
next:
#endif
		h = 0
	:: LAP(w) == (at / SIZE) % LAPS && !BLOCK(w) -> break
	:: else ->
		atomic {
			at++;
			if
			:: passed == 0 && at > head -> head = at
			:: else
			fi;
			w = word[at % SIZE]
		}
	od;
	if
	:: b == 0
	:: else ->
#ifndef WORD_FIRST
		atomic { clear(at % SIZE, w); may_die() };
#ifndef NO_SCAN
		if
		:: won
		:: else -> /* sent again since the word was read: another word has it */
			at = 0;
			do
			:: at == SIZE -> break
			:: at < SIZE ->
				w = word[at];
				if
				:: BLOCK(w) == b ->
					atomic { exchange(at, w, EMPTY(LAP(w) + 1)); may_die() }
				:: else
				fi;
				at++
			od
		fi
#endif
#endif
	fi;
	atomic { at = 0; w = 0; h = 0; won = false; passed = 0 }
}

active [2] proctype receiver()
{
	byte at, w, h, b, passed;
	byte me = _pid + 1;
	bool won;

end:	do
	:: something ->
		take();
		if
		:: b == 0
		:: else ->
			atomic {
				assert(half[b] == me && real[b] == me);
				half[b] = FREED;
				real[b] = NOBODY;
				b = 0
			}
		fi
	:: no_sender && !something -> break
	od;
	atomic { may_die(); ended[me] = true };
stop:	atomic { at = 0; w = 0; h = 0; b = 0; passed = 0; won = false }
}

#define crash()                                  \
	if                                       \
	:: crashes > 0 -> crashes--; goto restart \
	:: true                                  \
	fi

/* A place is one step: what the dead one left, nobody else changes; but for cleared words. */
inline sweep_words()
{
	i = 0;
	do
	:: i == SIZE -> break
	:: i < SIZE ->
		atomic {
			w = word[i];
			if
			:: BLOCK(w) && half[BLOCK(w)] == k -> word[i] = EMPTY(LAP(w) + 1)
			:: else
			fi;
			w = 0;
			i++;
			crash()
		}
	od
}

inline sweep_halves()
{
	i = 1;
	do
	:: i > BLOCKS -> break
	:: i <= BLOCKS ->
		atomic {
			if
			:: half[i] == k -> assert(real[i] == k); half[i] = FREED; real[i] = NOBODY
#ifndef SWEEP_KEEPS
			:: half[i] == T(k) ->
				if
#ifdef PUBLISH
				:: root == i -> assert(real[i] == LASTING); half[i] = PUBLISHED
#endif
#ifndef SWEEP_FREES
				:: root != i && is_linked(i) ->
					assert(real[i] == MOVING);
					half[i] = CHANNEL
				:: root != i && !is_linked(i) ->
#else
				:: root != i ->
#endif
					assert(real[i] == k);
					half[i] = FREED;
					real[i] = NOBODY
				fi
#endif
			:: half[i] == 0 && i == k -> real[i] = NOBODY /* by the lease */
			:: else
			fi;
			i++;
			crash()
		}
	od
}

active proctype sweeper()
{
	byte k, i, w;

restart:
end:	do
	:: atomic { dead[1] && !swept[1] -> k = 1; break }
	:: atomic { dead[2] && !swept[2] -> k = 2; break }
	:: atomic { dead[3] && !swept[3] -> k = 3; break }
	:: atomic { dead[4] && !swept[4] -> k = 4; break }
	od;
#if !defined(SWEEP_LEAVES_WORDS) && !defined(SWEEP_WORDS_LAST)
	sweep_words();
#endif
	sweep_halves();
#ifdef SWEEP_WORDS_LAST
	sweep_words();
#endif
	atomic { swept[k] = true; k = 0; i = 0 };
	goto restart
}

inline look(b)
{
	assert(real[b] != MOVING || (half[b] == CHANNEL && is_linked(b)));
	assert(real[b] != NOBODY || half[b] == FREED || half[b] == 0);
	assert(real[b] < 1 || real[b] > 4 || !dead[real[b]]);
	assert(half[b] != CHANNEL || real[b] == MOVING);
	assert(half[b] <= CHANNEL || half[b] == FREED || real[b] == LASTING);
	assert(half[b] < 1 || half[b] > 4 || !dead[half[b]]);
	assert(half[b] < T(1) || half[b] > T(4))
}

active proctype monitor()
{
end:	d_step {
		gone(1) && gone(2) && gone(3) && gone(4) ->
		look(1);
		look(2)
	}
}
