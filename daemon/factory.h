/* SPDX-License-Identifier: Apache-2.0 */
/*
 * factory.h - fills superslabs: one 2 MiB page where the kernel can, else 4 KiB pages.
 *
 * Every superslab is built through one window of the daemon's address space and unmapped at once,
 * so that neither the daemon's own memory nor its address space grows with what it serves. Building
 * never changes a byte: a client may already be using the memory. A factory belongs to one thread.
 */
#pragma once

#include "shared/base.h"

struct numa;

/* A superslab's number says for what node it is meant: so in regions. */
#define FACTORY_BY_INDEX UINT32_MAX

struct factory {
	void *window;            /* one superslab, aligned */
	bool huge;               /* try 2 MiB pages */
	const struct numa *numa; /* whose policy it helps to keep; NULL: none */
	uint32_t part;           /* for whose node it fills, or FACTORY_BY_INDEX */
};
#define FACTORY_NULL                     \
	{                                \
		.part = FACTORY_BY_INDEX \
	}

int factory_init(struct factory *factory, bool huge);
/* Allowed on FACTORY_NULL and twice. */
void factory_deinit(struct factory *factory);

/* Fills a superslab of the file. 0, or -ENOMEM, -ENOSPC: no memory, or under numa policy strict
 * none on its node; what was filled stays. */
int factory_build(struct factory *factory, int fd, uint32_t index, bool *ret_huge);

/* Gives the memory of `count` superslabs of the file back. */
int factory_punch(int fd, uint32_t first, uint32_t count);
