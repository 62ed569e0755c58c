/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_open.c - how a process becomes a member and ceases to be one: what is said to the daemon,
 * and the table of open domains. domain_view.c has the mappings.
 *
 * The daemon needs a session, which the process may not have for its heap (embedded, or libc's): it
 * gets one, and the heap goes on as it was.
 */
#include <string.h>

#include "libclient/channel.h"
#include "libclient/client.h"
#include "libclient/domain_view.h"
#include "libclient/heap.h"

/* For an answer on the socket: to open a domain may mean to make one, and the daemon may start
 * anew. */
#define ANSWER_NS UINT64_C(5000000000)
/* Between looks for a daemon that is away. */
#define SLICE_MS 5

struct hak_domains hak_domains = { .lock = PTHREAD_MUTEX_INITIALIZER };

static hak_domain *domain_at(uint32_t slot)
{
	return atomic_load_explicit(&hak_domains.place[slot].domain, memory_order_relaxed);
}

/* ---- the daemon ---- */

/* The path, where the heap has not been told: libc mode. */
static void find_socket(struct hak_heap *heap)
{
	struct hak_config config;

	if (heap->socket[0])
		return;
	hak_config_read(&config, hak_is_preload);
	memcpy(heap->socket, config.socket, sizeof(heap->socket));
}

/* Under the heap's lock. */
static int connect(struct hak_heap *heap)
{
	struct hak_session *session = &heap->session;

	/* One that never was up may come up by now; one that is lost has a region to be kept. */
	if (session->state == HAK_SESSION_NONE ||
	    (session->state == HAK_SESSION_LOST && !session->segment)) {
		/* As in grow.c: a second connection might be the end of a process in a sandbox. */
		if (hak_sys_filtered())
			return hak_domain_fail(-ENOTCONN, "a seccomp filter is in place");
		find_socket(heap);
		if (hak_session_open(session, heap->socket) < 0) {
			if (!heap->want_daemon)
				*session = (struct hak_session)HAK_SESSION_NULL;
			return hak_domain_fail(-ENOTCONN, "there is no hakmemd");
		}
	}
	(void)hak_session_alive(session);
	if (!hak_session_lasts(session))
		return hak_domain_fail(-ENOTCONN, "hakmemd is gone");
	if (session->version < HAK_WIRE_VERSION_DOMAINS)
		return hak_domain_fail(-ENOTCONN, "hakmemd is too old for domains");
	return 0;
}

/* Each daemon that comes meanwhile is asked; between looks for one, other threads get at the heap.
 * 0: whatever it answered. -EAGAIN: none came in time. */
static int ask_all(struct hak_wire_frame *frames, unsigned n, struct hak_wire_frame *ret,
		   int *ret_fds, unsigned *ret_n_fds, bool *ret_again)
{
	struct hak_session *session = &hak_heap.session;
	uint64_t deadline = hak_sys_now_ns() + ANSWER_NS;
	int r;

	for (;;) {
		bool up;

		pthread_mutex_lock(&hak_heap.lock);
		r = connect(&hak_heap);
		up = session->state == HAK_SESSION_UP;
		if (!r)
			r = hak_session_ask(session, frames, n, ret, ret_fds, ret_n_fds, deadline);
		pthread_mutex_unlock(&hak_heap.lock);
		if (r != -EAGAIN || hak_sys_now_ns() >= deadline)
			return r;
		*ret_again = *ret_again || up;
		if (up && frames[n - 1].type == HAK_WIRE_DOMAIN_OPEN)
			frames[n - 1].domain_open.flags |= HAK_WIRE_AGAIN;
		if (!up)
			(void)hak_sys_poll(NULL, 0, SLICE_MS);
	}
}

/* 0: an answer of that type with so many descriptors. Else none. ret_again: it was asked more than
 * once, so that the first may have done it. */
static int ask(struct hak_wire_frame *frames, unsigned n, enum hak_wire_type type,
	       struct hak_wire_frame *ret, int *ret_fds, unsigned want_fds, bool *ret_again)
{
	unsigned n_fds = 0;
	int r = ask_all(frames, n, ret, ret_fds, &n_fds, ret_again);

	if (r == -ENOTCONN) /* and it was said why */
		return r;
	if (r < 0)
		return hak_domain_fail(-ENOTCONN, "hakmemd is gone, or does not answer");
	if (ret->type == type && n_fds == want_fds && (type != HAK_WIRE_DONE || !ret->done.code))
		return 0;
	while (n_fds)
		hak_sys_close(ret_fds[--n_fds]);
	if (ret->type != HAK_WIRE_DONE || ret->done.code >= 0)
		return hak_domain_fail(-ENOTCONN, "hakmemd says what makes no sense");
	hak_detail_copy(ret->done.text);
	return ret->done.code;
}

static void say_close(uint64_t id)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_DOMAIN_CLOSE), answer;
	int fds[HAK_WIRE_FDS_MAX];
	bool again = false;

	frame.domain_close.id = id;
	/* If it is gone there is nobody to tell, and with its process goes every member. */
	(void)ask(&frame, 1, HAK_WIRE_DONE, &answer, fds, 0, &again);
}

