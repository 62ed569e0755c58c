/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/workloads/shared/side.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/workloads/bare.h"
#include "bench/workloads/daemon_side.h"

#define LOOKS 16384 /* between two looks for members that failed */

void side_begin(struct side *ret_side, unsigned members)
{
	if (members > SIDE_MEMBERS)
		work_die("--threads: there are at most 8 members");
	*ret_side = (struct side){
		.page = daemon_shared(sizeof(*ret_side->page)),
		.members = members,
	};
	(void)snprintf(ret_side->name, sizeof(ret_side->name), "hakbench.%d", (int)getpid());
	bare_place();
	for (unsigned i = 1; i < members; i++) {
		ret_side->pid[i] = daemon_fork();
		if (ret_side->pid[i])
			continue;
		ret_side->member = i;
		bare_keep_to((int)i);
		return;
	}
}

void side_look(const struct side *side, unsigned *tries)
{
	siginfo_t gone = { 0 };

	daemon_look(tries);
	/* Who ends well has met all others before. */
	if (*tries % LOOKS == 0 && !side->member &&
	    waitid(P_ALL, 0, &gone, WEXITED | WNOHANG | WNOWAIT) == 0 && gone.si_pid &&
	    (gone.si_code != CLD_EXITED || gone.si_status))
		work_die("another member failed");
}

void side_meet(struct side *side)
{
	unsigned tries = 0;

	side->expected += side->members;
	/* Release and acquire: what any member did before is seen by all of them after. */
	(void)atomic_fetch_add_explicit(&side->page->arrived, 1, memory_order_acq_rel);
	while (atomic_load_explicit(&side->page->arrived, memory_order_acquire) < side->expected)
		side_look(side, &tries);
}

void side_end(struct side *side)
{
	if (side->member)
		exit(0); /* what libraries have to do at an end is done */
	for (unsigned i = 1; i < side->members; i++)
		daemon_reap(side->pid[i]);
}

void side_ring_push(const struct side *side, uint64_t count, uint64_t word)
{
	_Atomic uint64_t *slot = &side->page->ring[count % SIDE_RING];
	unsigned tries = 0;

	/* Acquire and release pair with those of side_ring_pop(). */
	while (atomic_load_explicit(slot, memory_order_acquire))
		side_look(side, &tries);
	atomic_store_explicit(slot, word, memory_order_release);
}

uint64_t side_ring_pop(const struct side *side, uint64_t count)
{
	_Atomic uint64_t *slot = &side->page->ring[count % SIDE_RING];
	unsigned tries = 0;
	uint64_t word;

	while (!(word = atomic_load_explicit(slot, memory_order_acquire)))
		side_look(side, &tries);
	atomic_store_explicit(slot, 0, memory_order_release);
	return word;
}
