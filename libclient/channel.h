/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel.h - what the handles of channels mean to their domain's.
 */
#pragma once

#include "libclient/domain.h"
#include "shared/channel.h"

/* Under hak_domains.lock: the domain's last handle is being closed; what is still open of its
 * channels is of no use but to be closed. */
void hak_channels_forget(const hak_domain *d);
