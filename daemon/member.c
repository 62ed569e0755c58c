/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/member.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/account.h"
#include "daemon/daemon.h"
#include "daemon/domain.h"
#include "daemon/limits.h"
#include "daemon/os.h"
#include "daemon/session.h"
#include "daemon/store.h"
#include "daemon/sweep.h"
#include "shared/check.h"

struct member *member_by_id(const struct session *session, uint64_t domain_id)
{
	struct list *at, *tmp;

	list_for_each(at, tmp, &session->members)
	{
		struct member *member = hak_container_of(at, struct member, in_session);

		if (member->domain->id == domain_id)
			return member;
	}
	return NULL;
}

struct member *member_find(const struct session *session, const struct domain *domain)
{
	return member_by_id(session, domain->id);
}

struct member *member_alive(const struct domain *domain, uint64_t id)
{
	struct list *at, *tmp;

	list_for_each(at, tmp, &domain->members)
	{
		struct member *member = hak_container_of(at, struct member, link);

		if (member->id == id)
			return member->dying ? NULL : member;
	}
	return NULL;
}

/* ---- what others see of it ---- */

/* A seqlock in the small: readers compare `seq` before and after. */
static void publish(struct domain *domain, const struct member_text *text, enum hak_event_kind kind)
{
	uint64_t n = ++domain->last_event;
	struct hak_event_entry *event = &domain->state->event[n % HAK_EVENTS];

	book_set64(&domain->text->last_event, n);
	/* Relaxed, then a fence: no field of the new event is seen with the old number. */
	atomic_store_explicit(&event->seq, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	event->member = text->id;
	event->at_ns = hak_sys_boottime_ns();
	event->kind = kind;
	event->pid = text->pid;
	/* Release, three times: whoever sees the number sees the event. */
	atomic_store_explicit(&event->seq, n, memory_order_release);
	atomic_store_explicit(&domain->state->last_event, n, memory_order_release);
	atomic_store_explicit(&domain->state->event_futex, (uint32_t)n, memory_order_release);
	hak_sys_futex_wake(&domain->state->event_futex, INT_MAX);
	domain->told = false;
	domain->daemon->domains.told = false;
}

void member_tell(struct domain *domain, struct member_text *text, enum hak_event_kind kind)
{
	publish(domain, text, kind);
	book_set32(&text->told, kind);
}

/* Who only reads holds nothing that others might need. */
static bool is_told(const struct member *member)
{
	const struct domain *domain = member->domain;

	return member->last_event == domain->last_event &&
	       (member->read_only || member->last_need == domain->need_told);
}

void members_tell(struct domain *domain)
{
	struct list *at, *tmp;

	domain->told = true;
	list_for_each(at, tmp, &domain->members)
	{
		struct member *member = hak_container_of(at, struct member, link);

		if (member->dying || is_told(member))
			continue;
		member->last_event = domain->last_event;
		member->last_need = domain->need_told;
		os_sign_set(member->sign);
	}
}

static void set_state(struct member *member, enum hak_member_state state)
{
	struct hak_member_entry *entry =
		&member->domain->state->member[hak_member_number(member->id)];

	/* Release: who sees the state sees the id. */
	atomic_store_explicit(&entry->state, state, memory_order_release);
}

void member_show(struct domain *domain, const struct member_text *text)
{
	struct hak_member_entry *entry = &domain->state->member[hak_member_number(text->id)];

	entry->pid = text->pid;
	entry->uid = text->uid;
	entry->since_ns = text->since_ns;
	/* Release: who sees the id sees whose it is. */
	atomic_store_explicit(&entry->id, text->id, memory_order_release);
}

static void show_alive(const struct domain *domain)
{
	/* Relaxed: a number to go by. */
	atomic_store_explicit(&domain->state->alive, domain->alive, memory_order_relaxed);
}

/* ---- join ---- */

/* Round about, so that fresh ones come first and reused ones late. 0: none can be had. */
static uint32_t take_number(struct domain *domain)
{
	for (uint32_t i = 0; i < HAK_MEMBER_MAX; i++) {
		uint32_t number = (domain->last_number + i) % HAK_MEMBER_MAX + 1;
		uint64_t bit = UINT64_C(1) << (number % 64);

		if (domain->numbers[number / 64] & bit || sweep_avoids(domain, number))
			continue;
		domain->numbers[number / 64] |= bit;
		book_fill(domain->text->had, number, 1, true);
		book_set32(&domain->text->last_number, number);
		domain->last_number = number;
		return number;
	}
	return 0;
}

static void give_number(struct domain *domain, uint32_t number)
{
	domain->numbers[number / 64] &= ~(UINT64_C(1) << (number % 64));
}

static bool has_number(const struct domain *domain)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < HAK_MEMBERS / 64; i++)
		n += (uint32_t)__builtin_popcountll(domain->numbers[i]);
	return n < HAK_MEMBER_MAX;
}

/* Their numbers come back, with their sweeps. */
static bool has_dying(const struct domain *domain)
{
	struct list *at, *tmp;

	list_for_each(at, tmp, &domain->members)
	{
		if (hak_container_of(at, struct member, link)->dying)
			return true;
	}
	return false;
}

/* Its words are nobody's while they have no state: that comes last. What was told of the number's
 * last member stays until then: it was SWEPT, if there was one. */
