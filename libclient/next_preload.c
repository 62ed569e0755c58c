/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/next.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#include "libclient/client.h"
#include "shared/sys.h"

const bool hak_is_preload = true;

/* glibc's malloc by the names that nobody interposes. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *p);

/* Present exactly where a sanitizer that owns malloc is linked in. */
extern char __asan_init __attribute__((weak));
extern char __tsan_init __attribute__((weak));
extern char __msan_init __attribute__((weak));
extern char __hwasan_init __attribute__((weak));
extern char __lsan_init __attribute__((weak));

static struct {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void *(*memalign)(size_t, size_t);
	void (*free)(void *);
} next = { __libc_malloc, __libc_calloc, __libc_realloc, __libc_memalign, __libc_free };

static void *find(const char *name, void *fallback)
{
	void *p = dlsym(RTLD_NEXT, name);

	return p ? p : fallback;
}

bool hak_next_insists(void)
{
	if (!&__asan_init && !&__tsan_init && !&__msan_init && !&__hwasan_init && !&__lsan_init)
		return false;
	next.malloc = (void *(*)(size_t))find("malloc", (void *)__libc_malloc);
	next.calloc = (void *(*)(size_t, size_t))find("calloc", (void *)__libc_calloc);
	next.realloc = (void *(*)(void *, size_t))find("realloc", (void *)__libc_realloc);
	next.memalign = (void *(*)(size_t, size_t))find("memalign", (void *)__libc_memalign);
	next.free = (void (*)(void *))find("free", (void *)__libc_free);
	return true;
}

void *hak_next_malloc(size_t size)
{
	return next.malloc(size);
}

void *hak_next_calloc(size_t n, size_t size)
{
	return next.calloc(n, size);
}

void *hak_next_realloc(void *p, size_t size)
{
	return next.realloc(p, size);
}

void *hak_next_memalign(size_t align, size_t size)
{
	return next.memalign(align, size);
}

void hak_next_free(void *p)
{
	next.free(p);
}

size_t hak_next_usable_size(void *p)
{
	static size_t (*usable)(void *);

	if (!usable)
		usable = (size_t(*)(void *))find("malloc_usable_size", NULL);
	return usable ? usable(p) : 0;
}

/* Where the break started, from field 47 of /proc/self/stat; 0 if that can't be read. */
static uintptr_t break_start(void)
{
	char buf[1024], *p;
	uintptr_t v = 0;

	if (hak_sys_read_file("/proc/self/stat", buf, sizeof(buf)) <= 0)
		return 0;
	p = strrchr(buf, ')'); /* the end of field 2, which may contain anything */
	for (int field = 2; p && field < 47; field++)
		p = strchr(p + 1, ' ');
	while (p && *++p >= '0' && *p <= '9')
		v = v * 10 + (uintptr_t)(*p - '0');
	return v;
}

/*
 * In libc mode everything that is not ours is the next allocator's. Otherwise the few blocks that
 * libc gave out behind our back (through __libc_malloc) lie below the break, or are mapped alone
 * with glibc's chunk header at the start of a page.
 */
bool hak_next_may_own(const void *p)
{
	uintptr_t at = (uintptr_t)p, start;

	if (hak_client.state == HAK_CLIENT_LIBC)
		return true;
	if (at & 15)
		return false;
	start = break_start();
	if (start && at > start && at < (uintptr_t)sbrk(0))
		return true;
	/* IS_MMAPPED set, size a multiple of a page; the header is on the same page as p. */
	return (at & 4095) == 16 && (((const size_t *)p)[-1] & 4095) == 2;
}
