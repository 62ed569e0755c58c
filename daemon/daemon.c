/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "daemon/bell.h"
#include "daemon/conn.h"
#include "daemon/limits.h"
#include "daemon/log.h"
#include "daemon/os.h"
#include "daemon/request.h"
#include "daemon/session.h"
#include "daemon/worker.h"
#include "shared/sys.h"

/* ---- stop ---- */

static void stop(struct daemon *daemon)
{
	struct list *at, *tmp;

	if (daemon->stopping)
		return;
	daemon->stopping = true;
	listener_stop(&daemon->listener);
	list_for_each(at, tmp, &daemon->sessions)
		session_end(hak_container_of(at, struct session, link), "shutdown");
	list_for_each(at, tmp, &daemon->conns) conn_close(hak_container_of(at, struct conn, link));
	stock_stop(&daemon->stock);
	loop_cancel(&daemon->tick);
}

/* True when nothing is in flight any more. Bells and workers go last: sessions wait for theirs. */
static bool stopped(struct daemon *daemon)
{
	if (!daemon->stopping || !list_empty(&daemon->sessions) || !list_empty(&daemon->conns))
		return false;
	if (stock_in_flight(&daemon->stock))
		return false;
	bells_stop(daemon->bells);
	workers_stop(daemon->workers);
	return !listener_in_flight(&daemon->listener) && !bells_in_flight(daemon->bells) &&
	       !workers_in_flight(daemon->workers) && !daemon->tick.in_flight &&
	       !daemon->signal.in_flight;
}

static void on_signal(struct loop_op *op, int result, bool more)
{
	struct daemon *daemon = hak_container_of(op, struct daemon, signal);
	int number;

	(void)result;
	(void)more;
	while ((number = os_signal_next(daemon->signal_fd))) {
		if (number == SIGHUP) {
			log_event(LOG_AT_INFO, "reload-ignored",
				  "reason=\"the configuration is read at start only\"");
			continue;
		}
		log_event(LOG_AT_INFO, "stopping", "signal=%d sessions=%u", number,
			  daemon->session_count);
		stop(daemon);
	}
	if (!daemon->stopping)
		loop_poll(op, daemon->signal_fd);
}

/* ---- turns ---- */

static void on_tick(struct loop_op *op, int result, bool more)
{
	struct daemon *daemon = hak_container_of(op, struct daemon, tick);
	struct list *at, *tmp;
	bool again = false;

	(void)result;
	(void)more;
	if (daemon->stopping)
		return;
	list_for_each(at, tmp, &daemon->sessions) again |=
		session_tick(hak_container_of(at, struct session, link));
	again |= stock_tick(&daemon->stock);
	if (again)
		daemon_want_tick(daemon);
}

void daemon_want_tick(struct daemon *daemon)
{
	if (!daemon->stopping && !daemon->tick.in_flight)
		loop_timeout(&daemon->tick, LIMIT_TICK_MS * UINT64_C(1000000));
}

static void serve_one(struct session *session, uint64_t now, bool *ret_busy)
{
	switch (request_serve(session)) {
	case SERVE_WORKED:
		session->last_work_ns = now;
		*ret_busy = true;
		break;
	case SERVE_IDLE:
		/* A moment more: the next request of a busy client comes soon. */
		if (now - session->last_work_ns > LIMIT_POLL_NS && hak_ring_may_sleep(&session->sq))
			session_sleep(session);
		break;
	case SERVE_FULL:
		if (hak_ring_may_sleep(&session->sq))
			session_sleep(session);
		else
			session_park(session);
		break;
	case SERVE_TASK:
		session_wait_task(session);
		break;
	case SERVE_OVER:
		break;
	}
}

/* One pass over everybody, bounded work for each. True: there is more. */
static bool turn(void *context)
{
	struct daemon *daemon = context;
	uint64_t now = hak_sys_now_ns();
	struct list *at, *tmp;
	bool busy = false;

	list_for_each(at, tmp, &daemon->active)
		serve_one(hak_container_of(at, struct session, active), now, &busy);
	if (stopped(daemon))
		loop_stop(daemon->loop);
	if (!busy)
		hak_cpu_relax();
	return !list_empty(&daemon->active);
}

