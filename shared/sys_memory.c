/* SPDX-License-Identifier: Apache-2.0 */
/* sys_memory.c - the part of sys.h that maps, fills and seals. */
#include "shared/sys_call.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Newer than Debian 12's headers; the values are kernel ABI. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA           0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

int hak_sys_memfd(int *ret_fd, const char *name, uint64_t size, bool seal_all)
{
	int seals = F_SEAL_SHRINK | F_SEAL_GROW | (seal_all ? F_SEAL_SEAL : 0);
	long fd, r;

	fd = SYS(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL));
	if (fd == -EINVAL) /* before 6.3 */
		fd = SYS(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
	if (fd < 0)
		return (int)fd;
	r = SYS(ftruncate((int)fd, (off_t)size));
	if (r >= 0)
		r = SYS(fchmod((int)fd, 0600));
	if (r >= 0)
		r = SYS(fcntl((int)fd, F_ADD_SEALS, seals));
	if (r < 0) {
		hak_sys_close((int)fd);
		return (int)r;
	}
	*ret_fd = (int)fd;
	return 0;
}

static int map(void **ret_base, void *at, uint64_t size, int prot, int flags, int fd, uint64_t off)
{
	int saved = errno;
	void *p = mmap(at, size, prot, flags, fd, (off_t)off);
	int r = p == MAP_FAILED ? -errno : 0;

	errno = saved;
	if (!r && ret_base)
		*ret_base = p;
	return r;
}

int hak_sys_reserve(void **ret_base, void *hint, uint64_t size, uint64_t align)
{
	void *p = NULL;
	uint64_t pad, lead;
	int r = -ENOMEM;

	if (hint)
		r = map(&p, hint, size, PROT_NONE, ANON | MAP_FIXED_NOREPLACE, -1, 0);
	if (!r && p == hint && (!align || !((uintptr_t)p & (align - 1)))) {
		*ret_base = p;
		return 0;
	}
	if (!r)
		(void)hak_sys_unmap(p, size);
	pad = align > 4096 ? align : 0;
	r = map(&p, NULL, size + pad, PROT_NONE, ANON, -1, 0);
	if (r < 0)
		return r;
	if (pad) { /* keep the aligned part */
		lead = hak_align_up((uintptr_t)p, align) - (uintptr_t)p;
		if (lead)
			(void)hak_sys_unmap(p, lead);
		if (pad - lead)
			(void)hak_sys_unmap(hak_at(p, lead + size), pad - lead);
		p = hak_at(p, lead);
	}
	*ret_base = p;
	return 0;
}

int hak_sys_map_anon(void **ret_base, uint64_t size)
{
	return map(ret_base, NULL, size, PROT_READ | PROT_WRITE, ANON, -1, 0);
}

int hak_sys_map_zero(void **ret_base, uint64_t size)
{
	return map(ret_base, NULL, size, PROT_READ, ANON, -1, 0);
}

int hak_sys_map_zero_at(void *at, uint64_t size)
{
	return map(NULL, at, size, PROT_READ, ANON | MAP_FIXED_NOREPLACE, -1, 0);
}

int hak_sys_map_anon_at(void *at, uint64_t size)
{
	return map(NULL, at, size, PROT_READ | PROT_WRITE, ANON | MAP_FIXED, -1, 0);
}

int hak_sys_map_none_at(void *at, uint64_t size)
{
	return map(NULL, at, size, PROT_NONE, ANON | MAP_FIXED, -1, 0);
}

int hak_sys_map_shared(void **ret_base, void *at, int fd, uint64_t off, uint64_t size)
{
	return map(ret_base, at, size, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_NORESERVE | (at ? MAP_FIXED : 0), fd, off);
}

int hak_sys_map_shared_at(void *at, int fd, uint64_t size, bool writable)
{
	return map(NULL, at, size, PROT_READ | (writable ? PROT_WRITE : 0),
		   MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, fd, 0);
}

int hak_sys_map_private_at(void *at, int fd, uint64_t off, uint64_t size)
{
	return map(NULL, at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED,
		   fd, off);
}

static int move_to(void *from, void *at, uint64_t size, int flags)
{
	int saved = errno;
	void *p = mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED | flags, at);
	int r = p == MAP_FAILED ? -errno : 0;

	errno = saved;
	return r;
}

int hak_sys_move_over(void *from, void *at, uint64_t size)
{
	return move_to(from, at, size, 0);
}

int hak_sys_move_pages(void *from, void *at, uint64_t size)
{
	return move_to(from, at, size, MREMAP_DONTUNMAP);
}

int hak_sys_map_readonly(void **ret_base, int fd, uint64_t size)
{
	return map(ret_base, NULL, size, PROT_READ, MAP_SHARED, fd, 0);
}

int hak_sys_unmap(void *at, uint64_t size)
{
	return (int)SYS(munmap(at, size));
}

int hak_sys_protect_rw(void *at, uint64_t size)
{
	return (int)SYS(mprotect(at, size, PROT_READ | PROT_WRITE));
}

int hak_sys_protect_none(void *at, uint64_t size)
{
	return (int)SYS(mprotect(at, size, PROT_NONE));
}

int hak_sys_advise(void *at, uint64_t size, int advice)
{
	return (int)SYS(madvise(at, size, advice));
}

int hak_sys_resident(const void *at, uint64_t size, uint32_t *ret_pages)
{
	unsigned char page[512];
	int saved = errno, r = 0;
	uint32_t n = 0;

	if (size > sizeof(page) * 4096)
		return -EINVAL;
	if (mincore((void *)(uintptr_t)at, size, page) < 0)
		r = -errno;
	errno = saved;
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < size / (uint64_t)sysconf(_SC_PAGESIZE); i++)
		n += page[i] & 1;
	*ret_pages = n;
	return 0;
}

void hak_sys_name(void *at, uint64_t size, const char *name)
{
	(void)SYS(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, at, size, name));
}

int hak_sys_punch(int fd, uint64_t off, uint64_t size)
{
	return (int)UNCANCELLED(
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)size));
}

int hak_sys_fallocate(int fd, uint64_t off, uint64_t size)
{
	return (int)UNCANCELLED(fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)size));
}

int hak_sys_add_seals(int fd, int seals)
{
	return (int)SYS(fcntl(fd, F_ADD_SEALS, seals));
}
