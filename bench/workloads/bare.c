/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/workloads/bare.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/workloads/daemon_side.h"
#include "shared/sys.h"

struct words {
	_Atomic uint32_t ping; /* written by the parent */
	uint8_t pad0[HAK_LINE - 4];
	_Atomic uint32_t pong; /* written by the child */
	uint8_t pad1[HAK_LINE - 4];
	_Atomic uint32_t asleep; /* the child sleeps, or is about to */
};

static cpu_set_t allowed;

void bare_keep_to(int n)
{
	cpu_set_t one;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || n--)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one) < 0)
			work_die("cannot choose a processor");
		return;
	}
}

void bare_place(void)
{
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		work_die("cannot tell which processors there are");
	bare_keep_to(0);
}

static void look_for(_Atomic uint32_t *word, uint32_t value)
{
	unsigned tries = 0;

	/* Acquire: pairs with the release of tell(). */
	while (atomic_load_explicit(word, memory_order_acquire) != value)
		daemon_look(&tries);
}

static void sleep_for(_Atomic uint32_t *word, uint32_t value)
{
	uint32_t seen;

	while ((seen = atomic_load_explicit(word, memory_order_acquire)) != value)
		(void)hak_sys_futex_wait(word, seen, -1);
}

static void tell(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

void bare_ping_pong(struct hist *hist, uint64_t rounds)
{
	struct words *words = daemon_shared(sizeof(*words));
	pid_t pid = daemon_fork();

	if (!pid) {
		bare_keep_to(1);
		for (uint32_t i = 1; i <= rounds; i++) {
			look_for(&words->ping, i);
			tell(&words->pong, i);
		}
		_exit(0);
	}
	for (uint32_t i = 1; i <= rounds; i++) {
		uint64_t begin = hak_sys_now_ns();

		tell(&words->ping, i);
		look_for(&words->pong, i);
		hist_add(hist, hak_sys_now_ns() - begin);
	}
	daemon_reap(pid);
	(void)munmap(words, sizeof(*words));
}

static _Noreturn void answer(struct words *words, uint64_t rounds, bool wake)
{
	bare_keep_to(1);
	for (uint32_t i = 1; i <= rounds; i++) {
		tell(&words->asleep, i);
		sleep_for(&words->ping, i);
		tell(&words->pong, i);
		if (wake)
			hak_sys_futex_wake(&words->pong, 1);
	}
	_exit(0);
}

void bare_futex(struct hist *hist, uint64_t rounds, bool both, uint64_t pause_ns)
{
	struct words *words = daemon_shared(sizeof(*words));
	pid_t pid = daemon_fork();

	if (!pid)
		answer(words, rounds, both);
	for (uint32_t i = 1; i <= rounds; i++) {
		uint64_t begin;

		look_for(&words->asleep, i);
		daemon_settle(pause_ns);
		begin = hak_sys_now_ns();
		tell(&words->ping, i);
		hak_sys_futex_wake(&words->ping, 1);
		if (both)
			sleep_for(&words->pong, i);
		else
			look_for(&words->pong, i);
		hist_add(hist, hak_sys_now_ns() - begin);
	}
	daemon_reap(pid);
	(void)munmap(words, sizeof(*words));
}
