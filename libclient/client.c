/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/client.h"

#include <stdatomic.h>
#include <string.h>

#include "libclient/checked.h"
#include "libclient/heap.h"
#include "libclient/next.h"
#include "libclient/pagemap.h"
#include "shared/check.h"
#include "tiny/checked.h"
#include "tiny/thread.h"

/* Not all zeros: so it lies with the data that every process touches. */
struct hak_client hak_client = { .config.node = HAK_NODE_ANY };

/* No block is ours, but free() looks at the page map all the same. */
static enum hak_client_state libc_mode(void)
{
	int r = hak_pagemap_init_zero();

	if (r < 0)
		hak_die("no address space for a page map (%s)", hak_sys_text(r));
	return HAK_CLIENT_LIBC;
}

static enum hak_client_state decide(struct hak_config *config)
{
	int r;

	/* A sanitizer has put itself before libc's functions, too, and is not yet set up when the
	 * loader first calls us: ask for it with nothing but symbols. */
	if (hak_next_insists())
		return libc_mode();
	/* Before anything else: not one block may come from us if libc is wanted. */
	hak_config_read(config, hak_is_preload);
	if (config->mode == HAK_MODE_LIBC)
		return libc_mode();
	r = hak_heap_init(config);
	if (!r)
		r = hak_thread_init(!config->checked);
	if (!r && config->checked)
		r = hak_checked_start();
	if (r < 0) {
		hak_warn("no address space for a heap (%s); using libc's malloc", hak_sys_text(r));
		return libc_mode();
	}
	return config->checked ? HAK_CLIENT_CHECKED : HAK_CLIENT_READY;
}

/* True if the caller is the one to start it: it sets the state. */
static bool begin(void)
{
	_Atomic uint32_t *word = &hak_client.state;
	uint32_t state;

	for (;;) {
		state = HAK_CLIENT_NOT_YET;
		if (atomic_compare_exchange_strong(word, &state, HAK_CLIENT_STARTING))
			return true;
		if (state >= HAK_CLIENT_READY)
			return false;
		/* Another thread is at it (this one makes no allocation while it is), and wakes
		 * nobody: that would be a system call in every process. */
		(void)hak_sys_futex_wait(word, HAK_CLIENT_STARTING, 50000);
	}
}

enum hak_client_state hak_client_start(void)
{
	enum hak_client_state state;

	if (!begin())
		return (enum hak_client_state)atomic_load_explicit(&hak_client.state,
								   memory_order_acquire);
	state = decide(&hak_client.config);
	/* Release: pairs with the acquire in ready(); the tables are complete. */
	atomic_store_explicit(&hak_client.state, state, memory_order_release);
	return state;
}

/*
 * Early: a first free() finds a page map (see also -z initfirst), and the program's own fork
 * handlers, which may allocate, run while ours hold no lock. The rest waits for the first call that
 * this does not answer: a process that allocates nothing pays for nothing.
 */
__attribute__((constructor(101))) static void start(void)
{
	uint8_t *map;
	int r = 0;

	if (atomic_load_explicit(&hak_client.state, memory_order_acquire) < HAK_CLIENT_READY &&
	    begin()) {
		r = hak_pagemap_reserve(&map);
		if (!r)
			hak_pagemap = map;
		atomic_store_explicit(&hak_client.state, HAK_CLIENT_NOT_YET, memory_order_release);
	}
	/* May allocate, and can by now. */
	hak_fork_init();
	if (r < 0)
		(void)hak_client_start();
}

__attribute__((destructor(101))) static void stop(void)
{
	if (hak_client.state == HAK_CLIENT_CHECKED)
		hak_checked_verify();
	if (hak_client.config.stats)
		hak_stats_report();
}
