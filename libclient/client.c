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

struct hak_client hak_client;

/* No block is ours, but free() looks at the page map all the same. */
static enum hak_client_state libc_mode(void)
{
	int r = hak_pagemap_init_zero();

	if (r < 0)
		hak_die("no address space for a page map (%s)", strerrordesc_np(-r));
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
		hak_warn("no address space for a heap (%s); using libc's malloc",
			 strerrordesc_np(-r));
		return libc_mode();
	}
	return config->checked ? HAK_CLIENT_CHECKED : HAK_CLIENT_READY;
}

enum hak_client_state hak_client_start(void)
{
	_Atomic uint32_t *word = &hak_client.state;
	uint32_t state = HAK_CLIENT_NOT_YET;

	if (!atomic_compare_exchange_strong(word, &state, HAK_CLIENT_STARTING)) {
		/* Another thread is at it (this one makes no allocation while it is). */
		while ((state = atomic_load_explicit(word, memory_order_acquire)) ==
		       HAK_CLIENT_STARTING)
			(void)hak_sys_futex_wait(word, HAK_CLIENT_STARTING, 1000000);
		return (enum hak_client_state)state;
	}
	state = decide(&hak_client.config);
	/* Release: pairs with the acquire in ready(); the tables are complete. */
	atomic_store_explicit(word, state, memory_order_release);
	hak_sys_futex_wake(word, INT32_MAX);
	/* May allocate, and can by now. */
	if (state != HAK_CLIENT_LIBC)
		hak_fork_init();
	return (enum hak_client_state)state;
}

/* Early, so that a first free() finds the page map; see also -z initfirst. */
__attribute__((constructor(101))) static void start(void)
{
	if (atomic_load_explicit(&hak_client.state, memory_order_acquire) < HAK_CLIENT_READY)
		(void)hak_client_start();
}

__attribute__((destructor(101))) static void stop(void)
{
	if (hak_client.state == HAK_CLIENT_CHECKED)
		hak_checked_verify();
	if (hak_client.config.stats)
		hak_stats_report();
}
