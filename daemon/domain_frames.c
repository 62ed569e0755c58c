/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/domain_frames.h"

#include <errno.h>
#include <stdio.h>

#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/domain.h"
#include "daemon/limits.h"
#include "daemon/member.h"
#include "daemon/os.h"
#include "daemon/session.h"
#include "shared/fdpass.h"

#define FLAGS (HAK_WIRE_CREATE | HAK_WIRE_EXCL | HAK_WIRE_RDONLY | HAK_WIRE_AGAIN)

static bool send_frame(struct conn *conn, const struct hak_wire_frame *frame, const int *fds,
		       unsigned n_fds)
{
	int r = hak_fdpass_send(conn->sock, frame, fds, n_fds);

	if (r == 0)
		return true;
	/* It does not read its answers, or its limits don't allow descriptors under way. */
	log_limited(LOG_AT_WARNING, "answer-failed", "pid=%d error=\"%s\"", (int)conn->peer.pid,
		    os_text(r));
	conn_close(conn);
	return false;
}

static bool done(struct conn *conn, int code, const char *text)
{
	const struct hak_wire_frame frame = hak_wire_done(code, text);

	bool limit = code == -EDQUOT || code == -EMFILE || code == -ENOMEM;

	if (code < 0)
		log_limited(limit ? LOG_AT_WARNING : LOG_AT_DEBUG, "domain-refused",
			    "pid=%d uid=%u code=%d reason=\"%s\"", (int)conn->peer.pid,
			    conn->peer.uid, code, text);
	return send_frame(conn, &frame, NULL, 0);
}

/* What domain_new() or member_join() said. */
static bool failed(struct conn *conn, int r)
{
	char text[HAK_WIRE_TEXT];

	if (r == -EUSERS)
		return done(conn, -EDQUOT, "the domain has 1000 members");
	if (r == -EDQUOT)
		return done(conn, r, "the domain has 500 members that only read");
	if (r == -E2BIG)
		return done(conn, -EDQUOT, "your domains: half of all addresses");
	if (r == -EAGAIN)
		return done(conn, r, "a sweep is under way");
	if (r < 0)
		return done(conn, r, os_text(r));
	daemon_note_refusal(conn->daemon, (uint32_t)r, &conn->peer, conn->session->id);
	if (r == HAK_REFUSAL_ADDRESSES)
		return done(conn, -ENOMEM, "no addresses are left for it");
	(void)snprintf(text, sizeof(text), "limit reached: %s", hak_refusal_name((uint32_t)r));
	return done(conn, conn_refusal_code((uint32_t)r), text);
}

/* ---- open ---- */

/* What this one gets that the daemon's own descriptors are not fit for; -1 each: they are. */
struct reader_fds {
	int data, meta; /* for a reader */
	int state;      /* for everybody: only the daemon writes to it */
};

static struct reader_fds close_reader(struct reader_fds fds)
{
	hak_sys_close(fds.data);
	hak_sys_close(fds.meta);
	hak_sys_close(fds.state);
	return (struct reader_fds){ -1, -1, -1 };
}

static int open_reader(struct reader_fds *ret, const struct domain *domain, bool read_only)
{
	int r;

	*ret = (struct reader_fds){ -1, -1, -1 };
	r = os_reopen_readonly(&ret->state, domain->state_fd);
	if (read_only && r == 0)
		r = os_reopen_readonly(&ret->data, domain->data_fd);
	if (read_only && r == 0)
		r = os_reopen_readonly(&ret->meta, domain->meta_fd);
	if (r < 0)
		*ret = close_reader(*ret);
	return r;
}

/* Closes `reader`. */
static bool answer_open(struct conn *conn, const struct member *member, struct reader_fds reader,
			bool created)
{
	const struct domain *domain = member->domain;
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_DOMAIN);
	int fds[] = { domain->data_fd, domain->meta_fd, reader.state, member->sign };
	bool alive;

	if (reader.data >= 0) {
		fds[0] = reader.data;
		fds[1] = reader.meta;
	}
	frame.domain.id = domain->id;
	frame.domain.base = domain->base;
	frame.domain.member = member->id;
	frame.domain.superslabs = domain->view.superslabs;
	frame.domain.created = created;
	alive = send_frame(conn, &frame, fds, hak_array_size(fds));
	(void)close_reader(reader);
	return alive;
}

/* The first open of a session: it becomes a member. */
static bool join(struct conn *conn, struct domain *domain, bool read_only, bool created)
{
	struct reader_fds reader;
	struct member *member;
	int r = open_reader(&reader, domain, read_only);

	if (conn->session->member_count >= LIMIT_SESSION_DOMAINS)
		r = -EMFILE;
	else if (r == 0)
		r = member_join(&member, domain, conn->session, read_only);
	if (r) {
		(void)close_reader(reader);
		if (created)
			domain_unlink(domain);
		else
			domain_settle(domain);
		return r == -EMFILE ? done(conn, r, "64 domains are open, or no descriptors")
				    : failed(conn, r);
	}
	return answer_open(conn, member, reader, created);
}

