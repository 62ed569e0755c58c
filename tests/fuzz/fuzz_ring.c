/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session's rings, served by a real daemon in a thread of this process, while a second thread
 * writes over the segment: whatever the daemon reads may be something else a moment later.
 *
 * The bytes: how many entries, and a seed; then entries of 64 bytes, each published as it is, but
 * for its seq if that is 0; then records that say what the second thread flips, again and again.
 * After each input another session must be answered.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/raw/raw_client.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/log.h"
#include "daemon/store.h"
#include "shared/sys.h"
#include "tests/fuzz/fuzz.h"
#include "tests/must.h"

#define ENTRIES_MAX HAK_SQ_ENTRIES
#define RECORDS_MAX 64u
#define ROUNDS      40u /* looks for an answer, of an input */

struct head {
	uint8_t entries, reserved;
	uint16_t seed;
};

struct record {
	uint16_t at; /* in the segment */
	uint8_t how; /* 0: flip these bits, else store them */
	uint8_t bits;
};

static struct {
	char dir[32], socket[64];
	pthread_t daemon, mutator;
	struct raw bystander;
	/* The mutator's: what, and where; it works while `segment` is set. */
	struct record records[RECORDS_MAX];
	_Atomic uint32_t n;
	_Atomic(uint8_t *) segment;
	_Atomic bool busy, over;
} run;

/* ---- the daemon ---- */

static void *be_daemon(void *arg)
{
	static const struct config_source nothing = { 0 };
	static struct store store;
	const struct daemon_parts parts = {
		.config = arg, .source = &nothing, .store = &store, .inherited = -1
	};
	struct daemon *daemon;

	store_init(&store, false);
	must(!daemon_new(&daemon, &parts));
	must(!daemon_run(daemon));
	(void)daemon_free(daemon);
	store_deinit(&store);
	return NULL;
}

static void *be_mutator(void *unused)
{
	(void)unused;
	while (!run.over) {
		run.busy = true;
		for (_Atomic uint8_t *at; (at = (_Atomic uint8_t *)run.segment);) {
			for (uint32_t i = 0; i < run.n; i++) {
				const struct record *r = &run.records[i];

				if (r->how)
					atomic_store(at + r->at % HAK_SEGMENT_SIZE, r->bits);
				else
					atomic_fetch_xor(at + r->at % HAK_SEGMENT_SIZE, r->bits);
			}
		}
		run.busy = false;
		(void)sched_yield();
	}
	return NULL;
}

static void stop(void)
{
	run.over = true;
	(void)pthread_join(run.mutator, NULL);
	raw_close(&run.bystander);
	(void)kill(getpid(), SIGTERM);
	(void)pthread_join(run.daemon, NULL);
	(void)rmdir(run.dir);
}

static void start(void)
{
	static struct config config;
	char path[80];
	sigset_t term;
	int r;

	(void)sigemptyset(&term);
	(void)sigaddset(&term, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &term, NULL); /* it is the daemon's, in every thread */
	(void)snprintf(run.dir, sizeof(run.dir), "/tmp/hakfuzz.XXXXXX");
	must(mkdtemp(run.dir));
	(void)snprintf(run.socket, sizeof(run.socket), "%s/s", run.dir);
	log_set_level(LOG_AT_ERROR);
	config_init(&config, UINT64_C(1) << 32);
	(void)snprintf(config.socket, sizeof(config.socket), "%s", run.socket);
	config.log_level = LOG_AT_ERROR;
	config.session_bytes = 4 * HAK_SUPERSLAB_SIZE;
	must(!pthread_create(&run.daemon, NULL, be_daemon, &config));
	do {
		r = raw_open(&run.bystander, run.socket);
	} while (r == -ENOENT || r == -ECONNREFUSED);
	must(r == 0);
	must(!pthread_create(&run.mutator, NULL, be_mutator, NULL));
	(void)snprintf(path, sizeof(path), "%s/s.lock", run.dir);
	(void)unlink(path);
	(void)atexit(stop);
}

/* ---- an input ---- */

static void publish(struct raw *raw, const uint8_t *entries, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct hak_sqe sqe;

		memcpy(&sqe, entries + i * sizeof(sqe), sizeof(sqe));
		if (!sqe.seq)
			sqe.seq = ++raw->seq;
		if (hak_ring_push(&raw->sq, &sqe))
			break;
	}
	hak_sys_futex_wake(&raw->sq.ring->tail, INT32_MAX);
}

/* Until all is answered, the session is over, or some time has passed: the mutator may have made
 * that it is not heard of any more. */
static void watch(struct raw *raw, unsigned answers)
{
	struct hak_cqe cqe;

	for (unsigned i = 0; i < ROUNDS && answers; i++) {
		struct hak_wire_frame frame;

		while (hak_ring_pop(&raw->cq, &cqe) == 0 && answers)
			answers--;
		if (recv(raw->sock, &frame, sizeof(frame), MSG_DONTWAIT) >= 0)
			break;
		hak_sys_futex_wake(&raw->sq.ring->tail, INT32_MAX);
		(void)sched_yield();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool started;
	struct head head;
	struct raw raw;
	unsigned entries, n;

	if (!started)
		start();
	started = true;
	if (size < sizeof(head))
		return 0;
	memcpy(&head, data, sizeof(head));
	data += sizeof(head);
	size -= sizeof(head);
	entries = head.entries % (ENTRIES_MAX + 1);
	if (entries > size / sizeof(struct hak_sqe))
		entries = (unsigned)(size / sizeof(struct hak_sqe));
	n = (unsigned)((size - entries * sizeof(struct hak_sqe)) / sizeof(struct record));
	n = n < RECORDS_MAX ? n : RECORDS_MAX;
	must(!raw_open(&raw, run.socket));
	memcpy(run.records, data + entries * sizeof(struct hak_sqe), n * sizeof(struct record));
	run.n = n;
	run.segment = n ? (uint8_t *)raw.segment : NULL;
	publish(&raw, data, entries);
	watch(&raw, entries);
	run.segment = NULL;
	while (run.busy) /* until it writes no more */
		(void)sched_yield();
	raw_close(&raw);
	must(!raw_nop(&run.bystander));
	return 0;
}
