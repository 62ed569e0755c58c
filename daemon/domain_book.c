/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/domain_book.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/daemon.h"
#include "daemon/domain.h"
#include "daemon/limits.h"
#include "daemon/store.h"

static uint64_t bitmap_bytes(uint32_t total)
{
	return hak_align_up(hak_runs_bytes(total), 64);
}

static uint64_t tables_at(void)
{
	return hak_align_up(sizeof(struct domain_text), 4096);
}

uint64_t domain_book_size(uint32_t superslabs)
{
	uint64_t each = HAK_SLABS_PER_SUPERSLAB * sizeof(uint16_t) + 1;

	return hak_align_up(tables_at() + 3 * bitmap_bytes(superslabs) + superslabs * each, 4096);
}

static void place_tables(struct domain *domain)
{
	uint32_t total = domain->view.superslabs;
	void *tables = hak_at(domain->book.at, tables_at());
	uint64_t bitmap = bitmap_bytes(total), generations = 3 * bitmap;

	domain->text = domain->book.at;
	hak_runs_init(&domain->runs, tables, total, 1);
	domain->held = hak_at(tables, bitmap);
	domain->waste = hak_at(tables, 2 * bitmap);
	domain->generation = hak_at(tables, generations);
	domain->part = hak_at(tables, generations + (uint64_t)total * HAK_SLABS_PER_SUPERSLAB *
							    sizeof(uint16_t));
}

int domain_book_new(struct domain *domain)
{
	int r = book_new(&domain->book, BOOK_DOMAIN, domain->id, life_number(&domain->daemon->life),
			 domain_book_size(domain->view.superslabs));

	if (r == 0)
		place_tables(domain);
	return r;
}

int domain_book_write(struct domain *domain)
{
	struct domain_text *text = domain->text;
	int r = hak_sys_fd_id(&text->data, domain->data_fd);

	if (r == 0)
		r = hak_sys_fd_id(&text->meta, domain->meta_fd);
	if (r == 0)
		r = hak_sys_fd_id(&text->state, domain->state_fd);
	if (r < 0)
		return r;
	memcpy(text->name, domain->name, sizeof(text->name));
	text->attr = domain->attr;
	text->uid = domain->uid;
	text->gid = domain->gid;
	text->base = domain->base;
	text->created_ns = domain->created_ns;
	book_seal_fixed(&domain->book, DOMAIN_TEXT_FIXED);
	return 0;
}

/* ---- an earlier daemon's ---- */

static const char *fixed_fault(const struct domain_text *text, const struct daemon *daemon)
{
	struct hak_wire_domain_attr attr = text->attr;

	if (!memchr(text->name, 0, sizeof(text->name)) || !hak_name_key(text->name))
		return "its name is none";
	if (!attr.max_size || domain_attr_fault(daemon, &attr) ||
	    memcmp(&attr, &text->attr, sizeof(attr)) != 0)
		return "its attributes are impossible";
	if (text->head.size != domain_book_size((uint32_t)(attr.max_size / HAK_SUPERSLAB_SIZE)))
		return "a book of another size";
	if (text->base < HAK_DOMAIN_AREA_FIRST || text->base > HAK_DOMAIN_AREA_END ||
	    attr.max_size > HAK_DOMAIN_AREA_END - text->base || text->base % HAK_SUPERSLAB_SIZE)
		return "its addresses are impossible";
	return text->head.id ? NULL : "it has no id";
}

int domain_book_open(struct domain *domain, int fd, const char **ret_fault)
{
	const struct domain_text *text;
	struct book_head head;
	int r;

	*ret_fault = "no book";
	if (!book_look(fd, &head))
		return -EINVAL;
	*ret_fault = "a book of another size";
	if (head.version == BOOK_VERSION &&
	    (head.size < domain_book_size(1) ||
	     head.size > domain_book_size(HAK_DOMAIN_SUPERSLABS_MAX)))
		return -EINVAL;
	r = book_open(&domain->book, fd, BOOK_DOMAIN, life_number(&domain->daemon->life), head.size,
		      DOMAIN_TEXT_FIXED, ret_fault);
	if (r < 0)
		return r;
	text = domain->book.at;
	*ret_fault = fixed_fault(text, domain->daemon);
	if (*ret_fault) {
		domain->book.fd = -1;
		book_deinit(&domain->book);
		return -EINVAL;
	}
	domain->id = text->head.id;
	memcpy(domain->name, text->name, sizeof(domain->name));
	domain->attr = text->attr;
	domain->uid = text->uid;
	domain->gid = text->gid;
	domain->base = text->base;
	domain->created_ns = text->created_ns;
	domain->view.superslabs = (uint32_t)(text->attr.max_size / HAK_SUPERSLAB_SIZE);
	place_tables(domain);
	return 0;
}

