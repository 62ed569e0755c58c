/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait.pml - waiting for a channel: two receivers that sleep, two senders that wake them, and a
 * death at any step; senders that wait for room are the same with the names changed.
 *
 * The channel is a number of messages here. What a member stores goes into its processor's
 * buffer and becomes visible later, in any order of the two it may hold; a compare-and-swap and
 * an exchange wait for an empty buffer, as a full fence does. No system call counts as a fence.
 * The time limit of a wait is left out: it would make up for every loss.
 *
 * holds safety     -                | no wake-up is lost, nor is one by a death
 * holds liveness   DEATHS=0         | what was sent is received
 * fails deadlock   DEATHS=0,COUNT_FIRST      | a count that goes up before the flag is cleared
 * fails deadlock   DEATHS=0,SEEN_LAST        | a count that is read after the flag is set
 * fails deadlock   DEATHS=0,NO_FENCE_WAKE    | looking for waiters before the message is visible
 * fails deadlock   DEATHS=0,NO_FENCE_WAIT    | looking for messages before the flag is visible
 * fails deadlock   DEATHS=0,NO_COMPARE       | a wait that does not compare the count
 * fails deadlock   DEATHS=0,NEVER_ANNOUNCES  | sleeping without the flag
 * fails deadlock   DEATHS=0,WAKES_ONE        | waking one of two, and clearing the flag for both
 * fails deadlock   SWEEP_SILENT     | a sender that died between the message and the wake-up
 * fails deadlock   SWEEP_WAKES_FIRST | a sweep that finishes the send after waking
 */
#ifndef DEATHS
#define DEATHS 1
#endif

byte messages;      /* half-words that say the channel's */
byte sent;          /* the futex word */
bit receivers_wait;
bool asleep[4];     /* the kernel's queue on it */
bool dead[4], swept[4];
byte deaths = DEATHS, senders = 2;

bit linked[2];      /* a word is FULL, its half-word says T */
bit unsent[2];      /* stores on their way: a sender's half-word, a receiver's flag */
bit unset[4];

#define over (senders == 0 && messages == 0 && !unsent[0] && !unsent[1] && \
	      (!dead[0] || swept[0]) && (!dead[1] || swept[1]))

/* What a death leaves is what was written: its stores arrive. */
#define may_die()                                            \
	if                                                   \
	:: deaths > 0 -> deaths--; dead[me] = true; goto stop \
	:: true                                              \
	fi

active [2] proctype sender()
{
	byte left = 2 - _pid, me = _pid;
	bit seen;

	do
	:: left == 0 -> break
	:: left > 0 ->
		left--;
#ifdef NO_FENCE_WAKE
		!unsent[me];
#endif
		atomic { linked[me] = 1; may_die() };
		atomic { linked[me] = 0; unsent[me] = 1; may_die() };
#ifdef COUNT_FIRST
		atomic { !unsent[me] -> sent++ };
#endif
#ifndef NO_FENCE_WAKE
		!unsent[me]; /* the fence */
#endif
		seen = receivers_wait;
		if
		:: !seen
		:: else ->
			atomic { /* exchange */
				!unsent[me] ->
				seen = receivers_wait;
				receivers_wait = 0;
				may_die()
			};
			if
			:: !seen
			:: else ->
#ifndef COUNT_FIRST
				atomic { sent++; may_die() };
#endif
#ifdef WAKES_ONE
				if
				:: asleep[2] -> asleep[2] = false
				:: asleep[3] -> asleep[3] = false
				:: !asleep[2] && !asleep[3]
				fi
#else
				atomic { asleep[2] = false; asleep[3] = false }
#endif
			fi
		fi;
		seen = 0
	od;
stop:	atomic { seen = 0; left = 0; senders-- }
}

active proctype flush()
{
end:	do
	:: d_step { unsent[0] -> unsent[0] = 0; messages++ }
	:: d_step { unsent[1] -> unsent[1] = 0; messages++ }
	:: d_step { unset[2] -> unset[2] = 0; receivers_wait = 1 }
	:: d_step { unset[3] -> unset[3] = 0; receivers_wait = 1 }
	od
}

active [2] proctype receiver()
{
	byte seen, me = _pid - 1;

	do
	:: atomic { messages > 0 && !unset[me] -> messages--; may_die() }
	:: messages == 0 ->
#ifndef SEEN_LAST
		seen = sent;
#endif
#ifndef NEVER_ANNOUNCES
		atomic { unset[me] = 1; may_die() };
#endif
#ifndef NO_FENCE_WAIT
		!unset[me]; /* the fence */
#endif
#ifdef SEEN_LAST
		seen = sent;
#endif
		if
		:: messages > 0
		:: else ->
			atomic { /* futex_wait: compares and sleeps under the kernel's lock */
				if
#ifndef NO_COMPARE
				:: sent != seen
#endif
				:: else -> asleep[me] = true
				fi
			};
			if
			:: !asleep[me]
			:: over -> break
			fi
		fi;
		seen = 0
	od;
stop:	seen = 0
}

inline wake_all()
{
#ifndef SWEEP_SILENT
	sent++;
	atomic { asleep[2] = false; asleep[3] = false }
#else
	skip
#endif
}

inline sweep()
{
#ifdef SWEEP_WAKES_FIRST
	wake_all();
#endif
	atomic {
		if
		:: linked[k] -> linked[k] = 0; messages++
		:: else
		fi
	};
#ifndef SWEEP_WAKES_FIRST
	wake_all();
#endif
	atomic { swept[k] = true; k = 0 }
}

active proctype sweeper()
{
	byte k;

end:	do
	:: atomic { dead[0] && !swept[0] && !unsent[0] -> k = 0 };
		sweep()
	:: atomic { dead[1] && !swept[1] && !unsent[1] -> k = 1 };
		sweep()
	od
}

#ifdef LIVE
ltl received { [] (messages > 0 -> <> (messages == 0)) }
#endif
