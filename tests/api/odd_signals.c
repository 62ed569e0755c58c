/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storm of signals at 1 kHz, without SA_RESTART, while the program allocates, waits and forks:
 * no call of the family may fail with EINTR or lose a block. And allocation in a handler where the
 * language permits it: the signal is raised by the thread itself, outside of the allocator.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <time.h>

#include "tests/api/blocks.h"

#define STORM_MS 1000

static atomic_uint ticks, handled;
static struct blocks set;

static void on_tick(int signal_number)
{
	(void)signal_number;
	atomic_fetch_add(&ticks, 1);
}

static void on_raised(int signal_number)
{
	(void)signal_number;
	blocks_churn(atomic_fetch_add(&handled, 1), 200);
}

static void handle(int signal_number, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	CHECK(sigemptyset(&action.sa_mask) == 0);
	CHECK(sigaction(signal_number, &action, NULL) == 0);
}

static void storm(long microseconds)
{
	struct itimerval timer = { .it_interval.tv_usec = microseconds,
				   .it_value.tv_usec = microseconds };

	CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static long now_ms(void)
{
	struct timespec now;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *churn_for_a_while(void *argument)
{
	long end = now_ms() + STORM_MS;

	for (uint64_t i = (uintptr_t)argument; now_ms() < end; i++) {
		void *p;

		blocks_churn(i, 300);
		errno = 0;
		p = malloc(10 * MIB);
		CHECK(p != NULL && errno == 0);
		memset(p, 1, 3 * MIB);
		p = realloc(p, 20 * MIB);
		CHECK(p != NULL && errno == 0);
		CHECK(api_all(p, 3 * MIB, 1));
		free(p);
		CHECK(errno == 0);
	}
	return NULL;
}

static void allocate_in_a_storm(void)
{
	pthread_t thread[2];
	pid_t pid;

	handle(SIGALRM, on_tick, 0);
	storm(1000);
	for (uintptr_t i = 0; i < API_COUNT(thread); i++)
		CHECK(pthread_create(&thread[i], NULL, churn_for_a_while, (void *)(i * 1000)) == 0);
	(void)churn_for_a_while((void *)5000);
	for (size_t i = 0; i < API_COUNT(thread); i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	for (int i = 0; i < 20; i++) {
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			/* Timers are not inherited: the child makes its own weather. */
			storm(1000);
			blocks_churn(1, 500);
			blocks_free(&set);
			_exit(0);
		}
		CHECK(api_exited_cleanly(api_wait(pid)));
	}
	storm(0);
	CHECK(atomic_load(&ticks) > 100);
	blocks_check(&set);
}

static void allocate_in_handlers(void)
{
	static char alternate[64 << 10];
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof(alternate) };

	CHECK(sigaltstack(&stack, NULL) == 0);
	handle(SIGUSR1, on_raised, 0);
	handle(SIGUSR2, on_raised, SA_ONSTACK);
	for (int i = 0; i < 50; i++) {
		blocks_churn((uint64_t)i, 50);
		CHECK(raise(i % 2 ? SIGUSR1 : SIGUSR2) == 0);
	}
	CHECK(atomic_load(&handled) == 50);
}

int main(void)
{
	blocks_new(&set, BLOCKS_MAX, 1);
	allocate_in_a_storm();
	allocate_in_handlers();
	blocks_free(&set);
	return 0;
}
