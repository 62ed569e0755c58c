/* SPDX-License-Identifier: Apache-2.0 */
/* domain_make.h - for domain.c alone: a new domain's place and files. */
#pragma once

#include "shared/wire.h"

struct account;
struct daemon;
struct domain;
struct domains;
struct session;

/* An empty one, of nobody's; it is the caller's. NULL: no memory. */
struct domain *domain_alloc(struct daemon *daemon);
/* It is complete: among the others, charged to `account`. */
void domain_enlist(struct domain *domain, struct account *account);
/* Name, owner, addresses, book and files of an empty one. 0, a negative errno, or an enum
 * hak_refusal; domain_unmap() is the caller's then. */
int domain_prepare(struct domain *domain, const struct session *session, const char *name,
		   const struct hak_wire_domain_attr *attr);
/* A domain of other addresses has some of these, or NULL. */
const struct domain *domain_in_the_way(const struct domains *domains, uint64_t base, uint64_t size);
/* Maps its words; the descriptors are there. 0 or a negative errno. */
int domain_map_meta(struct domain *domain);
int domain_map_state(struct domain *domain);
/* Mappings and descriptors. May be called twice. */
void domain_unmap(struct domain *domain);