/* ---- open ---- */

static int check_args(const char *name, unsigned flags, const struct hak_domain_attr *attr)
{
	if (!name || !hak_name_key(name))
		return hak_domain_fail(-EINVAL, "it is no name of a domain");
	if (flags & ~(unsigned)(HAK_CREATE | HAK_EXCL | HAK_RDONLY) ||
	    (flags & HAK_EXCL && !(flags & HAK_CREATE)))
		return hak_domain_fail(-EINVAL, "flags that do not go together, or are unknown");
	if (attr && attr->size != sizeof(*attr))
		return hak_domain_fail(-EINVAL, "hak_domain_attr.size is not its size");
	if (attr &&
	    (attr->node < 0 || attr->node > 1024 || attr->page_policy || attr->mode & ~0777U ||
	     attr->orphan_policy > HAK_ORPHAN_HEIR || attr->lifetime > HAK_LIFETIME_MEMBERS))
		return hak_domain_fail(-EINVAL, "an attribute of the domain is out of range");
	if (attr && (attr->max_size > (uint64_t)HAK_DOMAIN_SUPERSLABS_MAX << HAK_SUPERSLAB_SHIFT ||
		     attr->quota > PTRDIFF_MAX))
		return hak_domain_fail(-EINVAL, "the domain is to be larger than 2 TiB");
	return 0;
}

static struct hak_wire_frame attr_frame(const struct hak_domain_attr *attr)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_DOMAIN_ATTR);

	frame.domain_attr.max_size = hak_align_up(attr->max_size, HAK_SUPERSLAB_SIZE);
	frame.domain_attr.quota = hak_align_up(attr->quota, HAK_SUPERSLAB_SIZE);
	frame.domain_attr.mode = attr->mode;
	frame.domain_attr.node = (uint32_t)attr->node;
	frame.domain_attr.page_policy = attr->page_policy;
	frame.domain_attr.orphan_policy = attr->orphan_policy;
	frame.domain_attr.lifetime = attr->lifetime;
	return frame;
}

static hak_domain *find_open(uint64_t id)
{
	for (uint32_t i = 0; i < HAK_DOMAINS_MAX; i++) {
		hak_domain *d = domain_at(i);

		if (d && !d->forked && d->id == id)
			return d;
	}
	return NULL;
}

/* Under hak_domains.lock. */
static int again(hak_domain *d, unsigned flags, hak_domain **ret)
{
	if (d->readonly && !(flags & HAK_RDONLY))
		return hak_domain_fail(-EBUSY, "this process has it open HAK_RDONLY");
	d->refs++;
	*ret = d;
	return 0;
}

/* Under hak_domains.lock: a new member's handle, in a place of the table. */
static int enter(const struct hak_wire_domain *reply, const int *fds, bool readonly,
		 hak_domain **ret)
{
	uint32_t slot = 0;
	hak_domain *d;
	int r;

	while (slot < HAK_DOMAINS_MAX && domain_at(slot))
		slot++;
	if (slot == HAK_DOMAINS_MAX)
		return hak_domain_fail(-EMFILE, "64 domains are open");
	r = hak_domain_view_open(&d, reply, fds, slot, readonly);
	if (r < 0)
		return r;
	d->refs = 1;
	pthread_mutex_lock(&hak_heap.lock);
	atomic_store_explicit(&hak_domains.place[slot].domain, d, memory_order_relaxed);
	pthread_mutex_unlock(&hak_heap.lock);
	atomic_store_explicit(&hak_domains.place[slot].base, (uintptr_t)d->base,
			      memory_order_relaxed);
	/* Release: pairs with the acquire in hak_domain_of(). */
	atomic_store_explicit(&hak_domains.place[slot].size, d->size, memory_order_release);
	*ret = d;
	return 0;
}

