/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PMDK: a pool of libpmemobj in /dev/shm and its atomic allocations. What makes it last through a
 * loss of power is switched off: this memory would not anyway.
 */
#include "bench/workloads/shared/memory_alone.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <libpmemobj.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct {
	__typeof__(pmemobj_create) *create;
	__typeof__(pmemobj_close) *close;
	__typeof__(pmemobj_alloc) *alloc;
	__typeof__(pmemobj_free) *free;
	__typeof__(pmemobj_errormsg) *errormsg;
} pmem;

static PMEMobjpool *pool;
static uint64_t id; /* of the pool: the first half of each block's name */
static char name[SIDE_NAME];

static void *entry(void *library, const char *what)
{
	void *p = dlsym(library, what);

	if (!p)
		work_die(dlerror());
	return p;
}

/* Not linked with: it reads the variables when it is loaded. */
static void load(void)
{
	void *library;

	if (setenv("PMEM_NO_FLUSH", "1", 1) || setenv("PMEM_IS_PMEM_FORCE", "1", 1))
		work_die("PMDK cannot be told what to do");
	library = dlopen("libpmemobj.so.1", RTLD_NOW);
	if (!library)
		work_die(dlerror());
	pmem.create = entry(library, "pmemobj_create");
	pmem.close = entry(library, "pmemobj_close");
	pmem.alloc = entry(library, "pmemobj_alloc");
	pmem.free = entry(library, "pmemobj_free");
	pmem.errormsg = entry(library, "pmemobj_errormsg");
}

static void unlink_it(void)
{
	(void)shm_unlink(name);
}

void memory_join(struct side *side, uint64_t bytes, size_t largest)
{
	char path[sizeof("/dev/shm/") + SIDE_NAME];
	PMEMoid first;
	int fd;

	(void)largest;
	load();
	(void)strcpy(name, side->name);
	(void)snprintf(path, sizeof(path), "/dev/shm/%s", name);
	(void)atexit(unlink_it); /* should this fail */
	/* A file that is there stays without pages until they are written to. */
	fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)bytes) || close(fd))
		work_die("there is no shared memory");
	pool = pmem.create(path, "hakbench", 0, 0600);
	if (!pool)
		work_die(pmem.errormsg());
	unlink_it();
	if (pmem.alloc(pool, &first, 1, 0, NULL, NULL))
		work_die(pmem.errormsg());
	id = first.pool_uuid_lo;
	pmem.free(&first);
}

void memory_leave(struct side *side)
{
	(void)side;
	pmem.close(pool);
}

void *memory_alloc(size_t size)
{
	PMEMoid block;

	return pmem.alloc(pool, &block, size, 0, NULL, NULL) ? NULL : (char *)pool + block.off;
}

void memory_free(void *p)
{
	PMEMoid block = { .pool_uuid_lo = id, .off = (uint64_t)((char *)p - (char *)pool) };

	pmem.free(&block);
}
