/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_load.h - the configuration from its files: FILE, then FILE.d/[names in byte order].conf.
 *
 * A later file overrides what an earlier one sets; within one file a key stands once.
 */
#pragma once

#include "daemon/config.h"

#define CONFIG_DEFAULT_PATH "/etc/hakmem/hakmemd.conf"
/* A path, a line and what is wrong there. */
#define CONFIG_REASON_BYTES 480u

/* Where the configuration comes from; the strings stay the caller's. */
struct config_source {
	const char *path;   /* an absolute path; NULL: the default one, which need not exist */
	const char *socket; /* wins over the files; NULL: it does not */
};

/*
 * Defaults, files, socket. 0, or a negative errno with the reason ("PATH:LINE: message") in
 * ret_reason. `fn`, if it is not NULL, is told each file that is read, in order.
 */
typedef void config_file_fn(void *context, const char *path);
int config_load(struct config *ret_config, const struct config_source *source, config_file_fn *fn,
		void *context, char ret_reason[CONFIG_REASON_BYTES]);

/* All keys with what is in effect, on stdout, as a file that says the same; with its origins in
 * comments. As config_load(), without a configuration. */
int config_print(const struct config_source *source, char ret_reason[CONFIG_REASON_BYTES]);
