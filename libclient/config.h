/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - the environment, read once before the first allocation returns.
 *
 * Works before libc's own constructors (the dynamic loader allocates through us): where `environ`
 * is not set yet, the process's initial stack is read. Ignored in set-user-id programs. A bad value
 * is named on stderr and the default used.
 */
#pragma once

#include "shared/wire.h"

enum hak_mode {
	HAK_MODE_AUTO = 0, /* the daemon if its socket answers, else embedded */
	HAK_MODE_DAEMON,   /* the same, and say so if it does not answer */
	HAK_MODE_EMBEDDED,
	HAK_MODE_LIBC,
};

struct hak_config {
	enum hak_mode mode;
	bool stats;    /* HAKMEM_STATS=1: a report at exit */
	bool checked;  /* HAKMEM_FASTLANE_DIRECT=0: checked.h */
	uint32_t node; /* HAKMEM_NODE, or HAK_NODE_ANY */
	/* A copy: programs that set their title overwrite the environment's strings. */
	char socket[HAK_SOCKET_PATH_MAX];
};

/* `preloaded`: the rules of libhakmalloc (embedded unless told otherwise). */
void hak_config_read(struct hak_config *ret_config, bool preloaded);
