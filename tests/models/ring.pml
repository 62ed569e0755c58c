/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.pml - one ring of shared/ring.h: push, pop, sleep, wake; statement by statement.
 *
 * A store goes into its CPU's buffer and becomes visible later (flush_*); the fence waits until
 * the buffer is empty. The producer's buffer keeps its order (a release store follows what it
 * publishes), the consumer's head and sleeper may pass each other. The system calls are no
 * fences. MOD is where an index wraps; entries carry their number, modulo 3 (a place's last two
 * differ).
 *
 * holds safety     -                | no wake-up is lost, no entry lost, doubled or overwritten
 * holds safety     SIZE=1           | nor with a ring of one entry
 * holds safety     SIZE=4,MOD=8     | nor with a ring of four
 * holds liveness   -                | an entry that was pushed is consumed
 * fails deadlock   NO_FENCE_WAKE    | without the fence in must_wake a wake-up is lost
 * fails deadlock   NO_FENCE_SLEEP   | without the fence in may_sleep a wake-up is lost
 * fails deadlock   WAKER_CLEARS     | a flag that the producer clears loses a wake-up
 * fails deadlock   NO_COMPARE       | a wait that does not compare the tail loses a wake-up
 * fails deadlock   LOOK_FIRST       | looking for a sleeper before the tail is stored
 * fails deadlock   NEVER_ANNOUNCES  | sleeping without the flag
 * fails cycle      NO_FENCE_WAKE    | the lost wake-up is seen as an entry that waits for ever, too
 * fails assertion  EARLY_TAIL       | a tail that is visible before the entry
 * fails assertion  EARLY_COPY       | an entry that is read before the tail
 * fails assertion  EARLY_HEAD       | a place that is given back before it was read
 * fails assertion  OFF_BY_ONE       | one entry more than the ring has
 * fails assertion  MOD=2            | an index no wider than its mask
 */
#ifndef SIZE
#define SIZE 2
#endif
#ifndef MOD
#define MOD (2 * SIZE)
#endif
#define USED(tail, head) ((tail + MOD - head) % MOD)
#define NEXT(i)          ((i + 1) % MOD)

#define TAG 3 /* added to an entry's number: the one whose consumption is waited for */

/* Memory, as the other side sees it. */
byte head, tail, slot[SIZE];
bit sleeper;

/* Stores on their way. */
mtype = { SLOT, TAIL };
chan p_stores = [2 * SIZE] of { mtype, byte, byte };
chan c_head = [2] of { byte };
chan c_sleeper = [2] of { bit };
#define p_fence() (empty(p_stores))
#define c_fence() (empty(c_head) && empty(c_sleeper))

bool asleep;      /* the kernel's queue on the tail */
byte surprises = 2; /* time-outs, signals and spurious returns left; unlimited would hide a loss */

byte inflight;      /* ghosts: pushed and not yet copied out; a tagged entry among them */
bool tagged;

active proctype flush_p()
{
	byte at, value;
end:	do
	:: d_step { p_stores?SLOT, at, value -> slot[at] = value }
	:: d_step { p_stores?TAIL, at, value -> tail = value }
	od
}

active proctype flush_c()
{
	byte value;
end:	do
	:: d_step { c_head?value -> head = value; value = 0 }
	:: d_step { c_sleeper?value -> sleeper = value; value = 0 }
	od
}

inline must_wake()
{
#if !defined(NO_FENCE_WAKE) && !defined(LOOK_FIRST)
	p_fence();
#endif
#ifndef LOOK_FIRST
	seen = sleeper;
#endif
	if
	:: seen ->
#ifdef WAKER_CLEARS
		sleeper = 0;
#endif
		asleep = false /* futex_wake */
	:: else
	fi;
	seen = 0;
	unannounced = false
}

active proctype producer()
{
	byte mine, number, h, value;
	bit seen;
	bool unannounced;

push:	h = head;
	if
#ifdef OFF_BY_ONE
	:: USED(mine, h) == (SIZE + 1) % MOD ->
#else
	:: USED(mine, h) == SIZE ->
#endif
		if
		:: unannounced -> must_wake() /* whoever finds it full ends its batch */
		:: else
		fi;
		head != h;
		goto push
	:: else
	fi;
	h = 0;
	d_step {
		assert(inflight < SIZE);
		inflight++
	};
	value = number;
#ifdef LIVE
	if
	:: !tagged -> tagged = true; value = number + TAG
	:: true
	fi;
#endif
#ifdef LOOK_FIRST
	seen = sleeper;
#endif
#ifdef EARLY_TAIL
	p_stores!TAIL, 0, NEXT(mine);
	p_stores!SLOT, mine % SIZE, value;
#else
	p_stores!SLOT, mine % SIZE, value;
	p_stores!TAIL, 0, NEXT(mine);
#endif
	d_step {
		mine = NEXT(mine);
		number = (number + 1) % 3;
		value = 0;
		unannounced = true
	};
	if
	:: goto push /* a batch: one look at the sleeper for all */
	:: must_wake()
	fi;
	if
	:: goto push
	:: inflight == 0 -> goto push /* says nothing more until all is answered */
	fi
}

active proctype consumer()
{
	byte mine, number, t, value;

pop:
#ifdef EARLY_COPY
	value = slot[mine % SIZE];
#endif
	t = tail;
	if
	:: t != mine -> assert(USED(t, mine) <= SIZE)
	:: else ->
		if
		:: goto pop /* polls */
		:: true
		fi;
#ifndef NEVER_ANNOUNCES
		c_sleeper!1;
#endif
#ifndef NO_FENCE_SLEEP
		c_fence();
#endif
		t = tail;
		if
		:: t == mine ->
			atomic { /* futex_wait: compares and sleeps under the kernel's lock */
				if
#ifndef NO_COMPARE
				:: tail != mine
#endif
				:: else -> asleep = true
				fi
			};
			if
			:: !asleep
			:: surprises > 0 -> d_step { asleep = false; surprises-- }
			fi
		:: else
		fi;
		c_sleeper!0;
		goto pop
	fi;
#ifdef EARLY_HEAD
	c_head!NEXT(mine);
#endif
#ifndef EARLY_COPY
	value = slot[mine % SIZE];
#endif
	d_step {
		assert(value % TAG == number);
		if
		:: value >= TAG -> tagged = false
		:: else
		fi;
		inflight--;
		value = 0;
		t = 0
	};
#ifndef EARLY_HEAD
	c_head!NEXT(mine);
#endif
	d_step {
		mine = NEXT(mine);
		number = (number + 1) % 3
	};
	goto pop
}

#ifdef LIVE
ltl consumed { [] (tagged -> <> !tagged) }
#endif
