/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/session.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/account.h"
#include "daemon/daemon.h"
#include "daemon/job.h"
#include "daemon/limits.h"
#include "daemon/log.h"
#include "daemon/member.h"
#include "daemon/os.h"
#include "daemon/presence.h"
#include "shared/check.h"
#include "shared/fdpass.h"

#define SESSION_MAGIC UINT64_C(0x736573732d68616b)

static void on_closed(struct loop_op *op, int result, bool more);

/* ---- set-up ---- */

static int make_segment(struct session *session)
{
	struct hak_segment_head *head;
	int r;

	r = hak_sys_memfd(&session->segment_fd, "hakmem-ring", HAK_SEGMENT_SIZE, true);
	if (r < 0)
		return r;
	/* Shortage is to show here, not as SIGBUS at the first touch. */
	r = hak_sys_fallocate(session->segment_fd, 0, HAK_SEGMENT_SIZE);
	if (r < 0)
		return r;
	r = hak_sys_map_shared(&session->segment, NULL, session->segment_fd, 0, HAK_SEGMENT_SIZE);
	if (r < 0)
		return r;
	head = session->segment;
	*head = (struct hak_segment_head){
		.magic = HAK_SEGMENT_MAGIC,
		.layout_version = HAK_LAYOUT_VERSION,
		.segment_size = HAK_SEGMENT_SIZE,
		.sq_entries = HAK_SQ_ENTRIES,
		.cq_entries = HAK_CQ_ENTRIES,
		.region_superslabs = HAK_REGION_SUPERSLABS,
		.node_count = session->daemon->numa.parts,
		.session_id = session->id,
		.epoch = life_epoch(&session->daemon->life),
	};
	return 0;
}

void session_find_rings(struct session *session)
{
	hak_ring_end_init(&session->sq, hak_at(session->segment, HAK_SEGMENT_SQ_OFF),
			  hak_at(session->segment, HAK_SEGMENT_SQES_OFF), HAK_SQ_ENTRIES);
	hak_ring_end_init(&session->cq, hak_at(session->segment, HAK_SEGMENT_CQ_OFF),
			  hak_at(session->segment, HAK_SEGMENT_CQES_OFF), HAK_CQ_ENTRIES);
	reserve_init(&session->reserve, hak_at(session->segment, HAK_SEGMENT_RESERVE_OFF),
		     &session_text(session)->reserve);
}

static int make_memory(struct session *session)
{
	int r = make_segment(session);

	if (r == 0)
		r = presence_new(&session->presence_fd);
	if (r == 0)
		r = stock_take(&session->daemon->stock, session->peer.pid, &session->region);
	if (r < 0)
		return r;
	session_find_rings(session);
	return session_book_write(session);
}

void session_drop_memory(struct session *session)
{
	region_deinit(&session->region);
	if (session->segment)
		(void)hak_sys_unmap(session->segment, HAK_SEGMENT_SIZE);
	session->segment = NULL;
	session->segment_fd = hak_sys_close(session->segment_fd);
	session->presence_fd = hak_sys_close(session->presence_fd);
}

/* It ends up in logs and on terminals. */
static void set_comm(struct session *session, const char *comm)
{
	for (size_t i = 0; i + 1 < sizeof(session->comm) && comm[i]; i++)
		session->comm[i] = comm[i] < ' ' || comm[i] > '~' || comm[i] == '"' ? '?' : comm[i];
}

/*
 * Nothing is punched. The process may have forked and died before its FREEZE was read; its child
 * then maps slices copy-on-write that look like any other here. The last close frees what nobody
 * maps, and only that.
 */
static void settle(struct session *session)
{
	if (session->state != SESSION_DRAINING || session->bell.in_flight ||
	    session->death.in_flight || session->closing.in_flight || session->task.in_flight)
		return;
	session_unstore(session);
	loop_close(&session->closing, session->region.fd);
}

static void on_bell(struct bell *bell)
{
	struct session *session = hak_container_of(bell, struct session, bell);

	hak_assert(session->magic == SESSION_MAGIC);
	hak_ring_awake(&session->sq);
	if (session->state == SESSION_DRAINING)
		settle(session);
	else if (session->state != SESSION_EVICTED)
		session_wake(session);
}

static void on_death(struct loop_op *op, int result, bool more)
{
	struct session *session = hak_container_of(op, struct session, death);

	(void)more;
	hak_assert(session->magic == SESSION_MAGIC);
	if (session->state == SESSION_DRAINING)
		settle(session);
	else if (result < 0 && !os_pidfd_dead(session->pidfd))
		loop_poll(op, session->pidfd); /* the kernel was short of memory: ask again */
	else
		session_end(session, "exit");
}

