/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.h - a doubly linked ring of embedded nodes. A node that is in no list points at itself, so
 * that taking it out is always allowed.
 */
#pragma once

#include "shared/base.h"

struct list {
	struct list *prev, *next;
};

static inline void list_init(struct list *node)
{
	node->prev = node->next = node;
}

static inline bool list_empty(const struct list *node)
{
	return node->next == node;
}

static inline void list_del(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* At the end of the list; the node leaves the one that it is in. */
static inline void list_add(struct list *head, struct list *node)
{
	list_del(node);
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

/* `at` may be taken out in the body, its neighbours may not. */
#define list_for_each(at, tmp, head)                                  \
	for ((at) = (head)->next, (tmp) = (at)->next; (at) != (head); \
	     (at) = (tmp), (tmp) = (at)->next)
