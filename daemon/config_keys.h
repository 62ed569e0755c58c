/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_keys.h - the table of all keys of hakmemd.conf: what a value may be, where it goes, how it
 * is written. Reading (config.c), printing and reloading go through it.
 */
#pragma once

#include "daemon/config.h"

enum config_kind {
	CONFIG_PATH,
	CONFIG_MODE,
	CONFIG_CHOICE,
	CONFIG_BYTES,
	CONFIG_COUNT,
	CONFIG_TIME
};

struct config_key {
	const char *section;
	const char *name;
	enum config_kind kind;
	bool restart; /* a running daemon can't change it */
	size_t offset;
	uint64_t min, max;
	const char *const *choices; /* NULL-terminated; the value is the index */
};

#define CONFIG_KEYS 24u
extern const struct config_key config_keys[CONFIG_KEYS];

struct config_unit {
	const char *name;
	uint64_t factor;
};
/* From the smallest to the largest; the last one has no name. */
extern const struct config_unit config_byte_units[];
extern const struct config_unit config_time_units[];

#define CONFIG_VALUE_BYTES CONFIG_SOCKET_BYTES
/* What is in effect, as it would be written in the file; returns ret. */
const char *config_format(char ret[CONFIG_VALUE_BYTES], const struct config *config,
			  const struct config_key *key);
/* Takes the value of one key from another configuration. */
void config_copy(struct config *config, const struct config *from, const struct config_key *key);
