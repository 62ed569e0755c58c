/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member is killed that owns a million blocks. How long from the moment that the kernel tells of
 * its end (its pidfd can be read) until everything is free again, and how long is the longest
 * allocation or free of a member that goes on meanwhile? `longest_ns` contains what the kernel ran
 * instead of that member, `undisturbed_ns` does not: there it was not pushed off its processor.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/workloads/bare.h"
#include "bench/workloads/daemon_side.h"
#include "bench/workloads/shared/memory_hakmem.h"
#include "shared/sys.h"

#define DEADLINE_NS UINT64_C(60000000000)
#define SLOTS       4096 /* of the survivor: enough that it needs new slabs now and then */

static const struct work_variant variants[] = {
	{ "default", "1,000,000 blocks of 64 bytes, its own", 5, 64, 64, 1000000, 1 },
	{ "given", "1,000,000 blocks of 64 bytes, given to it", 5, 64, 64, 1000000, 1 },
	{ "mixed", "1,000,000 blocks of 16 to 1,024 bytes, its own", 5, 16, 1024, 1000000, 1 },
	{ 0 },
};

static const struct work_info info = {
	.name = "shared_death",
	.group = "shared",
	.about = "a member is killed",
	.op = "one death, from the kill until all is free",
	.variants = variants,
	.in_children = true,
	.needs_daemon = true,
};

struct survivor {
	uint64_t seed;
	uint64_t longest, undisturbed;
	long pushed_off; /* how often, as last seen */
	void *slots[SLOTS];
};

static long pushed_off(void)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nivcsw;
}

static void survive(struct survivor *s)
{
	void **slot = &s->slots[work_below(&s->seed, SLOTS)];
	size_t size = work_between(&s->seed, 16, 1024);
	uint64_t begin = hak_sys_now_ns(), took;
	long now;

	if (*slot)
		memory_free(*slot);
	*slot = *slot ? NULL : work_written(memory_alloc(size));
	took = hak_sys_now_ns() - begin;
	now = pushed_off();
	if (took > s->longest)
		s->longest = took;
	if (took > s->undisturbed && now == s->pushed_off)
		s->undisturbed = took;
	s->pushed_off = now;
}

static bool is_given(const struct work *work)
{
	return !strcmp(work->variant->name, "given");
}

static _Noreturn void victim_main(const struct work *work, struct side *side)
{
	uint64_t seed = work->seed;

	side->member = 1;
	bare_keep_to(1);
	memory_domain = hak_domain_close(memory_domain); /* of no use in a child */
	daemon_must(hak_domain_open(&memory_domain, side->name, 0, NULL), "joining the domain");
	side->page->word[1] = memory_self();
	side_meet(side);
	for (size_t i = 0; !is_given(work) && i < work->slots; i++)
		(void)work_written(memory_alloc(work_between(&seed, work->min, work->max)));
	side_meet(side);
	for (;;)
		(void)pause();
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static bool swept(hak_member member)
{
	struct hak_event event;
	int r;

	while (!(r = hak_event_next(memory_domain, &event))) {
		if (event.type == HAK_EVENT_SWEPT && event.member == member)
			return true;
	}
	if (r != -EAGAIN)
		daemon_must(r, "the domain's events");
	return false;
}

/* Times from the pidfd until the event, and from the kill. */
static void watch(struct survivor *survivor, int pidfd, hak_member member, struct hist *ended,
		  struct hist *killed)
{
	uint64_t begin = hak_sys_now_ns(), end = 0, now;

	do {
		survive(survivor);
		if (!end && readable(pidfd))
			end = hak_sys_now_ns();
		if (swept(member)) {
			now = hak_sys_now_ns();
			hist_add(ended, end ? now - end : 0); /* it may be done before */
			hist_add(killed, now - begin);
			return;
		}
	} while (hak_sys_now_ns() - begin < DEADLINE_NS);
	work_die("the member is not swept");
}

/* Nothing is the dead member's any more, who was the only one to be given anything. */
static void must_be_free(void)
{
	struct hak_domain_stat stat = { .size = sizeof(stat) };

	daemon_must(hak_domain_stat_get(memory_domain, &stat), "the domain's books");
	if (stat.adopted || stat.orphaned_bytes || stat.own_bytes != stat.held_bytes)
		work_die("a dead member still owns memory");
}

static void one(const struct work *work, struct side *side, struct survivor *survivor,
		struct hist *ended, struct hist *killed)
{
	hak_member member;
	uint64_t seed = work->seed;
	pid_t pid = daemon_fork();
	int pidfd;

	if (!pid)
		victim_main(work, side);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		work_die("the kernel has no pidfds");
	side_meet(side);
	member = side->page->word[1];
	for (size_t i = 0; is_given(work) && i < work->slots; i++)
		(void)memory_hand(
			work_written(memory_alloc(work_between(&seed, work->min, work->max))),
			member);
	side_meet(side);
	(void)kill(pid, SIGKILL);
	watch(survivor, pidfd, member, ended, killed);
	must_be_free();
	(void)waitpid(pid, NULL, 0);
	(void)close(pidfd);
}

int main(int argc, char **argv)
{
	struct survivor *survivor = work_table(1, sizeof(*survivor));
	struct hist *ended = work_table(1, sizeof(*ended));
	struct hist *killed = work_table(1, sizeof(*killed));
	struct work work;
	struct side side;

	work_init(&work, &info, argc, argv);
	survivor->seed = work.seed;
	side_begin(&side, 1);
	memory_join(&side, work.slots * work.max * 2, work.max);
	side.members = 2; /* from here on: this one, and whoever is to die */
	work_start(&work);
	for (uint64_t i = 0; i < work.ops; i++)
		one(&work, &side, survivor, ended, killed);
	work_stop(&work);
	work.timed_ns = killed->sum;
	work_quantiles(&work, "swept_", ended);
	work_quantiles(&work, "killed_", killed);
	work_extra(&work, "longest_ns", (double)survivor->longest);
	work_extra(&work, "undisturbed_ns", (double)survivor->undisturbed);
	side.members = 1;
	memory_leave(&side);
	return work_report(&work);
}
