/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/domain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/account.h"
#include "daemon/daemon.h"
#include "daemon/domain_make.h"
#include "daemon/log.h"
#include "daemon/member.h"
#include "daemon/session.h"
#include "daemon/shrink.h"
#include "daemon/sweep.h"
#include "shared/check.h"
#include "shared/sys.h"

#define DOMAIN_MAGIC UINT64_C(0x646f6d61696e2d68)

/* ---- the registry ---- */

void domains_init(struct domains *domains, struct daemon *daemon)
{
	*domains = (struct domains){ .daemon = daemon };
	list_init(&domains->all);
}

void domains_stop(struct domains *domains)
{
	struct list *at, *tmp;

	domains->stopping = true;
	list_for_each(at, tmp, &domains->all)
	{
		struct domain *domain = hak_container_of(at, struct domain, link);

		task_cancel(&domain->task);
		domain_settle(domain);
	}
}

bool domains_in_flight(const struct domains *domains)
{
	return !list_empty(&domains->all);
}

void domains_tell(struct domains *domains)
{
	struct list *at, *tmp;

	if (domains->told)
		return;
	domains->told = true;
	list_for_each(at, tmp, &domains->all)
	{
		struct domain *domain = hak_container_of(at, struct domain, link);

		if (!domain->told)
			members_tell(domain);
	}
}

bool domains_tick(struct domains *domains)
{
	struct list *at, *tmp;
	bool again = false;

	list_for_each(at, tmp, &domains->all)
	{
		struct domain *domain = hak_container_of(at, struct domain, link);

		if (!domain->closing)
			again |= shrink_tick(domain);
	}
	return again;
}

struct domain *domain_find(const struct domains *domains, const char *name)
{
	struct list *at, *tmp;

	list_for_each(at, tmp, &domains->all)
	{
		struct domain *domain = hak_container_of(at, struct domain, link);

		if (!domain->unlinked && !domain->closing && !strcmp(domain->name, name))
			return domain;
	}
	return NULL;
}

bool domain_permits(const struct domain *domain, const struct hak_peer *peer, bool read_only)
{
	uint32_t wanted = read_only ? 4 : 6, mode = domain->attr.mode;

	if (!peer->uid)
		return true;
	if (peer->uid == domain->uid)
		mode >>= 6;
	else if (peer->gid == domain->gid)
		mode >>= 3;
	return (mode & wanted) == wanted;
}

/* ---- birth and end ---- */

static void domain_free(struct domain *domain)
{
	struct daemon *daemon = domain->daemon;

	hak_assert(list_empty(&domain->members) && !domain->growing && !domain->task.in_flight);
	placement_release_all(&daemon->placement, &domain->placed);
	account_release(&daemon->accounts, domain->account, domain->runs.taken);
	(void)account_close_domain(&daemon->accounts, domain->account, domain->attr.max_size);
	loop_op_deinit(&domain->close);
	domain_unmap(domain);
	list_del(&domain->link);
	daemon->domains.count--;
	domain->magic = 0;
	free(domain);
}

/* Both files are large: each is closed beside the loop. */
static void on_closed(struct loop_op *op, int result, bool more)
{
	struct domain *domain = hak_container_of(op, struct domain, close);
	int fd = domain->meta_fd;

	(void)result;
	(void)more;
	hak_assert(domain->magic == DOMAIN_MAGIC);
	domain->data_fd = -1;
	domain->meta_fd = -1;
	if (fd >= 0)
		loop_close(op, fd);
	else
		domain_free(domain);
}

static bool is_needed(const struct domain *domain)
{
	if (domain->growing || domain->task.in_flight || !list_empty(&domain->members))
		return true;
	return !domain->daemon->domains.stopping && !domain->unlinked &&
	       domain->attr.lifetime != HAK_WIRE_LIFETIME_MEMBERS;
}

static void domain_forget_name(struct domain *domain)
{
	book_set32(&domain->text->unlinked, true);
	domain->unlinked = true;
}

void domain_settle(struct domain *domain)
{
	if (domain->closing)
		return;
	if (domain->daemon->domains.stopping)
		members_drop(domain);
	if (is_needed(domain))
		return;
	domain->closing = true;
	log_limited(LOG_AT_DEBUG, "domain-end", "name=%s id=%llu superslabs=%u", domain->name,
		    (unsigned long long)domain->id, domain->runs.taken);
	domain_forget_name(domain);
	domain_unstore(domain);
	/* Its pages would stay until the last mapping is gone. */
	(void)hak_sys_unmap(domain->meta, hak_meta_size(domain->view.superslabs));
	domain->meta = NULL;
	loop_close(&domain->close, domain->data_fd);
}

void domain_unlink(struct domain *domain)
{
	domain_forget_name(domain);
	domain_settle(domain);
}

static void on_task(struct task *task)
{
	struct domain *domain = hak_container_of(task, struct domain, task);

	hak_assert(domain->magic == DOMAIN_MAGIC);
	switch (domain->work) {
	case DOMAIN_SWEEP:
		sweep_step_done(domain);
		break;
	case DOMAIN_PUNCH:
		shrink_punch_done(domain);
		break;
	}
	domain_work(domain);
	domain_settle(domain);
}

void domain_work(struct domain *domain)
{
	if (domain->task.in_flight || domain->closing || domain->daemon->stopping)
		return;
	if (!sweep_start(domain))
		(void)shrink_punch(domain);
}

struct domain *domain_alloc(struct daemon *daemon)
{
	struct domain *domain = calloc(1, sizeof(*domain));

	if (!domain)
		return NULL;
	domain->magic = DOMAIN_MAGIC;
	domain->daemon = daemon;
	domain->data_fd = domain->meta_fd = domain->state_fd = -1;
	domain->book = (struct book)BOOK_NULL;
	list_init(&domain->link);
	list_init(&domain->members);
	return domain;
}

void domain_enlist(struct domain *domain, struct account *account)
{
	struct daemon *daemon = domain->daemon;

	domain->account = account;
	task_init(&domain->task, on_task);
	loop_op_init(&domain->close, daemon->loop, on_closed);
	list_add(&daemon->domains.all, &domain->link);
	daemon->domains.count++;
}

int domain_new(struct domain **ret_domain, const struct session *session, const char *name,
	       const struct hak_wire_domain_attr *attr)
{
	struct daemon *daemon = session->daemon;
	struct domain *domain;
	int r;

	r = account_open_domain(&daemon->accounts, session->account, attr->max_size);
	if (r)
		return r;
	domain = domain_alloc(daemon);
	r = domain ? domain_prepare(domain, session, name, attr) : -ENOMEM;
	if (r) {
		if (domain)
			domain_unmap(domain);
		free(domain);
		(void)account_close_domain(&daemon->accounts, session->account, attr->max_size);
		return r;
	}
	domain_enlist(domain, session->account);
	domain_store(domain);
	log_limited(LOG_AT_DEBUG, "domain-new", "name=%s id=%llu uid=%u pid=%d base=0x%llx",
		    domain->name, (unsigned long long)domain->id, domain->uid,
		    (int)session->peer.pid, (unsigned long long)domain->base);
	*ret_domain = domain;
	return 0;
}
