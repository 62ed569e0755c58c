/* SPDX-License-Identifier: Apache-2.0 */
/* domain_make.c - the part of domain.h that brings domains into being. */
#include "daemon/domain_make.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/account.h"
#include "daemon/daemon.h"
#include "daemon/domain.h"
#include "daemon/limits.h"
#include "daemon/os.h"
#include "daemon/session.h"
#include "shared/sys.h"

#define PLACE UINT64_C(0x40000000) /* addresses of domains are multiples of it */

/* ---- attributes ---- */

static bool is_node(const struct numa *numa, uint32_t node)
{
	for (uint32_t p = 0; p < numa->parts; p++) {
		if (numa->node[p] == node)
			return true;
	}
	return false;
}

static bool is_size(uint64_t size)
{
	return size % HAK_SUPERSLAB_SIZE == 0 &&
	       size / HAK_SUPERSLAB_SIZE <= HAK_DOMAIN_SUPERSLABS_MAX;
}

const char *domain_attr_fault(const struct daemon *daemon, struct hak_wire_domain_attr *attr)
{
	if (!attr->max_size)
		attr->max_size =
			attr->quota > LIMIT_DOMAIN_BYTES ? attr->quota : LIMIT_DOMAIN_BYTES;
	if (!attr->quota)
		attr->quota = attr->max_size;
	if (!attr->mode)
		attr->mode = 0600;
	if (!attr->orphan_policy)
		attr->orphan_policy = HAK_WIRE_ORPHAN_FREE;
	if (!attr->lifetime)
		attr->lifetime = HAK_WIRE_LIFETIME_UNLINKED;
	if (!is_size(attr->max_size))
		return "max_size: not n * 2 MiB, up to 2 TiB";
	if (!is_size(attr->quota))
		return "quota: not n * 2 MiB, up to 2 TiB";
	if (attr->quota > attr->max_size)
		return "quota: more than max_size";
	if (attr->mode > 0777)
		return "mode: more than 0777";
	if (attr->node && !is_node(&daemon->numa, attr->node - 1))
		return "node: there is none with memory";
	if (attr->page_policy)
		return "page_policy: none is known but 0";
	if (attr->orphan_policy > HAK_WIRE_ORPHAN_HEIR)
		return "orphan_policy: unknown";
	if (attr->lifetime > HAK_WIRE_LIFETIME_MEMBERS)
		return "lifetime: unknown";
	return NULL;
}

/* ---- where ---- */

const struct domain *domain_in_the_way(const struct domains *domains, uint64_t base, uint64_t size)
{
	struct list *at, *tmp;

	list_for_each(at, tmp, &domains->all)
	{
		const struct domain *domain = hak_container_of(at, struct domain, link);

		if (base < domain->base + domain->attr.max_size && domain->base < base + size)
			return domain;
	}
	return NULL;
}

/* From a place by chance upwards and around: another daemon's domains are elsewhere, so that a
 * process can have both. False: there is no room. */
static bool find_place(const struct domains *domains, uint64_t size, uint64_t *ret_base)
{
	uint64_t places = (HAK_DOMAIN_AREA_END - HAK_DOMAIN_AREA_FIRST - size) / PLACE + 1;
	uint64_t base = HAK_DOMAIN_AREA_FIRST + hak_sys_random() % places * PLACE;
	const struct domain *other;

	/* Each domain is met at most twice. */
	for (uint32_t i = 0; i <= 2 * domains->count; i++) {
		other = domain_in_the_way(domains, base, size);
		if (!other) {
			*ret_base = base;
			return true;
		}
		base = hak_align_up(other->base + other->attr.max_size, PLACE);
		if (base + size > HAK_DOMAIN_AREA_END)
			base = HAK_DOMAIN_AREA_FIRST;
	}
	return false;
}

/* ---- files ---- */

