/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_local.h - a domain that has no daemon: three files, so many superslabs granted from the
 * start. The test is member 1; member 2 is a forked child.
 */
#pragma once

#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "libclient/client.h"
#include "libclient/domain_view.h"
#include "tests/must.h"

#define SUPERS    64u
#define MEMBER(n) (((hak_member)7 << 16) | (n))

static struct {
	int fds[HAK_WIRE_FDS_MAX];
	struct hak_domain_state *state;
	struct hak_wire_domain reply;
	_Atomic uintptr_t *word; /* shared with children */
	hak_domain *d;
} local;

static inline int file(uint64_t size)
{
	int fd = -1;

	must(hak_sys_memfd(&fd, "test", size, false) == 0);
	return fd;
}

/* The calling process becomes member `n`. */
static inline hak_domain *enter(uint32_t n, uint32_t slot)
{
	hak_domain *d = NULL;
	int fd = dup(local.fds[HAK_DOMAIN_FD_EVENTS]);
	int fds[] = { local.fds[0], local.fds[1], local.fds[2], fd };

	must(hak_domain_thread_init() == 0);
	local.reply.member = MEMBER(n);
	must(hak_domain_view_open(&d, &local.reply, fds, slot, false) == 0);
	d->refs = 1;
	hak_domains.place[slot].domain = d;
	hak_domains.place[slot].base = (uintptr_t)d->base;
	hak_domains.place[slot].size = d->size;
	return d;
}

static inline void leave(hak_domain *d)
{
	hak_domains.place[d->slot].size = 0;
	hak_domains.place[d->slot].domain = NULL;
	hak_domain_unbind_all(d);
	hak_domain_view_close(d);
}

static inline void grant(uint32_t supers)
{
	struct hak_domain_view view;
	void *meta;

	must(hak_sys_map_shared(&meta, NULL, local.fds[HAK_DOMAIN_FD_META], 0,
				hak_meta_size(SUPERS)) == 0);
	hak_domain_view_init(&view, meta, NULL, SUPERS, 1);
	for (uint32_t i = 0; i < supers * HAK_SLABS_PER_SUPERSLAB; i++)
		view.lease[i] = hak_lease_make(0, HAK_LEASE_FREE, 0, 0, 0);
	local.state->granted = supers;
	local.state->high = supers;
	(void)hak_sys_unmap(meta, hak_meta_size(SUPERS));
}

static inline int setup(void **state)
{
	uint64_t base = HAK_DOMAIN_AREA_FIRST + HAK_DOMAIN_ALIGN_MAX;
	void *p;

	(void)state;
	(void)hak_client_start();
	unit_watchdog();
	local.fds[HAK_DOMAIN_FD_DATA] = file((uint64_t)SUPERS << HAK_SUPERSLAB_SHIFT);
	local.fds[HAK_DOMAIN_FD_META] = file(hak_meta_size(SUPERS));
	local.fds[HAK_DOMAIN_FD_STATE] = file(HAK_STATE_SIZE);
	local.fds[HAK_DOMAIN_FD_EVENTS] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must(hak_sys_map_shared(&p, NULL, local.fds[HAK_DOMAIN_FD_STATE], 0, HAK_STATE_SIZE) == 0);
	local.state = p;
	must(hak_sys_map_shared(&p, NULL, file(4096), 0, 4096) == 0);
	local.word = p;
	local.state->magic = HAK_STATE_MAGIC;
	local.state->version = HAK_DOMAIN_VERSION;
	local.state->superslabs = SUPERS;
	local.state->quota = (uint64_t)SUPERS << HAK_SUPERSLAB_SHIFT;
	local.state->base = base;
	local.state->id = 1;
	local.state->tag = 1;
	memcpy(local.state->name, "test", 5);
	for (uint32_t n = 1; n < 4; n++) {
		local.state->member[n].id = MEMBER(n);
		local.state->member[n].state = HAK_MEMBER_ALIVE;
	}
	local.reply = (struct hak_wire_domain){ .id = 1, .base = base, .superslabs = SUPERS };
	grant(SUPERS);
	local.d = enter(1, 0);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	leave(local.d);
	for (unsigned i = 0; i < HAK_WIRE_FDS_MAX; i++)
		hak_sys_close(local.fds[i]);
	(void)hak_sys_unmap(local.state, HAK_STATE_SIZE);
	(void)hak_sys_unmap((void *)(uintptr_t)local.word, 4096);
	return 0;
}

/* Runs fn as member 2 in a child and waits for its end. */
static inline void as_another(void (*fn)(hak_domain *d))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		fn(enter(2, 1));
		_Exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static inline struct hak_domain_stat stat_of(hak_domain *d)
{
	struct hak_domain_stat s = { .size = sizeof(s) };

	assert_int_equal(hak_domain_stat_get(d, &s), 0);
	return s;
}

static inline void give_everything_back(hak_domain *d)
{
	hak_domain_thread_flush(d);
	pthread_mutex_lock(&d->mutex);
	(void)hak_domain_collect(d, true);
	(void)hak_domain_shed(d);
	pthread_mutex_unlock(&d->mutex);
}

/* The invariants of shared/domain.h, while nobody writes. */
static inline void assert_is_sound(hak_domain *d)
{
	const uint64_t alive[HAK_MEMBERS / 64] = { 0xe };
	struct hak_domain_census census;
	const char *reason = "";
	uint32_t slab = 0;

	if (hak_domain_check(&d->view, alive, &census, &slab, &reason))
		fail_msg("slab %u: %s", slab, reason);
}

static inline void assert_all_free(hak_domain *d)
{
	give_everything_back(d);
	assert_int_equal(stat_of(d).own_bytes, 0);
	assert_int_equal(stat_of(d).free_bytes, stat_of(d).granted_bytes);
	assert_is_sound(d);
}
