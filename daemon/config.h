/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - hakmemd.conf: what can be set, its defaults, and the parser.
 *
 * The file is documented in daemon/hakmemd.conf; every key there has a field here and a line in the
 * table of config_keys.c. Parsing stops at the first thing that is wrong, and says which line that
 * is. config_load.h puts the configuration together from its files.
 */
#pragma once

#include "daemon/log.h"
#include "shared/base.h"

/* A Unix socket's path with its NUL. */
#define CONFIG_SOCKET_BYTES 108u
#define CONFIG_SOCKET_RULE  "not an absolute path of at most %u characters"
#define CONFIG_ERROR_BYTES  160u

enum config_ring_wait {
	RING_WAIT_AUTO,
	RING_WAIT_IO_URING,
	RING_WAIT_THREADS
};
enum config_numa_policy {
	NUMA_LOCAL,      /* the node that asks, else the nearest */
	NUMA_PREFERRED,  /* one node for all, else the nearest */
	NUMA_INTERLEAVE, /* all nodes in turn */
	NUMA_STRICT      /* the node that asks, or not at all */
};
enum config_huge_pages {
	HUGE_PAGES_AUTO,
	HUGE_PAGES_NEVER
};

struct config {
	/* [daemon] */
	char socket[CONFIG_SOCKET_BYTES];
	unsigned socket_mode;
	enum log_level log_level;
	enum config_ring_wait ring_wait;
	enum config_huge_pages huge_pages;
	/* [stock] */
	uint32_t stock_sessions;
	uint64_t stock_session_bytes;
	uint32_t stock_decay_ms;
	/* [limits] */
	uint64_t total_bytes;
	uint64_t session_bytes; /* 0: not set, likewise the next; see config_session_bytes() */
	uint64_t uid_bytes;
	uint32_t sessions;
	uint32_t uid_sessions;
	uint32_t descriptors;      /* 0: as the system allows */
	uint32_t uid_descriptors;  /* 0: as descriptors */
	uint32_t session_requests; /* a second; 0: no limit, likewise the next */
	uint32_t uid_requests;
	uint32_t greeting_ms;
	uint32_t domains;
	uint32_t uid_domains;
	uint64_t domain_bytes; /* 0: not set; see config_domain_bytes() */
	/* [numa] */
	enum config_numa_policy numa_policy;
	uint32_t numa_node;  /* NUMA_PREFERRED */
	uint64_t node_bytes; /* 0: not set; see config_node_bytes() */
};

/* The defaults, on a machine with that much memory. */
void config_init(struct config *config, uint64_t memory_bytes);

/* 0, or -EINVAL if the path is empty, too long, or not absolute. */
int config_set_socket(struct config *config, const char *path);

/*
 * A pure function of (bytes, size): overrides what the text sets. 0, or the number of the line that
 * is wrong, with the reason in ret_error; the configuration is then unusable.
 */
unsigned config_parse(struct config *config, const char *text, size_t size,
		      char ret_error[CONFIG_ERROR_BYTES]);

/* What is in effect where the key is not set: as much as all together. */
uint64_t config_session_bytes(const struct config *config);
uint64_t config_uid_bytes(const struct config *config);
uint64_t config_node_bytes(const struct config *config);
uint64_t config_domain_bytes(const struct config *config);
