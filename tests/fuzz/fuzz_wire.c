/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames: any bytes get a verdict, nothing past their end is read, and what is accepted keeps the
 * promises on which the callers rely.
 */
#include <stdlib.h>
#include <string.h>

#include "shared/check.h"
#include "shared/wire.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hak_wire_frame frame, again;
	uint8_t *exact = malloc(size ? size : 1); /* so that a sanitizer sees the end */

	if (!exact)
		return 0;
	memcpy(exact, data, size);
	memset(&frame, 0xee, sizeof(frame));
	if (hak_wire_decode(&frame, exact, size) == 0) {
		hak_assert(size == HAK_WIRE_SIZE && frame.magic == HAK_WIRE_MAGIC);
		hak_assert(frame.type >= HAK_WIRE_HELLO && frame.type <= HAK_WIRE_DOMAIN_HEIR);
		if (frame.type == HAK_WIRE_HELLO) {
			uint16_t version =
				hak_wire_choose(frame.hello.version_min, frame.hello.version_max);

			hak_assert(strnlen(frame.hello.comm, sizeof(frame.hello.comm)) <
				   sizeof(frame.hello.comm));
			hak_assert(!version || (version >= frame.hello.version_min &&
						version <= frame.hello.version_max));
		}
		if (frame.type == HAK_WIRE_REFUSED)
			hak_assert(memchr(frame.refused.text, 0, sizeof(frame.refused.text)));
		if (frame.type == HAK_WIRE_DONE)
			hak_assert(memchr(frame.done.text, 0, sizeof(frame.done.text)));
		if (frame.type == HAK_WIRE_DOMAIN_OPEN || frame.type == HAK_WIRE_DOMAIN_UNLINK)
			hak_assert(
				memchr(frame.domain_open.name, 0, sizeof(frame.domain_open.name)));
		hak_assert(hak_wire_decode(&again, &frame, sizeof(frame)) == 0);
	} else {
		hak_assert(frame.magic == 0xeeeeeeee); /* untouched on failure */
	}
	free(exact);
	return 0;
}
