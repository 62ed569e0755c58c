/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iceoryx: a publisher with one subscriber in each direction, and a RouDi of our own. There can be
 * but one RouDi on a machine: ours waits for its turn.
 */
#include "bench/workloads/shared/pass_side.h"

#include <fcntl.h>
#include <iceoryx_binding_c/log.h>
#include <iceoryx_binding_c/publisher.h>
#include <iceoryx_binding_c/runtime.h>
#include <iceoryx_binding_c/subscriber.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/workloads/daemon_side.h"
#include "shared/sys.h"

#define READY    "RouDi is ready for clients"
#define TAKEN    "is RouDi still running?"
#define TURN_NS  UINT64_C(30000000000)
#define PAUSE_NS 100000000
/* A chunk begins with a header. */
#define POOLS                                              \
	"[general]\nversion = 1\n[[segment]]\n"            \
	"[[segment.mempool]]\nsize = 256\ncount = 1024\n"  \
	"[[segment.mempool]]\nsize = 8192\ncount = 1024\n" \
	"[[segment.mempool]]\nsize = 1056768\ncount = 256\n"

static pid_t roudi;
static iox_pub_storage_t out_storage;
static iox_sub_storage_t in_storage;
static iox_pub_t out;
static iox_sub_t in;

static _Noreturn void be_roudi(const char *config, int tell)
{
	/* Not killed: what it has in /dev/shm goes only if it is told to end. */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)dup2(tell, STDOUT_FILENO);
	(void)dup2(tell, STDERR_FILENO);
	execlp("iox-roudi", "iox-roudi", "-c", config, "-m", "off", (char *)NULL);
	dprintf(STDERR_FILENO, "iox-roudi is not installed\n");
	_exit(1);
}

/* False: it has ended, and `text` is what it said. */
static bool is_ready(int from, char *text, size_t size)
{
	size_t n = 0;
	ssize_t got;

	while (n < size - 1 && (got = read(from, text + n, size - 1 - n)) > 0) {
		n += (size_t)got;
		text[n] = '\0';
		if (strstr(text, READY))
			return true;
	}
	text[n] = '\0';
	return false;
}

/* It ends whoever is registered when it is told to end itself. This program is until its own end:
 * the library's part of that, which was there later, comes before ours. */
static void stop_roudi(void)
{
	(void)kill(roudi, SIGTERM);
	(void)waitpid(roudi, NULL, 0);
}

/* Its messages are read until it is ready; the pipe stays open, or it would die of a later one. */
static bool try_roudi(const char *config, char *text, size_t size)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		work_die("no pipe");
	roudi = fork();
	if (roudi < 0)
		work_die("cannot start a process");
	if (!roudi)
		be_roudi(config, ends[1]);
	(void)close(ends[1]);
	if (is_ready(ends[0], text, size))
		return true;
	(void)close(ends[0]);
	(void)kill(roudi, SIGKILL);
	(void)waitpid(roudi, NULL, 0);
	return false;
}

static void start_roudi(void)
{
	uint64_t begin = hak_sys_now_ns();
	char config[] = "/tmp/hakbench.XXXXXX", text[4096];
	int fd = mkstemp(config);
	bool ready;

	if (fd < 0 || write(fd, POOLS, strlen(POOLS)) != (ssize_t)strlen(POOLS) || close(fd))
		work_die("RouDi cannot be told what to do");
	/* The other one may be that of a benchmark, which ends. */
	while (!(ready = try_roudi(config, text, sizeof(text))) && strstr(text, TAKEN) &&
	       hak_sys_now_ns() - begin < TURN_NS)
		daemon_pause(PAUSE_NS);
	(void)unlink(config);
	if (!ready) {
		(void)fprintf(stderr, "%s\n", text);
		work_die("RouDi does not start");
	}
	(void)atexit(stop_roudi);
}

void pass_open(struct side *side, size_t size)
{
	static const char *const names[] = { "there", "back" };
	iox_pub_options_t pub_options;
	iox_sub_options_t sub_options;
	char name[SIDE_NAME + 3];
	unsigned tries = 0;

	(void)size;
	if (!side->member)
		start_roudi();
	side_meet(side);
	iox_set_loglevel(Iceoryx_LogLevel_Off);
	(void)snprintf(name, sizeof(name), "%s.%u", side->name, side->member);
	iox_runtime_init(name);
	iox_pub_options_init(&pub_options);
	pub_options.subscriberTooSlowPolicy = ConsumerTooSlowPolicy_WAIT_FOR_CONSUMER;
	out = iox_pub_init(&out_storage, "hakbench", "pass", names[side->member], &pub_options);
	iox_sub_options_init(&sub_options);
	sub_options.queueCapacity = PASS_DEPTH;
	sub_options.queueFullPolicy = QueueFullPolicy_BLOCK_PRODUCER;
	in = iox_sub_init(&in_storage, "hakbench", "pass", names[!side->member], &sub_options);
	while (iox_sub_get_subscription_state(in) != SubscribeState_SUBSCRIBED ||
	       !iox_pub_has_subscribers(out))
		side_look(side, &tries);
}

void *pass_alloc(size_t size)
{
	void *p;

	return iox_pub_loan_chunk(out, &p, (uint32_t)size) == AllocationResult_SUCCESS ? p : NULL;
}

bool pass_send(void *p, size_t size)
{
	(void)size;
	iox_pub_publish_chunk(out, p); /* waits for room */
	return true;
}

const void *pass_receive(size_t size)
{
	const void *p;

	(void)size;
	return iox_sub_take_chunk(in, &p) == ChunkReceiveResult_SUCCESS ? p : NULL;
}

void pass_free(const void *p)
{
	iox_sub_release_chunk(in, p);
}

void pass_close(struct side *side)
{
	iox_sub_deinit(in);
	iox_pub_deinit(out);
	iox_runtime_shutdown();
	side_meet(side);
}