/* Under hak_domains.lock. */
static int join(const char *name, unsigned flags, const struct hak_domain_attr *attr,
		hak_domain **ret)
{
	struct hak_wire_frame frames[2], answer;
	int fds[HAK_WIRE_FDS_MAX] = { -1, -1, -1, -1 }, r;
	unsigned n = 0;
	bool asked_again = false;
	hak_domain *d;

	if (attr)
		frames[n++] = attr_frame(attr);
	frames[n] = hak_wire_make(HAK_WIRE_DOMAIN_OPEN);
	memcpy(frames[n].domain_open.name, name, strlen(name) + 1);
	frames[n++].domain_open.flags = flags;
	r = ask(frames, n, HAK_WIRE_DOMAIN, &answer, fds, HAK_WIRE_FDS_MAX, &asked_again);
	if (r < 0)
		return r;
	d = find_open(answer.domain.id);
	if (d) {
		/* Then it was not made by this call, whatever the daemon takes us for. */
		r = flags & HAK_EXCL ? hak_domain_fail(-EEXIST, "the domain exists")
				     : again(d, flags, ret);
	} else {
		r = enter(&answer.domain, fds, flags & HAK_RDONLY, ret);
		if (r < 0)
			say_close(answer.domain.id);
	}
	for (unsigned i = 0; i < HAK_WIRE_FDS_MAX; i++) {
		if (r < 0 || d || i != HAK_DOMAIN_FD_EVENTS)
			hak_sys_close(fds[i]);
	}
	return r;
}

HAK_EXPORT int hak_domain_open(hak_domain **ret, const char *name, unsigned flags,
			       const struct hak_domain_attr *attr)
{
	int r = check_args(name, flags, attr);

	if (r < 0)
		return r;
	(void)hak_client_start();
	pthread_mutex_lock(&hak_domains.lock);
	r = hak_domain_thread_init();
	if (!r)
		r = join(name, flags, attr, ret);
	pthread_mutex_unlock(&hak_domains.lock);
	return r;
}

HAK_EXPORT int hak_domain_unlink(const char *name)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_DOMAIN_UNLINK), answer;
	int fds[HAK_WIRE_FDS_MAX], r = check_args(name, 0, NULL);
	bool again = false;

	if (r < 0)
		return r;
	(void)hak_client_start();
	memcpy(frame.domain_open.name, name, strlen(name) + 1);
	r = ask(&frame, 1, HAK_WIRE_DONE, &answer, fds, 0, &again);
	/* The daemon that has ended may have done it. */
	return r == -ENOENT && again ? 0 : r;
}

HAK_EXPORT int hak_domain_heir(hak_domain *domain, hak_member heir)
{
	struct hak_wire_frame frame = hak_wire_make(HAK_WIRE_DOMAIN_HEIR), answer;
	int fds[HAK_WIRE_FDS_MAX], r = hak_domain_may(domain, true);
	bool again = false;

	if (r < 0)
		return r;
	frame.domain_heir.id = domain->id;
	frame.domain_heir.member = heir;
	return ask(&frame, 1, HAK_WIRE_DONE, &answer, fds, 0, &again);
}

/* ---- close ---- */

/* Under hak_domains.lock: the last handle. What lies in magazines and slabs is the sweep's. */
static void leave(hak_domain *d)
{
	uint64_t id = d->id;
	bool forked = d->forked;

	atomic_store_explicit(&hak_domains.place[d->slot].size, 0, memory_order_relaxed);
	pthread_mutex_lock(&hak_heap.lock);
	atomic_store_explicit(&hak_domains.place[d->slot].domain, NULL, memory_order_relaxed);
	pthread_mutex_unlock(&hak_heap.lock);
	if (!forked) {
		pthread_mutex_lock(&d->mutex);
		hak_domain_unbind_all(d);
		pthread_mutex_unlock(&d->mutex);
	}
	hak_channels_forget(d);
	/* Before the daemon hears of it: from then on others may get what was ours. */
	hak_domain_view_close(d);
	if (!forked)
		say_close(id);
}

HAK_EXPORT hak_domain *hak_domain_close(hak_domain *domain)
{
	if (!domain)
		return NULL;
	pthread_mutex_lock(&hak_domains.lock);
	if (!--domain->refs)
		leave(domain);
	pthread_mutex_unlock(&hak_domains.lock);
	return NULL;
}

/* ---- fork ---- */

void hak_domains_lock_all(void)
{
	pthread_mutex_lock(&hak_domains.lock);
	for (uint32_t i = 0; i < HAK_DOMAINS_MAX; i++) {
		if (domain_at(i))
			pthread_mutex_lock(&domain_at(i)->mutex);
	}
	hak_lock_take(&hak_domains.store_lock);
}

void hak_domains_unlock_all(void)
{
	hak_lock_drop(&hak_domains.store_lock);
	for (uint32_t i = 0; i < HAK_DOMAINS_MAX; i++) {
		if (domain_at(i))
			pthread_mutex_unlock(&domain_at(i)->mutex);
	}
	pthread_mutex_unlock(&hak_domains.lock);
}

void hak_domains_forget(void)
{
	for (uint32_t i = 0; i < HAK_DOMAINS_MAX; i++) {
		hak_domain *d = domain_at(i);

		if (!d || d->forked)
			continue;
		d->forked = true;
		d->size = 0;
		d->threads = NULL;
		if (hak_sys_fd_is(d->event_fd, &d->event_id))
			hak_sys_close(d->event_fd);
		d->event_fd = -1;
	}
	hak_domain_thread_forget();
}
