/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/factory.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "daemon/log.h"
#include "daemon/numa.h"
#include "daemon/os.h"
#include "shared/layout.h"
#include "shared/sys.h"

/* Newer than some headers; values are kernel ABI (5.14, 6.1). */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

int factory_init(struct factory *factory, bool huge)
{
	struct factory new = { .huge = huge, .part = FACTORY_BY_INDEX };
	int r = hak_sys_reserve(&new.window, NULL, HAK_SUPERSLAB_SIZE, HAK_SUPERSLAB_SIZE);

	if (r < 0)
		return r;
	*factory = new;
	return 0;
}

void factory_deinit(struct factory *factory)
{
	if (factory->window)
		(void)hak_sys_unmap(factory->window, HAK_SUPERSLAB_SIZE);
	*factory = (struct factory)FACTORY_NULL;
}

/* The node of the superslab that is mapped in the window, before its first page is there. */
static int place(const struct factory *factory, uint32_t index)
{
	const struct numa *numa = factory->numa;

	if (!numa)
		return 0;
	if (factory->part != FACTORY_BY_INDEX && numa->policy != NUMA_INTERLEAVE)
		return numa_prefer(numa, factory->part, factory->window, HAK_SUPERSLAB_SIZE);
	return numa_spread(numa, index, factory->window);
}

/*
 * Populating instead of writing: it leaves the bytes alone, and answers shortage with an error
 * where a store would end in SIGBUS. A first page is needed, or there is nothing to collapse.
 */
static int collapse(const struct factory *factory, int fd, uint32_t index)
{
	uint64_t off = (uint64_t)index << HAK_SUPERSLAB_SHIFT;
	int r = hak_sys_map_shared(NULL, factory->window, fd, off, HAK_SUPERSLAB_SIZE);

	if (r < 0)
		return r;
	(void)hak_sys_advise(factory->window, HAK_SUPERSLAB_SIZE, MADV_DONTDUMP);
	(void)place(factory, index);
	r = hak_sys_advise(factory->window, 4096, MADV_POPULATE_WRITE);
	if (r == 0)
		r = hak_sys_advise(factory->window, HAK_SUPERSLAB_SIZE, MADV_COLLAPSE);
	/* The mapping would keep the pages alive after their session. */
	(void)hak_sys_map_none_at(factory->window, HAK_SUPERSLAB_SIZE);
	return r;
}

/*
 * Numa policy strict: asked for after the fact. A binding policy would have the kernel kill a
 * process of its choice when the node is full.
 */
static int check_node(const struct factory *factory, int fd, uint32_t index, bool huge)
{
	uint64_t off = (uint64_t)index << HAK_SUPERSLAB_SHIFT;
	uint64_t size = huge ? 4096 : HAK_SUPERSLAB_SIZE;
	uint32_t part;
	int r;

	if (!factory->numa || factory->numa->policy != NUMA_STRICT)
		return 0;
	r = hak_sys_map_shared(NULL, factory->window, fd, off, HAK_SUPERSLAB_SIZE);
	if (r < 0)
		return r;
	r = hak_sys_advise(factory->window, size, MADV_POPULATE_READ);
	part = factory->part == FACTORY_BY_INDEX ? numa_part_at(factory->numa, index)
						 : factory->part;
	if (r == 0 && !numa_in_place(factory->numa, part, factory->window, (uint32_t)(size / 4096)))
		r = -ENOMEM;
	(void)hak_sys_map_none_at(factory->window, HAK_SUPERSLAB_SIZE);
	return r;
}

static void say_once(int r)
{
	static _Atomic bool said;

	if (!atomic_exchange(&said, true))
		log_event(LOG_AT_WARNING, "no-huge-pages",
			  "error=\"%s\" effect=\"memory is given out as 4 KiB pages\"", os_text(r));
}

int factory_build(struct factory *factory, int fd, uint32_t index, bool *ret_huge)
{
	uint64_t off = (uint64_t)index << HAK_SUPERSLAB_SHIFT;
	int r;

	*ret_huge = false;
	if (factory->huge) {
		r = collapse(factory, fd, index);
		if (r == 0) {
			*ret_huge = true;
			return check_node(factory, fd, index, true);
		}
		if (r == -EINVAL)
			say_once(r);
	}
	r = hak_sys_fallocate(fd, off, HAK_SUPERSLAB_SIZE);
	return r < 0 ? r : check_node(factory, fd, index, false);
}

int factory_punch(int fd, uint32_t first, uint32_t count)
{
	return hak_sys_punch(fd, (uint64_t)first << HAK_SUPERSLAB_SHIFT,
			     (uint64_t)count << HAK_SUPERSLAB_SHIFT);
}
