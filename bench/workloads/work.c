/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/workloads/work.h"

#include "bench/workloads/hist.h"
#include "libclient/include/hakmem.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* There only where hakmem is preloaded. A workload calls nothing else of it. */
#pragma weak hak_info_get

_Noreturn void work_die(const char *what)
{
	(void)fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
	exit(1);
}

static uint64_t timeval_ns(struct timeval t)
{
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_usec * 1000;
}

static void clock_read(struct work_clock *ret_clock)
{
	static const int whose[] = { RUSAGE_SELF, RUSAGE_CHILDREN };
	struct work_clock c = { 0 };
	struct timespec now;
	struct rusage usage;

	for (size_t i = 0; i < 2; i++) {
		(void)getrusage(whose[i], &usage);
		c.minflt += (uint64_t)usage.ru_minflt;
		c.majflt += (uint64_t)usage.ru_majflt;
	}
	/* Finer than rusage, but without children, whose time is what is left of usage. */
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	c.cpu_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	c.cpu_ns += timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	c.wall_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	*ret_clock = c;
}

/* How often a thread has waited for the daemon so far; false: there is none. */
static bool waits_read(uint64_t *ret_waits)
{
	struct hak_info info = { .size = sizeof(info) };

	if (!hak_info_get || hak_info_get(&info) < 0 || info.mode != HAK_INFO_DAEMON)
		return false;
	*ret_waits = info.waits;
	return true;
}

void work_start(struct work *work)
{
	work_memory_read(&work->begin);
	clock_read(&work->start);
}

void work_stop(struct work *work)
{
	clock_read(&work->stop);
	work_memory_read(&work->live);
	work->has_waits = waits_read(&work->waits);
}

void work_extra(struct work *work, const char *name, double value)
{
	if (work->n_extras == WORK_EXTRAS_MAX)
		work_die("too many extra fields");
	work->extras[work->n_extras].value = value;
	(void)snprintf(work->extras[work->n_extras++].name, WORK_EXTRA_NAME, "%s", name);
}

void work_quantiles(struct work *work, const char *prefix, const struct hist *hist)
{
	static const struct {
		const char *name;
		double q;
	} all[] = { { "p50", 0.5 }, { "p99", 0.99 }, { "p999", 0.999 } };
	char name[WORK_EXTRA_NAME];

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		(void)snprintf(name, sizeof(name), "%s%s_ns", prefix, all[i].name);
		work_extra(work, name, (double)hist_quantile(hist, all[i].q));
	}
}

int work_report(struct work *work)
{
	double n = (double)(work->done ? work->done : 1);
	double wall = (double)(work->timed_ns ? work->timed_ns
					      : work->stop.wall_ns - work->start.wall_ns);
	double cpu = (double)(work->stop.cpu_ns - work->start.cpu_ns);
	struct work_memory final, trimmed;

	work_memory_read(&final);
	/* The kernel's own mark comes from counters kept per CPU: it may be a little behind. */
	if (final.peak_kib < work->live.rss_kib)
		final.peak_kib = work->live.rss_kib;
	(void)malloc_trim(0); /* the preloaded allocator's, where it has one */
	work_memory_read(&trimmed);

	(void)printf("{\"workload\":\"%s\",\"variant\":\"%s\",\"ops\":%" PRIu64 ",\"threads\":%u,",
		     work->info->name, work->variant->name, work->done, work->threads);
	(void)printf("\"seed\":%" PRIu64 ",\"slots\":%zu,\"min_size\":%zu,\"max_size\":%zu,",
		     work->seed, work->slots, work->min, work->max);
	(void)printf("\"ns_per_op\":%.4f,\"ops_per_s\":%.3f,\"cpu_ns_per_op\":%.4f,", wall / n,
		     wall > 0 ? n * 1e9 / wall : 0.0, cpu / n);
	/* Of the whole process until the load was done, and of the measured part. */
	(void)printf("\"minflt\":%" PRIu64 ",\"majflt\":%" PRIu64 ",\"minflt_run\":%" PRIu64 ",",
		     work->stop.minflt, work->stop.majflt, work->stop.minflt - work->start.minflt);
	(void)printf("\"start_rss_kib\":%" PRIu64 ",\"peak_rss_kib\":%" PRIu64
		     ",\"live_rss_kib\":%" PRIu64 ",\"pss_kib\":%" PRIu64
		     ",\"final_rss_kib\":%" PRIu64 ",\"trimmed_rss_kib\":%" PRIu64,
		     work->begin.rss_kib, final.peak_kib, work->live.rss_kib, work->live.pss_kib,
		     final.rss_kib, trimmed.rss_kib);
	if (work->has_waits)
		(void)printf(",\"waits\":%" PRIu64 ",\"waits_per_million\":%.4f", work->waits,
			     (double)work->waits * 1e6 / n);
	for (unsigned i = 0; i < work->n_extras; i++)
		(void)printf(",\"%s\":%.4f", work->extras[i].name, work->extras[i].value);
	if (work->numa)
		work_print_nodes();
	(void)printf("}\n");
	return fflush(stdout) ? 1 : 0;
}

struct started {
	void (*fn)(struct work_thread *);
	struct work_thread thread;
	pthread_t id;
};

static struct work_thread thread_of(struct work *work, unsigned i)
{
	return (struct work_thread){
		.work = work,
		.index = i,
		.seed = (work->seed ^ (i * UINT64_C(0x9e3779b97f4a7c15))) | 1,
		.ops = work->ops / work->threads + (i < work->ops % work->threads),
	};
}

static void *thread_main(void *arg)
{
	struct started *s = arg;

	s->fn(&s->thread);
	return NULL;
}

void work_spawn(struct work *work, void (*fn)(struct work_thread *))
{
	unsigned n = work->threads;
	struct started *all = work_table(n, sizeof(*all));

	for (unsigned i = 0; i < n; i++) {
		all[i].fn = fn;
		all[i].thread = thread_of(work, i);
		if (pthread_create(&all[i].id, NULL, thread_main, &all[i]))
			work_die("cannot start a thread");
	}
	for (unsigned i = 0; i < n; i++)
		(void)pthread_join(all[i].id, NULL);
	(void)munmap(all, n * sizeof(*all));
}

void work_threads(struct work *work, void (*fn)(struct work_thread *))
{
	struct work_thread only = thread_of(work, 0);

	if (work->threads > 1)
		work_spawn(work, fn);
	else
		fn(&only);
}

void *work_table(size_t n, size_t size)
{
	void *p = mmap(NULL, n * size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		work_die("no memory for the workload's own table");
	return p;
}

void work_wait(unsigned *tries)
{
	/* The other side may want this very CPU. */
	if (++*tries % 64 == 0)
		(void)sched_yield();
}
