/* SPDX-License-Identifier: Apache-2.0 */
/* domain_make.h - for domain.c alone: a new domain's place and files. */
#pragma once

#include "shared/wire.h"

struct domain;
struct session;

/* Name, owner, addresses, tables and files of a domain that has only `daemon`, and -1 for each
 * descriptor. 0, a negative errno, or an enum hak_refusal; then domain_unmap() and the two large
 * files' descriptors are the caller's to see to. */
int domain_prepare(struct domain *domain, const struct session *session, const char *name,
		   const struct hak_wire_domain_attr *attr);
/* All but the two large files. May be called twice. */
void domain_unmap(struct domain *domain);
