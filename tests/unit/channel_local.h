/* SPDX-License-Identifier: Apache-2.0 */
/* channel_local.h - a channel in the memory of one process, for unit tests. */
#pragma once

#include "tests/unit/unit.h"

#include "tests/channel_arena.h"

static struct channel_arena arena;
static struct hak_channel_view channel;

static inline int set_up(void **state)
{
	(void)state;
	return channel_arena_init(&arena);
}

static inline int tear_down(void **state)
{
	(void)state;
	channel_arena_deinit(&arena);
	return 0;
}
