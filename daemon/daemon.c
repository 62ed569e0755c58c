/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "daemon/adopt.h"
#include "daemon/bell.h"
#include "daemon/conn.h"
#include "daemon/limits.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/os.h"
#include "daemon/reexec.h"
#include "daemon/reload.h"
#include "daemon/request.h"
#include "daemon/session.h"
#include "daemon/store.h"
#include "daemon/worker.h"
#include "shared/sys.h"

/* ---- stop ---- */

static void stop(struct daemon *daemon)
{
	struct list *at, *tmp;

	if (daemon->stopping)
		return;
	daemon->stopping = true;
	notify_stopping();
	listener_stop(&daemon->listener);
	list_for_each(at, tmp, &daemon->sessions)
		session_end(hak_container_of(at, struct session, link), "shutdown");
	list_for_each(at, tmp, &daemon->conns) conn_close(hak_container_of(at, struct conn, link));
	domains_stop(&daemon->domains);
	stock_stop(&daemon->stock);
	loop_cancel(&daemon->tick);
	loop_cancel(&daemon->watchdog);
	loop_cancel(&daemon->thaw);
}

/* True when nothing is in flight any more. Bells and workers go last: sessions wait for theirs. */
static bool stopped(struct daemon *daemon)
{
	if (!daemon->stopping || !list_empty(&daemon->sessions) || !list_empty(&daemon->conns))
		return false;
	if (stock_in_flight(&daemon->stock) || domains_in_flight(&daemon->domains))
		return false;
	bells_stop(daemon->bells);
	workers_stop(daemon->workers);
	return !listener_in_flight(&daemon->listener) && !bells_in_flight(daemon->bells) &&
	       !workers_in_flight(daemon->workers) && !daemon->tick.in_flight &&
	       !daemon->watchdog.in_flight && !daemon->thaw.in_flight && !daemon->signal.in_flight;
}

/* All that others need is in memory that outlives the process, at every moment; what the workers
 * are at may as well be finished. */
static void park(struct daemon *daemon)
{
	log_event(LOG_AT_INFO, "parked", "sessions=%u domains=%u", daemon->session_count,
		  daemon->domains.count);
	notify_stopping();
	daemon->parked = true;
	listener_stop(&daemon->listener);
	workers_pause(daemon->workers);
	loop_stop(daemon->loop);
}

static void start_again(struct daemon *daemon)
{
	int r;

	log_event(LOG_AT_INFO, "reexec", "program=\"%s\" sessions=%u domains=%u", daemon->again[0],
		  daemon->session_count, daemon->domains.count);
	workers_pause(daemon->workers);
	r = reexec_now(daemon);
	workers_resume(daemon->workers);
	log_event(LOG_AT_ERROR, "reexec-failed", "program=\"%s\" error=\"%s\"", daemon->again[0],
		  os_text(r));
}