static void on_task(struct task *task)
{
	struct session *session = hak_container_of(task, struct session, task);

	hak_assert(session->magic == SESSION_MAGIC);
	job_task_done(session);
	if (session->state == SESSION_DRAINING || session->state == SESSION_EVICTED)
		job_domain_abandon(session);
	if (session->state == SESSION_DRAINING)
		settle(session);
	else if (session->state != SESSION_EVICTED && session->job.op)
		session_wake(session);
	else if (session->state != SESSION_EVICTED)
		job_ahead(session);
}

struct session *session_alloc(struct daemon *daemon)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	*session = (struct session){
		.magic = SESSION_MAGIC,
		.daemon = daemon,
		.state = SESSION_DETACHED,
		.pidfd = -1,
		.segment_fd = -1,
		.presence_fd = -1,
		.region = REGION_NULL,
	};
	return session;
}

void session_begin(struct session *session)
{
	struct daemon *daemon = session->daemon;

	list_init(&session->link);
	list_init(&session->active);
	list_init(&session->members);
	list_add(&daemon->sessions, &session->link);
	daemon->session_count++;
	task_init(&session->task, on_task);
	bell_init(&session->bell, daemon->bells, on_bell);
	loop_op_init(&session->death, daemon->loop, on_death);
	loop_op_init(&session->closing, daemon->loop, on_closed);
	loop_poll(&session->death, session->pidfd);
}

int session_new(struct session **ret_session, struct conn *conn, const struct hak_wire_hello *hello,
		uint16_t version)
{
	struct daemon *daemon = conn->daemon;
	struct session *session = session_alloc(daemon);
	int r;

	if (!session)
		return -ENOMEM;
	session->id = life_session(&daemon->life);
	session->version = version;
	session->peer = conn->peer;
	session->since_ns = hak_sys_boottime_ns();
	set_comm(session, hello->comm);
	r = account_open_session(&daemon->accounts, conn->account);
	if (r) {
		free(session);
		return r;
	}
	r = make_memory(session);
	if (r < 0) {
		account_close_session(&daemon->accounts, conn->account);
		session_drop_memory(session);
		free(session);
		return r;
	}
	session->pidfd = conn->pidfd;
	session->account = conn->account;
	conn->pidfd = -1;
	conn->account = NULL;
	daemon->stats.sessions++;
	session_begin(session);
	session_store(session);
	session_attach(session, conn);
	session_wake(session);
	if (session->region.warm)
		daemon_want_tick(daemon);
	log_limited(LOG_AT_DEBUG, "session-open", "id=%llu pid=%d uid=%u comm=\"%s\"",
		    (unsigned long long)session->id, (int)session->peer.pid, session->peer.uid,
		    session->comm);
	*ret_session = session;
	return 0;
}

static void session_free(struct session *session)
{
	struct daemon *daemon = session->daemon;

	placement_release_all(&daemon->placement, &session->placed);
	account_release(&daemon->accounts, session->account, session->region.runs.taken);
	account_close_session(&daemon->accounts, session->account);
	session->account = account_close(&daemon->accounts, session->account);
	bell_deinit(&session->bell);
	loop_op_deinit(&session->death);
	loop_op_deinit(&session->closing);
	session_drop_memory(session);
	hak_sys_close(session->pidfd);
	list_del(&session->link);
	list_del(&session->active);
	daemon->session_count--;
	session->magic = 0;
	free(session);
}

static void on_closed(struct loop_op *op, int result, bool more)
{
	struct session *session = hak_container_of(op, struct session, closing);

	(void)result;
	(void)more;
	hak_assert(session->magic == SESSION_MAGIC);
	session->region.fd = -1;
	(void)reserve_collect(session); /* what it took counts as lost by it, the rest does not */
	session->daemon->stats.reclaimed += session->region.runs.taken - session->reserve.ready;
	session_free(session);
}

/* ---- connection ---- */

void session_attach(struct session *session, struct conn *conn)
{
	struct conn *before = session->conn;

	conn_stop_deadline(conn);
	session->conn = conn;
	conn->session = session;
	session->state = SESSION_ATTACHED;
	if (before)
		conn_close(before); /* session_hung_up() sees that it is not ours any more */
}

/* What the presence file says about a session without a socket. */
static void judge(struct session *session)
{
	switch (presence_test(session->presence_fd)) {
	case PRESENCE_THERE:
		break;
	case PRESENCE_GONE:
		session_end(session, "memory-gone");
		return;
	case PRESENCE_SPOILT:
		session_evict(session, "the presence file was written to");
		break;
	}
	daemon_want_tick(session->daemon);
}

void session_hung_up(struct session *session, struct conn *conn)
{
	if (session->conn != conn)
		return;
	session->conn = NULL;
	if (session->state != SESSION_ATTACHED)
		return;
	session->state = SESSION_DETACHED;
	judge(session);
}