static void on_connection(struct listener *listener, int sock)
{
	conn_accept(hak_container_of(listener, struct daemon, listener), sock);
}

/* ---- start ---- */

static int start_loop(struct daemon *daemon)
{
	int r = loop_new(&daemon->loop);

	if (r == -EPERM || r == -ENOSYS)
		log_plain("io_uring is not permitted here (%s): set sysctl "
			  "kernel.io_uring_disabled=0, "
			  "or let the container's system call filter pass io_uring_setup, "
			  "io_uring_enter and io_uring_register",
			  os_text(r));
	else if (r < 0)
		log_plain("cannot set up io_uring: %s", os_text(r));
	if (r < 0)
		return r;
	r = bells_new(&daemon->bells, daemon->loop, daemon->config.ring_wait);
	if (r < 0)
		log_plain("this kernel has no way to wait for rings as ring-wait asks: %s",
			  os_text(r));
	return r;
}

static int start_parts(struct daemon *daemon, int inherited)
{
	int r = start_loop(daemon);

	if (r < 0)
		return r;
	r = os_signalfd(&daemon->signal_fd);
	numa_init(&daemon->numa);
	if (r == 0)
		r = workers_new(&daemon->workers, daemon->loop, &daemon->numa,
				daemon->config.huge_pages == HUGE_PAGES_AUTO);
	if (r < 0) {
		log_plain("cannot start: %s", os_text(r));
		return r;
	}
	return listener_open(&daemon->listener, &daemon->config, inherited);
}

/* More sessions than descriptors would only be refused later. */
static void check_descriptors(const struct daemon *daemon)
{
	uint64_t files = os_raise_nofile();
	uint64_t want = daemon->config.sessions * (uint64_t)LIMIT_SESSION_FDS + LIMIT_SPARE_FDS;

	if (files < want)
		log_event(LOG_AT_INFO, "few-descriptors",
			  "limit=%llu sessions=%u effect=\"at most %llu sessions\"",
			  (unsigned long long)files, daemon->config.sessions,
			  (unsigned long long)(files > LIMIT_SPARE_FDS ? (files - LIMIT_SPARE_FDS) /
										 LIMIT_SESSION_FDS
								       : 0));
}

int daemon_new(struct daemon **ret_daemon, const struct config *config, int inherited)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));
	int r;

	if (!daemon)
		return -ENOMEM;
	*daemon = (struct daemon){
		.config = *config,
		.listener = LISTENER_NULL,
		.epoch = hak_sys_random(),
		.started_ns = hak_sys_boottime_ns(),
		.signal_fd = -1,
	};
	list_init(&daemon->conns);
	list_init(&daemon->sessions);
	list_init(&daemon->active);
	accounts_init(&daemon->accounts, config);
	stock_init(&daemon->stock, daemon);
	r = start_parts(daemon, inherited);
	if (r < 0) {
		daemon_free(daemon);
		return r;
	}
	check_descriptors(daemon);
	loop_op_init(&daemon->signal, daemon->loop, on_signal);
	loop_op_init(&daemon->tick, daemon->loop, on_tick);
	loop_poll(&daemon->signal, daemon->signal_fd);
	stock_start(&daemon->stock);
	listener_start(&daemon->listener, daemon->loop, on_connection);
	*ret_daemon = daemon;
	return 0;
}

struct daemon *daemon_free(struct daemon *daemon)
{
	if (!daemon)
		return NULL;
	listener_close(&daemon->listener);
	daemon->bells = bells_free(daemon->bells);
	daemon->workers = workers_free(daemon->workers);
	daemon->loop = loop_free(daemon->loop);
	hak_sys_close(daemon->signal_fd);
	accounts_deinit(&daemon->accounts);
	free(daemon);
	return NULL;
}

int daemon_run(struct daemon *daemon)
{
	int r = loop_run(daemon->loop, turn, daemon);

	if (r < 0)
		log_event(LOG_AT_ERROR, "loop-failed", "error=\"%s\"", os_text(r));
	else
		log_event(LOG_AT_INFO, "stopped", "sessions=%llu reclaimed=%llu",
			  (unsigned long long)daemon->stats.sessions,
			  (unsigned long long)daemon->stats.reclaimed);
	return r;
}
