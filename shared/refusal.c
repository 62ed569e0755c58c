/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/refusal.h"

static const char *const names[] = {
	[HAK_REFUSAL_NONE] = "",
	[HAK_REFUSAL_TOTAL_BYTES] = "total-bytes",
	[HAK_REFUSAL_UID_BYTES] = "uid-bytes",
	[HAK_REFUSAL_SESSION_BYTES] = "session-bytes",
	[HAK_REFUSAL_ADDRESSES] = "addresses",
	[HAK_REFUSAL_MEMORY] = "memory",
	[HAK_REFUSAL_SESSIONS] = "sessions",
	[HAK_REFUSAL_UID_SESSIONS] = "uid-sessions",
	[HAK_REFUSAL_DESCRIPTORS] = "descriptors",
	[HAK_REFUSAL_UID_DESCRIPTORS] = "uid-descriptors",
	[HAK_REFUSAL_NODE_BYTES] = "node-bytes",
	[HAK_REFUSAL_DOMAIN_BYTES] = "domain-bytes",
	[HAK_REFUSAL_DOMAINS] = "domains",
	[HAK_REFUSAL_UID_DOMAINS] = "uid-domains",
};

const char *hak_refusal_name(uint32_t refusal)
{
	return refusal < hak_array_size(names) ? names[refusal] : "unknown";
}

bool hak_refusal_is_limit(uint32_t refusal)
{
	return refusal != HAK_REFUSAL_NONE && refusal != HAK_REFUSAL_ADDRESSES &&
	       refusal != HAK_REFUSAL_MEMORY && refusal < hak_array_size(names);
}
