/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config_keys.h"

#include <stdio.h>
#include <string.h>

#include "daemon/limits.h"

static const char *const log_levels[] = { "error", "warning", "info", "debug", NULL };
static const char *const ring_waits[] = { "auto", "io_uring", "threads", NULL };
static const char *const huge_pages[] = { "auto", "never", NULL };
static const char *const numa_policies[] = { "local", "preferred", "interleave", "strict", NULL };

#define AT(field) offsetof(struct config, field)
/* The rest of a key: where its value goes, and its range. */
#define BYTES(at, max)      CONFIG_BYTES, false, at, HAK_SUPERSLAB_SIZE, max, NULL
#define COUNT(at, min, max) CONFIG_COUNT, false, at, min, max, NULL

const struct config_key config_keys[CONFIG_KEYS] = {
	{ "daemon", "socket", CONFIG_PATH, true, AT(socket), 0, 0, NULL },
	{ "daemon", "socket-mode", CONFIG_MODE, false, AT(socket_mode), 0, 0777, NULL },
	{ "daemon", "log-level", CONFIG_CHOICE, false, AT(log_level), 0, 0, log_levels },
	{ "daemon", "ring-wait", CONFIG_CHOICE, true, AT(ring_wait), 0, 0, ring_waits },
	{ "daemon", "huge-pages", CONFIG_CHOICE, false, AT(huge_pages), 0, 0, huge_pages },
	{ "stock", "sessions", COUNT(AT(stock_sessions), 0, LIMIT_STOCK_SESSIONS_MAX) },
	{ "stock", "session-bytes", CONFIG_BYTES, false, AT(stock_session_bytes), 0,
	  LIMIT_STOCK_SESSION_BYTES_MAX, NULL },
	{ "stock", "decay", CONFIG_TIME, false, AT(stock_decay_ms), LIMIT_STOCK_DECAY_MIN_MS,
	  LIMIT_STOCK_DECAY_MAX_MS, NULL },
	{ "limits", "total-bytes", BYTES(AT(total_bytes), LIMIT_BYTES_MAX) },
	{ "limits", "session-bytes", BYTES(AT(session_bytes), LIMIT_SESSION_BYTES) },
	{ "limits", "uid-bytes", BYTES(AT(uid_bytes), LIMIT_BYTES_MAX) },
	{ "limits", "sessions", COUNT(AT(sessions), 1, LIMIT_SESSIONS_MAX) },
	{ "limits", "uid-sessions", COUNT(AT(uid_sessions), 1, LIMIT_SESSIONS_MAX) },
	{ "limits", "descriptors", COUNT(AT(descriptors), 0, LIMIT_DESCRIPTORS_MAX) },
	{ "limits", "uid-descriptors", COUNT(AT(uid_descriptors), 0, LIMIT_DESCRIPTORS_MAX) },
	{ "limits", "session-requests", COUNT(AT(session_requests), 0, LIMIT_REQUESTS_MAX) },
	{ "limits", "uid-requests", COUNT(AT(uid_requests), 0, LIMIT_REQUESTS_MAX) },
	{ "limits", "greeting-timeout", CONFIG_TIME, false, AT(greeting_ms), LIMIT_GREETING_MIN_MS,
	  LIMIT_GREETING_MAX_MS, NULL },
	{ "limits", "domains", COUNT(AT(domains), 0, LIMIT_DOMAINS_MAX) },
	{ "limits", "uid-domains", COUNT(AT(uid_domains), 0, LIMIT_DOMAINS_MAX) },
	{ "limits", "domain-bytes", BYTES(AT(domain_bytes), LIMIT_BYTES_MAX) },
	/* The policy is in the files of the regions that are there. */
	{ "numa", "policy", CONFIG_CHOICE, true, AT(numa_policy), 0, 0, numa_policies },
	{ "numa", "node", CONFIG_COUNT, true, AT(numa_node), 0, LIMIT_NODE_NUMBERS - 1, NULL },
	{ "numa", "node-bytes", BYTES(AT(node_bytes), LIMIT_BYTES_MAX) },
};

const struct config_unit config_byte_units[] = { { "KiB", UINT64_C(1) << 10 },
						 { "MiB", UINT64_C(1) << 20 },
						 { "GiB", UINT64_C(1) << 30 },
						 { "TiB", UINT64_C(1) << 40 },
						 { NULL, 0 } };
const struct config_unit config_time_units[] = { { "ms", 1 }, { "s", 1000 }, { NULL, 0 } };

/* In the largest unit that writes it exactly. */
static void format_unit(char *ret, uint64_t value, const struct config_unit *units)
{
	const struct config_unit *best = units;

	for (const struct config_unit *u = units; u->name; u++) {
		if (value && value % u->factor == 0)
			best = u;
	}
	(void)snprintf(ret, CONFIG_VALUE_BYTES, "%llu %s",
		       (unsigned long long)(value / best->factor), best->name);
}

static uint64_t bytes_in_effect(const struct config *config, const struct config_key *key)
{
	if (key->offset == AT(session_bytes))
		return config_session_bytes(config);
	if (key->offset == AT(uid_bytes))
		return config_uid_bytes(config);
	if (key->offset == AT(node_bytes))
		return config_node_bytes(config);
	if (key->offset == AT(domain_bytes))
		return config_domain_bytes(config);
	return *(const uint64_t *)((const char *)config + key->offset);
}

const char *config_format(char ret[CONFIG_VALUE_BYTES], const struct config *config,
			  const struct config_key *key)
{
	const void *at = (const char *)config + key->offset;

	switch (key->kind) {
	case CONFIG_PATH:
		(void)snprintf(ret, CONFIG_VALUE_BYTES, "%s", (const char *)at);
		break;
	case CONFIG_MODE:
		(void)snprintf(ret, CONFIG_VALUE_BYTES, "%04o", *(const unsigned *)at);
		break;
	case CONFIG_CHOICE:
		(void)snprintf(ret, CONFIG_VALUE_BYTES, "%s", key->choices[*(const unsigned *)at]);
		break;
	case CONFIG_BYTES:
		format_unit(ret, bytes_in_effect(config, key), config_byte_units);
		break;
	case CONFIG_COUNT:
		(void)snprintf(ret, CONFIG_VALUE_BYTES, "%u", *(const uint32_t *)at);
		break;
	case CONFIG_TIME:
		format_unit(ret, *(const uint32_t *)at, config_time_units);
		break;
	}
	return ret;
}

void config_copy(struct config *config, const struct config *from, const struct config_key *key)
{
	size_t size = key->kind == CONFIG_PATH    ? CONFIG_SOCKET_BYTES
		      : key->kind == CONFIG_BYTES ? sizeof(uint64_t)
						  : sizeof(uint32_t);

	memcpy(hak_at(config, key->offset), (const char *)from + key->offset, size);
}
