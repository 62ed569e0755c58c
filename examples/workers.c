/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workers.c - a pool of workers, which are killed at random; the work goes on, and every job is
 * done.
 *
 * The boss sends jobs through one channel and gets them back, done, through another. A job is at
 * every moment the boss's, under way in a channel, or one worker's. When a worker dies, what it had
 * in hand becomes its heir's: the boss's, who sees the death as an event and sends the job again.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hakmem.h>

#define WORKERS 4
#define JOBS    400
#define KILLS   7 /* in the course of them */

/* What travels. Whoever owns it may write to it. */
struct job {
	unsigned number;
	unsigned steps; /* the answer */
};

/* What the boss knows of each. */
struct note {
	struct job *job;
	enum {
		WAITING,
		SENT,
		DONE
	} state;
};

static void check(int r, const char *what)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "workers: %s: %s (%s)\n", what, strerror(-r), hak_detail());
	exit(1);
}

/* Something that takes a while: how many steps Collatz' sequences need, for many numbers. */
static unsigned work(unsigned number)
{
	unsigned steps = 0;

	for (unsigned long i = 1; i <= 10000; i++)
		for (unsigned long n = number * 10000ul + i; n != 1; steps++)
			n = n & 1 ? 3 * n + 1 : n / 2;
	return steps;
}

static void worker(hak_member boss)
{
	hak_domain *domain;
	hak_channel *todo, *done;
	void *block;
	int r;

	/* A process of its own is a member of its own: the boss's handle means nothing in here. */
	check(hak_domain_open(&domain, "workers", 0, NULL), "a worker opening the domain");
	/* Before the first job is ours. */
	check(hak_domain_heir(domain, boss), "naming the heir");
	check(hak_channel_open(&todo, domain, "todo", 0, HAK_RECV), "opening todo");
	check(hak_channel_open(&done, domain, "done", 0, HAK_SEND), "opening done");
	/* -EPIPE: nothing is left to do, and the boss has closed the channel. */
	while ((r = hak_channel_recv(todo, &block, -1)) != -EPIPE) {
		struct job *job = block;

		check(r, "receiving a job");
		job->steps = work(job->number);
		check(hak_channel_send(done, job, -1), "sending a job back");
	}
	hak_domain_close(domain);
	_exit(0);
}

static pid_t hire(hak_domain *domain)
{
	hak_member boss = hak_self(domain);
	pid_t pid = fork();

	if (!pid)
		worker(boss);
	check(pid < 0 ? -errno : 0, "fork");
	return pid;
}

/* Sends what waits, as far as there is room. */
static void hand_out(hak_channel *todo, struct note *notes)
{
	for (int i = 0; i < JOBS; i++) {
		if (notes[i].state != WAITING)
			continue;
		int r = hak_channel_send(todo, notes[i].job, 0);
		if (r == -EAGAIN)
			return;
		check(r, "sending a job");
		notes[i].state = SENT;
	}
}

/* What was sent and is the boss's again, without having come back, was left to it by a worker that
 * died. How many jobs. */
static int inherit(hak_domain *domain, struct note *notes)
{
	int n = 0;

	for (int i = 0; i < JOBS; i++)
		if (notes[i].state == SENT && hak_owner(domain, notes[i].job) == hak_self(domain)) {
			notes[i].state = WAITING;
			n++;
		}
	return n;
}

/* Deals with what happened to others. How many jobs came back by a death. */
static int look_at_events(hak_domain *domain, struct note *notes)
{
	struct hak_event event;
	int n = 0;

	while (hak_event_next(domain, &event) == 0) {
		if (event.type == HAK_EVENT_DIED)
			printf("worker %u died\n", event.pid);
		/* Everything that it owned has found its new owner. (LOST: we looked too late to
		 * know what happened.) */
		if (event.type == HAK_EVENT_SWEPT || event.type == HAK_EVENT_LOST)
			n += inherit(domain, notes);
	}
	return n;
}

static void boss(hak_domain *domain, hak_channel *todo, hak_channel *done, struct note *notes)
{
	pid_t workers[WORKERS];
	int finished = 0, again = 0, killed = 0;

	for (int i = 0; i < WORKERS; i++)
		workers[i] = hire(domain);
	while (finished < JOBS) {
		void *block;

		hand_out(todo, notes);
		/* Not for ever: there may be events. */
		int r = hak_channel_recv(done, &block, 50);
		if (r == 0) {
			struct job *job = block;

			if (notes[job->number].state == DONE)
				check(-EEXIST, "a job came back twice");
			notes[job->number].state = DONE;
			finished++;
		} else if (r != -ETIMEDOUT && r != -EAGAIN) {
			check(r, "receiving a job");
		}
		again += look_at_events(domain, notes);
		if (killed < KILLS && finished >= (killed + 1) * JOBS / (KILLS + 1)) {
			int victim = rand() % WORKERS;

			check(kill(workers[victim], SIGKILL) ? -errno : 0, "kill");
			waitpid(workers[victim], NULL, 0);
			workers[victim] = hire(domain);
			killed++;
		}
	}
	/* Nobody sends any more: the workers go home. */
	hak_channel_close(todo);
	for (int i = 0; i < WORKERS; i++)
		waitpid(workers[i], NULL, 0);
	printf("%d of %d jobs done, %d sent again\n", finished, JOBS, again);
}

int main(void)
{
	static struct note notes[JOBS];
	struct hak_domain_attr attr = {
		.size = sizeof(attr),
		.orphan_policy = HAK_ORPHAN_HEIR,
		.lifetime = HAK_LIFETIME_MEMBERS,
	};
	hak_domain *domain;
	hak_channel *todo, *done;

	srand((unsigned)time(NULL));
	check(hak_domain_open(&domain, "workers", HAK_CREATE | HAK_EXCL, &attr), "the domain");
	/* Both ends of both: while there is a boss, no worker that dies is the last of them. */
	check(hak_channel_open(&todo, domain, "todo", 16, HAK_SEND | HAK_RECV), "todo");
	check(hak_channel_open(&done, domain, "done", 16, HAK_SEND | HAK_RECV), "done");
	for (unsigned i = 0; i < JOBS; i++) {
		notes[i].job = hak_domain_alloc(domain, sizeof(struct job));
		if (!notes[i].job)
			check(-errno, "allocating a job");
		notes[i].job->number = i;
	}
	boss(domain, todo, done, notes);
	for (unsigned i = 0; i < JOBS; i++)
		hak_domain_free(domain, notes[i].job);
	hak_channel_close(done);
	hak_domain_close(domain);
	return 0;
}