static bool create(struct conn *conn, const char *name, bool read_only,
		   struct hak_wire_domain_attr *attr)
{
	const char *fault = domain_attr_fault(conn->daemon, attr);
	struct domain *domain;
	int r;

	if (fault)
		return done(conn, -EINVAL, fault);
	r = domain_new(&domain, conn->session, name, attr);
	if (r)
		return failed(conn, r);
	return join(conn, domain, read_only, true);
}

/* The domain was made by this very request, whose answer was lost with its connection: the caller
 * is its first member. */
static bool is_made_by(const struct member *member, uint32_t flags)
{
	return flags & HAK_WIRE_AGAIN && member && member->id >> 16 == 1;
}

static bool on_open(struct conn *conn, const struct hak_wire_domain_open *open)
{
	struct domain *domain = domain_find(&conn->daemon->domains, open->name);
	struct hak_wire_domain_attr attr = conn->domain_attr;
	bool read_only = open->flags & HAK_WIRE_RDONLY;
	struct reader_fds reader;
	struct member *member;
	int r;

	conn->domain_attr = (struct hak_wire_domain_attr){ 0 };
	if (!hak_name_key(open->name))
		return done(conn, -EINVAL, "name: 1 to 31 of [A-Za-z0-9._-], no dot first");
	if (open->flags & ~FLAGS)
		return done(conn, -EINVAL, "flags: unknown ones");
	if (open->flags & HAK_WIRE_EXCL && !(open->flags & HAK_WIRE_CREATE))
		return done(conn, -EINVAL, "flags: HAK_EXCL without HAK_CREATE");
	if (!domain && !(open->flags & HAK_WIRE_CREATE))
		return done(conn, -ENOENT, "there is no such domain");
	if (!domain)
		return create(conn, open->name, read_only, &attr);
	member = member_find(conn->session, domain);
	if (open->flags & HAK_WIRE_EXCL && !is_made_by(member, open->flags))
		return done(conn, -EEXIST, "the domain exists");
	if (!domain_permits(domain, &conn->peer, read_only))
		return done(conn, -EACCES, "the domain's mode does not permit it");
	if (!member)
		return join(conn, domain, read_only, false);
	if (member->read_only && !read_only)
		return done(conn, -EBUSY, "this process has it open for reading");
	r = open_reader(&reader, domain, read_only);
	if (r < 0)
		return done(conn, r, os_text(r));
	return answer_open(conn, member, reader, is_made_by(member, open->flags));
}

/* ---- the others ---- */

static bool on_close(struct conn *conn, uint64_t id)
{
	struct member *member = member_by_id(conn->session, id);

	if (!member)
		return done(conn, -ENOENT, "not a member of such a domain");
	member_leave(member, false);
	return done(conn, 0, "");
}

static bool on_unlink(struct conn *conn, const char *name)
{
	struct domain *domain = domain_find(&conn->daemon->domains, name);

	if (!domain)
		return done(conn, -ENOENT, "there is no such domain");
	if (conn->peer.uid && conn->peer.uid != domain->uid)
		return done(conn, -EACCES, "the domain is another user's");
	domain_unlink(domain);
	return done(conn, 0, "");
}

static bool on_heir(struct conn *conn, const struct hak_wire_domain_heir *heir)
{
	struct member *member = member_by_id(conn->session, heir->id), *other;

	if (!member)
		return done(conn, -ENOENT, "not a member of such a domain");
	if (member->domain->attr.orphan_policy != HAK_WIRE_ORPHAN_HEIR)
		return done(conn, -EINVAL, "its orphan policy knows no heirs");
	other = heir->member ? member_alive(member->domain, heir->member) : NULL;
	if (heir->member && (!other || other == member || other->read_only))
		return done(conn, -ESRCH, "the heir: no other living member");
	member_set_heir(member, heir->member);
	return done(conn, 0, "");
}

bool domain_frame(struct conn *conn, const struct hak_wire_frame *frame)
{
	switch (frame->type) {
	case HAK_WIRE_DOMAIN_ATTR:
		conn->domain_attr = frame->domain_attr;
		return true;
	case HAK_WIRE_DOMAIN_OPEN:
		return on_open(conn, &frame->domain_open);
	case HAK_WIRE_DOMAIN_CLOSE:
		return on_close(conn, frame->domain_close.id);
	case HAK_WIRE_DOMAIN_UNLINK:
		return on_unlink(conn, frame->domain_open.name);
	default:
		return on_heir(conn, &frame->domain_heir);
	}
}