static void write_text(struct member *member)
{
	struct member_text *text = &member->domain->text->member[hak_member_number(member->id)];
	const struct session *session = member->session;

	member->text = text;
	book_begin_store();
	text->heir = 0;
	text->order = 0;
	text->how = 0;
	text->session = session->id;
	text->since_ns = hak_sys_boottime_ns();
	text->pid = member->pid;
	text->uid = session->peer.uid;
	text->read_only = member->read_only;
	text->id = member->id;
	book_end_store();
	book_set32(&text->state, HAK_MEMBER_ALIVE);
}

static void name_of(const struct member *member, char ret_name[STORE_NAME])
{
	(void)snprintf(ret_name, STORE_NAME, "m%llu.%u", (unsigned long long)member->domain->id,
		       hak_member_number(member->id));
}

void member_store(const struct member *member)
{
	struct store *store = member->domain->daemon->store;
	char name[STORE_NAME];

	name_of(member, name);
	if (!store_find(store, name))
		(void)store_put(store, name, &member->sign, 1);
}

int member_join(struct member **ret_member, struct domain *domain, struct session *session,
		bool read_only)
{
	struct accounts *accounts = &domain->daemon->accounts;
	struct member *member;
	uint32_t number;
	int r;

	if (!has_number(domain))
		return has_dying(domain) ? -EAGAIN : -EUSERS;
	if (read_only && domain->readers >= LIMIT_DOMAIN_READERS)
		return -EDQUOT;
	r = account_open_member(accounts, session->account);
	if (r)
		return r;
	member = calloc(1, sizeof(*member));
	r = member ? os_sign(&member->sign) : -ENOMEM;
	number = r == 0 ? take_number(domain) : 0;
	if (!number) {
		if (r == 0)
			hak_sys_close(member->sign);
		free(member);
		account_close_member(accounts, session->account);
		return r < 0 ? r : -EAGAIN;
	}
	list_init(&member->link);
	list_init(&member->in_session);
	member->domain = domain;
	member->session = session;
	book_set64(&domain->text->members_total, ++domain->members_total);
	member->id = domain->members_total << 16 | number;
	member->pid = (uint32_t)session->peer.pid;
	member->read_only = read_only;
	write_text(member);
	member_show(domain, member->text);
	set_state(member, read_only ? HAK_MEMBER_READER : HAK_MEMBER_ALIVE);
	list_add(&domain->members, &member->link);
	list_add(&session->members, &member->in_session);
	session->member_count++;
	domain->alive++;
	show_alive(domain);
	domain->readers += read_only;
	member_store(member);
	member_tell(domain, member->text, HAK_EVENT_KIND_JOINED);
	member->last_event = domain->last_event;
	member->last_need = domain->need_told;
	*ret_member = member;
	return 0;
}

/* ---- leave ---- */

static void leave_session(struct member *member)
{
	struct session *session = member->session;
	char name[STORE_NAME];

	name_of(member, name);
	store_drop(member->domain->daemon->store, name);
	member->sign = hak_sys_close(member->sign);
	if (!session) /* it did not come through the daemon's restart */
		return;
	account_close_member(&session->daemon->accounts, session->account);
	list_del(&member->in_session);
	session->member_count--;
	member->session = NULL;
}

void member_set_heir(struct member *member, uint64_t heir)
{
	book_set64(&member->text->heir, heir);
	member->heir = heir;
}

void member_leave(struct member *member, bool died)
{
	struct domain *domain = member->domain;

	book_set64(&member->text->order, ++domain->deaths);
	book_set32(&member->text->how, died ? HAK_EVENT_KIND_DIED : HAK_EVENT_KIND_LEFT);
	book_set32(&member->text->state, HAK_MEMBER_DYING);
	/* The fence: either who gives it a block sees DYING, or the sweep sees the block. */
	set_state(member, HAK_MEMBER_DYING);
	atomic_thread_fence(memory_order_seq_cst);
	leave_session(member);
	member->dying = true;
	domain->alive--;
	show_alive(domain);
	domain->readers -= member->read_only;
	list_add(&domain->members, &member->link); /* behind those that died before */
	member_tell(domain, member->text, died ? HAK_EVENT_KIND_DIED : HAK_EVENT_KIND_LEFT);
	if (!member->read_only) {
		domain_work(domain);
		return;
	}
	/* It could write nowhere, and is given nothing: there is nothing to sweep. */
	member_swept(member);
	domain_settle(domain);
}

void members_leave(struct session *session, bool died)
{
	while (!list_empty(&session->members))
		member_leave(hak_container_of(session->members.next, struct member, in_session),
			     died);
}

static void forget(struct member *member)
{
	give_number(member->domain, hak_member_number(member->id));
	list_del(&member->link);
	free(member);
}

void member_swept(struct member *member)
{
	book_set32(&member->text->state, HAK_MEMBER_NONE);
	set_state(member, HAK_MEMBER_NONE);
	member_tell(member->domain, member->text, HAK_EVENT_KIND_SWEPT);
	forget(member);
}

void members_drop(struct domain *domain)
{
	struct list *at, *tmp;

	list_for_each(at, tmp, &domain->members)
	{
		struct member *member = hak_container_of(at, struct member, link);

		hak_assert(member->dying);
		if (member != domain->swept)
			forget(member);
	}
}
