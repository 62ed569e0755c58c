/* SPDX-License-Identifier: Apache-2.0 */
/* hakmemd.conf: any text is taken or refused with a line that it has and a message that ends. */
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/limits.h"
#include "shared/check.h"
#include "tests/fuzz/fuzz.h"

static void check_accepted(const struct config *config)
{
	hak_assert(memchr(config->socket, 0, sizeof(config->socket)) && config->socket[0] == '/');
	hak_assert(config->socket_mode <= 0777);
	hak_assert(config->log_level <= LOG_AT_DEBUG);
	hak_assert(config->ring_wait <= RING_WAIT_THREADS);
	hak_assert(config->huge_pages <= HUGE_PAGES_NEVER);
	hak_assert(config->total_bytes >= HAK_SUPERSLAB_SIZE &&
		   config->total_bytes <= LIMIT_BYTES_MAX);
	hak_assert(config->session_bytes <= LIMIT_SESSION_BYTES);
	hak_assert(config->uid_bytes <= LIMIT_BYTES_MAX);
	hak_assert(config->sessions && config->sessions <= LIMIT_SESSIONS_MAX);
	hak_assert(config->uid_sessions && config->uid_sessions <= LIMIT_SESSIONS_MAX);
	hak_assert(config->descriptors <= LIMIT_DESCRIPTORS_MAX &&
		   config->uid_descriptors <= LIMIT_DESCRIPTORS_MAX);
	hak_assert(config->session_requests <= LIMIT_REQUESTS_MAX &&
		   config->uid_requests <= LIMIT_REQUESTS_MAX);
	hak_assert(config->greeting_ms >= LIMIT_GREETING_MIN_MS &&
		   config->greeting_ms <= LIMIT_GREETING_MAX_MS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config config;
	char error[CONFIG_ERROR_BYTES];
	char *exact = malloc(size ? size : 1);
	unsigned line, lines = 1;

	if (!exact)
		return 0;
	memcpy(exact, data, size);
	for (size_t i = 0; i < size; i++)
		lines += exact[i] == '\n';
	config_init(&config, UINT64_C(1) << 34);
	line = config_parse(&config, exact, size, error);
	if (line)
		hak_assert(line <= lines && memchr(error, 0, sizeof(error)));
	else
		check_accepted(&config);
	free(exact);
	return 0;
}
