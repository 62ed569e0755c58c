/* SPDX-License-Identifier: Apache-2.0 */
/* member_adopt.c - the part of domain_adopt.h that is about members. */
#include <errno.h>
#include <stdlib.h>

#include "daemon/account.h"
#include "daemon/daemon.h"
#include "daemon/domain.h"
#include "daemon/domain_adopt.h"
#include "daemon/member.h"
#include "daemon/os.h"
#include "daemon/session.h"

static struct session *find_session(const struct daemon *daemon, uint64_t id)
{
	struct list *at, *tmp;

	list_for_each(at, tmp, &daemon->sessions)
	{
		struct session *session = hak_container_of(at, struct session, link);

		if (session->id == id && session->state != SESSION_DRAINING)
			return session;
	}
	return NULL;
}

const char *members_fault(const struct domain *domain)
{
	for (uint32_t i = 0; i < HAK_MEMBERS; i++) {
		const struct member_text *text = &domain->text->member[i];
		const struct session *session;

		if (text->state != HAK_MEMBER_ALIVE)
			continue;
		session = find_session(domain->daemon, text->session);
		if (session &&
		    ((uint32_t)session->peer.pid != text->pid || session->peer.uid != text->uid))
			return "a member is another process";
		if (session && member_find(session, domain))
			return "a member is one already";
		for (uint32_t k = 0; session && k < i; k++) {
			if (domain->text->member[k].state == HAK_MEMBER_ALIVE &&
			    domain->text->member[k].session == text->session)
				return "two members are one process";
		}
	}
	return NULL;
}

static struct domain_sign *find_sign(struct domain_sign *signs, unsigned n_signs,
				     const struct domain *domain, uint32_t number)
{
	for (unsigned i = 0; i < n_signs; i++) {
		if (signs[i].domain == domain->id && signs[i].number == number &&
		    os_is_sign(signs[i].fd))
			return &signs[i];
	}
	return NULL;
}

/* Behind the living ones, in the order of their deaths. */
static void add(struct domain *domain, struct member *member)
{
	struct list *at = domain->members.next;

	while (at != &domain->members) {
		const struct member *other = hak_container_of(at, struct member, link);

		if (other->dying && (!member->dying || other->text->order > member->text->order))
			break;
		at = at->next;
	}
	list_add(at, &member->link); /* before it */
}

static int adopt(struct domain *domain, uint32_t number, bool has_sign)
{
	struct member_text *text = &domain->text->member[number];
	struct member *member = calloc(1, sizeof(*member));
	int r = 0;

	if (!member)
		return -ENOMEM;
	list_init(&member->link);
	list_init(&member->in_session);
	member->sign = -1;
	member->domain = domain;
	member->text = text;
	member->id = text->id;
	member->heir = text->heir;
	member->pid = text->pid;
	member->read_only = text->read_only;
	member->dying = text->state == HAK_MEMBER_DYING;
	if (!member->dying && !has_sign)
		r = os_sign(&member->sign);
	add(domain, member);
	domain->numbers[number / 64] |= UINT64_C(1) << (number % 64);
	domain->alive += !member->dying;
	domain->readers += !member->dying && member->read_only;
	if (domain->deaths < text->order)
		domain->deaths = text->order;
	return r;
}

int members_adopt(struct domain *domain, const struct domain_sign *signs, unsigned n_signs)
{
	int r = 0;

	for (uint32_t i = 0; i < HAK_MEMBERS && r == 0; i++) {
		if (domain->text->member[i].state == HAK_MEMBER_NONE)
			continue;
		r = adopt(domain, i,
			  find_sign((struct domain_sign *)signs, n_signs, domain, i) != NULL);
	}
	return r;
}

void members_discard(struct domain *domain)
{
	while (!list_empty(&domain->members)) {
		struct member *member = hak_container_of(domain->members.next, struct member, link);

		hak_sys_close(member->sign);
		list_del(&member->link);
		free(member);
	}
}

void members_attach(struct domain *domain, struct domain_sign *signs, unsigned n_signs)
{
	struct list *at, *tmp;

	list_for_each(at, tmp, &domain->members)
	{
		struct member *member = hak_container_of(at, struct member, link);
		struct domain_sign *sign;

		if (member->dying)
			continue;
		sign = find_sign(signs, n_signs, domain, hak_member_number(member->id));
		if (sign && member->sign < 0) {
			member->sign = sign->fd;
			sign->fd = -1;
		}
		member->session = find_session(domain->daemon, member->text->session);
		if (!member->session)
			continue;
		account_adopt_member(&domain->daemon->accounts, member->session->account);
		list_add(&member->session->members, &member->in_session);
		member->session->member_count++;
	}
	/* What is left of it is a dead member's. */
	for (unsigned i = 0; i < n_signs; i++) {
		if (signs[i].domain == domain->id)
			signs[i].fd = hak_sys_close(signs[i].fd);
	}
}

/* The event that goes with a state; 0: there is none. */
static uint32_t due(const struct member_text *text)
{
	if (text->state == HAK_MEMBER_ALIVE)
		return HAK_EVENT_KIND_JOINED;
	if (text->state == HAK_MEMBER_DYING)
		return text->how;
	return text->told && text->told != HAK_EVENT_KIND_SWEPT ? HAK_EVENT_KIND_SWEPT : 0;
}

void members_adopted(struct domain *domain)
{
	struct list *at, *tmp;

	for (uint32_t i = 0; i < HAK_MEMBERS; i++) {
		struct member_text *text = &domain->text->member[i];
		uint32_t kind = due(text);

		if (kind && kind != text->told)
			member_tell(domain, text, kind);
	}
	/* Of a reader there is nothing to sweep: it is gone before the first sweep begins. */
	list_for_each(at, tmp, &domain->members)
	{
		struct member *member = hak_container_of(at, struct member, link);

		if (member->dying && member->read_only)
			member_swept(member);
	}
	list_for_each(at, tmp, &domain->members)
	{
		struct member *member = hak_container_of(at, struct member, link);

		if (!member->dying && !member->session)
			member_leave(member, true);
	}
}
