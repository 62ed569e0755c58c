/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/reload.h"

#include <string.h>

#include "daemon/config_keys.h"
#include "daemon/daemon.h"
#include "daemon/log.h"

/* What becomes of a changed key. */
static const char *effect_of(const struct daemon *daemon, const struct config_key *key)
{
	bool of_socket = key->offset == offsetof(struct config, socket) ||
			 key->offset == offsetof(struct config, socket_mode);

	if (of_socket && !daemon->listener.owns_path)
		return "none: the socket was handed over";
	return key->restart ? "none: needs a restart" : "applied";
}

/* Logs what differs; what needs a restart stays in `new` as it was. */
static unsigned compare(const struct daemon *daemon, struct config *new)
{
	char before[CONFIG_VALUE_BYTES], after[CONFIG_VALUE_BYTES];
	const struct config *old = &daemon->config;
	unsigned changed = 0;

	for (unsigned i = 0; i < CONFIG_KEYS; i++) {
		const struct config_key *key = &config_keys[i];
		const char *effect = effect_of(daemon, key);
		bool applied = !strcmp(effect, "applied");

		if (!strcmp(config_format(before, old, key), config_format(after, new, key)))
			continue;
		changed++;
		log_event(applied ? LOG_AT_INFO : LOG_AT_WARNING, "reload-key",
			  "section=%s key=%s from=\"%s\" to=\"%s\" effect=\"%s\"", key->section,
			  key->name, before, after, effect);
		if (!applied)
			config_copy(new, old, key);
	}
	return changed;
}

void daemon_reload(struct daemon *daemon)
{
	char reason[CONFIG_REASON_BYTES];
	struct config new;
	unsigned changed;

	if (config_load(&new, &daemon->source, NULL, NULL, reason) < 0) {
		log_event(LOG_AT_ERROR, "reload-failed", "reason=\"%s\" effect=none", reason);
		return;
	}
	/* What is said about it is said by the more talkative of both levels. */
	if (new.log_level > daemon->config.log_level)
		log_set_level(new.log_level);
	changed = compare(daemon, &new);
	log_event(LOG_AT_INFO, "reloaded", "changed=%u", changed);
	log_set_level(new.log_level);
	if (new.socket_mode != daemon->config.socket_mode)
		listener_set_mode(&daemon->listener, new.socket_mode);
	daemon_configure(daemon, &new);
}