int domain_map_meta(struct domain *domain)
{
	uint64_t size = hak_meta_size(domain->view.superslabs);
	int r = hak_sys_map_shared(&domain->meta, NULL, domain->meta_fd, 0, size);

	if (r < 0)
		return r;
	(void)hak_sys_advise(domain->meta, size, MADV_DONTDUMP);
	hak_domain_view_init(&domain->view, domain->meta, NULL, domain->view.superslabs,
			     (uint32_t)((domain->id - 1) % HAK_REF_TAGS) + 1);
	return 0;
}

static int make_meta(struct domain *domain)
{
	uint64_t size = hak_meta_size(domain->view.superslabs);
	int r = hak_sys_memfd(&domain->meta_fd, "hakmem-domain-meta", size, true);

	if (r == 0) /* what every sweep looks at: shortage is to show here, not as SIGBUS */
		r = hak_sys_fallocate(domain->meta_fd, 0, HAK_META_LEASES);
	return r == 0 ? domain_map_meta(domain) : r;
}

int domain_map_state(struct domain *domain)
{
	void *at;
	int r = hak_sys_map_shared(&at, NULL, domain->state_fd, 0, HAK_STATE_SIZE);

	if (r == 0)
		domain->state = at;
	return r;
}

/* Not sealed against writing: the next daemon has to map it. Members get it opened for reading, and
 * its mode lets no other open of theirs through. */
static int make_state(struct domain *domain)
{
	int r = hak_sys_memfd(&domain->state_fd, "hakmem-domain-state", HAK_STATE_SIZE, true);

	if (r == 0)
		r = os_result(fchmod(domain->state_fd, 0400));
	if (r == 0)
		r = hak_sys_fallocate(domain->state_fd, 0, HAK_STATE_SIZE);
	if (r == 0)
		r = domain_map_state(domain);
	if (r < 0)
		return r;
	domain->state->version = HAK_DOMAIN_VERSION;
	domain->state->superslabs = domain->view.superslabs;
	domain->state->id = domain->id;
	domain->state->base = domain->base;
	memcpy(domain->state->name, domain->name, sizeof(domain->name));
	domain->state->orphan_policy = domain->attr.orphan_policy;
	domain->state->tag = domain->view.tag;
	domain->state->quota = domain->attr.quota;
	domain->state->magic = HAK_STATE_MAGIC;
	return 0;
}

static int make_files(struct domain *domain)
{
	int r = domain_book_new(domain);

	if (r == 0)
		r = hak_sys_memfd(&domain->data_fd, "hakmem-domain", domain->attr.max_size, true);
	if (r == 0)
		r = make_meta(domain);
	if (r == 0)
		r = make_state(domain);
	if (r == 0)
		r = domain_book_write(domain);
	return r;
}

void domain_unmap(struct domain *domain)
{
	if (domain->meta)
		(void)hak_sys_unmap(domain->meta, hak_meta_size(domain->view.superslabs));
	if (domain->state)
		(void)hak_sys_unmap(domain->state, HAK_STATE_SIZE);
	domain->meta = NULL;
	domain->state = NULL;
	book_deinit(&domain->book);
	domain->text = NULL;
	domain->state_fd = hak_sys_close(domain->state_fd);
	domain->data_fd = hak_sys_close(domain->data_fd);
	domain->meta_fd = hak_sys_close(domain->meta_fd);
}

int domain_prepare(struct domain *domain, const struct session *session, const char *name,
		   const struct hak_wire_domain_attr *attr)
{
	struct domains *domains = &domain->daemon->domains;

	domain->id = life_domain(&domain->daemon->life);
	domain->uid = session->peer.uid;
	domain->gid = session->peer.gid;
	domain->attr = *attr;
	domain->created_ns = hak_sys_boottime_ns();
	domain->view.superslabs = (uint32_t)(attr->max_size / HAK_SUPERSLAB_SIZE);
	memcpy(domain->name, name, strlen(name) + 1);
	if (!find_place(domains, attr->max_size, &domain->base))
		return HAK_REFUSAL_ADDRESSES;
	return make_files(domain);
}
