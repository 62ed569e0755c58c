/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/session_adopt.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/account.h"
#include "daemon/daemon.h"
#include "daemon/factory.h"
#include "daemon/os.h"
#include "daemon/session.h"
#include "shared/sys.h"

/* ---- whose files these are ---- */

static bool is_file(int fd, const struct hak_fd_id *id, uint64_t size)
{
	struct stat st;

	return hak_sys_fd_is(fd, id) && fstat(fd, &st) == 0 && (uint64_t)st.st_size == size;
}

/* Finds and opens the book, which is in the session's region from then on. */
static int find_book(struct session *session, int fds[SESSION_FILES], const char **ret_fault)
{
	struct book_head head;
	struct book book;

	*ret_fault = "no book";
	for (uint32_t i = 0; i < SESSION_FILES; i++) {
		int r;

		if (!book_look(fds[i], &head))
			continue;
		r = book_open(&book, fds[i], BOOK_SESSION, life_number(&session->daemon->life),
			      REGION_BOOK_BYTES, SESSION_TEXT_FIXED, ret_fault);
		if (r < 0)
			return r;
		fds[i] = -1;
		session->region.book = book;
		return 0;
	}
	return -EINVAL;
}

static void pick(int *from, int *to)
{
	*to = *from;
	*from = -1;
}

/* A file that is none of these is left where it is. */
static int find_files(struct session *session, int fds[SESSION_FILES], const char **ret_fault)
{
	const struct session_text *text;
	int r = find_book(session, fds, ret_fault);

	if (r < 0)
		return r;
	text = session_text(session);
	for (uint32_t i = 0; i < SESSION_FILES; i++) {
		pid_t pid = os_pidfd_pid(fds[i]);

		if (fds[i] < 0)
			continue;
		/* One that is gone has no number any more; it is told as dead in a moment. */
		if (session->pidfd < 0 && pid && (pid == text->pid || pid == -1))
			pick(&fds[i], &session->pidfd);
		else if (session->segment_fd < 0 &&
			 is_file(fds[i], &text->segment, HAK_SEGMENT_SIZE))
			pick(&fds[i], &session->segment_fd);
		else if (session->region.fd < 0 &&
			 is_file(fds[i], &text->region,
				 (uint64_t)HAK_REGION_SUPERSLABS << HAK_SUPERSLAB_SHIFT))
			pick(&fds[i], &session->region.fd);
		else if (session->presence_fd < 0 && is_file(fds[i], &text->presence, 4096))
			pick(&fds[i], &session->presence_fd);
	}
	*ret_fault = "files that are not those of the book";
	return session->pidfd < 0 || session->segment_fd < 0 || session->region.fd < 0 ||
			       session->presence_fd < 0
		       ? -EINVAL
		       : 0;
}

static int check(struct session *session, const char **ret_fault)
{
	const struct session_text *text = session_text(session);
	const struct numa *numa = &session->daemon->numa;
	struct list *at, *tmp;

	*ret_fault = "a region of other parts";
	if (text->superslabs != HAK_REGION_SUPERSLABS || text->parts != numa->parts)
		return -EINVAL;
	*ret_fault = "a protocol that is unknown";
	if (text->version < HAK_WIRE_VERSION_MIN || text->version > HAK_WIRE_VERSION_MAX)
		return -EINVAL;
	*ret_fault = "a session that is there already";
	list_for_each(at, tmp, &session->daemon->sessions)
	{
		if (hak_container_of(at, struct session, link)->id == text->head.id)
			return -EEXIST;
	}
	region_adopt(&session->region, numa, session->region.fd, &session->region.book);
	*ret_fault = session_book_fault(text, &session->region);
	return *ret_fault ? -EINVAL : 0;
}

/* ---- what was half done ---- */

/* Gives the memory back of what is not built; what is built stays, and is warm. */
static int punch_unbuilt(const struct region *region, uint32_t first, uint32_t count)
{
	uint32_t end = first + count, n;
	int r = 0;

	for (; first < end && r == 0; first += n) {
		n = 1;
		if (region_built(region, first, 1))
			continue;
		while (first + n < end && !region_built(region, first + n, 1))
			n++;
		r = factory_punch(region->fd, first, n);
	}
	return r;
}

static bool is_granted(const struct reserve_text *reserve, uint32_t superslab)
{
	for (uint32_t i = 0; i < HAK_RESERVE_SLOTS; i++) {
		if (reserve->granted[i] && hak_reserve_superslab(reserve->granted[i]) == superslab)
			return true;
	}
	return false;
}

/* Not even the first bit may have been set. */
static int undo_fill(const struct session *session, uint32_t first, uint32_t count)
{
	const struct region *region = &session->region;
	int r = 0;

	for (uint32_t i = first; i < first + count && r == 0; i++) {
		if (is_granted(&session_text(session)->reserve, i))
			continue;
		book_fill(region->runs.bits, i, 1, false);
		r = punch_unbuilt(region, i, 1);
	}
	return r;
}

static void unbuild(const struct region *region, uint32_t first, uint32_t count)
{
	book_fill(region->huge, first, count, false);
	book_fill(region->built, first, count, false);
}

static void answer_again(struct session *session)
{
	struct session_text *text = session_text(session);
	const struct session_step *step = &text->step;

	session->sq.mine = step->sq;
	session->cq.mine = step->cq;
	hak_ring_put(&session->cq, &step->cqe);
	book_before_other();
	hak_ring_consume(&session->sq);
	book_set64(&text->last_seq, step->cqe.seq);
	book_set32(&text->sq, session->sq.mine);
	book_set32(&text->cq, session->cq.mine);
}