void sessions_judge_pid(struct daemon *daemon, pid_t pid)
{
	struct list *at, *tmp;

	list_for_each(at, tmp, &daemon->sessions)
	{
		struct session *session = hak_container_of(at, struct session, link);

		/* One without a request yet may not have mapped its presence yet. */
		if (session->peer.pid == pid && session->state != SESSION_DRAINING &&
		    session->requests && presence_test(session->presence_fd) == PRESENCE_GONE)
			session_end(session, "memory-gone");
	}
}

/* ---- the end ---- */

static void hang_up(struct session *session)
{
	struct conn *conn = session->conn;

	session->conn = NULL;
	list_del(&session->active);
	session->parked = false;
	bell_cancel(&session->bell);
	task_cancel(&session->task);
	if (!session->task.in_flight)
		job_domain_abandon(session);
	/* Somebody may be waiting for an answer that will not come; the closed socket says so. */
	hak_sys_futex_wake(&session->cq.ring->tail, INT_MAX);
	if (conn)
		conn_close(conn);
}

void session_evict(struct session *session, const char *reason)
{
	if (session->state == SESSION_DRAINING || session->state == SESSION_EVICTED)
		return;
	session->daemon->stats.evicted++;
	log_limited(LOG_AT_WARNING, "evicted", "id=%llu pid=%d uid=%u comm=\"%s\" reason=\"%s\"",
		    (unsigned long long)session->id, (int)session->peer.pid, session->peer.uid,
		    session->comm, reason);
	session->state = SESSION_EVICTED;
	session_book_state(session, BOOK_SESSION_EVICTED);
	if (session->conn) {
		const struct hak_wire_frame frame = hak_wire_refuse(-EPROTO, reason);

		(void)hak_fdpass_send(session->conn->sock, &frame, NULL, 0);
	}
	hang_up(session);
	daemon_want_tick(session->daemon);
}

void session_end(struct session *session, const char *reason)
{
	if (session->state == SESSION_DRAINING)
		return;
	log_limited(LOG_AT_DEBUG, "session-end",
		    "id=%llu pid=%d reason=%s superslabs=%u requests=%llu",
		    (unsigned long long)session->id, (int)session->peer.pid, reason,
		    session->region.runs.taken, (unsigned long long)session->requests);
	/* First: what comes next is begun, or done again, by whoever finds this. */
	session_book_state(session, BOOK_SESSION_ENDED);
	session->state = SESSION_DRAINING;
	members_leave(session, true);
	hang_up(session);
	loop_cancel(&session->death);
	settle(session);
}

/* ---- between turns ---- */

bool session_tick(struct session *session)
{
	/* Its file may be closed at any moment, by a thread of the kernel's. */
	if (session->state == SESSION_DRAINING)
		return false;
	if (session->parked && hak_ring_room(&session->cq)) {
		session->parked = false;
		session_wake(session);
	}
	if (session->state == SESSION_DETACHED)
		judge(session);
	else if (session->state == SESSION_EVICTED &&
		 presence_test(session->presence_fd) == PRESENCE_GONE)
		session_end(session, "memory-gone");
	job_decay(session);
	return session->parked || session->state == SESSION_DETACHED ||
	       session->state == SESSION_EVICTED || session->region.warm || session->reserve.ready;
}

void session_wake(struct session *session)
{
	session->last_work_ns = hak_sys_now_ns();
	list_add(&session->daemon->active, &session->active);
}

void session_sleep(struct session *session)
{
	list_del(&session->active);
	bell_arm(&session->bell, &session->sq.ring->tail, session->sq.mine);
}

void session_wait_task(struct session *session)
{
	list_del(&session->active);
}

uint64_t session_slowed(struct session *session, uint64_t wait_ns)
{
	struct daemon *daemon = session->daemon;
	uint64_t now = hak_sys_boottime_ns();

	if (wait_ns < LIMIT_SLOW_MS * UINT64_C(1000000))
		wait_ns = LIMIT_SLOW_MS * UINT64_C(1000000);
	session->slowed++;
	daemon->stats.slowed++;
	if (session->said_ns && now - session->said_ns < LIMIT_SLOW_SAID_NS)
		return wait_ns;
	session->said_ns = now;
	log_limited(LOG_AT_WARNING, "slowed",
		    "id=%llu pid=%d uid=%u comm=\"%s\" session-requests=%u uid-requests=%u",
		    (unsigned long long)session->id, (int)session->peer.pid, session->peer.uid,
		    session->comm, daemon->accounts.max_session_requests,
		    daemon->accounts.max_uid_requests);
	return wait_ns;
}

void session_slow(struct session *session, uint64_t wait_ns)
{
	struct daemon *daemon = session->daemon;

	session->due_ns = daemon->now_ns + session_slowed(session, wait_ns);
	list_add(&daemon->slowed, &session->active);
	daemon_want_thaw(daemon, session->due_ns);
}

void session_park(struct session *session)
{
	list_del(&session->active);
	session->parked = true;
	daemon_want_tick(session->daemon);
}