static bool has_bit(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static const char *tables_fault(const struct domain *domain)
{
	const uint64_t *taken = domain->runs.bits, *held = domain->held, *waste = domain->waste;
	uint32_t total = domain->view.superslabs;

	for (uint32_t i = 0; i < (total + 63) / 64; i++) {
		uint64_t inside =
			total - i * 64 < 64 ? (UINT64_C(1) << (total - i * 64)) - 1 : ~UINT64_C(0);

		if (taken[i] & ~inside)
			return "superslabs beyond its end are taken";
		if (held[i] & ~taken[i])
			return "granted superslabs are not taken";
		if (waste[i] & ~(taken[i] & ~held[i]))
			return "waste is granted, or not taken";
	}
	for (uint32_t i = 0; i < total; i++) {
		if (has_bit(held, i) && i >= domain->text->high)
			return "a superslab is granted beyond the highest";
		if (has_bit(taken, i) && domain->part[i] >= domain->daemon->numa.parts)
			return "a superslab is charged to no node";
	}
	return NULL;
}

static const char *member_fault(const struct domain_text *text, uint32_t number)
{
	const struct member_text *m = &text->member[number];

	if (m->state != HAK_MEMBER_NONE && m->state != HAK_MEMBER_ALIVE &&
	    m->state != HAK_MEMBER_DYING)
		return "a member has no state that there is";
	if (m->told > HAK_EVENT_KIND_SWEPT)
		return "a member was told what there is not";
	if (m->state == HAK_MEMBER_NONE)
		return NULL;
	if (!number || number > HAK_MEMBER_MAX || !has_bit(text->had, number))
		return "a member has a number that was not given out";
	if (hak_member_number(m->id) != number || !(m->id >> 16) ||
	    m->id >> 16 > text->members_total)
		return "a member has another's id";
	if (!m->session || m->read_only > 1)
		return "a member makes no sense";
	if (m->state == HAK_MEMBER_DYING &&
	    (!m->order || (m->how != HAK_EVENT_KIND_LEFT && m->how != HAK_EVENT_KIND_DIED)))
		return "a member has no death";
	return NULL;
}

const char *domain_book_fault(const struct domain *domain)
{
	const struct domain_text *text = domain->text;
	const char *fault;
	uint32_t readers = 0;

	if (text->unlinked > 1 || text->last_number > HAK_MEMBER_MAX ||
	    text->high > domain->view.superslabs || text->members_total >> 48)
		return "its counts are impossible";
	for (uint32_t i = 0; i < HAK_MEMBERS; i++) {
		fault = member_fault(text, i);
		if (fault)
			return fault;
		readers += text->member[i].state == HAK_MEMBER_ALIVE && text->member[i].read_only;
	}
	if (readers > LIMIT_DOMAIN_READERS)
		return "it has too many readers";
	return tables_fault(domain);
}

static void name_of(const struct domain *domain, char ret_name[STORE_NAME])
{
	(void)snprintf(ret_name, STORE_NAME, "d%llu", (unsigned long long)domain->id);
}

void domain_store(const struct domain *domain)
{
	const int fds[] = { domain->data_fd, domain->meta_fd, domain->state_fd, domain->book.fd };
	char name[STORE_NAME];

	name_of(domain, name);
	(void)store_put(domain->daemon->store, name, fds, hak_array_size(fds));
}

void domain_unstore(const struct domain *domain)
{
	char name[STORE_NAME];

	name_of(domain, name);
	store_drop(domain->daemon->store, name);
}
