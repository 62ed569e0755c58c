/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/sys.h"

static void HAK_PRINTF(1, 0) say(const char *format, va_list args)
{
	static const char prefix[] = "hakmem: ";
	char line[512];
	size_t n = sizeof(prefix) - 1;
	int r;

	__builtin_memcpy(line, prefix, n);
	r = vsnprintf(line + n, sizeof(line) - n - 1, format, args);
	if (r < 0)
		r = 0;
	n += (size_t)r < sizeof(line) - n - 1 ? (size_t)r : sizeof(line) - n - 2;
	line[n++] = '\n';
	hak_sys_say(line, n);
}

void hak_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
}

void hak_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	abort();
}
