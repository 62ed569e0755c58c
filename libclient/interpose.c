/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interpose.c - malloc's family by its own names, with glibc's semantics (2.36) where the standard
 * leaves room: malloc(0) is a block, realloc(p, 0) frees, memalign() rounds odd alignments up.
 *
 * Two lines each: the inline path is the function.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libclient/client.h"
#include "libclient/inline.h"
#include "libclient/next.h"
#include "libclient/stats.h"
#include "tiny/tiny.h"

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

/* In C23, not yet in the headers; cfree has left them. */
void free_sized(void *p, size_t size);
void free_aligned_sized(void *p, size_t align, size_t size);
void cfree(void *p);

HAK_EXPORT void *malloc(size_t size)
{
	return hak_tiny_alloc(size);
}

HAK_EXPORT void free(void *p)
{
	hak_tiny_free(p);
}

HAK_EXPORT void *calloc(size_t n, size_t size)
{
	return hak_zeroed(n, size);
}

HAK_EXPORT void *realloc(void *p, size_t size)
{
	return hak_resize(p, size);
}

HAK_EXPORT void *reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return hak_resize(p, bytes);
}

HAK_EXPORT void free_sized(void *p, size_t size)
{
	hak_tiny_free_sized(p, size);
}

HAK_EXPORT void free_aligned_sized(void *p, size_t align, size_t size)
{
	(void)align;
	hak_tiny_free_sized(p, size);
}

HAK_EXPORT void cfree(void *p)
{
	hak_tiny_free(p);
}

HAK_EXPORT void *memalign(size_t align, size_t size)
{
	if (align > SIZE_MAX / 2 + 1) {
		errno = EINVAL;
		return NULL;
	}
	while (!hak_is_pow2(align)) /* the next one: fill the bits below the highest, add one */
		align = align ? (size_t)1 << (64 - __builtin_clzll(align)) : 1;
	return hak_aligned(align, size);
}

HAK_EXPORT void *aligned_alloc(size_t align, size_t size)
{
	return memalign(align, size);
}

HAK_EXPORT int posix_memalign(void **ret, size_t align, size_t size)
{
	int saved = errno;
	void *p;

	if (!hak_is_pow2(align) || align % sizeof(void *))
		return EINVAL;
	p = hak_aligned(align, size);
	errno = saved;
	if (!p)
		return ENOMEM;
	*ret = p;
	return 0;
}

HAK_EXPORT void *valloc(size_t size)
{
	return hak_aligned(PAGE, size);
}

HAK_EXPORT void *pvalloc(size_t size)
{
	if (size > PTRDIFF_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	return hak_aligned(PAGE, hak_align_up(size, PAGE));
}

HAK_EXPORT size_t malloc_usable_size(void *p)
{
	return hak_usable(p);
}

/* In libc mode questions about the heap are libc's to answer: its function, else NULL. */
static void *libcs(const char *name)
{
	return hak_client_start() == HAK_CLIENT_LIBC ? dlsym(RTLD_NEXT, name) : NULL;
}

HAK_EXPORT int malloc_trim(size_t pad)
{
	int (*next)(size_t) = libcs("malloc_trim");

	return next ? next(pad) : hak_give_back() > 0;
}

/* Every parameter of glibc's is about a heap that is not there; "understood, nothing to do". */
HAK_EXPORT int mallopt(int param, int value)
{
	int (*next)(int, int) = libcs("mallopt");

	return next ? next(param, value) : 1;
}

HAK_EXPORT struct mallinfo2 mallinfo2(void)
{
	struct mallinfo2 (*next)(void) = libcs("mallinfo2");
	struct mallinfo2 info = { 0 };
	struct hak_stats s;

	if (next)
		return next();
	hak_stats_read(&s);
	info.arena = (size_t)(s.added - s.clean) << HAK_SUPERSLAB_SHIFT;
	info.hblks = s.heap.spans;
	info.hblkhd = s.heap.span_bytes;
	info.uordblks = s.block_bytes + s.heap.span_bytes;
	info.fordblks = info.arena > info.uordblks ? info.arena - info.uordblks : 0;
	info.keepcost = (size_t)(s.empty - s.clean) << HAK_SUPERSLAB_SHIFT;
	return info;
}

/* The old form has ints; what does not fit is cut, as glibc's is. */
HAK_EXPORT struct mallinfo mallinfo(void)
{
	struct mallinfo2 wide = mallinfo2();

	return (struct mallinfo){ .arena = (int)wide.arena,
				  .hblks = (int)wide.hblks,
				  .hblkhd = (int)wide.hblkhd,
				  .uordblks = (int)wide.uordblks,
				  .fordblks = (int)wide.fordblks,
				  .keepcost = (int)wide.keepcost };
}

HAK_EXPORT int malloc_info(int options, FILE *out)
{
	int (*next)(int, FILE *) = libcs("malloc_info");
	struct mallinfo2 info;

	if (next)
		return next(options, out);
	if (options)
		return EINVAL;
	info = mallinfo2();
	fprintf(out,
		"<malloc version=\"1\">\n<heap nr=\"0\">\n"
		"<system type=\"current\" size=\"%zu\"/>\n"
		"<total type=\"used\" size=\"%zu\"/>\n<total type=\"rest\" size=\"%zu\"/>\n"
		"<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n</heap>\n"
		"<system type=\"current\" size=\"%zu\"/>\n</malloc>\n",
		info.arena, info.uordblks, info.fordblks, info.hblks, info.hblkhd, info.arena);
	return 0;
}

HAK_EXPORT void malloc_stats(void)
{
	void (*next)(void) = libcs("malloc_stats");

	if (next)
		next();
	else
		hak_stats_report();
}