/* Each case may be cut off and done again from its beginning. 0 or a negative errno. */
static int finish_step(struct session *session)
{
	struct session_text *text = session_text(session);
	struct region *region = &session->region;
	uint32_t first = text->step.first, count = text->step.count;
	int r = 0;

	switch ((enum session_phase)text->step.phase) {
	case PHASE_ANSWER:
		answer_again(session);
		break;
	case PHASE_LEASE:
		book_fill(region->runs.bits, first, count, false);
		r = punch_unbuilt(region, first, count);
		break;
	case PHASE_UNDO:
		unbuild(region, first, count);
		book_fill(region->runs.bits, first, count, false);
		r = factory_punch(region->fd, first, count);
		break;
	case PHASE_RETURN:
		unbuild(region, first, count);
		book_fill(region->runs.bits, first, count, true);
		break;
	case PHASE_FREEZE:
		book_fill(region->frozen, first, count, false);
		break;
	case PHASE_FILL:
		r = undo_fill(session, first, count);
		break;
	case PHASE_DECAY:
		unbuild(region, first, count);
		r = factory_punch(region->fd, first, count);
		break;
	case PHASE_NONE:
	case PHASES:
		break;
	}
	return r;
}

/* ---- the session ---- */

/* By the book, whose fixed part was summed. */
static void fill_in(struct session *session)
{
	const struct session_text *text = session_text(session);

	session->id = text->head.id;
	session->version = (uint16_t)text->version;
	session->peer = (struct hak_peer){ .pid = text->pid, .uid = text->uid, .gid = text->gid };
	memcpy(session->comm, text->comm, sizeof(session->comm));
	session->since_ns = text->since_ns;
	session->last_request_ns = text->last_request_ns;
	session->requests = text->requests;
	session->granted = text->granted;
	session->returned = text->returned;
	session->refused = text->refused;
	session->node = text->node;
}

static void place(struct session *session)
{
	const uint64_t *bits = session->region.runs.bits;
	uint32_t total = session->region.runs.total, first = 0;

	while ((first = hak_bits_find_run(bits, true, first, total, 1)) != HAK_NO_RUN) {
		uint32_t end = hak_bits_find_run(bits, false, first, total, 1);

		if (end == HAK_NO_RUN)
			end = total;
		placement_charge(&session->daemon->placement, &session->placed, first, end - first);
		first = end;
	}
}

static int restore(struct session *session, const char **ret_fault)
{
	struct session_text *text = session_text(session);
	int r;

	*ret_fault = "its rings can't be mapped";
	r = hak_sys_map_shared(&session->segment, NULL, session->segment_fd, 0, HAK_SEGMENT_SIZE);
	if (r < 0)
		return r;
	session_find_rings(session);
	session->sq.mine = text->sq;
	session->cq.mine = text->cq;
	fill_in(session);
	*ret_fault = "what was half done can't be undone";
	r = finish_step(session);
	if (r < 0)
		return r;
	session->last_seq = text->last_seq;
	region_count(&session->region);
	session_book_end(session);
	*ret_fault = "no memory";
	r = account_adopt_session(&session->daemon->accounts, session->peer.uid,
				  session->region.runs.taken, &session->account);
	if (r < 0)
		return r;
	place(session);
	return 0;
}

static void drop(struct session *session)
{
	hak_sys_close(session->pidfd);
	session_drop_memory(session);
	free(session);
}

static int adopt(struct daemon *daemon, int fds[SESSION_FILES], const char **ret_fault)
{
	struct session *session = session_alloc(daemon);
	int r;

	*ret_fault = "no memory";
	if (!session)
		return -ENOMEM;
	r = find_files(session, fds, ret_fault);
	if (r == 0)
		r = check(session, ret_fault);
	if (r == 0 && session_text(session)->state == BOOK_SESSION_ENDED) {
		*ret_fault = "it had ended";
		r = -ESRCH;
	}
	if (r == 0)
		r = restore(session, ret_fault);
	if (r < 0) {
		drop(session);
		return r;
	}
	*ret_fault = NULL;
	if (session_text(session)->state == BOOK_SESSION_EVICTED)
		session->state = SESSION_EVICTED;
	session_begin(session);
	reserve_adopt(session);
	daemon_want_tick(daemon);
	return 0;
}

int session_adopt(struct daemon *daemon, const int *fds, unsigned n, const char **ret_fault)
{
	int left[SESSION_FILES] = { -1, -1, -1, -1, -1 };
	int r = -EINVAL;

	*ret_fault = "of another number of files";
	for (unsigned i = 0; i < n; i++) {
		if (n == SESSION_FILES)
			left[i] = fds[i];
		else
			hak_sys_close(fds[i]);
	}
	if (n == SESSION_FILES)
		r = adopt(daemon, left, ret_fault);
	for (unsigned i = 0; i < SESSION_FILES; i++)
		hak_sys_close(left[i]);
	return r;
}

void sessions_adopted(struct daemon *daemon)
{
	struct list *at, *tmp;

	list_for_each(at, tmp, &daemon->sessions)
	{
		struct session *session = hak_container_of(at, struct session, link);

		hak_sys_futex_wake(&session->cq.ring->tail, INT_MAX);
		if (session->state == SESSION_DETACHED)
			session_wake(session);
	}
}