static void on_signal(struct loop_op *op, int result, bool more)
{
	struct daemon *daemon = hak_container_of(op, struct daemon, signal);
	int number;

	(void)result;
	(void)more;
	while ((number = os_signal_next(daemon->signal_fd))) {
		if (number == SIGHUP) {
			if (!daemon->stopping)
				daemon_reload(daemon);
			continue;
		}
		if (number == SIGUSR2) {
			if (!daemon->stopping)
				start_again(daemon);
			continue;
		}
		if (number == SIGTERM && daemon->store->manager && !daemon->stopping) {
			park(daemon);
			return;
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
	again |= domains_tick(&daemon->domains);
	if (again)
		daemon_want_tick(daemon);
}

void daemon_want_tick(struct daemon *daemon)
{
	if (!daemon->stopping && !daemon->tick.in_flight)
		loop_timeout(&daemon->tick, LIMIT_TICK_MS * UINT64_C(1000000));
}

/* In the loop, so that it says something about the loop. */
static void on_watchdog(struct loop_op *op, int result, bool more)
{
	struct daemon *daemon = hak_container_of(op, struct daemon, watchdog);

	(void)result;
	(void)more;
	if (daemon->stopping)
		return;
	notify_alive();
	loop_timeout(op, notify_interval_ns());
}

/* Those that are due go back among the active; the timer is set for the first of the others. */
static void thaw(struct daemon *daemon, uint64_t now)
{
	uint64_t first = UINT64_MAX;
	struct list *at, *tmp;

	list_for_each(at, tmp, &daemon->slowed)
	{
		struct session *session = hak_container_of(at, struct session, active);

		if (session->due_ns <= now)
			session_wake(session);
		else if (session->due_ns < first)
			first = session->due_ns;
	}
	if (first != UINT64_MAX)
		daemon_want_thaw(daemon, first);
}

static void on_thaw(struct loop_op *op, int result, bool more)
{
	struct daemon *daemon = hak_container_of(op, struct daemon, thaw);

	(void)result;
	(void)more;
	if (!daemon->stopping)
		thaw(daemon, hak_sys_now_ns());
}

void daemon_want_thaw(struct daemon *daemon, uint64_t due_ns)
{
	uint64_t now = hak_sys_now_ns();

	if (daemon->stopping)
		return;
	if (daemon->thaw.in_flight) {
		if (due_ns < daemon->thaw_ns)
			loop_cancel(&daemon->thaw); /* on_thaw() sets it anew */
		return;
	}
	daemon->thaw_ns = due_ns;
	loop_timeout(&daemon->thaw, due_ns > now ? due_ns - now : 1);
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
	case SERVE_SLOW:
	case SERVE_OVER:
		break;
	}
}

/* One pass over everybody, bounded work for each. True: there is more. */
static bool turn(void *context)
{
	struct daemon *daemon = context;
	uint64_t now = daemon->now_ns = hak_sys_now_ns();
	struct list *at, *tmp;
	bool busy = false;

	list_for_each(at, tmp, &daemon->active)
		serve_one(hak_container_of(at, struct session, active), now, &busy);
	domains_tell(&daemon->domains);
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

static int start_listener(struct daemon *daemon, int inherited)
{
	struct store_set *lock = store_find(daemon->store, "lock");
	int r = listener_open(&daemon->listener, &daemon->config, inherited,
			      lock && lock->n == 1 ? lock->fds[0] : -1);

	if (r == 0 && lock && daemon->listener.lock == lock->fds[0])
		lock->kept = true;
	if (r == 0)
		store_drop(daemon->store, "lock"); /* it is the listener's own */
	return r;
}

static int start_parts(struct daemon *daemon, int inherited)
{
	int r = numa_set_policy(&daemon->numa, &daemon->config);

	if (r < 0)
		return r;
	placement_init(&daemon->placement, &daemon->numa, &daemon->config);
	r = start_loop(daemon);
	if (r < 0)
		return r;
	loop_op_init(&daemon->signal, daemon->loop, on_signal);
	loop_op_init(&daemon->tick, daemon->loop, on_tick);
	loop_op_init(&daemon->watchdog, daemon->loop, on_watchdog);
	loop_op_init(&daemon->thaw, daemon->loop, on_thaw);
	r = os_signalfd(&daemon->signal_fd);
	if (r == 0)
		r = workers_new(&daemon->workers, daemon->loop, &daemon->numa,
				daemon->config.huge_pages == HUGE_PAGES_AUTO);
	if (r < 0) {
		log_plain("cannot start: %s", os_text(r));
		return r;
	}
	r = start_listener(daemon, inherited);
	return r < 0 ? r : adopt(daemon);
}

/* What is left of the limit of open files beside stock. */
static uint64_t client_files(const struct daemon *daemon)
{
	uint64_t stock =
		daemon->config.stock_sessions * (uint64_t)daemon->numa.parts * LIMIT_REGION_FDS;

	return daemon->files - (stock < daemon->files / 4 ? stock : daemon->files / 4);
}

/* More sessions than descriptors would only be refused later. */
static void check_descriptors(const struct daemon *daemon)
{
	uint32_t all = daemon->accounts.max_descriptors;
	uint32_t descriptors = all > LIMIT_ASK_FDS ? all - LIMIT_ASK_FDS : 0;

	if (descriptors / LIMIT_SESSION_FDS < daemon->config.sessions)
		log_event(LOG_AT_INFO, "few-descriptors",
			  "limit=%llu descriptors=%u sessions=%u effect=\"at most %u sessions\"",
			  (unsigned long long)daemon->files, descriptors, daemon->config.sessions,
			  descriptors / LIMIT_SESSION_FDS);
}

void daemon_configure(struct daemon *daemon, const struct config *config)
{
	const struct config *old = &daemon->config;
	bool other = config->sessions != old->sessions || config->descriptors != old->descriptors;
	bool stock_anew = config->huge_pages != old->huge_pages ||
			  config->stock_session_bytes != old->stock_session_bytes;

	daemon->config = *config;
	accounts_limit(&daemon->accounts, config, client_files(daemon));
	placement_limit(&daemon->placement, config);
	workers_set_huge(daemon->workers, config->huge_pages == HUGE_PAGES_AUTO);
	stock_configure(&daemon->stock, stock_anew);
	if (other)
		check_descriptors(daemon);
	thaw(daemon, UINT64_MAX); /* at the new rates */
}

void daemon_note_refusal(struct daemon *daemon, uint32_t reason, const struct hak_peer *peer,
			 uint64_t session)
{
	daemon->last_refused = (struct refused){ .reason = reason,
						 .pid = peer->pid,
						 .uid = peer->uid,
						 .session = session,
						 .at_ns = hak_sys_boottime_ns() };
}

int daemon_new(struct daemon **ret_daemon, const struct daemon_parts *parts)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));
	int r;

	if (!daemon)
		return -ENOMEM;
	*daemon = (struct daemon){
		.config = *parts->config,
		.source = *parts->source,
		.store = parts->store,
		.life = LIFE_NULL,
		.again = parts->again,
		.files = os_raise_nofile(),
		.listener = LISTENER_NULL,
		.started_ns = hak_sys_boottime_ns(),
		.signal_fd = -1,
	};
	list_init(&daemon->conns);
	list_init(&daemon->sessions);
	list_init(&daemon->active);
	list_init(&daemon->slowed);
	numa_init(&daemon->numa);
	accounts_init(&daemon->accounts, parts->config, client_files(daemon));
	stock_init(&daemon->stock, daemon);
	domains_init(&daemon->domains, daemon);
	r = start_parts(daemon, parts->inherited);
	if (r < 0) {
		daemon_free(daemon);
		return r;
	}
	check_descriptors(daemon);
	loop_poll(&daemon->signal, daemon->signal_fd);
	if (notify_interval_ns())
		loop_timeout(&daemon->watchdog, notify_interval_ns());
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
	if (daemon->life.book.at)
		store_drop(daemon->store, "life");
	life_deinit(&daemon->life);
	free(daemon);
	return NULL;
}

int daemon_run(struct daemon *daemon)
{
	int r = loop_run(daemon->loop, turn, daemon);

	if (r < 0)
		log_event(LOG_AT_ERROR, "loop-failed", "error=\"%s\"", os_text(r));
	else if (!daemon->parked)
		log_event(LOG_AT_INFO, "stopped", "sessions=%llu reclaimed=%llu",
			  (unsigned long long)daemon->stats.sessions,
			  (unsigned long long)daemon->stats.reclaimed);
	return r;
}
